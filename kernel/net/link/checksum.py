"""The Internet checksum: the one's complement of the one's complement sum of 16-bit words (RFC 1071).

The sum does not depend on the order of bytes except for a swap at the end, so memory is summed in the machine's order,
eight bytes at a time with the carry added at the end, and swapped once. Partial sums are numbers below 2**16 in network
order; they can be added and folded.

Context: any; never sleeps, never allocates.
"""

from typing import Final

from kernel.lang import Span, inline, span_of, u8, u64

_STEP: Final = 64


def fold(total: int) -> int:
    """Fold a sum of any size to 16 bits."""
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


@inline
def _add(total: u64, word: u64) -> u64:
    """The one's complement sum of 64 bits."""
    added = u64(total + word)
    return u64(added + 1) if added < word else added


def sum_bytes(data: Span[u8], initial: int = 0) -> int:
    """The folded sum of the bytes, which start at an even offset, and of the sum `initial`."""
    words = u64(0)
    while len(data) >= _STEP:  # so that no load needs a check
        words = _add(words, data.load_u64(0))
        words = _add(words, data.load_u64(8))
        words = _add(words, data.load_u64(16))
        words = _add(words, data.load_u64(24))
        words = _add(words, data.load_u64(32))
        words = _add(words, data.load_u64(40))
        words = _add(words, data.load_u64(48))
        words = _add(words, data.load_u64(56))
        data = data[_STEP:]
    while len(data) >= 8:
        words = _add(words, data.load_u64(0))
        data = data[8:]
    total = int(words & 0xFFFF_FFFF) + int(words >> 32)
    if len(data) >= 4:
        total += data.load_u32(0)
        data = data[4:]
    if len(data) >= 2:
        total += data.load_u16(0)
        data = data[2:]
    if len(data) > 0:
        total += data[0]
    total = fold(total)
    return fold(((total & 0xFF) << 8 | total >> 8) + initial)


def checksum(data: Span[u8], initial: int = 0) -> int:
    """The value for a header's checksum field, which is 0 in `data`. Over data with its checksum in place: 0."""
    return sum_bytes(data, initial) ^ 0xFFFF


def pseudo_header(source: bytes, destination: bytes, protocol: int, length: int) -> int:
    """The sum of the pseudo header of UDP, TCP and ICMPv6 (RFC 9293 section 3.1, RFC 8200 section 8.1).

    Addresses of 4 or 16 bytes, both alike; `length` is that of the transport header and its data.
    """
    total = sum_bytes(span_of(destination), sum_bytes(span_of(source)))
    return fold(total + protocol + (length >> 16) + (length & 0xFFFF))


def replace_word(old_checksum: int, old: int, new: int) -> int:
    """The checksum after one 16-bit word changed from `old` to `new` (RFC 1624)."""
    return fold((old_checksum ^ 0xFFFF) + (old ^ 0xFFFF) + new) ^ 0xFFFF
