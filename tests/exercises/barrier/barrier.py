"""barrier(count): a system call in which callers wait until `count` of them are there."""

from typing import Final

from kernel.doors.table import syscall
from kernel.lang import EINVAL, Errno, final
from kernel.sched import WaitQueue

_MOST: Final = 1000


@final
class Round:
    """Callers that go on together."""

    def __init__(self, wanted: int) -> None:
        self.wanted: int = wanted
        self.arrived: int = 0
        self.is_over: bool = False
        self.waiters: WaitQueue = WaitQueue()


@final
class Barrier:
    """The round that is being waited for."""

    def __init__(self) -> None:
        self.round: Round | None = None


BARRIER: Final = Barrier()


@syscall("barrier", number=502, status="Full", args="count")
def barrier(count: int) -> int:
    """Wait for the others; how many were there before the caller. The first of a round says how many it needs, and
    EINVAL is what others get who say another number. A signal takes the caller out again.
    """
    if not 0 < count <= _MOST:
        raise Errno(EINVAL)
    meeting = BARRIER.round
    if meeting is None:
        meeting = Round(count)
        BARRIER.round = meeting
    if meeting.wanted != count:
        raise Errno(EINVAL)
    rank = meeting.arrived
    meeting.arrived += 1
    if meeting.arrived == count:
        meeting.is_over = True
        BARRIER.round = None
        meeting.waiters.wake_all()
        return rank
    try:
        while not meeting.is_over:
            meeting.waiters.sleep()
    finally:
        if not meeting.is_over:  # a signal came first, or there was no memory
            meeting.arrived -= 1
            if meeting.arrived == 0:
                BARRIER.round = None
    return rank
