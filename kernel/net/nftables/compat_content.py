"""The match `string` of xtables: whether a packet contains a pattern.

A rule names its algorithm, `bm` or `kmp`; both find the same, and are implemented the same way. Eight places
at a time are tested for two of the pattern's bytes, which takes a few instructions a byte. Where both match, the
pattern is compared: each byte of the packet once, as `borders` says how much of the pattern still fits where the next
byte does not. A packet that would take too long is dropped.

Context: as in `expression.py`.
Source: iptables-extensions(8); layout: linux/netfilter/xt_string.h; D. E. Knuth, J. H. Morris, V. R. Pratt, Fast
pattern matching in strings, 1977; H. S. Warren, Hacker's Delight, section 6-1 (a byte that is zero).
"""

from typing import Final

from kernel.lang import EINVAL, ENOENT, Errno, Span, final, span_of, u8, u64
from kernel.net.nftables.compat import Extension, Match, Usage, register_match
from kernel.net.nftables.expression import CONTINUE, Run

_INVERTED: Final = 1
_ANY_CASE: Final = 2
_ALGORITHM: Final = 4  # its offset in the structure
_ALGORITHM_SIZE: Final = 16
_PATTERN: Final = 20
_PATTERN_SIZE: Final = 128
_LENGTH: Final = 148
_FLAGS: Final = 149
_SHOWN: Final = 152
_SIZE: Final = 160

_START_COST: Final = 200  # instructions
_SKIP_COST: Final = 100
_SKIPPED_COST: Final = 3  # for each byte. Eight take 30; but four rules must let the longest packet of lo pass
_STEP_COST: Final = 50
_SHARE: Final = 5_000  # between two checks of the spending
_MOST_SKIPPED: Final = 2048  # bytes
_DIVIDED_BY: Final = 0xF7  # of Latin-1: it is among the letters, but not a letter

_WORD: Final = 8  # bytes
_ONES: Final = u64(0x0101_0101_0101_0101)
_LOW_BITS: Final = u64(0x7F7F_7F7F_7F7F_7F7F)
_ALL_BITS: Final = u64(0xFFFF_FFFF_FFFF_FFFF)


def _upper(byte: int) -> int:
    """A letter of Latin-1 in upper case, as on Linux, which takes 0xDF for a lower-case one."""
    is_small = ord("a") <= byte <= ord("z") or (byte >= 0xDF and byte != _DIVIDED_BY)
    return byte - 32 if is_small else byte


def _folding(*, is_any_case: bool) -> bytes:
    return bytes([_upper(byte) if is_any_case else byte for byte in range(256)])


_SAME: Final = _folding(is_any_case=False)
_FOLDED: Final = _folding(is_any_case=True)


@final
class _Sign:
    """A byte of the pattern, prepared for comparison with eight of the packet at once."""

    def __init__(self, wanted: int, folding: bytes) -> None:
        differing = 0
        known = wanted
        for byte in range(256):
            if folding[byte] == wanted:
                known = byte
        for byte in range(256):
            if folding[byte] == wanted:
                differing |= byte ^ known
        self.care: u64 = _ONES * u64(0xFF & ~differing)  # the bits in which bytes that fold to it are alike
        self.value: u64 = _ONES * u64(known & ~differing)


@final
class _Content(Match):
    """A pattern in the bytes from the IP header on."""

    def __init__(self, first: int, end: int, pattern: bytes, flags: int) -> None:
        super().__init__()
        self.first: int = first  # the first place where it may begin
        self.end: int = end  # the last place where it may end
        self.folding: bytes = _FOLDED if flags & _ANY_CASE != 0 else _SAME
        self.is_inverted: bool = flags & _INVERTED != 0
        folded = bytearray()
        for byte in pattern:
            folded.append(self.folding[byte])
        self.pattern: bytes = bytes(folded)
        borders = bytearray(len(pattern))
        fitting = 0
        for i in range(1, len(pattern)):
            while fitting > 0 and self.pattern[i] != self.pattern[fitting]:
                fitting = borders[fitting - 1]
            if self.pattern[i] == self.pattern[fitting]:
                fitting += 1
            borders[i] = fitting
        self.borders: bytes = bytes(borders)
        # The second tested byte differs from the first, so that runs of one byte do not match both.
        other = len(pattern) - 1
        while other > 0 and self.pattern[other] == self.pattern[0]:
            other -= 1
        self.other: int = other
        self.first_sign: _Sign = _Sign(self.pattern[0], self.folding)
        self.other_sign: _Sign = _Sign(self.pattern[other], self.folding)

    def holds(self, run: Run) -> bool:
        packet = run.packet
        text = span_of(packet.storage)[packet.network_start : packet.end]
        is_there = run.affords(_START_COST) and self._is_in(text[: min(self.end, len(text))], run)
        return run.verdict != CONTINUE or is_there != self.is_inverted

    def _is_in(self, text: Span[u8], run: Run) -> bool:
        """Whether the pattern is there. Its cost is spent; if that is too much, the packet is dropped."""
        fitting = 0
        cost = 0
        at = self.first
        while at < len(text):
            if fitting == 0:
                start = at
                at = self._next_place(text, at)
                cost += _SKIP_COST + (at - start) * _SKIPPED_COST
            byte = self.folding[text[at]]
            while fitting > 0 and byte != self.pattern[fitting]:
                fitting = self.borders[fitting - 1]
            if byte == self.pattern[fitting]:
                fitting += 1
            cost += _STEP_COST
            at += 1
            if cost > _SHARE or fitting == len(self.pattern):
                if not run.affords(cost) or fitting == len(self.pattern):
                    return fitting == len(self.pattern)
                cost = 0
        run.affords(cost)
        return False

    def _next_place(self, text: Span[u8], at: int) -> int:
        """The next place where the pattern may begin, or where the search goes on: it does not begin before."""
        other = self.other
        care = self.first_sign.care
        value = self.first_sign.value
        other_care = self.other_sign.care
        other_value = self.other_sign.value
        end = min(len(text) - other - _WORD, at + _MOST_SKIPPED)
        while at < end:
            # A byte of it is zero where both are.
            unlike = (text.load_u64(at) & care ^ value) | (text.load_u64(at + other) & other_care ^ other_value)
            found = u64((unlike & _LOW_BITS) + _LOW_BITS) | unlike | _LOW_BITS
            if found != _ALL_BITS:
                while found & 0x80 != 0:
                    found >>= 8
                    at += 1
                return at
            at += _WORD
        return at


def _decode_string(info: bytes, usage: Usage) -> Extension:
    """Raises EINVAL, ENOENT for an unknown algorithm."""
    span = span_of(info)
    name = info[_ALGORITHM : _ALGORITHM + _ALGORITHM_SIZE]
    flags = info[_FLAGS]
    length = info[_LENGTH]
    first = span.load_u16(0)
    end = span.load_u16(2)
    if name[_ALGORITHM_SIZE - 1] != 0 or length > _PATTERN_SIZE or flags & ~(_INVERTED | _ANY_CASE) != 0 or length == 0:
        raise Errno(EINVAL)
    if first > end:
        raise Errno(EINVAL)
    name = name[: name.find(b"\0")]
    if name != b"bm" and name != b"kmp":
        raise Errno(ENOENT)
    return _Content(first, end, info[_PATTERN : _PATTERN + length], flags)


register_match(b"string", 1, _SIZE, _decode_string).shown = _SHOWN
