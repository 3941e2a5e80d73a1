"""Eviction: when memory is short, clean pages of the caches go, the least recently used first.

The frame allocator calls it when it has no more to give. It never sleeps: dirty pages are left to the flusher,
which it wakes, and the limit on dirty pages keeps most of the cache clean. Pages that programs map are taken from them
first; they fault them in again. Where very many map a page, whoever may sleep takes it from them (crowds.py). When the
caches have nothing to give, other kinds of memory are asked (`SHRINKERS`): unused names; then what is remembered of
evicted pages, stacks kept for new threads go, and dead objects are freed.

A call does a bounded amount of work, and a bounded part of each step is left for the next one. Only where not a single
frame is left does it go through everything. Callers that may sleep try again as long as there is more to look at
(`may_find_more`).

Context: any allocation. Allocates nothing.
"""

from enum import Enum
from typing import Final

from kernel.cache.crowds import CROWDED, wait_for_eviction
from kernel.cache.dirty_pages import TOTALS
from kernel.cache.file_cache import can_drop
from kernel.cache.page import LRU
from kernel.cache.page_index import KEPT
from kernel.cache.writeback import FLUSHER
from kernel.cgroup.memory import MEMORY_CONTROLS
from kernel.lang import final, recursion
from kernel.lib.pace import is_dying, pace, spend, take_rest
from kernel.mm.frames import SHORTAGE, RoomMaker, charged_for, frame_count, free_frame_count
from kernel.mm.reclaim import reclaim_more
from kernel.sched.processor import RUNNING
from kernel.sched.scheduler import announce_work
from kernel.sched.stacks import drop_cached_stacks
from kernel.sched.strain import begin_to_lack_memory, end_lack_of_memory
from kernel.time.clock import monotonic_ns

_LOOKED_AT: Final = 4  # pages looked at for each page wanted, at least; and in all at least:
_LOOKED_AT_MINIMUM: Final = 256
_MOST_WANTED: Final = 256  # pages that are dropped in one call
_MOST_LOOKED_AT: Final = 2048  # pages among all, in the order of use, in one call
_BRINK: Final = 16  # free frames: below that, all is done to find one
_LOOK_COST: Final = 60  # instructions
_DROPPED_AT_ONCE: Final = 128  # pages, between safe points
_DROP_COST: Final = 600  # instructions
_MOST_FORGOTTEN: Final = 256  # chunks of evicted pages that are forgotten at once: a shrinker takes no longer
_PATIENCE_NS: Final = 200_000_000
_EPISODE_NS: Final = 2_000_000_000  # waits this far apart are unrelated
_HOPELESS_NS: Final = 10_000_000_000  # if no page was written for this long, waiting is pointless

class Shrinker:
    """Other memory that can be given back."""

    def shrink(self, pages: int) -> None:
        """Give back about that many pages of memory if there are any, but stop after a few hundred thousand
        instructions. Never sleeps, allocates nothing.
        """


SHRINKERS: Final[list[Shrinker]] = []


