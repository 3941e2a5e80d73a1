"""Matches of xtables about a packet's properties other than its headers: mark, mac, pkttype, addrtype, limit,
statistic; and comment, which always holds.

Context: as in `expression.py`.
Source: iptables-extensions(8); layouts: linux/netfilter/xt_mark.h and its neighbours.
"""

from typing import Final

from kernel.lang import EINVAL, ERANGE, Errno, Span, final, span_of, u8, u32
from kernel.lib import random
from kernel.lib.pace import spend
from kernel.net.internet.addresses import is_multicast, is_unspecified
from kernel.net.internet.routes import BROADCAST, LOCAL, MULTICAST, UNICAST, find_route
from kernel.net.link.device import NetworkDevice
from kernel.net.link.ethernet import ETHERNET_HEADER
from kernel.net.link.hooks import FAMILY_IP4, FAMILY_IP6, FORWARD, INPUT, OUTPUT, POSTROUTING, PREROUTING
from kernel.net.link.packet import PACKET_HOST
from kernel.net.nftables.compat import Extension, Match, Usage, register_match
from kernel.net.nftables.expression import Run
from kernel.net.nftables.ways import ROUTE_COST, kind_of


@final
class _Comment(Match):
    """A comment for readers of the rule."""


def _decode_comment(info: bytes, usage: Usage) -> Extension:
    return _Comment()


@final
class _Mark(Match):
    """The packet's mark."""

    def __init__(self, info: Span[u8]) -> None:
        super().__init__()
        self.mark: int = info.load_u32(0)
        self.mask: int = info.load_u32(4)
        self.is_inverted: bool = info[8] != 0

    def holds(self, run: Run) -> bool:
        return (run.packet.mark & self.mask == self.mark) != self.is_inverted


def _decode_mark(info: bytes, usage: Usage) -> Extension:
    return _Mark(span_of(info))


_ADDRESS: Final = 6  # bytes of an Ethernet address
_ETHERNET: Final = 1  # ARPHRD_ETHER


@final
class _LinkSource(Match):
    """The packet's Ethernet source address."""

    def __init__(self, info: bytes) -> None:
        super().__init__()
        self.address: bytes = info[0:_ADDRESS]
        self.is_inverted: bool = span_of(info).load_u32(8) != 0

    def holds(self, run: Run) -> bool:
        packet = run.packet
        device = run.place.input
        if device is None or device.kind != _ETHERNET or packet.link_start + ETHERNET_HEADER > packet.network_start:
            return False
        start = packet.link_start + _ADDRESS
        source = span_of(packet.storage)[start : start + _ADDRESS]
        for i in range(_ADDRESS):
            if source[i] != self.address[i]:
                return self.is_inverted
        return not self.is_inverted


def _decode_link_source(info: bytes, usage: Usage) -> Extension:
    return _LinkSource(info)


@final
class _PacketType(Match):
    """The packet's destination as the link saw it."""

    def __init__(self, info: Span[u8]) -> None:
        super().__init__()
        self.wanted: int = info.load_u32(0)
        self.is_inverted: bool = info.load_u32(4) != 0

    def holds(self, run: Run) -> bool:
        kind = run.packet.link_kind if run.place.input is not None else PACKET_HOST
        return (kind == self.wanted) != self.is_inverted


def _decode_packet_type(info: bytes, usage: Usage) -> Extension:
    return _PacketType(span_of(info))


# ---- Whose address ------------------------------------------------------------------------------------------------

_SOURCE_INVERTED: Final = 1
_DESTINATION_INVERTED: Final = 2
_BY_INPUT: Final = 4
_BY_OUTPUT: Final = 8
# Address types for IPv6, a bit each.
_UNSPECIFIED: Final = 0x1
_IS_UNICAST: Final = 0x2
_IS_LOCAL: Final = 0x4
_IS_BROADCAST: Final = 0x8
_IS_ANYCAST: Final = 0x10
_IS_MULTICAST: Final = 0x20
_IS_UNREACHABLE: Final = 0x80
_NOT_FOR_IP6: Final = 0x100  # these and all above
_ADDRESS_COST: Final = 300  # instructions, besides those of looking a route up


@final
class _AddressType(Match):
    """The types of the source's and the destination's address."""

    def __init__(self, source: int, destination: int, flags: int) -> None:
        super().__init__()
        self.source: int = source
        self.destination: int = destination
        self.flags: int = flags

    def holds(self, run: Run) -> bool:
        flags = self.flags
        device: NetworkDevice | None = None
        if flags & _BY_INPUT != 0:
            device = run.place.input
        elif flags & _BY_OUTPUT != 0:
            device = run.place.output
        if self.source != 0:
            is_meant = _is_one_of(run, run.packet.source, device, self.source)
            if is_meant == (flags & _SOURCE_INVERTED != 0):
                return False
        if self.destination != 0:
            is_meant = _is_one_of(run, run.packet.destination, device, self.destination)
            if is_meant == (flags & _DESTINATION_INVERTED != 0):
                return False
        return True


