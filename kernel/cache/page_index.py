"""From page numbers to the pages of a cache: a dictionary of chunks with 64 neighbours each. It also remembers which
pages left because memory was short, and when (cachestat(2)).

One dictionary of all pages would be simpler; but its table is one contiguous piece, and for a file larger than memory
no such piece can be found when memory is short. The chunk that was used last is at hand, since most files are read in
order.

What is remembered of a page is the number of the eviction, in its place in the chunk: so evicting allocates nothing. A
chunk without pages that remembers some is kept on a list, the oldest first, which has one chunk for each 64 frames of
memory at most: a page that left before that many others would not be in memory either.

Invariants: a chunk is in `chunks` exactly while it has pages or remembers some; it is on `KEPT` exactly while it has no
page; while `walked` is not 0, no page leaves `chunks` and no chunk does.

Walks over many chunks go by their order, with safe points: others read, evict and cut off meanwhile.

Context: as each method says, else never sleeps. `put` may raise MemoryError; `remove`, `evict` and `forget_evicted` do
without memory.
"""

from collections.abc import Iterator
from typing import Final, Literal

from kernel.cache.page import CachedPage
from kernel.lang import Array, final, inline, u32
from kernel.lib.linked import Linked, LinkedList
from kernel.lib.order import Order
from kernel.lib.pace import pace, spend
from kernel.mm.frames import total_frame_count

NO_PAGE: Final = -1
_SHIFT: Final = 6
_CHUNK: Final = 1 << _SHIFT
_MASK: Final = _CHUNK - 1
_COUNT_COST: Final = 700  # instructions for a chunk that is counted
_FORGET_COST: Final = 300
_ORDER_COST: Final = 1600  # to take a chunk out of very many
_LAST_STAMP: Final = 0xFFFF_FFFF


@final
class Chunk(Linked["Chunk"]):
    """Pages `number` * 64 and the 63 after it."""

    stamps: Array[u32, Literal[64]]  # of evictions; 0: not evicted, or read in again

    def __init__(self, index: "PageIndex", number: int) -> None:
        super().__init__()
        self.number: int = number
        self.pages: list[CachedPage | None] = [None] * _CHUNK
        self.count: int = 0
        self.evicted: int = 0  # stamps that are not 0
        self.index: PageIndex = index

    @inline
    def this(self) -> "Chunk":
        return self

    def forget(self, place: int) -> None:
        """Page `place` of the chunk no longer counts as evicted."""
        if self.stamps[place] != 0:
            self.stamps[place] = 0
            self.evicted -= 1
            self.index.evicted -= 1


@final
class KeptChunks(LinkedList[Chunk]):
    """Chunks that have no page, in the order in which they lost the last; and the number of evictions so far."""

    def __init__(self) -> None:
        super().__init__()
        self.count: int = 0
        self.stamp: int = 1  # of the last eviction; it starts anew after 2**32 - 1

    def next_stamp(self) -> int:
        """A page is evicted."""
        self.stamp = 1 if self.stamp == _LAST_STAMP else self.stamp + 1
        return self.stamp

    def evictions_since(self, stamp: int) -> int:
        """How many pages were evicted since the eviction with a number."""
        return self.stamp - stamp if stamp <= self.stamp else self.stamp - stamp + _LAST_STAMP

    def add(self, chunk: Chunk) -> None:
        """A chunk lost its last page."""
        self.link_last(chunk)
        self.count += 1
        if self.count > total_frame_count() >> _SHIFT:
            self.drop(1)

    def remove(self, chunk: Chunk) -> None:
        """A chunk gets a page, or is forgotten."""
        self.unlink(chunk)
        self.count -= 1

    def drop(self, wanted: int) -> None:
        """Forget that many chunks, the oldest first; stops at one of a cache that is being walked."""
        while wanted > 0:
            oldest = self.first()
            if oldest is None or oldest.index.walked > 0:
                return
            self.remove(oldest)
            oldest.index.drop(oldest)
            wanted -= 1


KEPT: Final = KeptChunks()


