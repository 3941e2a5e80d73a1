"""Making an allocation fail on purpose: the Nth of one thread finds no memory (`fail-nth` of Linux's fault injection),
or is a bug.

So a test can visit every place of a call where memory may run out, and check that nothing traps and nothing is lost; or
places all over a call where it may trap, and check that nobody waits for the dead thread. Free while it is not armed:
it hangs on the slow path of `heap.allocate`, and arming turns the fast one off.

Context: as `kernel.mm.heap`. `is_target`, entered by a room that knows threads, says which thread it is for.
"""

from collections.abc import Callable
from typing import Final

from kernel.lang import final, panic


def _nobody() -> bool:
    """Before the hook is entered: no thread."""
    return False


@final
class AllocationFailure:
    """What is to fail."""

    is_armed: bool
    countdown: int  # the number of the allocation to fail, from 1; 0 once it has failed
    is_bug: bool  # it traps rather than fails
    is_target: Callable[[], bool]  # whether the running thread is the one

    def __init__(self) -> None:
        self.is_armed = False
        self.countdown = 0
        self.is_bug = False
        self.is_target = _nobody

    def strikes(self) -> bool:
        """Called for each allocation while armed. Returns whether this one must fail; only one does."""
        if self.countdown <= 0 or not self.is_target():
            return False
        self.countdown -= 1
        if self.countdown == 0 and self.is_bug:
            panic("a bug on purpose")
        return self.countdown == 0


FAILURE: Final = AllocationFailure()
