"""Expressions that read and write packets: payload and exthdr (nft(8) "PAYLOAD EXPRESSIONS").

Context: as in `expression.py`.
"""

from typing import TYPE_CHECKING, Final

from kernel.lang import EINVAL, EOPNOTSUPP, ERANGE, Errno, Span, final, span_of, u8
from kernel.lib.pace import spend
from kernel.net.internet.transport import PROTOCOL_ICMP6, PROTOCOL_TCP, PROTOCOL_UDP
from kernel.net.link.checksum import fold, sum_bytes
from kernel.net.link.hooks import EXTENSION_COST, FAMILY_IP4, FAMILY_IP6, MOST_EXTENSIONS, take_addresses_from_header
from kernel.net.link.packet import CHECKSUM_PARTIAL, Packet
from kernel.net.netlink.messages import MessageWriter
from kernel.net.nftables.attributes import Attributes, put32
from kernel.net.nftables.expression import (
    Expression,
    Loader,
    Run,
    put_register,
    read_register,
    register_loader,
    write_register,
)
from kernel.net.nftables.model import DROP

if TYPE_CHECKING:
    from kernel.net.nftables.batch import Loading

# Bases (NFT_PAYLOAD_*).
_LINK: Final = 0
_NETWORK: Final = 1
_TRANSPORT: Final = 2
_INNER: Final = 3

_SUM_NONE: Final = 0
_SUM_INTERNET: Final = 1
_PSEUDO_HEADER: Final = 1
_TCP_SUM: Final = 16
_UDP_SUM: Final = 6
_ICMP_SUM: Final = 2

_WRITE_COST: Final = 1200  # instructions: checksums of the old and the new bytes
_OPTION_COST: Final = 15


def _base_of(run: Run, base: int) -> int:
    """The offset of a header in the packet's storage; -1 if there is none."""
    packet = run.packet
    if base == _NETWORK:
        return packet.network_start
    if base == _LINK:
        return packet.link_header() if run.place.input is not None else -1
    if run.place.protocol < 0 or run.place.offset != 0:
        return -1
    if base == _TRANSPORT:
        return packet.transport_start
    if run.place.protocol == PROTOCOL_TCP:
        if packet.transport_start + 20 > packet.end:
            return -1
        return packet.transport_start + (packet.storage[packet.transport_start + 12] >> 4) * 4
    if run.place.protocol == PROTOCOL_UDP:
        return packet.transport_start + 8
    return -1


@final
class PayloadRead(Expression):
    """Load bytes of a header into a register."""

    def __init__(self, place: int, base: int, offset: int, length: int) -> None:
        self.place: int = place
        self.base: int = base
        self.offset: int = offset
        self.length: int = length

    def name(self) -> bytes:
        return b"payload"

    def evaluate(self, run: Run) -> None:
        base = _base_of(run, self.base)
        packet = run.packet
        start = base + self.offset
        if base < 0 or start + self.length > packet.end:
            run.stop()
            return
        run.take_from_packet(self.place, start, self.length)

    def is_like(self, other: Expression) -> bool:
        if not isinstance(other, PayloadRead):
            return False
        return (
            self.place == other.place
            and self.base == other.base
            and self.offset == other.offset
            and self.length == other.length
        )

    def put(self, writer: MessageWriter) -> None:
        put_register(writer, 1, self.place)
        put32(writer, 2, self.base)
        put32(writer, 3, self.offset)
        put32(writer, 4, self.length)


