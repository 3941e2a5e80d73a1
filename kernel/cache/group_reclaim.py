"""Pages that a control group can do without: clean ones of files are dropped, dirty ones written back first, and its
programs' own pages swapped out if there is room for them.

They are found among all cached pages, the oldest first, by the group that their frames are charged to. Pages of others
keep their place among themselves. Unmapped pages go first. The last mapped pages stay: a program left with only a few
pages of its text would read these again and again and make no progress, so its group counts as out of memory instead.
They go as well when somebody lowers the limit or asks for memory back: the group then reads again what it needs.

Context: `drop_some` is called from any allocation and never sleeps; the others do.
"""

from enum import Enum
from typing import Final

from kernel.cache.crowds import CrowdedPages
from kernel.cache.dirty_pages import LAST_PAGE, TOTALS, DirtyPages
from kernel.cache.file_cache import can_drop
from kernel.cache.page import LRU, CachedPage
from kernel.cache.swapper import swap_some
from kernel.cache.writeback import FLUSHER
from kernel.cgroup.memory import MEMORY_CONTROLS, GroupReclaimer, MemoryControl
from kernel.lang import Errno, final, sleeps
from kernel.lib.linked import FIRST
from kernel.lib.pace import is_dying, pace, spend
from kernel.mm.frames import charged_for, frame_count
from kernel.mm.swap_slots import SWAP
from kernel.mm.swapping import Choice, Taken
from kernel.sched.kthread import KernelThread
from kernel.sched.processor import RUNNING
from kernel.sched.strain import begin_to_lack_memory, end_lack_of_memory
from kernel.time.clock import monotonic_ns

_LOOKED_AT: Final = 256  # pages, where nothing may sleep
_LOOKED_AT_IN_VAIN: Final = 16  # … after a search that found nothing
_LOOKED_AT_ONCE: Final = 128  # between safe points
_LOOK_COST: Final = 200  # instructions for a page
_DROP_COST: Final = 600
_WRITTEN_AT_ONCE: Final = 256
_PATIENCE_NS: Final = 100_000_000
_ROUNDS: Final = 32
LAST_MAPPED: Final = 16  # mapped file pages: no group makes progress with fewer
_MANY_MAPPED: Final = 128  # … that a search passes over before it takes some
_SWAPPED_AT_ONCE: Final = 32
_MARGIN: Final = 64  # pages below the limit at which a writer to the cache begins to make room


class Outcome(Enum):
    """What became of a page that was examined."""

    DROPPED = 0
    MAPPED = 1  # it is clean, and stays because programs map it
    DIRTY = 2
    IN_USE = 3


def _is_of(control: MemoryControl, number: int) -> bool:
    """Whether frames with this charge number count for a control."""
    return number != 0 and control.contains(MEMORY_CONTROLS.living(number))


@final
class GroupPages(Choice):
    """The pages of a control, for the hand that chooses what is swapped out."""

    def __init__(self, control: MemoryControl) -> None:
        self.control: MemoryControl = control
        self._asked: int = 0  # the last number that was looked up, and its answer
        self._is_its: bool = False

    def look_again(self) -> None:
        self._asked = 0
        self._is_its = False

    def wants(self, owner: int) -> bool:
        if owner != self._asked:
            self._asked = owner
            self._is_its = _is_of(self.control, owner) and SWAP.charger.has_room(owner)
        return self._is_its


def _drop_if_unused(page: CachedPage) -> Outcome:
    """Drop a page if nobody needs it now."""
    cache = page.cache
    if page.dirty != 0:
        return Outcome.DIRTY
    if cache is None or cache.pages.walked > 0 or page.reading or page.writing:
        return Outcome.IN_USE
    if frame_count(page.frame) > 1:
        return Outcome.MAPPED
    cache.evict(page)
    return Outcome.DROPPED


