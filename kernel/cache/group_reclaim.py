"""Pages of files that a control group can do without: clean ones are dropped, dirty ones written back first.

They are found among all cached pages, the oldest first, by whom their frames are charged to. Pages of others keep their
place among themselves. What nobody maps goes first. The last pages that programs map stay: a program that is left
nothing but a few pages of its own text reads these again and again and gets no further, so its group is out of memory.

Context: `drop_some` is called from any allocation and never sleeps; the others do.
"""

from enum import Enum
from typing import Final

from kernel.cache.dirty_pages import LAST_PAGE, TOTALS, DirtyPages
from kernel.cache.file_cache import can_drop
from kernel.cache.page import LRU, CachedPage
from kernel.cache.writeback import FLUSHER
from kernel.cgroup.memory import MEMORY_CONTROLS, GroupReclaimer, MemoryControl
from kernel.lang import Errno, final, sleeps
from kernel.lib.pace import is_dying, pace, spend
from kernel.mm.frames import charged_for, frame_count
from kernel.sched.kthread import KernelThread
from kernel.sched.processor import RUNNING
from kernel.sched.strain import begin_to_lack_memory, end_lack_of_memory
from kernel.time.clock import monotonic_ns

_LOOKED_AT: Final = 256  # pages, where nothing may sleep
_LOOKED_AT_IN_VAIN: Final = 16  # … after a look that found nothing
_LOOKED_AT_ONCE: Final = 128  # between safe points
_LOOK_COST: Final = 200  # instructions for a page
_DROP_COST: Final = 600
_WRITTEN_AT_ONCE: Final = 256
_PATIENCE_NS: Final = 100_000_000
_ROUNDS: Final = 32
_LAST_MAPPED: Final = 16  # pages of files that programs map: no group goes on with fewer
_MANY_MAPPED: Final = 128
_MARGIN: Final = 64  # pages below the limit at which whoever fills the cache begins to make room


class Mapped(Enum):
    """What becomes of clean pages that programs map."""

    LEFT = 0
    TAKEN = 1


def _is_of(control: MemoryControl, page: CachedPage) -> bool:
    number = charged_for(page.frame)
    return number != 0 and control.contains(MEMORY_CONTROLS.living(number))


def _drop_if_clean(control: MemoryControl, page: CachedPage, mapped: Mapped) -> bool:
    """Drop a page if nobody needs it now."""
    cache = page.cache
    if cache is None or cache.walked > 0:
        return False
    if page.dirty == 0 and not page.reading and not page.writing and frame_count(page.frame) > 1:
        if mapped is Mapped.LEFT:
            control.left_mapped += 1
            return False
        cache.unmap_page(page)
    if not can_drop(page):
        return False
    cache.drop(page)
    return True


def _drop_among(control: MemoryControl, wanted: int, steps: int, mapped: Mapped) -> int:
    """Look at the oldest `steps` pages, drop up to `wanted` of a control's; returns how many."""
    dropped = 0
    asked = -1  # the last group that was looked up, and whether it is the control's
    is_its = False
    while steps > 0 and dropped < wanted:
        steps -= 1
        page = LRU.oldest
        if page is None:
            break
        if charged_for(page.frame) != asked:
            asked = charged_for(page.frame)
            is_its = _is_of(control, page)
        if is_its and _drop_if_clean(control, page, mapped):
            dropped += 1
        else:
            LRU.rotate(page)
    return dropped


@final
class CacheReclaimer(GroupReclaimer):
    """What charges call."""

    def drop_some(self, control: MemoryControl, wanted: int) -> int:
        steps = min(LRU.count, _LOOKED_AT_IN_VAIN if control.looked_in_vain else _LOOKED_AT)
        dropped = _drop_among(control, wanted, steps, Mapped.LEFT)
        control.looked_in_vain = dropped == 0
        spend(steps * _LOOK_COST + dropped * _DROP_COST)
        return dropped


@sleeps
def drop_clean(control: MemoryControl, wanted: int, needed: int = 1) -> int:
    """Drop up to `wanted` clean pages of a control's, the oldest first; returns how many. Those that programs map go
    only if fewer than `needed` others are there, and no more than is needed unless there are many.
    """
    dropped = _look_at_all(control, wanted, Mapped.LEFT)
    left = control.left_mapped
    if dropped >= needed or left <= _LAST_MAPPED:
        return dropped
    return dropped + _look_at_all(control, (wanted if left >= _MANY_MAPPED else needed) - dropped, Mapped.TAKEN)