@final
class PayloadWrite(Expression):
    """Write a register into a header; checksums are updated."""

    def __init__(self, place: int, base: int, offset: int, length: int) -> None:
        self.place: int = place
        self.base: int = base
        self.offset: int = offset
        self.length: int = length
        self.sum_kind: int = _SUM_NONE
        self.sum_offset: int = 0
        self.sum_flags: int = 0

    def name(self) -> bytes:
        return b"payload"

    def evaluate(self, run: Run) -> None:
        base = _base_of(run, self.base)
        packet = run.packet
        start = base + self.offset
        if base < 0 or start + self.length > packet.end:
            run.stop()
            return
        spend(_WRITE_COST)
        new = run.span(self.place, self.length)
        old = span_of(packet.storage)[start : start + self.length]
        first = packet.network_start - start
        if 0 <= first < self.length and _is_cut_differently(packet, old[first], new[first]):
            run.verdict = DROP
            return
        if self.sum_kind == _SUM_INTERNET and (self.base != _TRANSPORT or is_summed(packet)):
            at = base + self.sum_offset
            if at + 2 > packet.end or 0 <= packet.network_start - at < 2:
                run.stop()
                return
            if not (self.base == _TRANSPORT and self._has_no_sum(run)):
                replace_in_sum(packet, at, old, new, start & 1 != base & 1)
        if self.sum_flags & _PSEUDO_HEADER != 0:
            _replace_in_transport(run, old, new, start & 1 != base & 1)
        old.copy_from(new)
        if self.base == _NETWORK or (start < packet.transport_start and start + self.length > packet.network_start):
            take_addresses_from_header(packet)
            run.reroutes = True

    def _has_no_sum(self, run: Run) -> bool:
        """Whether there is no checksum to update: UDP without one, or a packet not yet summed."""
        packet = run.packet
        at = packet.transport_start + self.sum_offset
        return run.place.protocol == PROTOCOL_UDP and packet.storage[at] == 0 and packet.storage[at + 1] == 0

    def put(self, writer: MessageWriter) -> None:
        put_register(writer, 5, self.place)
        put32(writer, 2, self.base)
        put32(writer, 3, self.offset)
        put32(writer, 4, self.length)
        put32(writer, 6, self.sum_kind)
        put32(writer, 7, self.sum_offset)
        put32(writer, 8, self.sum_flags)


def _is_cut_differently(packet: Packet, old: int, new: int) -> bool:
    """Whether an IP header that began with `old` would change its version or length, which would break the packet."""
    return old != new if len(packet.source) == 4 else old >> 4 != new >> 4


def _sum(data: Span[u8], is_odd: bool) -> int:
    """The sum of bytes at an even or odd offset of the summed data."""
    total = sum_bytes(data)
    return (total & 0xFF) << 8 | total >> 8 if is_odd else total


def is_summed(packet: Packet) -> bool:
    """Whether the transport's checksum is complete. Else the field holds only the pseudo header's sum, and the rest is
    done when the packet is sent on, if it ever is.
    """
    return packet.checksum != CHECKSUM_PARTIAL and packet.checksum_offset == 0


def replace_in_sum(packet: Packet, at: int, old: Span[u8], new: Span[u8], is_odd: bool) -> None:
    """Correct the checksum at `at` (RFC 1624)."""
    span = span_of(packet.storage)
    total = (span.load_be16(at) ^ 0xFFFF) + (_sum(old, is_odd) ^ 0xFFFF) + _sum(new, is_odd)
    span.store_be16(at, fold(total) ^ 0xFFFF)


def _replace_in_transport(run: Run, old: Span[u8], new: Span[u8], is_odd: bool) -> None:
    """Addresses changed: update the transport's checksum, which covers them too."""
    packet = run.packet
    protocol = run.place.protocol
    if run.place.offset != 0:
        return
    if protocol == PROTOCOL_TCP:
        at = packet.transport_start + _TCP_SUM
    elif protocol == PROTOCOL_UDP:
        at = packet.transport_start + _UDP_SUM
    elif protocol == PROTOCOL_ICMP6:
        at = packet.transport_start + _ICMP_SUM
    else:
        return
    span = span_of(packet.storage)
    if at + 2 > packet.end:
        return
    if protocol == PROTOCOL_UDP and span.load_be16(at) == 0 and packet.checksum != CHECKSUM_PARTIAL:
        return
    if not is_summed(packet):
        # The field holds only the pseudo header's sum, not inverted.
        span.store_be16(at, fold(span.load_be16(at) + (_sum(old, is_odd) ^ 0xFFFF) + _sum(new, is_odd)))
        return
    replace_in_sum(packet, at, old, new, is_odd)


