"""Readahead: guesses from the order of reads which pages come next. Pure policy, one state for each open file, and one
for all mappings of a file.

A sequential reader gets a window of pages that doubles up to a limit. When the reader reaches the mark of the first
window, or the start of a later one, the next window's read begins, so the reader does not wait. A reader that jumps
gets what it asked for, and no more. A mapping that is touched here and there gets the neighbours too, as long as that
paid off lately: a program's code is read like this.

The limit is the device's (`readahead_pages`), or what one call asks for if that is more.
"""

from typing import Final

from kernel.lang import final

_FIRST_WINDOW: Final = 4
_LARGEST_REQUEST: Final = 256
_NEVER: Final = 1 << 62
_JUMPS_LIMIT: Final = 100  # faults here and there in a row, after which neighbours are not read


@final
class Readahead:
    """What is known of one reader. All numbers are pages."""

    def __init__(self) -> None:
        self.previous: int = -1  # the last page that was read
        self.start: int = 0
        self.size: int = 0  # of the current window; 0 when there is none
        self.mark: int = _NEVER  # reading a page of the window from here on starts the next one
        self.random: bool = False  # POSIX_FADV_RANDOM
        self.jumps: int = 0

    def miss(self, index: int, wanted: int, limit: int) -> int:
        """Page `index` is not in the cache and `wanted` pages are asked for from there: how many to read from it."""
        sequential = index == 0 or index == self.previous + 1 or index == self.previous
        wanted = max(1, min(wanted, _LARGEST_REQUEST))
        if not sequential or self.random or limit <= 1:
            self.size = 0
            self.mark = _NEVER
            return wanted
        if self.size > 0 and index == self.start + self.size:
            return self._open(index, max(min(self.size * 2, _bound(wanted, limit)), wanted))
        size = self._open(index, max(min(max(_FIRST_WINDOW, wanted * 2), _bound(wanted, limit)), wanted))
        self.mark = index + min(wanted, size - (size >> 2))
        return size

    def hit(self, index: int, wanted: int, limit: int) -> int:
        """Page `index` is in the cache, or will be, and a call asks for `wanted` pages: how many to read after the
        window (from `start` on), mostly 0.
        """
        self.previous = index
        if index < self.mark or index >= self.start + self.size:
            return 0
        self.jumps = 0
        return self._open(self.start + self.size, min(self.size * 2, _bound(wanted, limit)))

    def fault(self, index: int, limit: int) -> tuple[int, int]:
        """A program touched page `index` through a mapping, and it is not in the cache: from where to read, and how
        many pages.
        """
        if self.random or limit <= 1:
            return index, 1
        if self.size > 0 and index == self.start + self.size:
            return index, self._open(index, min(self.size * 2, limit))
        self.jumps += 1
        if self.jumps > _JUMPS_LIMIT:
            self.size = 0
            self.mark = _NEVER
            return index, 1
        first = index - index % limit
        self._open(first, limit)
        self.mark = max(index + 1, first + limit // 2)
        return first, limit

    def _open(self, start: int, size: int) -> int:
        self.start = start
        self.size = size
        self.mark = start
        return size


def _bound(wanted: int, limit: int) -> int:
    """How large a window may grow."""
    return max(limit, min(wanted, _LARGEST_REQUEST))