def _drop_mapped(page: CachedPage) -> bool:
    """Unmap a page everywhere and drop it, unless it became dirty or is in use."""
    cache = page.cache
    if cache is None or cache.pages.walked > 0 or page.dirty != 0 or page.reading or page.writing:
        return False
    cache.unmap_page(page)
    if not can_drop(page):
        return False
    cache.evict(page)
    return True


@final
class CacheReclaimer(GroupReclaimer):
    """The reclaimer that charging calls."""

    def drop_some(self, control: MemoryControl, wanted: int) -> int:
        dropped = 0
        looked_at = 0
        most = min(LRU.count, _LOOKED_AT_IN_VAIN if control.looked_in_vain else _LOOKED_AT)
        asked = 0  # the last number looked up, and whether it is the control's
        is_its = False
        while looked_at < most and dropped < wanted:
            looked_at += 1
            page = LRU.first()
            if page is None:
                break
            number = charged_for(page.frame)
            if number != asked:
                asked = number
                is_its = _is_of(control, number)
            if is_its and _drop_if_unused(page) is Outcome.DROPPED:
                dropped += 1
            else:
                LRU.rotate(page)
        control.looked_in_vain = dropped == 0
        spend(looked_at * _LOOK_COST + dropped * _DROP_COST)
        return dropped


@sleeps
def drop_clean(control: MemoryControl, wanted: int, needed: int = 1, spared: int = LAST_MAPPED) -> int:
    """Drop up to `wanted` clean pages of a control, the oldest first; returns how many. Mapped pages go only if there
    are fewer than `needed` others, no more of them than needed unless there are many, and never the last `spared`.
    Raises MemoryError.
    """
    return Look(control).drop(wanted, needed, spared)


@final
class Look:
    """One search through all cached pages for those that a control can do without. It passes over mapped pages,
    remembers them, and comes back to them if the others were not enough.
    """

    def __init__(self, control: MemoryControl) -> None:
        self.control: MemoryControl = control
        self.left: int = LRU.count  # to be examined
        self.mapped: list[CachedPage] = []  # those passed over, the oldest first
        self.dirty: int = 0  # the control's dirty pages seen
        self._crowded: CrowdedPages | None = None

    @sleeps
    def drop(self, wanted: int, needed: int, spared: int) -> int:
        """As `drop_clean`."""
        dropped = 0
        while self.left > 0 and dropped < wanted and not is_dying():
            dropped += self._drop_unmapped(wanted - dropped)
            if dropped >= needed:
                break
            are_many = len(self.mapped) >= _MANY_MAPPED
            most = wanted if are_many else needed
            if not are_many or self.left == 0:  # else more pages follow, and some are spared
                most = min(most, dropped + len(self.mapped) - spared)
            dropped += self._drop_passed(most - dropped)
        return dropped

    @sleeps
    def _drop_unmapped(self, wanted: int) -> int:
        """Examine the next pages, until that many were dropped or many mapped ones were passed over."""
        dropped = 0
        self.mapped.clear()
        while self.left > 0 and dropped < wanted and len(self.mapped) < _MANY_MAPPED and not is_dying():
            found = self._look_at_some(wanted - dropped)
            dropped += found
            pace(_LOOKED_AT_ONCE * _LOOK_COST + found * _DROP_COST)
        return dropped

    def _look_at_some(self, wanted: int) -> int:
        dropped = 0
        asked = 0
        is_its = False
        steps = min(self.left, _LOOKED_AT_ONCE)
        self.left -= steps
        while steps > 0 and dropped < wanted:
            steps -= 1
            page = LRU.first()
            if page is None:
                break
            number = charged_for(page.frame)
            if number != asked:
                asked = number
                is_its = _is_of(self.control, number)
            outcome = _drop_if_unused(page) if is_its else Outcome.IN_USE
            if outcome is Outcome.DROPPED:
                dropped += 1
                continue
            LRU.rotate(page)
            if outcome is Outcome.MAPPED:
                self.mapped.append(page)
            elif outcome is Outcome.DIRTY:
                self.dirty += 1
        return dropped

    @sleeps
    def _drop_passed(self, wanted: int) -> int:
        """Drop mapped pages that were passed over."""
        dropped = 0
        noted = 0
        for page in self.mapped:
            if dropped + noted >= wanted or is_dying():
                break
            if _drop_mapped(page):
                dropped += 1
            elif self._note_if_crowded(page):
                noted += 1
            pace(_DROP_COST)
        crowded = self._crowded
        if crowded is not None and noted > 0:
            dropped += crowded.evict()
        return dropped

    def _note_if_crowded(self, page: CachedPage) -> bool:
        """Note a page that very many map, and that could go; whether it is one. Raises MemoryError."""
        cache = page.cache
        if cache is None or not cache.is_crowded():
            return False
        crowded = self._crowded
        if crowded is None:
            crowded = CrowdedPages()
            self._crowded = crowded
        return crowded.note(page)