@final
class _PayloadLoader(Loader):
    def name(self) -> bytes:
        return b"payload"

    def load(self, attributes: Attributes, loading: "Loading") -> Expression:
        if not attributes.has(2) or not attributes.has(3) or not attributes.has(4):
            raise Errno(EINVAL)
        base = attributes.be32(2)
        if base > _INNER:
            raise Errno(EOPNOTSUPP)
        offset = attributes.be32(3)
        length = attributes.be32(4)
        if attributes.has(5):
            if attributes.has(1):
                raise Errno(EINVAL)
            if offset > 0xFF or length > 0xFF:
                raise Errno(ERANGE)
            made = PayloadWrite(read_register(attributes, 5, length), base, offset, length)
            made.sum_kind = attributes.be32(6)
            made.sum_offset = attributes.be32(7)
            made.sum_flags = attributes.be32(8)
            if made.sum_offset > 0xFF:
                raise Errno(ERANGE)
            if made.sum_flags & ~_PSEUDO_HEADER != 0:
                raise Errno(EINVAL)
            if made.sum_kind > _SUM_INTERNET:
                raise Errno(EOPNOTSUPP)
            return made
        if not attributes.has(1):
            raise Errno(EINVAL)
        if offset > 0xFF or length > 0xFF:
            raise Errno(ERANGE)
        return PayloadRead(write_register(attributes, 1, length), base, offset, length)


# ---- Options and extension headers ------------------------------------------------------------------------------

_IP6: Final = 0
_TCP_OPTION: Final = 1
_IP4_OPTION: Final = 2
_PRESENT: Final = 1
_TCP_HEADER: Final = 20
_LARGEST_SEGMENT: Final = 2  # TCP's option
_FRAGMENT: Final = 44
_AUTHENTICATION: Final = 51
_EXTENSIONS: Final = (0, 43, 60)


@final
class ExtensionRead(Expression):
    """Load bytes of an extension header of IPv6, or of an option of TCP or IPv4; or whether there is one."""

    def __init__(self, place: int, operation: int, kind: int, offset: int, length: int, flags: int) -> None:
        self.place: int = place
        self.operation: int = operation
        self.kind: int = kind
        self.offset: int = offset
        self.length: int = length
        self.flags: int = flags

    def name(self) -> bytes:
        return b"exthdr"

    def evaluate(self, run: Run) -> None:
        packet = run.packet
        if self.operation == _IP6:
            found = _find_header(run, self.kind)
            end = packet.end
        else:
            if self.operation == _TCP_OPTION:
                if run.place.protocol != PROTOCOL_TCP or run.place.offset != 0:
                    run.stop()
                    return
                start = packet.transport_start + 20
                length = (packet.storage[packet.transport_start + 12] >> 4) * 4 if start <= packet.end else 0
                end = packet.transport_start + length
            else:
                start = packet.network_start + 20
                end = packet.network_start + (packet.storage[packet.network_start] & 0xF) * 4
                if run.place.family != FAMILY_IP4:
                    run.stop()
                    return
            end = min(end, packet.end)
            found = find_option(packet, start, end, self.kind)
        if self.flags & _PRESENT != 0:
            run.set_byte(self.place, 1 if found >= 0 else 0)
            return
        start = found + self.offset
        if found < 0 or start + self.length > end:
            run.stop()
            return
        run.take_from_packet(self.place, start, self.length)

    def put(self, writer: MessageWriter) -> None:
        put_register(writer, 1, self.place)
        writer.attribute(2, bytes([self.kind]))
        put32(writer, 3, self.offset)
        put32(writer, 4, self.length)
        put32(writer, 5, self.flags)
        put32(writer, 6, self.operation)


