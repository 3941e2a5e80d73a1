"""The Internet checksum: the one's complement of the one's complement sum of 16-bit words (RFC 1071).

The sum does not depend on the order of bytes but for a swap at the end, so memory is summed in the machine's order,
four bytes at a time, and swapped once. Partial sums are numbers below 2**16 in network order; they can
be added and folded.

Context: any; never sleeps, never allocates.
"""

from kernel.lang import Span, span_of, u8


def fold(total: int) -> int:
    """A sum of any size, as 16 bits."""
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def sum_bytes(data: Span[u8], initial: int = 0) -> int:
    """The folded sum of the bytes, which start at an even offset, and of the sum `initial`."""
    length = len(data)
    total = 0
    at = 0
    # Four bytes at a time into 64 bits: no carry can be lost in 2**31 words.
    while at + 16 <= length:
        total += data.load_u32(at) + data.load_u32(at + 4) + data.load_u32(at + 8) + data.load_u32(at + 12)
        at += 16
    while at + 4 <= length:
        total += data.load_u32(at)
        at += 4
    if at + 2 <= length:
        total += data.load_u16(at)
        at += 2
    if at < length:
        total += data[at]
    total = fold(total)
    return fold(((total & 0xFF) << 8 | total >> 8) + initial)


def checksum(data: Span[u8], initial: int = 0) -> int:
    """What goes into a header's checksum field, which is 0 in `data`. Over data with its checksum in place: 0."""
    return sum_bytes(data, initial) ^ 0xFFFF


def pseudo_header(source: bytes, destination: bytes, protocol: int, length: int) -> int:
    """The sum of the pseudo header of UDP, TCP and ICMPv6 (RFC 9293 section 3.1, RFC 8200 section 8.1).

    Addresses of 4 or 16 bytes, both alike; `length` of the transport header and its data.
    """
    total = sum_bytes(span_of(destination), sum_bytes(span_of(source)))
    return fold(total + protocol + (length >> 16) + (length & 0xFFFF))


def replace_word(old_checksum: int, old: int, new: int) -> int:
    """The checksum after one 16-bit word changed from `old` to `new` (RFC 1624)."""
    return fold((old_checksum ^ 0xFFFF) + (old ^ 0xFFFF) + new) ^ 0xFFFF
