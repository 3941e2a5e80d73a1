"""Matches and targets of xtables as expressions of rules (nft_compat): iptables-nft uses them for much of its rules.

An extension has a name, a revision, and a structure in the machine's byte order, which is decoded and checked when its
rule is added; packets are judged by the decoded form, and a listing returns the structure. An extension may be bound
to a table's name, to points, and to a protocol, which the rule's NFTA_RULE_COMPAT gives.

Missing extensions answer as on a Linux without their modules: ENOENT.

Context: as in `expression.py`.
Source: linux/netfilter/nf_tables_compat.h, linux/netfilter/x_tables.h and the headers of the extensions (layouts),
iptables-extensions(8) (meanings).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from kernel.lang import EINVAL, ENOENT, EPROTONOSUPPORT, ERANGE, Errno, final
from kernel.lib.pace import spend
from kernel.net.link.hooks import FAMILY_IP4, FAMILY_IP6
from kernel.net.link.network import Network
from kernel.net.netlink.messages import HEADER_SIZE, NLM_F_MULTI, MessageWriter, Request
from kernel.net.netlink.subsystems import (
    NETFILTER_HEADER,
    Subsystem,
    begin_message,
    message_of,
    register_subsystem,
)
from kernel.net.nftables.attributes import Attributes, put32, put_text
from kernel.net.nftables.connections import start_tracking, stop_tracking
from kernel.net.nftables.expression import Expression, Loader, Run, register_loader
from kernel.net.nftables.model import TYPE_NAT, Chain

if TYPE_CHECKING:
    from kernel.net.nftables.batch import Loading

_SUBSYSTEM: Final = 11  # NFNL_SUBSYS_NFT_COMPAT
_GET: Final = 0  # NFNL_MSG_COMPAT_GET
_ALIGNMENT: Final = 8  # of structures
_NAME: Final = 1
_REVISION: Final = 2
_INFO: Final = 3
_IS_TARGET: Final = 3
_NAME_LIMIT: Final = 255
_ASKED_LIMIT: Final = 31  # of a name in a query for revisions
_REVISION_LIMIT: Final = 255
_PROTOCOL: Final = 1
_FLAGS: Final = 2
_INVERTED: Final = 2  # NFT_RULE_COMPAT_F_INV
_PROTOCOL_LIMIT: Final = 0xFFFF
_CALL_COST: Final = 60  # instructions

ANY_FAMILY: Final = 0
_FAMILY_ARP: Final = 3
_FAMILY_BRIDGE: Final = 7


@final
class Usage:
    """Where an extension will be used."""

    def __init__(self, network: Network, family: int, table: bytes) -> None:
        self.network: Network = network
        self.family: int = family  # of the table
        self.table: bytes = table
        self.points: int = 0  # that of a base chain, a bit; 0 for others
        self.protocol: int = 0  # that the rule is for; 0: any
        self.is_inverted: bool = False  # it is for all protocols but that one

    def is_for(self, protocol: int) -> bool:
        """Whether the rule is only for a protocol."""
        return self.protocol == protocol and not self.is_inverted


class Extension(Expression):
    """A decoded extension. Base class."""

    def __init__(self) -> None:
        self.kind: Kind | None = None  # set when it has been decoded, with …
        self.info: bytes = b""  # … what listings show of it …
        self.usage: Usage | None = None  # … and where it is used, if it has connections tracked

    def name(self) -> bytes:
        kind = self.kind
        return b"target" if kind is not None and kind.is_target else b"match"

    def put(self, writer: MessageWriter) -> None:
        kind = self.kind
        if kind is not None:
            put_text(writer, _NAME, kind.name)
            put32(writer, _REVISION, kind.revision)
            writer.attribute(_INFO, self.info)

    def check(self, base: Chain, family: int) -> None:
        """Raises EINVAL."""
        kind = self.kind
        found = base.base
        if kind is None or found is None:
            return
        if kind.points != 0 and kind.points >> found.point & 1 == 0:
            raise Errno(EINVAL)
        if kind.table == b"nat" and found.kind != TYPE_NAT:
            raise Errno(EINVAL)

    def start(self) -> None:
        usage = self.usage
        if usage is not None:
            start_tracking(usage.network, usage.family)

    def finish(self) -> None:
        usage = self.usage
        if usage is not None:
            stop_tracking(usage.network, usage.family)


class Match(Extension):
    """An extension that holds for a packet or not. Base class."""

    def holds(self, run: Run) -> bool:
        """Whether it holds. A malformed packet is dropped: `drop`."""
        return True

    def drop(self, run: Run) -> bool:
        """Make the packet's verdict to drop it. Returns the value for `holds` to return."""
        run.verdict = 0
        return True

    def evaluate(self, run: Run) -> None:
        spend(_CALL_COST)
        if not self.holds(run):
            run.stop()


