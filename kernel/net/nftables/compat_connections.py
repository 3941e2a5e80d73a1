"""Extensions of xtables about connections: the matches conntrack, state and connmark, the targets CONNMARK, CT and
NOTRACK. Their rules have connections tracked, as rules with `ct` do.

Zones and helpers are missing: EINVAL and ENOENT, as on a Linux built without them.

Context: as in `expression.py`.
Source: iptables-extensions(8); layouts: linux/netfilter/xt_conntrack.h, xt_connmark.h, xt_CT.h.
"""

from typing import Final

from kernel.lang import EINVAL, ENOENT, Errno, Span, final, span_of, u8
from kernel.lib.pace import spend
from kernel.net.filter import access
from kernel.net.filter.connection import STATUS_DST_NAT, STATUS_SRC_NAT, Connection
from kernel.net.link.packet import UNTRACKED
from kernel.net.nftables.compat import Extension, Kind, Match, Usage, register_match, register_target
from kernel.net.nftables.compat_headers import Range
from kernel.net.nftables.expression import Run

_WORD: Final = 0xFFFF_FFFF
_SECOND_MS: Final = 1000

# The tested properties (XT_CONNTRACK_*).
_STATE: Final = 0x1
_PROTOCOL: Final = 0x2
_SOURCE: Final = 0x4  # of the original direction; then its destination, and the same of replies
_STATUS: Final = 0x40
_EXPIRES: Final = 0x80
_SOURCE_PORT: Final = 0x100  # in the same order
_DIRECTION: Final = 0x1000
_CONNTRACK_COST: Final = 1500  # instructions
_OF_PACKET: Final = 0x3001  # these two, and XT_CONNTRACK_STATE_ALIAS, which only programs use
_SIDES: Final = 4
# States, besides those that `ct state` has too.
_STATE_SRC_NAT: Final = 0x40
_STATE_DST_NAT: Final = 0x80
_STATE_UNTRACKED: Final = 0x100

_ADDRESSES: Final = 0  # offsets in the structure: four pairs of an address and a mask
_LEAST_EXPIRY: Final = 128
_MOST_EXPIRY: Final = 132
_KIND: Final = 136
_FIRST_PORTS: Final = 138
_MATCHED: Final = 146
_INVERTED: Final = 148
_STATES: Final = 150
_STATUSES: Final = 152
_LAST_PORTS: Final = 154
_NARROW_STATUSES: Final = 151  # where revision 1 has them


def _bits_of(run: Run, connection: Connection | None) -> int:
    """The states of a packet."""
    bits = access.state_bits(run.packet)
    if bits == access.STATE_UNTRACKED:
        return _STATE_UNTRACKED
    if connection is not None:
        if connection.has(STATUS_SRC_NAT):
            bits |= _STATE_SRC_NAT
        if connection.has(STATUS_DST_NAT):
            bits |= _STATE_DST_NAT
    return bits