@final
class PageIndex:
    """All pages of a cache."""

    def __init__(self) -> None:
        self.chunks: dict[int, Chunk] = {}
        self.order: Order[Chunk] = Order()  # the same, for walks
        self.last: Chunk | None = None
        self.count: int = 0
        self.evicted: int = 0  # pages that are remembered
        self.walked: int = 0  # > 0: somebody iterates, so nothing may be dropped

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
            chunk = Chunk(self, number)
            self._enter(chunk)
        elif chunk.count == 0:
            KEPT.remove(chunk)
        chunk.pages[page.index & _MASK] = page
        chunk.count += 1
        if chunk.evicted > 0:
            chunk.forget(page.index & _MASK)
        self.count += 1

    def _enter(self, chunk: Chunk) -> None:
        """Know a new chunk. Raises MemoryError."""
        self._order(chunk)
        try:
            self.chunks[chunk.number] = chunk
        except MemoryError:
            self._forget_order(chunk)
            raise

    def _order(self, chunk: Chunk) -> None:
        self.walked += 1  # whoever is asked for memory changes the order of another index
        try:
            self.order.put(chunk.number, chunk)
        finally:
            self.walked -= 1

    def _forget_order(self, chunk: Chunk) -> None:
        spend(_ORDER_COST)
        self.walked += 1  # as above
        self.order.remove(chunk.number)
        self.walked -= 1

    def remove(self, index: int) -> None:
        """Remove page `index`, which exists."""
        chunk = self.chunks[index >> _SHIFT]
        chunk.pages[index & _MASK] = None
        chunk.count -= 1
        self.count -= 1
        if chunk.count == 0:
            if chunk.evicted == 0:
                self.drop(chunk)
            else:
                KEPT.add(chunk)

    def evict(self, index: int) -> None:
        """The same, because memory is short: remember it."""
        chunk = self.chunks[index >> _SHIFT]
        chunk.stamps[index & _MASK] = KEPT.next_stamp()
        chunk.evicted += 1
        self.evicted += 1
        self.remove(index)

    def drop(self, chunk: Chunk) -> None:
        """A chunk without pages goes. It is not on `KEPT`."""
        self.evicted -= chunk.evicted
        del self.chunks[chunk.number]
        self._forget_order(chunk)
        if self.last is chunk:
            self.last = None

    def forget_evicted(self, first: int, end: int) -> None:
        """Do not remember that any of the pages first … end - 1 were evicted: they were cut off, or somebody wanted
        them out of memory. Takes safe points.
        """
        if self.evicted == 0:
            return
        chunk = self._chunk_from(first >> _SHIFT, end)
        while chunk is not None:
            following = chunk.number + 1
            if _forget_part(chunk, first, end):
                self.drop(chunk)
            pace(_FORGET_COST)
            chunk = self._chunk_from(following, end)

    def _chunk_from(self, number: int, end: int) -> Chunk | None:
        """The first chunk from a number on that has pages before `end`."""
        chunk = self.order.first_from(number)
        return None if chunk is None or chunk.number << _SHIFT >= end else chunk

    def evicted_between(self, first: int, end: int, recently: int) -> tuple[int, int]:
        """How many of the pages first … end - 1 were evicted, and how many of these after all evictions but the last
        `recently`. Takes safe points.
        """
        count = 0
        recent = 0
        if self.evicted == 0:
            return count, recent
        chunk = self._chunk_from(first >> _SHIFT, end)
        while chunk is not None:
            base = chunk.number << _SHIFT
            for place in range(max(0, first - base), min(_CHUNK, end - base)):
                stamp = chunk.stamps[place]
                if stamp != 0:
                    count += 1
                    recent += 1 if KEPT.evictions_since(stamp) < recently else 0
            following = chunk.number + 1
            pace(_COUNT_COST)
            chunk = self._chunk_from(following, end)
        return count, recent

    def indices(self, first: int, end: int, enough: int) -> list[int]:
        """Indices of the existing pages among first … end - 1; may stop once it has `enough`. Takes safe points, at
        which pages may come or go. Raises MemoryError.
        """
        found: list[int] = []
        chunk = self._chunk_from(first >> _SHIFT, end)
        while chunk is not None and len(found) < enough:
            _collect(chunk, first, end, found)
            following = chunk.number + 1
            pace(_COUNT_COST)
            chunk = self._chunk_from(following, end)
        return found

    def each_index(self, first: int, end: int) -> Iterator[int]:
        """The indices of the existing pages among first … end - 1, with safe points in between: pages that come or go
        meanwhile may be left out. Raises MemoryError.
        """
        chunk = self._chunk_from(first >> _SHIFT, end)
        while chunk is not None:
            following = chunk.number + 1
            found: list[int] = []
            _collect(chunk, first, end, found)
            for place in range(len(found)):
                yield found[place]
            pace(_COUNT_COST)
            chunk = self._chunk_from(following, end)

    def any_between(self, first: int, end: int) -> int:
        """The index of one of the pages first … end - 1, or NO_PAGE if there is none. Allocates nothing. Takes safe
        points.
        """
        chunk = self._chunk_from(first >> _SHIFT, end)
        while chunk is not None:
            for page in chunk.pages:
                if page is not None and first <= page.index < end:
                    return page.index
            following = chunk.number + 1
            pace(_COUNT_COST)
            chunk = self._chunk_from(following, end)
        return NO_PAGE


def _collect(chunk: Chunk, first: int, end: int, found: list[int]) -> None:
    base = chunk.number << _SHIFT
    if base >= end or base + _CHUNK <= first:
        return
    for page in chunk.pages:
        if page is not None and first <= page.index < end:
            found.append(page.index)


def _forget_part(chunk: Chunk, first: int, end: int) -> bool:
    """Do not remember the chunk's pages among first … end - 1; whether nothing is left of it, and it is off `KEPT`."""
    base = chunk.number << _SHIFT
    if chunk.evicted == 0 or base >= end or base + _CHUNK <= first:
        return False
    for place in range(max(0, first - base), min(_CHUNK, end - base)):
        chunk.forget(place)
    if chunk.count > 0 or chunk.evicted > 0:
        return False
    KEPT.remove(chunk)
    return True
