"""The match `string` of xtables: whether a packet has some bytes in it.

A rule chooses how it is searched: `bm` looks at few bytes as a rule, but at each as often as the pattern is long where
both repeat themselves; `kmp` looks at each once. A packet for which it takes too much is dropped.

Context: as in `expression.py`.
Source: iptables-extensions(8); layout: linux/netfilter/xt_string.h; R. N. Horspool, Practical fast searching in
strings, 1980; D. E. Knuth, J. H. Morris, V. R. Pratt, Fast pattern matching in strings, 1977.
"""

from typing import Final

from kernel.lang import EINVAL, ENOENT, Errno, Span, final, span_of, u8
from kernel.net.nftables.compat import Extension, Match, Usage, register_match
from kernel.net.nftables.expression import CONTINUE, Run

_INVERTED: Final = 1
_ANY_CASE: Final = 2
_ALGORITHM: Final = 4  # where it is in the structure
_ALGORITHM_SIZE: Final = 16
_PATTERN: Final = 20
_PATTERN_SIZE: Final = 128
_LENGTH: Final = 148
_FLAGS: Final = 149
_SHOWN: Final = 152
_SIZE: Final = 160

_START_COST: Final = 200  # instructions
_WINDOW_COST: Final = 30
_BYTE_COST: Final = 15
_STEP_COST: Final = 25
_SHARE: Final = 5_000  # between two looks at what was spent
_TIMES: Final = 0xD7  # of Latin-1: these two stand among the letters, and are none
_DIVIDED_BY: Final = 0xF7


def _upper(byte: int) -> int:
    """A letter of Latin-1 in upper case, as Linux has it: 0xDF is taken for a small one."""
    is_small = ord("a") <= byte <= ord("z") or (byte >= 0xDF and byte != _DIVIDED_BY)
    return byte - 32 if is_small else byte


def _folding(*, is_any_case: bool) -> bytes:
    return bytes([_upper(byte) if is_any_case else byte for byte in range(256)])


_SAME: Final = _folding(is_any_case=False)
_FOLDED: Final = _folding(is_any_case=True)


class _Content(Match):
    """Bytes from the IP header on. Base class: how they are searched for is narrowed down."""

    def __init__(self, first: int, end: int, pattern: bytes, flags: int) -> None:
        super().__init__()
        self.first: int = first  # where they may begin
        self.end: int = end  # where they end at last
        self.folding: bytes = _FOLDED if flags & _ANY_CASE != 0 else _SAME
        self.is_inverted: bool = flags & _INVERTED != 0
        folded = bytearray()
        for byte in pattern:
            folded.append(self.folding[byte])
        self.pattern: bytes = bytes(folded)

    def holds(self, run: Run) -> bool:
        packet = run.packet
        text = span_of(packet.storage)[packet.network_start : packet.end]
        is_there = run.affords(_START_COST) and self.is_in(text[: min(self.end, len(text))], run)
        return run.verdict != CONTINUE or is_there != self.is_inverted

    def is_in(self, text: Span[u8], run: Run) -> bool:
        """Whether the pattern is there. What that takes is spent; where it is too much, the packet is dropped."""
        return False


@final
class _Horspool(_Content):
    """Where the last byte of a window does not fit, the window moves by as much as that byte allows."""

    def __init__(self, first: int, end: int, pattern: bytes, flags: int) -> None:
        super().__init__(first, end, pattern, flags)
        last = len(pattern) - 1
        shifts = bytearray(256)
        for i in range(256):
            shifts[i] = len(pattern)
        for i in range(last):
            shifts[self.pattern[i]] = last - i
        self.shifts: bytes = bytes(shifts)

    def is_in(self, text: Span[u8], run: Run) -> bool:
        length = len(self.pattern)
        at = self.first
        cost = 0
        while at + length <= len(text):
            place = length - 1
            while place >= 0 and self.folding[text[at + place]] == self.pattern[place]:
                place -= 1
            cost += _WINDOW_COST + (length - place) * _BYTE_COST
            if cost > _SHARE or place < 0:
                if not run.affords(cost) or place < 0:
                    return place < 0
                cost = 0
            at += self.shifts[self.folding[text[at + length - 1]]]
        run.affords(cost)
        return False


@final
class _KnuthMorrisPratt(_Content):
    """Each byte is looked at once: `borders` says how much of the pattern still fits where its next byte does not."""

    def __init__(self, first: int, end: int, pattern: bytes, flags: int) -> None:
        super().__init__(first, end, pattern, flags)
        borders = bytearray(len(pattern))
        fitting = 0
        for i in range(1, len(pattern)):
            while fitting > 0 and self.pattern[i] != self.pattern[fitting]:
                fitting = borders[fitting - 1]
            if self.pattern[i] == self.pattern[fitting]:
                fitting += 1
            borders[i] = fitting
        self.borders: bytes = bytes(borders)

    def is_in(self, text: Span[u8], run: Run) -> bool:
        fitting = 0
        cost = 0
        for at in range(self.first, len(text)):
            byte = self.folding[text[at]]
            while fitting > 0 and byte != self.pattern[fitting]:
                fitting = self.borders[fitting - 1]
            if byte == self.pattern[fitting]:
                fitting += 1
            cost += _STEP_COST
            if cost > _SHARE or fitting == len(self.pattern):
                if not run.affords(cost) or fitting == len(self.pattern):
                    return fitting == len(self.pattern)
                cost = 0
        run.affords(cost)
        return False


def _decode_string(info: bytes, usage: Usage) -> Extension:
    """Raises EINVAL, ENOENT for a way of searching that there is not."""
    span = span_of(info)
    name = info[_ALGORITHM : _ALGORITHM + _ALGORITHM_SIZE]
    flags = info[_FLAGS]
    length = info[_LENGTH]
    if name[_ALGORITHM_SIZE - 1] != 0 or length > _PATTERN_SIZE or flags & ~(_INVERTED | _ANY_CASE) != 0 or length == 0:
        raise Errno(EINVAL)
    pattern = info[_PATTERN : _PATTERN + length]
    name = name[: name.find(b"\0")]
    if name == b"bm":
        return _Horspool(span.load_u16(0), span.load_u16(2), pattern, flags)
    if name == b"kmp":
        return _KnuthMorrisPratt(span.load_u16(0), span.load_u16(2), pattern, flags)
    raise Errno(ENOENT)


register_match(b"string", 1, _SIZE, _decode_string).shown = _SHOWN
