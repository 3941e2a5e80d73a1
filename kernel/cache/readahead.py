"""Readahead: guesses from the order of reads which pages come next. Pure policy, one state for each open file.

A reader that goes on where it was gets a window of pages that doubles up to a limit. In the middle of the window there
is a mark: who reaches it finds the next window under way already, so a sequential reader does not wait. A reader that
jumps gets what it asked for, and no more.
"""

from typing import Final

from kernel.lang import final

_FIRST_WINDOW: Final = 4
_LARGEST_REQUEST: Final = 256


@final
class Readahead:
    """What is known of one reader. All numbers are pages."""

    def __init__(self) -> None:
        self.previous: int = -1  # the last page that was read
        self.start: int = 0
        self.size: int = 0  # of the present window; 0 when there is none
        self.mark: int = -1
        self.random: bool = False  # POSIX_FADV_RANDOM

    def miss(self, index: int, wanted: int, limit: int) -> int:
        """Page `index` is not in the cache and `wanted` pages are asked for from there: how many to read from it."""
        sequential = index == 0 or index == self.previous + 1 or index == self.previous
        if self.size > 0 and index == self.start + self.size:
            size = self.size * 2
        else:
            size = max(_FIRST_WINDOW, wanted * 2)
        if not sequential or self.random or limit <= 1:
            self.size = 0
            self.mark = -1
            return max(1, min(wanted, _LARGEST_REQUEST))
        return self._open(index, max(min(size, limit), min(wanted, _LARGEST_REQUEST)))

    def hit(self, index: int, limit: int) -> int:
        """Page `index` is in the cache: how many pages to read behind the window (at `start`), mostly 0."""
        self.previous = index
        if index != self.mark:
            return 0
        return self._open(self.start + self.size, min(self.size * 2, limit))

    def _open(self, start: int, size: int) -> int:
        self.start = start
        self.size = size
        self.mark = start + size // 2
        return size
