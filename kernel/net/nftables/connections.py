"""Expressions about connections: ct and notrack, and translation: nat, masq, redir (nft(8) "CONNTRACK EXPRESSIONS",
"NAT STATEMENTS").

A rule that asks for connections has them tracked while it exists. Labels, zones, helpers and security marks are
not supported: EOPNOTSUPP.

Context: as in `expression.py`.
"""

from typing import TYPE_CHECKING, Final

from kernel.lang import EINVAL, EOPNOTSUPP, Errno, final, span_of
from kernel.net.filter import access
from kernel.net.filter.connection import Connection
from kernel.net.filter.nat_chains import add_nat_chain, remove_nat_chain
from kernel.net.filter.tracking import unuse_tracking, use_tracking
from kernel.net.filter.translation import NAT_ADDRESSES, NAT_PORTS, NatRequest, masquerade, redirect, set_up_nat
from kernel.net.link.hooks import (
    FAMILY_IP4,
    FAMILY_IP6,
    INPUT,
    OUTPUT,
    POSTROUTING,
    PREROUTING,
    Hook,
    Verdict,
)
from kernel.net.link.network import Network
from kernel.net.link.packet import UNTRACKED
from kernel.net.netlink.messages import MessageWriter
from kernel.net.nftables.attributes import Attributes, put32
from kernel.net.nftables.base_chains import NAT, NatChains
from kernel.net.nftables.expression import (
    Expression,
    Loader,
    Run,
    put_register,
    read_register,
    register_loader,
    write_register,
)
from kernel.net.nftables.model import ACCEPT, DROP, FAMILY_INET, TYPE_NAT, Chain, families_of
from kernel.net.nftables.statements import check_points

if TYPE_CHECKING:
    from kernel.net.nftables.batch import Loading

# Keys (NFT_CT_*).
_STATE: Final = 0
_DIRECTION: Final = 1
_STATUS: Final = 2
_MARK: Final = 3
_EXPIRATION: Final = 5
_FAMILY: Final = 7
_SOURCE: Final = 8
_DESTINATION: Final = 9
_PROTOCOL: Final = 10
_SOURCE_PORT: Final = 11
_DESTINATION_PORT: Final = 12
_PACKETS: Final = 14
_BYTES: Final = 15
_AVERAGE: Final = 16
_SOURCE4: Final = 19
_DESTINATION4: Final = 20
_SOURCE6: Final = 21
_DESTINATION6: Final = 22
_IDENTIFIER: Final = 23

_ORIGINAL: Final = 0
_REPLY: Final = 1
_BOTH: Final = 2  # of counters: no direction was given
_WORD: Final = 0xFFFF_FFFF


def start_tracking(network: Network, family: int) -> None:
    """A rule in a table of a family needs connections. Raises MemoryError, with nothing done."""
    done = 0
    families = families_of(family)
    try:
        for version in families:
            use_tracking(network, version)
            done += 1
    except MemoryError:
        for i in range(done):
            unuse_tracking(network, families[i])
        raise


def stop_tracking(network: Network, family: int) -> None:
    """The rule is gone."""
    for version in families_of(family):
        unuse_tracking(network, version)


class _Tracked(Expression):
    """Base of expressions that have connections tracked while their rule exists."""

    def __init__(self, network: Network, family: int) -> None:
        self.network: Network = network
        self.family: int = family  # of the table

    def start(self) -> None:
        """Raises MemoryError, with nothing done."""
        start_tracking(self.network, self.family)

    def finish(self) -> None:
        stop_tracking(self.network, self.family)


