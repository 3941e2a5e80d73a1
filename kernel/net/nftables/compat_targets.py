"""Targets of xtables that mark, log or refuse a packet, or reduce its segment size: MARK, LOG, REJECT, TCPMSS.

Context: as in `expression.py`.
Source: iptables-extensions(8); layouts: linux/netfilter/xt_mark.h, xt_LOG.h, ipt_REJECT.h, xt_TCPMSS.h. RFC 9293
section 3.7.1 (the maximum segment size).
"""

from typing import Final

from kernel.lang import EINVAL, Errno, Span, final, span_of, u8
from kernel.lib.log import log
from kernel.lib.pace import spend
from kernel.net.internet.output import mtu_to
from kernel.net.internet.transport import PROTOCOL_TCP
from kernel.net.link.checksum import fold
from kernel.net.link.hooks import FAMILY_IP4, FAMILY_IP6, FORWARD, INPUT, OUTPUT, POSTROUTING
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.link.packet import Packet
from kernel.net.nftables.answers import RESET, is_answerable, put_off
from kernel.net.nftables.compat import Extension, Kind, Usage, register_target
from kernel.net.nftables.expression import Run
from kernel.net.nftables.headers import find_option, is_summed, replace_in_sum
from kernel.net.nftables.model import DROP
from kernel.net.nftables.statements import LOG_COST, REJECT_COST, describe
from kernel.net.nftables.ways import ROUTE_COST

_WORD: Final = 0xFFFF_FFFF


@final
class _SetMark(Extension):
    """Mark the packet."""

    def __init__(self, info: Span[u8]) -> None:
        super().__init__()
        self.mark: int = info.load_u32(0)
        self.mask: int = info.load_u32(4)

    def evaluate(self, run: Run) -> None:
        packet = run.packet
        packet.mark = (packet.mark & ~self.mask ^ self.mark) & _WORD
        run.reroutes = True


def _decode_mark(info: bytes, usage: Usage) -> Extension:
    return _SetMark(span_of(info))


_LEVELS: Final = 8
_PREFIX: Final = 30  # bytes, with a zero at the end


@final
class _Log(Extension):
    """Log a line for the packet, without its options."""

    def __init__(self, level: int, prefix: bytes) -> None:
        super().__init__()
        self.level: int = level
        self.prefix: bytes = prefix

    def evaluate(self, run: Run) -> None:
        if run.place.network is FIRST_NETWORK and run.affords(LOG_COST):
            log.add(self.level, describe(run, self.prefix))


def _decode_log(info: bytes, usage: Usage) -> Extension:
    prefix = info[2 : 2 + _PREFIX]
    if info[0] >= _LEVELS or prefix[_PREFIX - 1] != 0:
        raise Errno(EINVAL)
    return _Log(info[0], prefix[: prefix.find(b"\0")])


# ---- Refusals -----------------------------------------------------------------------------------------------------

_NO_ANSWER: Final = -2
# By the rule's number: codes of "unreachable". The echo reply that old programs asked for is EINVAL.
_ECHO_REPLY: Final = -3
_CODES4: Final[list[int]] = [0, 1, 2, 3, _ECHO_REPLY, 9, 10, RESET, 13]
_CODES6: Final[list[int]] = [0, 1, 2, 3, 4, _ECHO_REPLY, RESET, 5, 6]


@final
class _Reject(Extension):
    """Drop the packet, and answer."""

    def __init__(self, code: int) -> None:
        super().__init__()
        self.code: int = code

    def evaluate(self, run: Run) -> None:
        is_cheap = run.affords(REJECT_COST + (len(run.packet.storage) >> 1))
        run.verdict = DROP
        if not is_cheap or self.code == _NO_ANSWER or (self.code == RESET and not is_answerable(run.packet, run.place)):
            return
        put_off(run.packet, run.place, self.code)


def _decode_reject(info: bytes, usage: Usage, codes: list[int]) -> Extension:
    wanted = span_of(info).load_u32(0)
    code = codes[wanted] if wanted < len(codes) else _NO_ANSWER
    if code == _ECHO_REPLY or (code == RESET and not usage.is_for(PROTOCOL_TCP)):
        raise Errno(EINVAL)
    return _Reject(code)


def _decode_reject4(info: bytes, usage: Usage) -> Extension:
    return _decode_reject(info, usage, _CODES4)


def _decode_reject6(info: bytes, usage: Usage) -> Extension:
    return _decode_reject(info, usage, _CODES6)


# ---- The maximum segment size -------------------------------------------------------------------------------------

_BY_PATH: Final = 0xFFFF  # XT_TCPMSS_CLAMP_PMTU
_LEAVING: Final = 1 << FORWARD | 1 << OUTPUT | 1 << POSTROUTING
_TCP_HEADER: Final = 20
_LONGEST_HEADER: Final = 60
_TCP_SUM: Final = 16
_OPTION: Final = 2
_OPTION_SIZE: Final = 4
_DEFAULT4: Final = 536  # the default without an option
_DEFAULT6: Final = 1220
_NO_LIMIT: Final = 0xFFFF_FFFF