@final
class Evictor(RoomMaker):
    """What the frame allocator calls."""

    def __init__(self) -> None:
        self.looked_at: int = 0  # pages since one was dropped: twice all of them, if there is none to drop
        self.next_shrinker: int = 0
        self.has_more: bool = False  # the last call that found too little did not look at everything
        self.episode_ns: int = 0  # since when threads have been waiting
        self.last_wait_ns: int = 0

    @recursion(1)  # the allocator's SHORTAGE.busy
    def make_room(self, wanted: int) -> int:
        wanted = min(wanted, _MOST_WANTED)
        freed = _drop_pages(wanted, max(wanted * _LOOKED_AT, _LOOKED_AT_MINIMUM), _How.GENTLY)
        if freed < wanted:
            self._shrink(wanted - freed)
            freed += self._look_further(wanted - freed)
        if freed < wanted:
            freed += drop_cached_stacks()
        if freed < wanted:
            freed += self._free_dead(wanted - freed)
        if freed < wanted and TOTALS.dirty > 0:
            FLUSHER.queue.wake_all()
        return freed

    def _shrink(self, pages: int) -> None:
        """Ask the shrinkers in turn, one a call."""
        for _ in range(len(SHRINKERS) if free_frame_count() < _BRINK else min(1, len(SHRINKERS))):
            self.next_shrinker = (self.next_shrinker + 1) % len(SHRINKERS)
            SHRINKERS[self.next_shrinker].shrink(pages)

    def _look_further(self, wanted: int) -> int:
        """Drop pages from among all, in the order of use."""
        looked_at = 2 * LRU.count
        if free_frame_count() >= _BRINK:
            looked_at = min(looked_at, _MOST_LOOKED_AT)
        freed = _drop_pages(wanted, looked_at, _How.DESPERATELY)
        self.looked_at = 0 if freed > 0 else self.looked_at + looked_at
        spend(looked_at * _LOOK_COST + freed * _DROP_COST)
        return freed

    def _free_dead(self, wanted: int) -> int:
        """Free dead objects, those of the shrinkers among them, until that many frames are free: there may be very many
        objects.
        """
        before = free_frame_count()
        has_more = reclaim_more()
        while has_more and free_frame_count() < _BRINK and free_frame_count() - before < wanted:
            has_more = reclaim_more()
        self.has_more = has_more or 0 < self.looked_at < 2 * LRU.count
        return max(0, free_frame_count() - before)

    def may_find_more(self) -> bool:
        return self.has_more

    def droppable(self) -> int:
        return max(0, LRU.count - TOTALS.dirty - TOTALS.writing)

    def call_for_relief(self) -> None:
        announce_work()

    def wait_for_room(self) -> bool:
        if RUNNING.current.charges.has_failed:
            return False  # its group is over its limit, however much is free
        if self.has_more:
            self.has_more = False
            take_rest()
            return True
        if wait_for_eviction() or CROWDED.evict() > 0 or SHORTAGE.swapper.wait():
            return True
        now = monotonic_ns()
        if now - self.last_wait_ns > _EPISODE_NS:
            self.episode_ns = now
        self.last_wait_ns = now
        if TOTALS.dirty + TOTALS.writing == 0 or now - max(self.episode_ns, TOTALS.progress_ns) > _HOPELESS_NS:
            return False
        FLUSHER.queue.wake_all()
        has_begun = begin_to_lack_memory()
        try:
            TOTALS.progress.wait_for_disk_until(now + _PATIENCE_NS)
        finally:
            end_lack_of_memory(has_begun)
        return True


class _How(Enum):
    """Which pages to drop."""

    GENTLY = 0  # none that a control group protects
    DESPERATELY = 1  # those as well, as far as they may go
    ON_REQUEST = 2  # the same; nobody was short of memory, so none of it is remembered


def _drop_pages(wanted: int, looked_at: int, how: _How) -> int:
    """Drop clean pages, the oldest first."""
    freed = 0
    steps = min(looked_at, 2 * LRU.count)
    asked = 0  # the last group that was asked, and its answer
    is_kept = False
    while freed < wanted and steps > 0:
        steps -= 1
        page = LRU.next_victim()
        if page is None:
            continue
        cache = page.cache
        if MEMORY_CONTROLS.has_protection:
            number = charged_for(page.frame)
            if number != asked:
                asked = number
                is_kept = number != 0 and MEMORY_CONTROLS.protects(number, how is not _How.GENTLY)
        if cache is None or cache.pages.walked > 0 or is_kept:
            LRU.rotate(page)
            continue
        if page.dirty == 0 and not page.reading and not page.writing and frame_count(page.frame) > 1:
            cache.unmap_page(page)
        if can_drop(page):
            cache.evict(page, how is not _How.ON_REQUEST)
            freed += 1
        else:
            CROWDED.note(page)
            LRU.rotate(page)
    return freed


def drop_old_pages(wanted: int) -> int:
    """Drop clean pages that no control group protects, the oldest first; returns how many. Never sleeps."""
    return _drop_pages(wanted, max(wanted * _LOOKED_AT, _LOOKED_AT_MINIMUM), _How.GENTLY)


def drop_clean_pages() -> int:
    """Drop every page that can be dropped; returns how many (/proc/sys/vm/drop_caches). Has safe points."""
    dropped = 0
    left = 2 * LRU.count
    while left > 0 and not is_dying():
        dropped += _drop_pages(_DROPPED_AT_ONCE, _DROPPED_AT_ONCE, _How.ON_REQUEST)
        dropped += CROWDED.evict(is_remembered=False)
        left -= _DROPPED_AT_ONCE
        pace(_DROPPED_AT_ONCE * _DROP_COST)
    return dropped


@final
class _RememberedShrinker(Shrinker):
    """Forgets pages that were evicted long ago."""

    def shrink(self, pages: int) -> None:
        KEPT.drop(min(KEPT.count, _MOST_FORGOTTEN))


SHRINKERS.append(_RememberedShrinker())
SHORTAGE.helper = Evictor()