@final
class _Conntrack(Match):
    """Properties of the packet's connection. Each test may be inverted."""

    def __init__(self, info: Span[u8], revision: int) -> None:
        super().__init__()
        self.asked: int = info.load_u16(_MATCHED)
        self.inverted: int = info.load_u16(_INVERTED)
        self.states: int = info[_STATES] if revision == 1 else info.load_u16(_STATES)
        self.statuses: int = info[_NARROW_STATUSES] if revision == 1 else info.load_u16(_STATUSES)
        self.protocol: int = info.load_u16(_KIND)
        self.least_s: int = info.load_u32(_LEAST_EXPIRY)
        self.most_s: int = info.load_u32(_MOST_EXPIRY)
        self.addresses: list[bytes] = []
        self.masks: list[bytes] = []
        self.ports: list[Range] = []
        for side in range(_SIDES):
            at = _ADDRESSES + side * 32
            self.addresses.append(info[at : at + 16].to_bytes())
            self.masks.append(info[at + 16 : at + 32].to_bytes())
            place = _FIRST_PORTS + side * 2
            first = info.load_u16(place) if revision == 3 else info.load_be16(place)
            last = info.load_u16(_LAST_PORTS + side * 2) if revision == 3 else first
            self.ports.append(Range(first, last, is_inverted=False))

    def _fits(self, bit: int, *, is_so: bool) -> bool:
        """Whether a property's value satisfies the test for a bit of `asked`."""
        return self.asked & bit == 0 or is_so != (self.inverted & bit != 0)

    def holds(self, run: Run) -> bool:
        spend(_CONNTRACK_COST)
        connection = access.connection_of(run.packet)
        if not self._fits(_STATE, is_so=self.states & _bits_of(run, connection) != 0):
            return False
        if connection is None:
            return self.asked & _STATE != 0
        if not self._fits(_DIRECTION, is_so=not access.is_reply_packet(run.packet)):
            return False
        if self.asked & ~_OF_PACKET == 0:
            return True
        return self._fits_ends(connection) and self._fits_rest(run, connection)

    def _fits_ends(self, connection: Connection) -> bool:
        for side in range(_SIDES):
            tuple_ = access.tuple_of(connection, is_reply=side >= 2)
            if self.asked & (_SOURCE | _SOURCE_PORT) << side == 0:
                continue
            is_source = side & 1 == 0
            address = tuple_.source if is_source else tuple_.destination
            port = tuple_.source_port if is_source else tuple_.destination_port
            if not self._fits(_SOURCE << side, is_so=_is_masked(address, self.addresses[side], self.masks[side])):
                return False
            if not self._fits(_SOURCE_PORT << side, is_so=self.ports[side].has(port)):
                return False
        return True

    def _fits_rest(self, run: Run, connection: Connection) -> bool:
        left_s = access.expires_in_ms(connection, run.now_ns) // _SECOND_MS
        return (
            self._fits(_PROTOCOL, is_so=connection.original.protocol == self.protocol)
            and self._fits(_STATUS, is_so=connection.status & self.statuses != 0)
            and self._fits(_EXPIRES, is_so=self.least_s <= left_s <= self.most_s)
        )


def _is_masked(address: bytes, wanted: bytes, mask: bytes) -> bool:
    """Whether an address of 4 or 16 bytes equals the wanted one in the bits of the mask."""
    own = span_of(address)
    for at in range(0, len(address) & ~3, 4):
        if (own.load_u32(at) ^ span_of(wanted).load_u32(at)) & span_of(mask).load_u32(at) != 0:
            return False
    return True


def _decode_conntrack1(info: bytes, usage: Usage) -> Extension:
    return _Conntrack(span_of(info), 1)


def _decode_conntrack2(info: bytes, usage: Usage) -> Extension:
    return _Conntrack(span_of(info), 2)


def _decode_conntrack3(info: bytes, usage: Usage) -> Extension:
    return _Conntrack(span_of(info), 3)


@final
class _State(Match):
    """The packet's state, as in `ct state`."""

    def __init__(self, wanted: int) -> None:
        super().__init__()
        self.wanted: int = wanted

    def holds(self, run: Run) -> bool:
        return self.wanted & access.state_bits(run.packet) != 0


def _decode_state(info: bytes, usage: Usage) -> Extension:
    return _State(span_of(info).load_u32(0))


@final
class _ConnectionMark(Match):
    """The connection's mark."""

    def __init__(self, info: Span[u8]) -> None:
        super().__init__()
        self.mark: int = info.load_u32(0)
        self.mask: int = info.load_u32(4)
        self.is_inverted: bool = info[8] != 0

    def holds(self, run: Run) -> bool:
        connection = access.connection_of(run.packet)
        if connection is None:
            return False
        return (connection.mark & self.mask == self.mark) != self.is_inverted


def _decode_connection_mark(info: bytes, usage: Usage) -> Extension:
    return _ConnectionMark(span_of(info))


# ---- Targets ------------------------------------------------------------------------------------------------------

_SET: Final = 0
_SAVE: Final = 1
_RESTORE: Final = 2


