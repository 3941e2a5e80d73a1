"""The swapper: a thread that writes pages of programs to swap areas when memory is short, so that there is memory
before anybody has to wait for it.

While there are areas, it is woken when user pages leave less than a thirty-second of memory (16 MiB at most), and goes
on until a bit more is free. It takes what can be dropped from the page cache, and pages of programs, in the proportion
that vm.swappiness says: at 100 both alike, at 0 programs keep theirs until the cache has nothing to give. What it needs
itself it finds in the kernel's reserve, which user pages leave alone. It also discards slots that came free.

Whoever finds no memory at all waits for it (`SHORTAGE`): a page fault, or a thread that would otherwise have a process
killed.

Context: the thread sleeps; `wake` never does.
Source: proc_sys_vm(5).
"""

from typing import Final

from kernel.cache.crowds import CROWDED
from kernel.cache.eviction import SHRINKERS, Shrinker, drop_old_pages
from kernel.cache.page import LRU
from kernel.cache.swap_areas import SWAPPER_WORK, discard_what_came_free, has_old_slots, write_out
from kernel.cgroup.memory import MEMORY_CONTROLS
from kernel.lang import final, sleeps
from kernel.lib.pace import is_dying, pace
from kernel.lib.settings import SystemSetting
from kernel.mm.crowded_memory import CROWDED_MEMORY
from kernel.mm.frames import SHORTAGE, PageSwapper, available_frame_count, free_frame_count, total_frame_count, watch
from kernel.mm.swap_slots import SWAP
from kernel.mm.swapping import SWEEP, Choice, Taken, take_unwritten
from kernel.sched import KernelThread, WaitQueue, sleep_until, spawn_kernel_thread
from kernel.sched.processor import RUNNING
from kernel.sched.strain import begin_to_lack_memory, end_lack_of_memory
from kernel.time.clock import monotonic_ns

SWAPPINESS: Final = SystemSetting(b"vm/swappiness", [60], 0, 200)

_MOST_SWAPPINESS: Final = 200
_MARK_SHIFT: Final = 6  # a sixty-fourth of memory beyond the reserve
_LEAST_MARK: Final = 64
_MOST_MARK: Final = 2048
_AT_ONCE: Final = 32  # pages
_LOOK_COST: Final = 30_000  # instructions for a piece of a round
_TAKE_COST: Final = 800
_LOOKED_AT: Final = 512  # pages of the swap cache
_PATIENCE_NS: Final = 100_000_000
_HELD_NS: Final = 10_000_000
_MOST_HELD: Final = 100
_GIVES_UP_NS: Final = 1_000_000_000  # after a round that brought nothing, there is no hope for so long


@final
class Swapper(PageSwapper):
    """The thread's state."""

    def __init__(self) -> None:
        self.progress: WaitQueue = WaitQueue()
        self.runs: bool = False
        self.taken: Taken = Taken()
        self.gave_up_ns: int = -_GIVES_UP_NS  # when a whole round brought nothing
        self.held_waits: int = 0  # one after the other, for somebody to let go of a space
        self._due: int = 0  # pages that the page cache owes

    def start(self) -> None:
        """There is an area: memory is watched, by a thread from now on. Raises MemoryError."""
        if not self.runs:
            spawn_kernel_thread(b"kswapd0", _swap_forever, 0)
            self.runs = True  # nothing has slept since the look
        self.gave_up_ns = -_GIVES_UP_NS
        watch(2 * _margin())

    def stop(self) -> None:
        """There is no area any more."""
        watch(0)

    def can_help(self) -> bool:
        """Whether pages may be swapped out. Never sleeps."""
        return self.runs and SWAP.has_free() and monotonic_ns() - self.gave_up_ns >= _GIVES_UP_NS

    def wake(self) -> None:
        if self.can_help():
            SWAPPER_WORK.wake_all()

    def wait(self) -> bool:
        if not self.is_wanted() or is_dying():
            return False  # it cannot help, or it is not frames that lack; or the thread's end brings memory
        self.wake()
        has_begun = begin_to_lack_memory()
        try:
            self.progress.wait_for_disk_until(monotonic_ns() + _PATIENCE_NS)
        finally:
            end_lack_of_memory(has_begun)
        return True

    def wait_for_frame(self) -> bool:
        return not isinstance(RUNNING.current, KernelThread) and self.wait()

    def is_wanted(self) -> bool:
        """Whether the thread has something to do."""
        return available_frame_count() < 3 * _margin() and self.can_help()

    def takes_from_cache(self) -> bool:
        """Whether it is the page cache's turn; then some pages of it are dropped."""
        cached = LRU.count * (_MOST_SWAPPINESS - SWAPPINESS.value)
        others = (total_frame_count() - free_frame_count() - LRU.count) * SWAPPINESS.value
        self._due += _AT_ONCE * cached // max(1, cached + others)
        if self._due < _AT_ONCE:
            return False
        self._due -= _AT_ONCE
        return drop_old_pages(_AT_ONCE) > 0 or CROWDED.evict() > 0