@final
class Kind:
    """One revision of an extension."""

    def __init__(self, name: bytes, revision: int, size: int, decode: Callable[[bytes, Usage], Extension]) -> None:
        self.name: bytes = name
        self.revision: int = revision
        self.size: int = size  # of its structure, in bytes
        self.shown: int = size  # the bytes after these are the kernel's own, and zero in listings
        self.decode: Callable[[bytes, Usage], Extension] = decode  # may raise Errno, MemoryError
        self.family: int = ANY_FAMILY
        self.is_target: bool = False
        self.table: bytes = b""  # the only table in which it may be used; empty: any
        self.points: int = 0  # the only points, a bit each; 0: all
        self.protocol: int = 0  # the only protocol of its rules; 0: any
        self.tracks: bool = False  # it needs connections

    def load(self, info: bytes, usage: Usage) -> Extension:
        """Decode a structure. Raises EINVAL and what decoding raises."""
        if len(info) < self.size or _padded(len(info)) != _padded(self.size):
            raise Errno(EINVAL)
        if len(self.table) > 0 and self.table != usage.table:
            raise Errno(EINVAL)
        if self.points != 0 and usage.points & ~self.points != 0:
            raise Errno(EINVAL)
        if self.protocol != 0 and not usage.is_for(self.protocol):
            raise Errno(EINVAL)
        made = self.decode(info, usage)
        made.kind = self
        made.info = info[: self.shown] + bytes(_padded(self.size) - self.shown)
        if self.tracks:
            made.usage = usage
        return made


def _padded(size: int) -> int:
    return (size + _ALIGNMENT - 1) // _ALIGNMENT * _ALIGNMENT


MATCHES: Final[dict[bytes, list[Kind]]] = {}
TARGETS: Final[dict[bytes, list[Kind]]] = {}


def register_kind(kind: Kind) -> None:
    """While the kernel is built."""
    kinds = TARGETS if kind.is_target else MATCHES
    known = kinds.get(kind.name)
    if known is None:
        kinds[kind.name] = [kind]
    else:
        known.append(kind)


def register_match(
    name: bytes, revision: int, size: int, decode: Callable[[bytes, Usage], Extension], family: int = ANY_FAMILY
) -> Kind:
    """While the kernel is built: register a match for one family, or all. Returns it, for further settings."""
    kind = Kind(name, revision, size, decode)
    kind.family = family
    register_kind(kind)
    return kind


def register_target(
    name: bytes, revision: int, size: int, decode: Callable[[bytes, Usage], Extension], family: int = ANY_FAMILY
) -> Kind:
    """The same for a target."""
    kind = Kind(name, revision, size, decode)
    kind.family = family
    kind.is_target = True
    register_kind(kind)
    return kind


def _kinds_for(name: bytes, family: int, *, is_target: bool) -> list[Kind]:
    """The revisions of an extension for a family."""
    known = (TARGETS if is_target else MATCHES).get(name)
    return [] if known is None else [kind for kind in known if kind.family in (ANY_FAMILY, family)]