def _is_one_of(run: Run, address: bytes, device: NetworkDevice | None, mask: int) -> bool:
    spend(_ADDRESS_COST)
    if len(address) == 4:
        kind = kind_of(run, address, device)
        return mask >> (kind if kind in (LOCAL, BROADCAST, MULTICAST) else UNICAST) & 1 != 0
    is_group = is_multicast(address)
    is_nobody = is_unspecified(address)
    if mask & _IS_MULTICAST != 0 and not is_group:
        return False
    if mask & _IS_UNICAST != 0 and (is_group or is_nobody):
        return False
    if mask & _UNSPECIFIED != 0 and not is_nobody:
        return False
    if mask & (_IS_ANYCAST | _IS_LOCAL | _IS_UNREACHABLE) == 0:
        return True
    spend(ROUTE_COST)
    route = find_route(run.place.network, address)
    if route is None or route.device is None:
        return mask & _IS_UNREACHABLE != 0
    is_local = route.kind == LOCAL and (device is None or route.device is device)
    return is_local and mask & _IS_LOCAL != 0


def _decode_address_type(info: bytes, usage: Usage) -> Extension:
    span = span_of(info)
    source = span.load_u16(0)
    destination = span.load_u16(2)
    flags = span.load_u32(4)
    if flags & (_BY_INPUT | _BY_OUTPUT) == _BY_INPUT | _BY_OUTPUT:
        raise Errno(EINVAL)
    if flags & _BY_OUTPUT != 0 and usage.points & (1 << PREROUTING | 1 << INPUT) != 0:
        raise Errno(EINVAL)
    if flags & _BY_INPUT != 0 and usage.points & (1 << POSTROUTING | 1 << OUTPUT) != 0:
        raise Errno(EINVAL)
    both = source | destination
    if usage.family == FAMILY_IP6 and (both >= _NOT_FOR_IP6 or both & _IS_BROADCAST != 0):
        raise Errno(EINVAL)
    return _AddressType(source, destination, flags)


def _decode_old_address_type(info: bytes, usage: Usage) -> Extension:
    """Revision 0, of IPv4: two numbers in place of the flags."""
    span = span_of(info)
    flags = _SOURCE_INVERTED if span.load_u32(4) != 0 else 0
    flags |= _DESTINATION_INVERTED if span.load_u32(8) != 0 else 0
    return _AddressType(span.load_u16(0), span.load_u16(2), flags)


# ---- Now and then -------------------------------------------------------------------------------------------------

_UNIT_NS: Final = 100_000  # XT_LIMIT_SCALE: ten thousand of them are a second
_WORD: Final = 0xFFFF_FFFF


@final
class _Limit(Match):
    """That many packets in a time, and a burst more."""

    def __init__(self, cost_ns: int, most_ns: int) -> None:
        super().__init__()
        self.cost_ns: int = cost_ns
        self.most_ns: int = most_ns
        self.left_ns: int = most_ns  # the credit; each packet takes its cost
        self.last_ns: int = -1

    def holds(self, run: Run) -> bool:
        if self.last_ns >= 0:
            passed_ns = max(run.now_ns - self.last_ns, 0)
            self.left_ns += min(passed_ns, self.most_ns - self.left_ns)
        self.last_ns = run.now_ns
        if self.left_ns < self.cost_ns:
            return False
        self.left_ns -= self.cost_ns
        return True


def _decode_limit(info: bytes, usage: Usage) -> Extension:
    span = span_of(info)
    cost = span.load_u32(0)
    burst = span.load_u32(4)
    most = int(u32(cost * burst))  # Linux's arithmetic: a result past 32 bits shows by wrapping
    if burst == 0 or most < cost:
        raise Errno(ERANGE)
    return _Limit(cost * _UNIT_NS, most * _UNIT_NS)


_RANDOM: Final = 0
_NTH: Final = 1


@final
class _Statistic(Match):
    """Matches by chance, or every nth packet."""

    def __init__(self, mode: int, value: int, count: int, *, is_inverted: bool) -> None:
        super().__init__()
        self.mode: int = mode
        self.value: int = value  # the probability, of 2^31; or how many packets are skipped between two
        self.count: int = count
        self.is_inverted: bool = is_inverted

    def holds(self, run: Run) -> bool:
        if self.mode == _RANDOM:
            return (random.word() & _WORD >> 1 < self.value) != self.is_inverted
        self.count = 0 if self.count == self.value else self.count + 1 & _WORD
        return (self.count == 0) != self.is_inverted


def _decode_statistic(info: bytes, usage: Usage) -> Extension:
    span = span_of(info)
    mode = span.load_u16(0)
    flags = span.load_u16(2)
    if mode > _NTH or flags & ~1 != 0:
        raise Errno(EINVAL)
    return _Statistic(mode, span.load_u32(4), span.load_u32(12) if mode == _NTH else 0, is_inverted=flags != 0)


register_match(b"comment", 0, 256, _decode_comment)
register_match(b"mark", 1, 12, _decode_mark)
register_match(b"mac", 0, 12, _decode_link_source).points = 1 << PREROUTING | 1 << INPUT | 1 << FORWARD
register_match(b"pkttype", 0, 8, _decode_packet_type)
register_match(b"addrtype", 0, 12, _decode_old_address_type, FAMILY_IP4)
register_match(b"addrtype", 1, 8, _decode_address_type)
register_match(b"limit", 0, 40, _decode_limit).shown = 8
register_match(b"statistic", 0, 24, _decode_statistic).shown = 16
