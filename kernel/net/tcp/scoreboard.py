"""The ranges beyond a gap that the peer reports to hold (RFC 2018), and what they imply about losses (RFC 6675).

Invariants: the ranges are sorted, disjoint, do not touch, and lie in the data sent but not acknowledged. There are
at most MAX_RANGES: further reports are forgotten, which costs at worst a needless retransmission.
"""

from typing import Final

from kernel.lang import final

MAX_RANGES: Final = 128
DUPLICATE_THRESHOLD: Final = 3


@final
class Scoreboard:
    """The ranges `left[i]`…`right[i]`."""

    def __init__(self) -> None:
        self.left: list[int] = []
        self.right: list[int] = []
        self.bytes: int = 0  # in all ranges

    def clear(self) -> None:
        self.left.clear()
        self.right.clear()
        self.bytes = 0

    def add(self, start: int, end: int) -> bool:
        """The peer holds `start`…`end`, a range of the data in flight. Returns whether any of it is new."""
        left = self.left
        right = self.right
        first = 0
        while first < len(left) and right[first] < start:
            first += 1
        last = first
        covered = 0
        while last < len(left) and left[last] <= end:
            if left[last] <= start and right[last] >= end:
                return False
            covered += right[last] - left[last]
            start = min(start, left[last])
            end = max(end, right[last])
            last += 1
        if first == last:
            if len(left) >= MAX_RANGES:
                return False
            left.insert(first, start)
            try:
                right.insert(first, end)
            except MemoryError:
                left.pop(first)
                raise
        else:
            left[first] = start
            right[first] = end
            if last > first + 1:
                del left[first + 1 : last]
                del right[first + 1 : last]
        self.bytes += end - start - covered
        return True

    def acknowledged(self, sequence: int) -> None:
        """Everything before `sequence` is acknowledged."""
        gone = 0
        while gone < len(self.left) and self.right[gone] <= sequence:
            self.bytes -= self.right[gone] - self.left[gone]
            gone += 1
        if gone > 0:
            del self.left[:gone]
            del self.right[:gone]
        if len(self.left) > 0 and self.left[0] < sequence:
            self.bytes -= sequence - self.left[0]
            self.left[0] = sequence

    def highest(self) -> int:
        """The number after the last byte that the peer is known to hold; there must be a range."""
        return self.right[len(self.right) - 1]

    def lost_edge(self, mss: int) -> int:
        """IsLost: bytes below this that the peer does not hold count as lost; 0 if there are none. They are those below
        DUPLICATE_THRESHOLD ranges, or below more than (DUPLICATE_THRESHOLD - 1) segments' worth of bytes.
        """
        count = 0
        total = 0
        at = len(self.left) - 1
        while at >= 0:
            count += 1
            total += self.right[at] - self.left[at]
            if count >= DUPLICATE_THRESHOLD or total > (DUPLICATE_THRESHOLD - 1) * mss:
                return self.left[at]
            at -= 1
        return 0

    def missing(self, start: int, end: int) -> int:
        """How many bytes of `start`…`end` the peer is not known to hold."""
        if start >= end:
            return 0
        total = end - start
        for i in range(len(self.left)):
            low = max(start, self.left[i])
            high = min(end, self.right[i])
            if low < high:
                total -= high - low
        return total

    def next_missing(self, sequence: int) -> int:
        """The first byte at or after `sequence` that the peer is not known to hold."""
        for i in range(len(self.left)):
            if sequence < self.left[i]:
                return sequence
            sequence = max(sequence, self.right[i])
        return sequence

    def missing_end(self, sequence: int, limit: int) -> int:
        """The end of the gap in which `sequence` lies; at most `limit`."""
        for i in range(len(self.left)):
            if self.left[i] > sequence:
                return min(limit, self.left[i])
        return limit
