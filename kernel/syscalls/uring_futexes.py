"""Operations of io_uring on futexes: FUTEX_WAIT, FUTEX_WAKE, FUTEX_WAITV.

A request that waits stands among the waiters of its futexes (kernel/task/futex.py), in place of a thread. The wake
decides how it ends: a cancel that comes later does not find it any more, so no wake is lost.

The order of checks is Linux's. Source: io_uring_enter(2), futex(2).
"""

from typing import Final

from kernel.lang import EAGAIN, Errno, UserAddr, final
from kernel.lib import user
from kernel.syscalls.futex_waitv import MOST_FUTEXES, check_flags, check_word, read_futexes
from kernel.syscalls.uring_arguments import refuse_if
from kernel.task import futex
from kernel.task.task import current
from kernel.task.words import signed_32
from kernel.uring.operation import CANCEL_FROM_LIST, Operation
from kernel.uring.request import WAITS, OtherWait, Request

_WAITER_BYTES: Final = 200
_WORD: Final = 0xFFFF_FFFF


@final
class FutexWait(OtherWait):
    """Where a request waits: on each of some futexes."""

    def __init__(self, wanted: list[futex.WantedFutex]) -> None:
        self.wanted: list[futex.WantedFutex] = wanted
        self.waiters: list[futex.FutexWaiter] = []
        self.entered: int = 0  # how many of them have stood in their buckets

    def enter(self, request: Request, bitset: int) -> None:
        """Wait on all of them, if all words hold what they should. Raises EINVAL, EFAULT, EAGAIN, MemoryError; then
        `leave` must follow. Sleeps.
        """
        listener = RequestListener(request, self)
        for each in self.wanted:
            key = futex.key_of(current(), each.address, each.shared)
            waiter = futex.FutexWaiter(key, bitset, request.task)
            waiter.listener = listener
            self.waiters.append(waiter)
        for each in self.wanted:
            futex.enter(self.waiters[self.entered])
            self.entered += 1
            # Read after the waiter is queued: no wake is lost if the page has to be waited for.
            if user.read_u32(UserAddr(each.address)) != each.value:
                raise Errno(EAGAIN)

    def index_of(self, wanted: futex.FutexWaiter) -> int:
        """Which of them it is."""
        for index in range(len(self.waiters)):
            if self.waiters[index] is wanted:
                return index
        return 0

    def leave(self) -> None:
        count = self.entered
        self.entered = 0
        for index in range(count):
            waiter = self.waiters[index]
            if not waiter.is_woken:
                futex.leave(waiter)
        self.waiters.clear()  # they lead to the request


@final
class RequestListener(futex.FutexListener):
    """Ends a request when one of its futexes is woken: with the index of that, or of the last of several."""

    def __init__(self, request: Request, wait: FutexWait) -> None:
        self.request: Request = request
        self.wait: FutexWait = wait

    def woken(self, waiter: futex.FutexWaiter) -> None:
        request = self.request
        index = self.wait.index_of(waiter)
        if not request.is_settled():
            request.settle(index)
        elif 0 <= request.end.outcome < index:
            request.end.outcome = index


def _prepare_futex(request: Request) -> None:
    refuse_if(request.entry.length != 0 or request.entry.modifiers != 0)
    refuse_if(request.entry.buffer_index != 0 or request.entry.other != 0)
    check_flags(request.entry.descriptor & _WORD)
    check_word(request.entry.offset)
    check_word(request.entry.address3)


def _wait(request: Request) -> int:
    if _has_begun_to_wait(request):
        return WAITS
    refuse_if(request.entry.address3 == 0)
    shared = check_flags(request.entry.descriptor & _WORD)
    return _begin_to_wait(request, FutexWait([futex.WantedFutex(request.entry.address, shared, request.entry.offset)]))


def _wake(request: Request) -> int:
    mask = request.entry.address3
    refuse_if(mask == 0)
    count = signed_32(request.entry.offset)
    key = futex.key_of(current(), request.entry.address, check_flags(request.entry.descriptor & _WORD))
    return futex.wake(key, max(1, count), mask) if count != 0 else 0


def _prepare_futexes(request: Request) -> None:
    refuse_if(request.entry.descriptor != 0 or request.entry.buffer_index != 0)
    refuse_if(request.entry.other != 0 or request.entry.offset != 0)
    refuse_if(request.entry.modifiers != 0 or request.entry.address3 != 0)
    count = request.entry.length
    refuse_if(count == 0 or count > MOST_FUTEXES)
    request.more().wait = FutexWait(read_futexes(request.memory(), count))
    request.kept_bytes = count * _WAITER_BYTES


def _wait_on_any(request: Request) -> int:
    if _has_begun_to_wait(request):
        return WAITS
    wait = request.more().wait
    assert isinstance(wait, FutexWait)
    return _begin_to_wait(request, wait)


def _has_begun_to_wait(request: Request) -> bool:
    """Whether it is only looked at once more."""
    return request.progress.has_begun


def _begin_to_wait(request: Request, wait: FutexWait) -> int:
    """Raises what `FutexWait.enter` raises, unless the request was woken before; ECANCELED."""
    request.more().wait = wait
    bitset = futex.BITSET_ANY if request.entry.address3 == 0 else request.entry.address3
    try:
        wait.enter(request, bitset)
    except (Errno, MemoryError):
        if not request.is_settled():
            raise
    if request.is_settled():
        return request.end.outcome
    request.ring.keep(request)
    return WAITS


Operation(51, _prepare_futex, _wait, cancelling=CANCEL_FROM_LIST)
Operation(52, _prepare_futex, _wake)
Operation(53, _prepare_futexes, _wait_on_any, cancelling=CANCEL_FROM_LIST)
