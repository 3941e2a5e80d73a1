"""The thread that searches for equal pages, and its settings (KSM; kernel/mm/merging.py).

The thread is there only while `run` is 1 and a program has mergeable memory: it starts with the first of these, and
ends with the last. Writes to `run` are served one after the other.

Context: the thread sleeps. Source: the page "Kernel Samepage Merging" of Linux's documentation.
"""

from typing import Final

from kernel.lang import EBUSY, EINVAL, Errno, final
from kernel.lib import log
from kernel.mm.merged_pages import MERGED
from kernel.mm.merging import MERGE, SEARCH, SEPARATE, SETTINGS, STOP, Worker, separate_everybody
from kernel.sched import Mutex, WaitQueue, spawn_kernel_thread, yield_now

_MS: Final = 1_000_000  # nanoseconds
_LEAST_SHARING: Final = 2  # pages that a merged frame shows at most


@final
class MergingThread(Worker):
    """The thread."""

    def __init__(self) -> None:
        self.runs: bool = False
        self.queue: WaitQueue = WaitQueue()
        self.lock: Mutex = Mutex()

    def wake(self) -> None:
        if self.runs:
            self.queue.wake_all()
        elif SEARCH.is_wanted():
            spawn_kernel_thread(b"ksmd", _search, 0)
            self.runs = True

    def rest(self) -> None:
        """Sleep between two portions, without memory for a while nevertheless. No signal comes to this thread."""
        if SETTINGS.sleep_ms == 0:
            yield_now()
        else:
            self.queue.pause(SETTINGS.sleep_ms * _MS)


THREAD: Final = MergingThread()
SEARCH.worker = THREAD


def _search(_: int) -> None:
    lacks_memory = False
    while SEARCH.is_wanted():
        try:
            SEARCH.portion()
            lacks_memory = False
        except MemoryError:
            if not lacks_memory:
                log.error("ksmd: no memory to search for equal pages; trying again")
            lacks_memory = True
        if SEARCH.is_wanted():
            THREAD.rest()
    SEARCH.stop()
    THREAD.runs = False


def set_run(value: int) -> None:
    """Stop, search, or stop and separate all that is merged. Raises EINVAL; MemoryError, with the search stopped.
    Sleeps.
    """
    if not STOP <= value <= SEPARATE:
        raise Errno(EINVAL)
    with THREAD.lock:
        before = SETTINGS.run
        if value == before:
            return
        SETTINGS.run = value
        try:
            THREAD.wake()
            if value == SEPARATE:
                separate_everybody()
        except MemoryError:
            SETTINGS.run = before if value == MERGE else STOP
            raise


def set_sleep(ms: int) -> None:
    """How long the thread sleeps between two portions, from now on."""
    SETTINGS.sleep_ms = ms
    if THREAD.runs:
        THREAD.queue.wake_all()


def set_sharing(most: int) -> None:
    """How many pages a merged frame may show. Raises EINVAL, EBUSY (pages are merged)."""
    if most < _LEAST_SHARING:
        raise Errno(EINVAL)
    if most != SETTINGS.max_page_sharing:
        _check_none_is_shared()
        SETTINGS.max_page_sharing = most


def set_across_nodes(value: int) -> None:
    """Whether pages of several nodes are merged, 0 or 1; there is one node. Raises EINVAL, EBUSY (pages are merged)."""
    if value > 1:
        raise Errno(EINVAL)
    if value != SETTINGS.merge_across_nodes:
        _check_none_is_shared()
        SETTINGS.merge_across_nodes = value


def _check_none_is_shared() -> None:
    if MERGED.shared() > 0:
        raise Errno(EBUSY)