@final
class _MarkConnection(Extension):
    """Mark the connection: with a number, or with the packet's mark; or the packet with the connection's."""

    def __init__(self, info: Span[u8], *, shifts: bool) -> None:
        super().__init__()
        self.mark: int = info.load_u32(0)
        self.mask: int = info.load_u32(4)
        self.packet_mask: int = info.load_u32(8)
        self.mode: int = info[14] if shifts else info[12]
        self.shift: int = info[13] & 31 if shifts else 0
        self.is_right: bool = shifts and info[12] != 0

    def _shifted(self, value: int) -> int:
        return value >> self.shift if self.is_right else value << self.shift & _WORD

    def evaluate(self, run: Run) -> None:
        packet = run.packet
        connection = access.connection_of(packet)
        if connection is None:
            return
        old = connection.mark
        if self.mode == _SET:
            access.set_mark(connection, self._shifted(old & ~self.mask ^ self.mark))
        elif self.mode == _SAVE:
            access.set_mark(connection, old & ~self.mask ^ self._shifted(packet.mark & self.packet_mask))
        elif self.mode == _RESTORE:
            packet.mark = (packet.mark & ~self.packet_mask ^ self._shifted(old & self.mask)) & _WORD
            run.reroutes = True


def _decode_mark_connection1(info: bytes, usage: Usage) -> Extension:
    return _MarkConnection(span_of(info), shifts=False)


def _decode_mark_connection2(info: bytes, usage: Usage) -> Extension:
    return _MarkConnection(span_of(info), shifts=True)


_NO_TRACKING: Final = 0x1
_KNOWN_FLAGS: Final = 0x1F
_OTHER_ZONES: Final = 0x1C


@final
class _Track(Extension):
    """CT: the packet gets no connection, or the one it has anyway."""

    def __init__(self, *, has_connection: bool) -> None:
        super().__init__()
        self.has_connection: bool = has_connection

    def evaluate(self, run: Run) -> None:
        if not self.has_connection and run.packet.connection is None:
            run.packet.tracking = UNTRACKED


def _decode_track(info: bytes, flags_allowed: int) -> Extension:
    span = span_of(info)
    flags = span.load_u16(0)
    if flags & ~flags_allowed != 0:
        raise Errno(EINVAL)
    if flags & _NO_TRACKING != 0:
        return _Track(has_connection=False)
    if span.load_u16(2) != 0 or flags & _OTHER_ZONES != 0:
        raise Errno(EINVAL)  # zones
    if info[12] != 0 or (len(info) > 40 and info[28] != 0):
        raise Errno(ENOENT)  # a helper, or times of the rule's own
    return _Track(has_connection=True)


def _decode_track0(info: bytes, usage: Usage) -> Extension:
    return _decode_track(info, _NO_TRACKING)


def _decode_track2(info: bytes, usage: Usage) -> Extension:
    return _decode_track(info, _KNOWN_FLAGS)


def _decode_no_tracking(info: bytes, usage: Usage) -> Extension:
    return _Track(has_connection=False)


def _tracked(kind: Kind) -> Kind:
    kind.tracks = True
    return kind


def _for_raw(kind: Kind, shown: int) -> None:
    kind.table = b"raw"
    kind.shown = shown  # a pointer of the kernel's own follows


_tracked(register_match(b"conntrack", 1, 152, _decode_conntrack1))
_tracked(register_match(b"conntrack", 2, 156, _decode_conntrack2))
_tracked(register_match(b"conntrack", 3, 164, _decode_conntrack3))
_tracked(register_match(b"state", 0, 4, _decode_state))
_tracked(register_match(b"connmark", 1, 12, _decode_connection_mark))
_tracked(register_target(b"CONNMARK", 1, 16, _decode_mark_connection1))
_tracked(register_target(b"CONNMARK", 2, 16, _decode_mark_connection2))
_for_raw(_tracked(register_target(b"CT", 0, 40, _decode_track0)), 32)
_for_raw(_tracked(register_target(b"CT", 1, 72, _decode_track0)), 64)
_for_raw(_tracked(register_target(b"CT", 2, 72, _decode_track2)), 64)
_for_raw(_tracked(register_target(b"NOTRACK", 0, 0, _decode_no_tracking)), 0)