@sleeps
def _look_at_all(control: MemoryControl, wanted: int, mapped: Mapped) -> int:
    """Look at all cached pages, or until `wanted` ones of a control's were dropped, or many mapped ones were left."""
    dropped = 0
    left_mapped = 0  # the control's number is of the present step alone: others look, too, while this one rests
    left = LRU.count
    while left > 0 and dropped < wanted and left_mapped < _MANY_MAPPED and not is_dying():
        control.left_mapped = 0
        found = _drop_among(control, wanted - dropped, min(left, _LOOKED_AT_ONCE), mapped)
        dropped += found
        left_mapped += control.left_mapped
        left -= _LOOKED_AT_ONCE
        pace(_LOOKED_AT_ONCE * _LOOK_COST + found * _DROP_COST)
    control.left_mapped = left_mapped
    return dropped


def count_cached(control: MemoryControl) -> "CachedCount":
    """What a control has of file contents. Sleeps."""
    count = CachedCount()
    left = LRU.count
    while left > 0:
        for _ in range(min(left, _LOOKED_AT_ONCE)):
            page = LRU.oldest
            if page is None:
                return count
            LRU.rotate(page)
            if _is_of(control, page):
                count.add(page)
        left -= _LOOKED_AT_ONCE
        pace(_LOOKED_AT_ONCE * _LOOK_COST)
    return count


@final
class CachedCount:
    """Pages of files, by state."""

    def __init__(self) -> None:
        self.all: int = 0
        self.dirty: int = 0
        self.writing: int = 0
        self.used_again: int = 0

    def add(self, page: CachedPage) -> None:
        """Count one."""
        self.all += 1
        if page.dirty != 0:
            self.dirty += 1
        if page.writing:
            self.writing += 1
        if page.heat > 1:
            self.used_again += 1


@sleeps
def _write_back_some(cache: DirtyPages | None) -> bool:
    """Write dirty pages, those of a cache first; whether there were any, or some are on their way."""
    if cache is not None and cache.dirty_count > 0:
        cache.write_back(0, LAST_PAGE, _WRITTEN_AT_ONCE)
        return True
    first = TOTALS.first_dirty
    if first is not None:
        first.write_back(0, LAST_PAGE, _WRITTEN_AT_ONCE)
        return True
    return TOTALS.writing > 0


@sleeps
def make_room(control: MemoryControl, pages: int, cache: DirtyPages | None = None) -> bool:
    """Bring what a control counts to its limit, and where that takes nothing from programs to `pages` below; or as near
    as dropping and writing back does. Whether it has come so far down. Raises MemoryError.
    """
    return shrink_to(control, max(0, control.limit - pages), cache, control.limit)


@sleeps
def shrink_to(control: MemoryControl, target: int, cache: DirtyPages | None = None, enough: int = 0) -> bool:
    """The same to a number of pages. Once no more than `enough` are left, nothing is taken from programs."""
    rounds = 0
    if control.usage > target:
        MEMORY_CONTROLS.drain_below(control)
    while control.usage > target and rounds < _ROUNDS and not is_dying():
        rounds += 1
        wanted = max(_MARGIN, control.usage - target)
        dropped = drop_clean(control, wanted, max(0, control.usage - max(target, enough)))
        control.drain()
        if dropped > 0:
            continue
        if control.usage <= max(target, enough):
            break
        if count_cached(control).dirty == 0 and TOTALS.writing == 0:
            return False
        FLUSHER.queue.wake_all()
        if not _write_back_some(cache):
            return False
        try:
            TOTALS.progress.wait_for_disk_until(monotonic_ns() + _PATIENCE_NS)
        except Errno:
            return False
    return control.usage <= target


@sleeps
def brake(cache: DirtyPages) -> None:
    """Called by whoever fills a cache, page by page, where memory is charged: makes room before the limit is reached.
    """
    thread = RUNNING.current
    number = thread.charged
    if number == 0 or isinstance(thread, KernelThread):
        return
    control = MEMORY_CONTROLS.living(number)
    exceeded = None if control is None or control.stock > 0 else control.exceeded(_MARGIN)
    if exceeded is None:
        return
    has_begun = begin_to_lack_memory()
    try:
        make_room(exceeded, min(2 * _MARGIN, exceeded.limit >> 2), cache)
    except MemoryError:
        return  # the charge will tell
    finally:
        end_lack_of_memory(has_begun)


MEMORY_CONTROLS.reclaimer = CacheReclaimer()