@final
class ConnectionRead(_Tracked):
    """Load a property of the connection into a register."""

    def __init__(self, network: Network, family: int, place: int, key: int, direction: int, length: int) -> None:
        super().__init__(network, family)
        self.place: int = place
        self.key: int = key
        self.direction: int = direction
        self.length: int = length

    def name(self) -> bytes:
        return b"ct"

    def evaluate(self, run: Run) -> None:
        key = self.key
        packet = run.packet
        if key == _STATE:
            run.set_word(self.place, access.state_bits(packet))
            return
        connection = access.connection_of(packet)
        if connection is None:
            run.stop()
            return
        if key == _DIRECTION:
            run.set_byte(self.place, _REPLY if access.is_reply_packet(packet) else _ORIGINAL)
        elif key == _STATUS:
            run.set_word(self.place, connection.status)
        elif key == _MARK:
            run.set_word(self.place, connection.mark)
        elif key == _EXPIRATION:
            run.set_word(self.place, min(access.expires_in_ms(connection, run.now_ns), _WORD))
        elif key == _IDENTIFIER:
            run.set_word(self.place, access.identifier(connection))
        elif key == _PACKETS or key == _BYTES or key == _AVERAGE:
            self._read_counter(run, connection)
        else:
            self._read_tuple(run, connection)

    def _read_counter(self, run: Run, connection: Connection) -> None:
        packets = 0
        count = 0
        if self.direction != _REPLY:
            packets += connection.packets
            count += connection.bytes
        if self.direction != _ORIGINAL:
            packets += connection.reply_packets
            count += connection.reply_bytes
        if self.key == _PACKETS:
            count = packets
        elif self.key == _AVERAGE:
            count = count // packets if packets != 0 else 0
        run.set_word(self.place, count)
        run.set_word(self.place + 4, count >> 32)

    def _read_tuple(self, run: Run, connection: Connection) -> None:
        key = self.key
        side = access.tuple_of(connection, is_reply=self.direction == _REPLY)
        is_ip4 = len(side.source) == 4
        if key == _FAMILY:
            run.set_byte(self.place, FAMILY_IP4 if is_ip4 else FAMILY_IP6)
        elif key == _PROTOCOL:
            run.set_byte(self.place, side.protocol)
        elif key == _SOURCE_PORT:
            run.set_short(self.place, side.source_port)
        elif key == _DESTINATION_PORT:
            run.set_short(self.place, side.destination_port)
        elif (key == _SOURCE4 or key == _DESTINATION4) and not is_ip4:
            run.stop()
        elif (key == _SOURCE6 or key == _DESTINATION6) and is_ip4:
            run.stop()
        else:
            is_source = key == _SOURCE or key == _SOURCE4 or key == _SOURCE6
            run.set_bytes(self.place, side.source if is_source else side.destination, self.length)

    def put(self, writer: MessageWriter) -> None:
        put_register(writer, 1, self.place)
        put32(writer, 2, self.key)
        if _has_direction(self.key) or (self.key in _COUNTERS and self.direction != _BOTH):
            writer.attribute(3, bytes([self.direction]))


@final
class ConnectionMark(_Tracked):
    """Set the connection's mark from a register."""

    def __init__(self, network: Network, family: int, place: int) -> None:
        super().__init__(network, family)
        self.place: int = place

    def name(self) -> bytes:
        return b"ct"

    def evaluate(self, run: Run) -> None:
        connection = access.connection_of(run.packet)
        if connection is not None:
            access.set_mark(connection, run.word(self.place))

    def put(self, writer: MessageWriter) -> None:
        put_register(writer, 4, self.place)
        put32(writer, 2, _MARK)


_COUNTERS: Final = (_PACKETS, _BYTES, _AVERAGE)


def _has_direction(key: int) -> bool:
    """Whether a key needs a direction."""
    return _SOURCE4 <= key <= _DESTINATION6 or key in (_SOURCE, _DESTINATION, _SOURCE_PORT, _DESTINATION_PORT)


def _length_of(key: int, family: int) -> int:
    """The size in bytes of a key's value. Raises EOPNOTSUPP."""
    if key == _DIRECTION or key == _FAMILY or key == _PROTOCOL:
        return 1
    if key == _SOURCE_PORT or key == _DESTINATION_PORT:
        return 2
    if key in (_STATE, _STATUS, _MARK, _EXPIRATION, _IDENTIFIER, _SOURCE4, _DESTINATION4):
        return 4
    if key in _COUNTERS:
        return 8
    if key == _SOURCE6 or key == _DESTINATION6:
        return 16
    if key == _SOURCE or key == _DESTINATION:
        return 4 if family == FAMILY_IP4 else 16
    raise Errno(EOPNOTSUPP)


@final
class _ConnectionLoader(Loader):
    def name(self) -> bytes:
        return b"ct"

    def load(self, attributes: Attributes, loading: "Loading") -> Expression:
        if not attributes.has(2) or attributes.has(1) == attributes.has(4):
            raise Errno(EINVAL)
        key = attributes.be32(2)
        family = loading.table.family
        network = loading.batch.network
        if attributes.has(4):
            if key != _MARK:
                raise Errno(EOPNOTSUPP)
            if attributes.has(3):
                raise Errno(EINVAL)
            return ConnectionMark(network, family, read_register(attributes, 4, 4))
        length = _length_of(key, family)
        direction = _BOTH
        if attributes.has(3):
            direction = attributes.byte(3)
            if not _has_direction(key) and key not in _COUNTERS and key != _PROTOCOL and key != _FAMILY:
                raise Errno(EINVAL)
            if direction > _REPLY:
                raise Errno(EINVAL)
        elif _has_direction(key):
            raise Errno(EINVAL)
        elif key not in _COUNTERS:
            direction = _ORIGINAL
        return ConnectionRead(network, family, write_register(attributes, 1, length), key, direction, length)


