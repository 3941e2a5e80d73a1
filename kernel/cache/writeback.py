"""Write-back in the background: the flusher thread, and the brake for threads that dirty pages too fast for devices.

Context: `balance` sleeps when there is too much dirty; it is called with an inode's lock held, never with a file
system's own locks.
"""

from collections.abc import Callable
from typing import Final

from kernel.cache.dirty_pages import LAST_PAGE, TOTALS, DirtyPages
from kernel.cache.limits import BACKGROUND_PERCENT, EXPIRE_NS, HARD_PERCENT, INTERVAL_NS, DirtyLimits, is_expired
from kernel.cache.page import LRU
from kernel.cache.transfer import Plug
from kernel.lang import Errno, final, sleeps
from kernel.lib import log
from kernel.lib.linked import FIRST, NEXT
from kernel.lib.settings import INT_LEAST, INT_MOST, NO_BOUND, SystemSetting
from kernel.mm.frames import available_frame_count
from kernel.sched import KernelThread, WaitQueue, current_thread, spawn_kernel_thread
from kernel.time.clock import monotonic_ns

_PORTION: Final = 1024  # pages that the flusher writes of one cache before it looks at the next
_HELP: Final = 256  # pages that a writer writes at once
_CENTISECOND_NS: Final = 10_000_000
_PATIENCE_NS: Final = 100_000_000  # a writer looks again at least this often
_RETRY_NS: Final = 100_000_000  # the flusher looks again, where it lacked memory


class Flusher:
    """The flusher's state. `before`: called before each round, lets file systems hand their changes to the cache;
    entered by kernel.fs.
    """

    def __init__(self) -> None:
        self.queue: WaitQueue = WaitQueue()
        self.before: Callable[[], None] | None = None
        self.runs: bool = False


FLUSHER: Final = Flusher()


@final
class _Share(SystemSetting):
    """Percent of the memory that could be dirty."""

    def store(self, numbers: list[int]) -> None:
        super().store(numbers)
        TOTALS.surely_fine = 0


@final
class _Interval(SystemSetting):
    """How often the flusher looks, in hundredths of a second; not by itself if that is not positive."""

    def store(self, numbers: list[int]) -> None:
        super().store(numbers)
        FLUSHER.queue.wake_all()

    def deadline_ns(self) -> int:
        """When it looks next."""
        return monotonic_ns() + self.value * _CENTISECOND_NS if self.value > 0 else NO_BOUND


_BACKGROUND: Final = _Share(b"vm/dirty_background_ratio", [BACKGROUND_PERCENT], 0, 100)  # the flusher writes above it
_HARD: Final = _Share(b"vm/dirty_ratio", [HARD_PERCENT], 0, 100)  # writers wait above it
# For how long a page may stay dirty, in hundredths of a second.
_EXPIRY: Final = SystemSetting(b"vm/dirty_expire_centisecs", [EXPIRE_NS // _CENTISECOND_NS], 0, INT_MOST)
_INTERVAL: Final = _Interval(b"vm/dirty_writeback_centisecs", [INTERVAL_NS // _CENTISECOND_NS], INT_LEAST, INT_MOST)


def current_limits() -> DirtyLimits:
    """The current limits."""
    return DirtyLimits(available_frame_count(), LRU.count, _BACKGROUND.value, _HARD.value)


@sleeps
def balance(cache: DirtyPages) -> None:
    """Called by writers, page by page: wakes the flusher, and waits while too much is dirty."""
    if TOTALS.dirty + TOTALS.writing < TOTALS.surely_fine or isinstance(current_thread(), KernelThread):
        return  # a thread that writes for others (loop devices) must not wait for its own work
    limits = current_limits()
    TOTALS.surely_fine = limits.background
    if limits.wants_flusher(TOTALS.dirty):
        FLUSHER.queue.wake_all()
    while limits.wants_throttling(TOTALS.dirty, TOTALS.writing):
        if cache.dirty_count > 0:
            cache.write_back(0, LAST_PAGE, _HELP)
        if not limits.wants_throttling(TOTALS.dirty, TOTALS.writing):
            return
        TOTALS.progress.wait_for_disk_until(monotonic_ns() + _PATIENCE_NS)
        limits = current_limits()


def start() -> None:
    """Start the flusher thread. Raises MemoryError."""
    FLUSHER.runs = True
    spawn_kernel_thread(b"flusher", _flush_forever, 0)


def _flush_forever(_: int) -> None:
    while True:
        try:
            FLUSHER.queue.sleep_until(_INTERVAL.deadline_ns(), interruptible=False)
            before = FLUSHER.before
            if before is not None:
                before()
            flush_round()
        except MemoryError:
            log.error("flusher: no memory")
            FLUSHER.queue.pause(_RETRY_NS)  # others must run, and free some
        except Errno as error:
            _report(error.code)


def _report(code: int) -> None:
    """Log an error of the flusher, which goes on also where memory lacks for the line."""
    try:
        log.error(f"flusher: error {code}")
    except MemoryError:
        log.error("flusher: an error, and no memory to say which")


@sleeps
def flush_round() -> None:
    """Write what has been dirty for too long, and enough more to keep the rest below the background limit. Raises
    MemoryError.
    """
    rounds = 0
    plug = Plug()
    try:
        for cache in dirty_caches():
            if is_expired(cache.dirty_since_ns, monotonic_ns(), _EXPIRY.value * _CENTISECOND_NS):
                cache.write_back(0, LAST_PAGE, LAST_PAGE, None if cache.by_sectors else plug)
    finally:
        plug.flush()
    while current_limits().wants_flusher(TOTALS.dirty) and rounds < 100:
        rounds += 1
        for cache in dirty_caches():
            cache.write_back(0, LAST_PAGE, _PORTION)
            cache.wait_for_writes()
            if not current_limits().wants_flusher(TOTALS.dirty):
                break


def dirty_caches() -> list[DirtyPages]:
    """The caches with dirty pages, the one that has been dirty longest first. Raises MemoryError."""
    found: list[DirtyPages] = []
    cache = TOTALS.dirty_caches[FIRST]
    while cache is not None:
        found.append(cache)
        cache = cache.dirty_links[NEXT]
    return found


TOTALS.balance = balance
