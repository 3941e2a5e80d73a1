"""From page numbers to the pages of a cache: a dictionary of chunks with 64 neighbours each.

One dictionary of all pages would be simpler; but its table is one contiguous piece, and for a file larger than memory
no such piece can be found when memory is short. The chunk that was used last is at hand, since most files are read in
order.

Context: never sleeps. `put` may raise MemoryError; `remove` allocates nothing.
"""

from typing import Final

from kernel.cache.page import CachedPage
from kernel.lang import final

NO_PAGE: Final = -1
_SHIFT: Final = 6
_CHUNK: Final = 1 << _SHIFT
_MASK: Final = _CHUNK - 1


@final
class Chunk:
    """Pages `number` * 64 and the 63 after it."""

    def __init__(self, number: int) -> None:
        self.number: int = number
        self.pages: list[CachedPage | None] = [None] * _CHUNK
        self.count: int = 0


@final
class PageIndex:
    """All pages of a cache."""

    def __init__(self) -> None:
        self.chunks: dict[int, Chunk] = {}
        self.last: Chunk | None = None
        self.count: int = 0

    def get(self, index: int) -> CachedPage | None:
        """Page `index` (not negative), or None."""
        chunk = self.last
        if chunk is None or chunk.number != index >> _SHIFT:
            chunk = self.chunks.get(index >> _SHIFT)
            if chunk is None:
                return None
            self.last = chunk
        return chunk.pages[index & _MASK]

    def put(self, page: CachedPage) -> None:
        """Enter a page whose index is not taken."""
        number = page.index >> _SHIFT
        chunk = self.chunks.get(number)
        if chunk is None:
            chunk = Chunk(number)
            self.chunks[number] = chunk
        chunk.pages[page.index & _MASK] = page
        chunk.count += 1
        self.count += 1

    def remove(self, index: int) -> None:
        """Remove page `index`, which exists."""
        number = index >> _SHIFT
        chunk = self.chunks[number]
        chunk.pages[index & _MASK] = None
        chunk.count -= 1
        self.count -= 1
        if chunk.count == 0:
            del self.chunks[number]
            if self.last is chunk:
                self.last = None

    def indices(self, first: int, end: int, enough: int = 1 << 52) -> list[int]:
        """Indices of the existing pages among first … end - 1; may stop once it has `enough`. Nothing may be removed
        meanwhile. Raises MemoryError.
        """
        found: list[int] = []
        if (end - first) >> _SHIFT < len(self.chunks):
            for number in range(first >> _SHIFT, ((end - 1) >> _SHIFT) + 1):
                chunk = self.chunks.get(number)
                if chunk is not None:
                    _collect(chunk, first, end, found)
                    if len(found) >= enough:
                        break
        else:
            for chunk in self.chunks.values():
                _collect(chunk, first, end, found)
                if len(found) >= enough:
                    break
        return found

    def any_between(self, first: int, end: int) -> int:
        """The index of one of the pages first … end - 1, or NO_PAGE if there is none. Allocates nothing."""
        for chunk in self.chunks.values():
            base = chunk.number << _SHIFT
            if base < end and first < base + _CHUNK:
                for page in chunk.pages:
                    if page is not None and first <= page.index < end:
                        return page.index
        return NO_PAGE


def _collect(chunk: Chunk, first: int, end: int, found: list[int]) -> None:
    base = chunk.number << _SHIFT
    if base >= end or base + _CHUNK <= first:
        return
    for page in chunk.pages:
        if page is not None and first <= page.index < end:
            found.append(page.index)