@final
class NoTracking(_Tracked):
    """The packet gets no connection."""

    def name(self) -> bytes:
        return b"notrack"

    def has_attributes(self) -> bool:
        return False

    def evaluate(self, run: Run) -> None:
        if run.packet.connection is None:
            run.packet.tracking = UNTRACKED


@final
class _NoTrackingLoader(Loader):
    def name(self) -> bytes:
        return b"notrack"

    def load(self, attributes: Attributes, loading: "Loading") -> Expression:
        return NoTracking(loading.batch.network, loading.table.family)


# ---- Translation ------------------------------------------------------------------------------------------------

_NO_REGISTER: Final = -1
_NAT_FLAGS: Final = 0x7F
_GIVEN: Final = NAT_ADDRESSES | NAT_PORTS  # these are ignored without registers
_TO_SOURCE: Final = 0
_TO_DESTINATION: Final = 1


class _Translation(_Tracked):
    """Base of statements that set up a connection's translation."""

    def __init__(self, network: Network, family: int) -> None:
        super().__init__(network, family)
        self.flags: int = 0
        self.first_port: int = _NO_REGISTER
        self.last_port: int = _NO_REGISTER

    def fill_ports(self, run: Run, request: NatRequest) -> None:
        """Fill in the rule's ports."""
        request.flags = self.flags & ~_GIVEN
        if self.first_port >= 0:
            registers = span_of(run.registers)
            request.first_port = registers.load_be16(self.first_port)
            request.last_port = registers.load_be16(self.last_port)
            request.flags |= self.flags & NAT_PORTS

    def decide(self, run: Run, verdict: Verdict) -> None:
        """Make the translation's verdict the packet's."""
        run.verdict = ACCEPT if verdict == Verdict.ACCEPT else DROP

    def check(self, base: Chain, family: int) -> None:
        found = base.base
        if found is not None and found.kind != TYPE_NAT:
            raise Errno(EOPNOTSUPP)


@final
class Translate(_Translation):
    """snat and dnat: translate to given addresses and ports."""

    def __init__(self, network: Network, family: int, kind: int, shown_family: int) -> None:
        super().__init__(network, family)
        self.kind: int = kind
        self.shown_family: int = shown_family
        self.first: int = _NO_REGISTER
        self.last: int = _NO_REGISTER

    def name(self) -> bytes:
        return b"nat"

    def evaluate(self, run: Run) -> None:
        if self.shown_family != FAMILY_INET and run.place.family != self.shown_family:
            run.stop()
            return
        request = NatRequest(self.kind == _TO_SOURCE)
        self.fill_ports(run, request)
        if self.first >= 0:
            length = 4 if run.place.family == FAMILY_IP4 else 16
            request.first = run.span(self.first, length).to_bytes()
            request.last = run.span(self.last, length).to_bytes()
            request.flags |= NAT_ADDRESSES
        self.decide(run, set_up_nat(run.packet, run.place, request))

    def put(self, writer: MessageWriter) -> None:
        put32(writer, 1, self.kind)
        put32(writer, 2, self.shown_family)
        if self.first >= 0:
            put_register(writer, 3, self.first)
            put_register(writer, 4, self.last)
        if self.first_port >= 0:
            put_register(writer, 5, self.first_port)
            put_register(writer, 6, self.last_port)
        if self.flags != 0:
            put32(writer, 7, self.flags)

    def check(self, base: Chain, family: int) -> None:
        super().check(base, family)
        if self.kind == _TO_SOURCE:
            check_points(base, 1 << POSTROUTING | 1 << INPUT)
        else:
            check_points(base, 1 << PREROUTING | 1 << OUTPUT)