def count_cached(control: MemoryControl) -> "CachedCount":
    """What a control has of file contents. Sleeps."""
    count = CachedCount()
    left = LRU.count
    while left > 0:
        for _ in range(min(left, _LOOKED_AT_ONCE)):
            page = LRU.first()
            if page is None:
                return count
            LRU.rotate(page)
            if _is_of(control, charged_for(page.frame)):
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
    """Write dirty pages, those of the given cache first. Returns whether there were any, or some are being written."""
    if cache is not None and cache.dirty_count > 0:
        cache.write_back(0, LAST_PAGE, _WRITTEN_AT_ONCE)
        return True
    first = TOTALS.dirty_caches[FIRST]
    if first is not None:
        first.write_back(0, LAST_PAGE, _WRITTEN_AT_ONCE)
        return True
    return TOTALS.writing > 0


@sleeps
def swap_out(control: MemoryControl, wanted: int) -> bool:
    """Swap out some pages of a control, those that were just used only if there are no others. Returns whether there
    were any. Raises MemoryError.
    """
    choice = GroupPages(control)
    taken = Taken()
    most = min(wanted, _SWAPPED_AT_ONCE)
    if swap_some(choice, taken, most, takes_used=False) == 0 and swap_some(choice, taken, most, takes_used=True) == 0:
        return False
    control.drain()
    return True


@sleeps
def make_room(control: MemoryControl, pages: int, cache: DirtyPages | None = None, spared: int = LAST_MAPPED) -> bool:
    """Bring a control's count down to its limit, and to `pages` below where that takes nothing from programs, as far as
    dropping and writing back can. Returns whether it got that far. Raises MemoryError.
    """
    return shrink_to(control, max(0, control.limit - pages), cache, control.limit, spared)


@sleeps
def shrink_to(
    control: MemoryControl, target: int, cache: DirtyPages | None = None, enough: int = 0, spared: int = LAST_MAPPED
) -> bool:
    """The same down to a number of pages. Once no more than `enough` are left, it takes nothing from programs; nor does
    it take the last `spared` mapped pages.
    """
    rounds = 0
    if control.usage > target:
        MEMORY_CONTROLS.drain_below(control)
    least = control.usage
    while control.usage > target and rounds < _ROUNDS and not is_dying():
        rounds += 1
        wanted = max(_MARGIN, control.usage - target)
        look = Look(control)
        dropped = look.drop(wanted, max(0, control.usage - max(target, enough)), spared)
        control.drain()
        if dropped > 0:
            continue
        if control.usage <= max(target, enough):
            break
        if swap_out(control, wanted):
            if control.usage < least:
                least = control.usage
                rounds = 0  # it gets less, by few pages at a time
            continue
        if look.dirty == 0 and TOTALS.writing == 0:
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
    """Called page by page while a cache fills, where memory is charged: makes room before the limit is reached."""
    thread = RUNNING.current
    number = thread.charges.memory
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
        return  # the charge itself will fail
    finally:
        end_lack_of_memory(has_begun)


MEMORY_CONTROLS.reclaimer = CacheReclaimer()