@final
class OptionWrite(Expression):
    """Write a register into an option of TCP; the checksum is updated. The maximum segment size is never raised."""

    def __init__(self, place: int, kind: int, offset: int, length: int) -> None:
        self.place: int = place
        self.kind: int = kind
        self.offset: int = offset
        self.length: int = length

    def name(self) -> bytes:
        return b"exthdr"

    def evaluate(self, run: Run) -> None:
        packet = run.packet
        base = packet.transport_start
        if run.place.protocol != PROTOCOL_TCP or run.place.offset != 0 or base + _TCP_HEADER > packet.end:
            run.stop()
            return
        end = min(base + (packet.storage[base + 12] >> 4) * 4, packet.end)
        found = find_option(packet, base + _TCP_HEADER, end, self.kind)
        if found < 0:
            return
        if found + 1 >= end or self.offset + self.length > packet.storage[found + 1]:
            run.stop()
            return
        start = found + self.offset
        if start + self.length > end:
            run.stop()
            return
        spend(_WRITE_COST)
        old = span_of(packet.storage)[start : start + self.length]
        new = run.span(self.place, self.length)
        if self.kind == _LARGEST_SEGMENT and self.length == 2 and old.load_be16(0) <= new.load_be16(0):
            return
        if is_summed(packet):
            replace_in_sum(packet, base + _TCP_SUM, old, new, start & 1 != base & 1)
        old.copy_from(new)

    def put(self, writer: MessageWriter) -> None:
        put_register(writer, 7, self.place)
        writer.attribute(2, bytes([self.kind]))
        put32(writer, 3, self.offset)
        put32(writer, 4, self.length)
        put32(writer, 5, 0)
        put32(writer, 6, _TCP_OPTION)


def _load_option_write(attributes: Attributes) -> Expression:
    if attributes.has(1) or attributes.has(5):
        raise Errno(EINVAL)
    if not attributes.has(2) or not attributes.has(3) or not attributes.has(4):
        raise Errno(EINVAL)
    offset = attributes.be32(3)
    length = attributes.be32(4)
    if offset > 0xFF or length > 0xFF:
        raise Errno(ERANGE)
    if length != 2 and length != 4:
        raise Errno(EOPNOTSUPP)
    return OptionWrite(read_register(attributes, 7, length), attributes.byte(2), offset, length)


def find_option(packet: Packet, start: int, end: int, kind: int) -> int:
    """The offset of an option; -1 without one."""
    at = start
    storage = packet.storage
    spend((end - start) * _OPTION_COST)
    while at < end and storage[at] != 0:
        if storage[at] == kind:
            return at
        if storage[at] == 1:
            at += 1
        elif at + 1 < end and storage[at + 1] >= 2:
            at += storage[at + 1]
        else:
            break
    return -1


def _find_header(run: Run, wanted: int) -> int:
    """The offset of an extension header of IPv6; -1 without one."""
    if run.place.family != FAMILY_IP6:
        return -1
    packet = run.packet
    header = packet.network_header()
    kind = header[6]
    at = 40
    left = MOST_EXTENSIONS
    while left > 0 and (kind in _EXTENSIONS or kind == _FRAGMENT or kind == _AUTHENTICATION):
        left -= 1
        spend(EXTENSION_COST)
        if kind == wanted:
            return packet.network_start + at
        if at + 8 > len(header):
            break
        length = 8 + header[at + 1] * (4 if kind == _AUTHENTICATION else 8)
        if kind == _FRAGMENT:
            if header.load_be16(at + 2) & 0xFFF8 != 0:
                break
            length = 8
        kind = header[at]
        at += length
    return -1


@final
class _ExtensionLoader(Loader):
    def name(self) -> bytes:
        return b"exthdr"

    def load(self, attributes: Attributes, loading: "Loading") -> Expression:
        operation = attributes.be32(6, _IP6)
        if operation == _TCP_OPTION and attributes.has(7):
            return _load_option_write(attributes)
        if operation > _IP4_OPTION:
            raise Errno(EOPNOTSUPP)
        if not attributes.has(1):
            raise Errno(EOPNOTSUPP)
        if not attributes.has(2) or not attributes.has(3) or not attributes.has(4):
            raise Errno(EINVAL)
        offset = attributes.be32(3)
        length = attributes.be32(4)
        flags = attributes.be32(5)
        if offset > 0xFF or length > 0xFF:
            raise Errno(ERANGE)
        if flags & ~_PRESENT != 0:
            raise Errno(EINVAL)
        place = write_register(attributes, 1, length)
        return ExtensionRead(place, operation, attributes.byte(2), offset, length, flags)


register_loader(_PayloadLoader())
register_loader(_ExtensionLoader())
