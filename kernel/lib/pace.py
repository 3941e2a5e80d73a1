"""Safe points in long loops, counted out so that they cost next to nothing.

The kernel runs with interrupts off, so a loop that a program can make long would stop the machine. Such a loop calls
`pace(instructions)` in each turn, with a rough guess of what the turn costs. When the turns add up to `PACE_BUDGET`, no
matter in which loops and calls, the processor's safe point is taken: interrupts are served, and another thread runs if
it is its turn. No stretch between two safe points may be longer than `STRETCH_LIMIT`.

`pace` sleeps: a caller holds nothing half done, and looks again at what others may have changed. A long call that a
signal should end asks `is_interrupted` or `is_dying` after it.

Context: sleeps. What a safe point is, the scheduler says (kernel/sched/rest.py); before it is there, nothing happens.
"""

from typing import Final

from kernel.lang import EINTR, Errno, final, inline, noinline

STRETCH_LIMIT: Final = 1_000_000  # instructions
PACE_BUDGET: Final = 200_000  # instructions; the rest of the limit is for what a guess misses
PACE_BYTES: Final = 65536  # copies are cut into pieces of at most this length
_BYTES_SHIFT: Final = 2  # copying 8 bytes takes two instructions


class Rest:
    """What a safe point is, and what the running thread is asked there. Base class: nobody else runs yet."""

    def take(self) -> None:
        """Let interrupts in, and others run."""

    def wait_for_change(self) -> None:
        """Sleep until `report_change`: for what lies below the scheduler and changes rarely. Look again afterwards."""

    def report_change(self) -> None:
        """Wake whoever waits for a change."""

    def is_interrupted(self) -> bool:
        """Whether a signal waits for the running thread."""
        return False

    def is_dying(self) -> bool:
        """Whether the running thread is to end: nobody will see what its call returns."""
        return False


@final
class Pace:
    """What is left before the next safe point."""

    def __init__(self) -> None:
        self.left: int = PACE_BUDGET
        self.rest: Rest = Rest()


PACE: Final = Pace()


@inline
def pace(instructions: int) -> None:
    """A turn of a long loop is done that took about that many instructions. Nothing may be half done."""
    spend(instructions)
    if PACE.left < 0:
        take_rest()


@inline
def pace_or_end(instructions: int) -> None:
    """The same in work of which nobody will see the result once the running thread is to end. Raises EINTR then: with
    what was done so far undone, or whole. For loops in loops: a killed program is to be gone soon, not in minutes.
    """
    spend(instructions)
    if PACE.left < 0:
        rest_or_end()


@inline
def spend(instructions: int) -> None:
    """About that many instructions were spent where no safe point may be: the next one comes so much sooner."""
    PACE.left -= instructions


@inline
def pace_bytes(count: int) -> None:
    """The same for `count` bytes that were copied or cleared."""
    pace(count >> _BYTES_SHIFT)


@noinline
def take_rest() -> None:
    """A safe point, now."""
    PACE.left = PACE_BUDGET
    PACE.rest.take()


@noinline
def rest_or_end() -> None:
    """A safe point, now. Raises EINTR if the running thread is to end."""
    take_rest()
    if is_dying():
        raise Errno(EINTR)


def is_interrupted() -> bool:
    """Whether a signal waits for the running thread, so that a call that may end early should."""
    return PACE.rest.is_interrupted()


def is_dying() -> bool:
    """Whether the running thread is to end, by SIGKILL for one."""
    return PACE.rest.is_dying()


@inline
def ends_at(offset: int) -> bool:
    """Whether a kill ends a transfer that has come to an offset. Asked at multiples of PACE_BYTES only, so it costs
    next to nothing.
    """
    return offset & (PACE_BYTES - 1) == 0 and is_dying()