@final
class _TranslateLoader(Loader):
    def name(self) -> bytes:
        return b"nat"

    def load(self, attributes: Attributes, loading: "Loading") -> Expression:
        has_address = attributes.has(3)
        has_port = attributes.has(5)
        if not attributes.has(1) or (not has_address and not has_port):
            raise Errno(EINVAL)
        kind = attributes.be32(1)
        if kind > _TO_DESTINATION:
            raise Errno(EINVAL)
        if not attributes.has(2):
            raise Errno(EINVAL)
        family = loading.table.family
        shown = attributes.be32(2)
        if family != FAMILY_INET and family != shown:
            raise Errno(EOPNOTSUPP)
        if shown == FAMILY_IP4:
            length = 4
        elif shown == FAMILY_IP6:
            length = 16
        elif shown == FAMILY_INET and not has_address:
            length = 16
        else:
            raise Errno(EOPNOTSUPP)
        made = Translate(loading.batch.network, family, kind, shown)
        if has_address:
            made.first = read_register(attributes, 3, length)
            made.last = read_register(attributes, 4, length) if attributes.has(4) else made.first
            made.flags = NAT_ADDRESSES
        _read_ports(made, attributes, 5, 6)
        if has_port:
            made.flags |= NAT_PORTS
        _read_flags(made, attributes, 7)
        return made


def _read_ports(made: _Translation, attributes: Attributes, first: int, last: int) -> None:
    if attributes.has(first):
        made.first_port = read_register(attributes, first, 2)
        made.last_port = read_register(attributes, last, 2) if attributes.has(last) else made.first_port


def _read_flags(made: _Translation, attributes: Attributes, kind: int) -> None:
    made.flags |= attributes.be32(kind)
    if made.flags & ~_NAT_FLAGS != 0:
        raise Errno(EOPNOTSUPP)


@final
class Masquerade(_Translation):
    """The source becomes the address of the interface through which the packet leaves. As on Linux, ports count only if
    the flags say so.
    """

    def name(self) -> bytes:
        return b"masq"

    def evaluate(self, run: Run) -> None:
        request = NatRequest(to_source=True)
        self.fill_ports(run, request)
        self.decide(run, masquerade(run.packet, run.place, request))

    def put(self, writer: MessageWriter) -> None:
        if self.flags != 0:
            put32(writer, 1, self.flags)
        if self.first_port >= 0:
            put_register(writer, 2, self.first_port)
            put_register(writer, 3, self.last_port)

    def check(self, base: Chain, family: int) -> None:
        super().check(base, family)
        check_points(base, 1 << POSTROUTING)


@final
class _MasqueradeLoader(Loader):
    def name(self) -> bytes:
        return b"masq"

    def load(self, attributes: Attributes, loading: "Loading") -> Expression:
        made = Masquerade(loading.batch.network, loading.table.family)
        _read_ports(made, attributes, 2, 3)
        _read_flags(made, attributes, 1)
        return made


@final
class Redirect(_Translation):
    """The destination becomes this host."""

    def name(self) -> bytes:
        return b"redir"

    def evaluate(self, run: Run) -> None:
        request = NatRequest(to_source=False)
        self.fill_ports(run, request)
        self.decide(run, redirect(run.packet, run.place, request))

    def put(self, writer: MessageWriter) -> None:
        if self.first_port >= 0:
            put_register(writer, 1, self.first_port)
            put_register(writer, 2, self.last_port)
        if self.flags != 0:
            put32(writer, 3, self.flags)

    def check(self, base: Chain, family: int) -> None:
        super().check(base, family)
        check_points(base, 1 << PREROUTING | 1 << OUTPUT)


@final
class _RedirectLoader(Loader):
    def name(self) -> bytes:
        return b"redir"

    def load(self, attributes: Attributes, loading: "Loading") -> Expression:
        made = Redirect(loading.batch.network, loading.table.family)
        _read_ports(made, attributes, 1, 2)
        if attributes.has(1):
            made.flags |= NAT_PORTS
        _read_flags(made, attributes, 3)
        return made


@final
class _Chains(NatChains):
    """Chains of type nat, which connection tracking runs."""

    def is_there(self) -> bool:
        return True

    def enter(self, network: Network, family: int, point: int, hook: Hook) -> None:
        add_nat_chain(network, family, point, hook)

    def leave(self, network: Network, family: int, point: int, hook: Hook) -> None:
        remove_nat_chain(network, family, point, hook)


NAT.chains = _Chains()
register_loader(_ConnectionLoader())
register_loader(_NoTrackingLoader())
register_loader(_TranslateLoader())
register_loader(_MasqueradeLoader())
register_loader(_RedirectLoader())