def _read_usage(loading: "Loading") -> Usage:
    """Raises EINVAL, ERANGE."""
    usage = Usage(loading.batch.network, loading.table.family, loading.table.name)
    chain = loading.chain
    if chain is not None:
        base = chain.base
        if base is not None:
            usage.points = 1 << base.point
    stated = loading.protocol
    if stated is None:
        return usage
    if not stated.has(_PROTOCOL) or not stated.has(_FLAGS):
        raise Errno(EINVAL)
    flags = stated.be32(_FLAGS)
    usage.protocol = stated.be32(_PROTOCOL)
    if flags & ~_INVERTED != 0 or usage.protocol > _PROTOCOL_LIMIT:
        raise Errno(EINVAL)
    usage.is_inverted = flags & _INVERTED != 0
    return usage


def _load(attributes: Attributes, loading: "Loading", *, is_target: bool) -> Expression:
    revision = attributes.be32(_REVISION)
    if revision > _REVISION_LIMIT:
        attributes.blame(_REVISION)
        raise Errno(ERANGE)
    if not attributes.has(_NAME) or not attributes.has(_REVISION) or not attributes.has(_INFO):
        raise Errno(EINVAL)
    name = attributes.text(_NAME, _NAME_LIMIT)
    for kind in _kinds_for(name, loading.table.family, is_target=is_target):
        if kind.revision == revision:
            return kind.load(attributes.payload(_INFO), _read_usage(loading))
    raise Errno(ENOENT)


@final
class _MatchLoader(Loader):
    def name(self) -> bytes:
        return b"match"

    def load(self, attributes: Attributes, loading: "Loading") -> Expression:
        return _load(attributes, loading, is_target=False)


@final
class _TargetLoader(Loader):
    def name(self) -> bytes:
        return b"target"

    def load(self, attributes: Attributes, loading: "Loading") -> Expression:
        return _load(attributes, loading, is_target=True)


def _best(kinds: list[Kind], family: int) -> int:
    """The latest revision of those registered for a family, or for all; -1 without one."""
    best = -1
    for kind in kinds:
        if kind.family == family:
            best = max(best, kind.revision)
    return best


def _has(kinds: list[Kind], family: int, revision: int) -> bool:
    """Whether one of them has this revision."""
    return any(kind.family == family and kind.revision == revision for kind in kinds)


@final
class _Revisions(Subsystem):
    """Reports the known revisions to programs."""

    def carry_out(self, request: Request, writer: MessageWriter) -> None:
        """Raises EINVAL, ENOENT for an unknown extension, EPROTONOSUPPORT for another revision."""
        if message_of(request) != _GET:
            raise Errno(EINVAL)
        attributes = Attributes(request, HEADER_SIZE + NETFILTER_HEADER, len(request.raw))
        family = request.raw[HEADER_SIZE]
        if not attributes.has(_NAME) or not attributes.has(_REVISION) or not attributes.has(_IS_TARGET):
            raise Errno(EINVAL)
        if family not in (FAMILY_IP4, FAMILY_IP6, _FAMILY_ARP, _FAMILY_BRIDGE):
            raise Errno(EINVAL)
        name = attributes.text(_NAME, _ASKED_LIMIT)
        revision = attributes.be32(_REVISION) & 0xFF
        is_target = attributes.be32(_IS_TARGET)
        kinds = _kinds_for(name, family, is_target=is_target == 1)
        best = _best(kinds, family)
        is_known = _has(kinds, family, revision)
        if not is_known:  # those for all families count only if the family lacks its own
            best = max(best, _best(kinds, ANY_FAMILY))
            is_known = _has(kinds, ANY_FAMILY, revision)
        if best < 0:
            raise Errno(ENOENT)
        if not is_known:
            raise Errno(EPROTONOSUPPORT)
        writer.answer_to(request.sequence, request.port, NLM_F_MULTI)
        begin_message(writer, _SUBSYSTEM, _GET, family)
        put_text(writer, _NAME, name)
        put32(writer, _REVISION, best)
        put32(writer, _IS_TARGET, is_target)
        writer.end()


register_loader(_MatchLoader())
register_loader(_TargetLoader())
register_subsystem(_SUBSYSTEM, _Revisions())
