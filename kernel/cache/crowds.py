"""Evicting pages of files that very many areas map (`is_crowded`): a library of a thousand programs.

To find all entries of such a page takes too long for one step. So whoever looks for pages and must not sleep only notes
those that could go, and whoever may sleep takes them from all areas, with safe points. A page that is used meanwhile
stays. `heat` tells: it is 0 when the page is noted, and a fault makes it more. Entries that were taken from it by then
come back by faults, so there is nothing to undo.

There is one eviction at a time, as there is one `AreaWalk`. Whoever lacks memory meanwhile waits for its end.

Invariant: an entry is taken only while its page is the cache's, in the frame that the entry names: so the cache has a
reference to that frame, which is no program's copy. This is looked at again after each safe point. At the end, the
count of references says whether anybody came by the page in an area that the walk had left.

Context: `note` never sleeps and allocates nothing. `evict` sleeps, but waits for nobody.
"""

from typing import Final

from kernel.cache.file_cache import FileCache, can_drop
from kernel.cache.page import CachedPage
from kernel.lang import final
from kernel.lib.pace import pace
from kernel.mm.area import Area
from kernel.mm.frames import frame_count
from kernel.mm.objects import AREA_WALK
from kernel.mm.reverse_map import unmap_in_area
from kernel.sched.wait import WaitQueue

MOST_NOTED: Final = 128  # pages: an area is looked at once for all of them
_AREA_COST: Final = 80  # instructions
_LOOK_COST: Final = 100  # for a page in an area
_UNMAP_COST: Final = 200
_DROP_COST: Final = 600


@final
class CrowdedPages:
    """Pages that could go, the last ones that were noted."""

    def __init__(self) -> None:
        self._pages: list[CachedPage | None] = [None] * MOST_NOTED
        self._next: int = 0

    def note(self, page: CachedPage) -> bool:
        """A clean page that very many may map could go; whether it is one."""
        cache = page.cache
        if cache is None or not cache.is_crowded() or _is_needed(page) or frame_count(page.frame) == 1:
            return False
        if not _EVICTION.is_under_way:
            page.heat = 0
            self._pages[self._next] = page
            self._next = (self._next + 1) % MOST_NOTED
        return True

    def evict(self, is_remembered: bool = True) -> int:
        """Drop those that nobody uses; returns how many. If memory is short, that is remembered (cachestat(2)). Does
        nothing while another thread walks.
        """
        if AREA_WALK.source is not None or _EVICTION.is_under_way:
            return 0
        dropped = 0
        _EVICTION.is_under_way = True
        for index in range(MOST_NOTED):
            page = self._pages[index]
            cache = None if page is None else page.cache
            if cache is not None:
                if AREA_WALK.source is None:  # another walk may have begun at a safe point
                    self._unmap(cache)
                dropped += self._drop_of(cache, is_remembered)
                pace(MOST_NOTED * _DROP_COST)
            self._pages[index] = None
        _EVICTION.is_under_way = False
        _EVICTION.ends.wake_all()
        return dropped

    def _unmap(self, cache: FileCache) -> None:
        """Take all noted pages of one cache from whoever maps them."""
        AREA_WALK.begin(cache)
        area = AREA_WALK.next()
        while area is not None and self._unmap_in(area, cache):
            area = AREA_WALK.next()
        AREA_WALK.finish()

    def _drop_of(self, cache: FileCache, is_remembered: bool) -> int:
        """Drop those of a cache that are unused now; the others stay, and are noted no more."""
        dropped = 0
        for index in range(MOST_NOTED):
            page = self._pages[index]
            if page is None or page.cache is not cache:
                continue
            self._pages[index] = None
            if _is_leaving(page, cache) and can_drop(page):
                cache.evict(page, is_remembered)
                dropped += 1
        return dropped

    def _unmap_in(self, area: Area, cache: FileCache) -> bool:
        """Whether there are still pages that can go."""
        cost = _AREA_COST
        goes_on = False
        for page in self._pages:
            if page is not None and _is_leaving(page, cache):
                goes_on = True
                cost += _LOOK_COST
                if unmap_in_area(area, page.index, page.frame):
                    cost += _UNMAP_COST
        pace(cost)
        return goes_on


def _is_leaving(page: CachedPage, cache: FileCache) -> bool:
    """Whether a noted page can still go: nobody has used, dropped or moved it."""
    return page.cache is cache and page.heat == 0 and not _is_needed(page) and cache.pages.walked == 0


def _is_needed(page: CachedPage) -> bool:
    return page.dirty != 0 or page.reading or page.writing


@final
class _Eviction:
    """The one that is under way."""

    def __init__(self) -> None:
        self.is_under_way: bool = False
        self.ends: WaitQueue = WaitQueue()


_EVICTION: Final = _Eviction()
CROWDED: Final = CrowdedPages()  # what the frame allocator's calls have found


def wait_for_eviction() -> bool:
    """Wait for the end of the eviction that is under way; whether there was one. Sleeps."""
    if not _EVICTION.is_under_way:
        return False
    _EVICTION.ends.wait()
    return True