@final
class _SetSegmentSize(Extension):
    """Lower the maximum segment size that a TCP header announces; a header without the option gets it."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size: int = size

    def evaluate(self, run: Run) -> None:
        packet = run.packet
        place = run.place
        if place.offset != 0:
            return
        spend(_LONGEST_HEADER * 8)
        start = packet.transport_start
        length = (packet.storage[start + 12] >> 4) * 4 if start + _TCP_HEADER <= packet.end else 0
        if length < _TCP_HEADER or start + length > packet.end:
            run.verdict = DROP
            return
        size = self.size if self.size != _BY_PATH else _size_for_path(run)
        if size <= 0:
            run.verdict = DROP
            return
        found = find_option(packet, start + _TCP_HEADER, start + length, _OPTION)
        if found >= 0 and found + _OPTION_SIZE <= start + length and packet.storage[found + 1] == _OPTION_SIZE:
            _lower(packet, found + 2, size)
        elif start + length == packet.end and length < _LONGEST_HEADER:
            is_ip4 = place.family == FAMILY_IP4
            _add_option(packet, length, min(size, _DEFAULT4 if is_ip4 else _DEFAULT6))


def _size_for_path(run: Run) -> int:
    """The size that fits in both directions; 0 or less if none does. A packet that is not on its way out (its rule is
    in a chain that one at PREROUTING jumps to) is judged by the route back alone.
    """
    spend(ROUTE_COST)
    packet = run.packet
    mtu = run.place.mtu if run.place.output is not None else _NO_LIMIT
    back = mtu_to(run.place.network, packet.source)
    if back > 0:  # else no answer could arrive: only the route there counts
        mtu = min(mtu, back)
    return min(mtu - _TCP_HEADER - (20 if run.place.family == FAMILY_IP4 else 40), 0xFFFF)


def _lower(packet: Packet, at: int, size: int) -> None:
    """Lower the size in the option, whose number is at `at`."""
    span = span_of(packet.storage)
    if span.load_be16(at) <= size:
        return
    new = bytes([size >> 8 & 0xFF, size & 0xFF])
    if is_summed(packet):
        is_odd = (at - packet.transport_start) & 1 != 0
        replace_in_sum(packet, packet.transport_start + _TCP_SUM, span[at : at + 2], span_of(new), is_odd)
    span.store_be16(at, size)


def _add_option(packet: Packet, length: int, size: int) -> None:
    """Insert the option as the first into a header of `length` bytes, which ends the packet. Raises MemoryError."""
    _lengthen(packet, _OPTION_SIZE)
    start = packet.transport_start
    span = span_of(packet.storage)
    at = start + length - 1
    while at >= start + _TCP_HEADER:
        span[at + _OPTION_SIZE] = span[at]
        at -= 1
    span.store_be16(start + _TCP_HEADER, _OPTION << 8 | _OPTION_SIZE)
    span.store_be16(start + _TCP_HEADER + 2, size)
    old = span.load_be16(start + 12)
    new = old + (_OPTION_SIZE // 4 << 12)
    span.store_be16(start + 12, new)
    total = span.load_be16(start + _TCP_SUM)
    if not is_summed(packet):
        total = fold(total + _OPTION_SIZE)  # the field holds only the pseudo header's sum, not inverted
    else:
        total = (total ^ 0xFFFF) + _OPTION_SIZE + (_OPTION << 8 | _OPTION_SIZE) + size + (old ^ 0xFFFF) + new
        total = fold(total) ^ 0xFFFF
    span.store_be16(start + _TCP_SUM, total)
    _lengthen_datagram(packet)


def _lengthen(packet: Packet, count: int) -> None:
    """Lengthen the packet. Raises MemoryError."""
    if packet.tailroom() < count:
        storage = bytearray(len(packet.storage) + count)
        span_of(storage)[0 : packet.end].copy_from(span_of(packet.storage)[0 : packet.end])
        packet.pool = None
        packet.storage = storage
    packet.end += count


def _lengthen_datagram(packet: Packet) -> None:
    """Add four bytes to the length in the IP header."""
    header = packet.network_header()
    at = 2 if len(packet.source) == 4 else 4
    old = header.load_be16(at)
    new = old + _OPTION_SIZE & 0xFFFF
    header.store_be16(at, new)
    if len(packet.source) == 4:
        header.store_be16(10, fold((header.load_be16(10) ^ 0xFFFF) + (old ^ 0xFFFF) + new) ^ 0xFFFF)


def _decode_segment_size(info: bytes, usage: Usage) -> Extension:
    size = span_of(info).load_u16(0)
    if size == _BY_PATH and usage.points & ~_LEAVING != 0:
        raise Errno(EINVAL)
    return _SetSegmentSize(size)


def _refuses(kind: Kind) -> None:
    kind.table = b"filter"
    kind.points = 1 << INPUT | 1 << FORWARD | 1 << OUTPUT


_refuses(register_target(b"REJECT", 0, 4, _decode_reject4, FAMILY_IP4))
_refuses(register_target(b"REJECT", 0, 4, _decode_reject6, FAMILY_IP6))
register_target(b"MARK", 2, 8, _decode_mark)
register_target(b"LOG", 0, 32, _decode_log, FAMILY_IP4)
register_target(b"LOG", 0, 32, _decode_log, FAMILY_IP6)
register_target(b"TCPMSS", 0, 2, _decode_segment_size, FAMILY_IP4).protocol = PROTOCOL_TCP
register_target(b"TCPMSS", 0, 2, _decode_segment_size, FAMILY_IP6).protocol = PROTOCOL_TCP
