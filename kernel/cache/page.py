"""A page of a cache, and the list of all of them in order of use.

A page is linked in three places through its own words, so that none of this allocates: all pages, oldest first (`LRU`);
the dirty pages of its cache; and it is in the cache's dictionary by its index.

Invariants: `cache` is None once the page was dropped; whoever slept while holding it checks that. `frame` carries one
reference of the cache; whoever uses its bytes across a sleep takes another, and then it is not reclaimed. A dirty page,
one under write-back and one that is being read are not reclaimed either.

Context: never sleeps; `part_done` may run in interrupt context.
"""

from typing import TYPE_CHECKING, Final

from kernel.lang import final, inline
from kernel.lib.linked import Linked, LinkedList, Links
from kernel.mm.frames import PAGE_SIZE, Frame

if TYPE_CHECKING:
    from kernel.cache.file_cache import FileCache

ALL_SECTORS: Final = 0xFF
SECTORS_PER_PAGE: Final = 8


def sector_mask(start: int, end: int) -> int:
    """The bits of the sectors that the bytes start … end - 1 of a page touch; 0 <= start <= end <= PAGE_SIZE."""
    if start == 0 and end == PAGE_SIZE:
        return ALL_SECTORS
    if start == end:
        return 0
    return (1 << ((end + 511) >> 9)) - (1 << (start >> 9))


@final
class CachedPage(Linked["CachedPage"]):
    """Page `index` of a cache."""

    dirty_links: Links["CachedPage"]

    def __init__(self, cache: "FileCache", index: int, frame: Frame) -> None:
        super().__init__()
        self.cache: FileCache | None = cache
        self.index: int = index
        self.frame: Frame = frame
        self.up_to_date: bool = False  # the frame holds what the file holds
        self.reading: bool = False  # it is being filled; with `pending` parts to come
        self.writing: bool = False  # it is under write-back
        self.failed: bool = False  # a part of the present transfer failed
        self.error: int = 0  # why: an errno
        self.pending: int = 0
        self.dirty: int = 0  # a bit for each sector that the device does not have yet
        self.has_place: bool = False  # each byte has its block on the device
        self.heat: int = 0  # 0: fresh, 1: used, 2: used again

    @inline
    def this(self) -> "CachedPage":
        return self

    def touch(self) -> None:
        """Record a use."""
        if self.heat < 2:
            self.heat += 1

    def part_done(self, error: int) -> None:
        """A part of the transfer is finished; the last part changes the page's state and notifies the cache."""
        if error != 0:
            self.failed = True
            self.error = error
        self.pending -= 1
        if self.pending == 0:
            cache = self.cache
            if cache is not None:
                cache.transfer_done(self)


@final
class PageList(LinkedList[CachedPage]):
    """Pages in the order they were entered, the oldest first, with a second round for those that were used again: a
    clock.
    """

    def __init__(self) -> None:
        super().__init__()
        self.count: int = 0

    def add(self, page: CachedPage) -> None:
        """Enter a page as the newest."""
        self.link_last(page)
        self.count += 1

    def remove(self, page: CachedPage) -> None:
        """Take a page off the list."""
        self.unlink(page)
        self.count -= 1

    def next_victim(self) -> CachedPage | None:
        """The oldest page, which stays on the list, unless it was used again lately: then it gets another round and the
        answer is None.
        """
        page = self.first()
        if page is None:
            return None
        if page.heat > 1:
            page.heat = 0
            self.rotate(page)
            return None
        return page

    def rotate(self, page: CachedPage) -> None:
        """Give a page another round."""
        self.remove(page)
        self.add(page)


LRU: Final = PageList()