SWAPPER: Final = Swapper()


def _margin() -> int:
    return min(max(_LEAST_MARK, total_frame_count() >> _MARK_SHIFT), _MOST_MARK)


@final
class Unprotected(Choice):
    """What the swapper may take: all but what control groups protect."""

    def __init__(self) -> None:
        self.is_desperate: bool = False
        self._asked: int = 0  # the last group that was asked for, and its answer
        self._is_kept: bool = False

    def begin(self, is_desperate: bool) -> None:
        """A new search begins."""
        self.is_desperate = is_desperate
        self.look_again()

    def look_again(self) -> None:
        self._asked = 0
        self._is_kept = False

    def wants(self, owner: int) -> bool:
        if owner == 0:
            return True
        if owner != self._asked:
            self._asked = owner
            is_protected = MEMORY_CONTROLS.has_protection and MEMORY_CONTROLS.protects(owner, self.is_desperate)
            self._is_kept = is_protected or not SWAP.charger.has_room(owner)
        return not self._is_kept


_UNPROTECTED: Final = Unprotected()


def _swap_forever(_: int) -> None:
    while True:
        if not has_old_slots():
            SWAPPER_WORK.wait()
        try:
            _work()
        except MemoryError:
            SWAPPER.gave_up_ns = monotonic_ns()  # even the reserve is used up
        SWAPPER.progress.wake_all()
        discard_what_came_free()


@sleeps
def _work() -> None:
    """Bring memory as long as there is too little of it. Raises MemoryError."""
    while SWAPPER.is_wanted():
        if not SWAPPER.takes_from_cache():
            _swap_as_can_be()
        SWAPPER.progress.wake_all()
        pace(_LOOK_COST)


@sleeps
def _swap_as_can_be() -> None:
    """Swap out some pages that were not used, or else some that were; or give up for a while. Raises MemoryError."""
    SWEEP.has_passed_held = False
    if _swaps_some(is_desperate=False) or _swaps_some(is_desperate=True):
        SWAPPER.held_waits = 0
    elif SWEEP.has_passed_held and SWAPPER.held_waits < _MOST_HELD:
        SWAPPER.held_waits += 1  # a large program forks, for example: nobody is to be killed for that
        sleep_until(monotonic_ns() + _HELD_NS, interruptible=False)
    else:
        SWAPPER.held_waits = 0
        SWAPPER.gave_up_ns = monotonic_ns()


@sleeps
def _swaps_some(is_desperate: bool) -> bool:
    _UNPROTECTED.begin(is_desperate)
    return swap_some(_UNPROTECTED, SWAPPER.taken, _AT_ONCE, takes_used=is_desperate) > 0


@sleeps
def swap_some(choice: Choice, taken: Taken, most: int, takes_used: bool) -> int:
    """Swap out some pages: look until there are `most`, or the hand has gone round. Returns how many entries were taken
    from programs, or how many frames came free by writing what could not be written before. Raises nothing.
    """
    if SWAP.has_unwritten:
        take_unwritten(taken, most)
        freed = write_out(taken)
        if freed > 0:
            return freed
    if not SWAP.has_free():
        return 0
    rounds = SWEEP.rounds
    while taken.unmapped == 0 and not taken.is_full and SWEEP.rounds - rounds <= 2:
        SWEEP.take_some(choice, taken, most, takes_used)
        if taken.unmapped == 0:  # else it is written first: a walk through a crowd has safe points
            CROWDED_MEMORY.unmap(takes_used=takes_used)
        if taken.is_refused:
            taken.is_refused = False
            choice.look_again()  # the group has no room for more
        pace(_LOOK_COST + taken.unmapped * _TAKE_COST)
    unmapped = taken.unmapped
    if unmapped > 0:
        write_out(taken)
    taken.clear()
    return unmapped


@final
class _SwapCacheShrinker(Shrinker):
    """Gives up pages that lie in a swap area, too, and that nobody maps."""

    def shrink(self, pages: int) -> None:
        SWAP.drop_unused(pages, _LOOKED_AT)


SHRINKERS.append(_SwapCacheShrinker())
SHORTAGE.swapper = SWAPPER
