"""Safe points in long loops, counted so that they are nearly free.

The kernel runs with interrupts off, so a loop that a program can make long would stop the machine. Such a loop calls
`pace(instructions)` in each turn, with a rough guess of what the turn costs. When the turns add up to `PACE_BUDGET`, in
whatever loops and calls, the processor takes a safe point: interrupts are served, and another thread runs if it is its
turn. No stretch between two safe points may be longer than `STRETCH_LIMIT`.

`pace` sleeps: the caller's state must be consistent, and it must check again what others may have changed. A long call
that a signal should end asks `is_interrupted` or `is_dying` after it.

Context: sleeps. The scheduler defines what a safe point does (kernel/sched/rest.py); before it starts, nothing happens.
"""

from typing import Final

from kernel.lang import EINTR, Errno, final, inline, noinline

STRETCH_LIMIT: Final = 1_000_000  # instructions
PACE_BUDGET: Final = 200_000  # instructions; the rest of the limit covers wrong guesses
PACE_BYTES: Final = 65536  # copies are cut into pieces of at most this length
_BYTES_SHIFT: Final = 2  # copying 8 bytes takes two instructions


class Rest:
    """What a safe point does, and what it tells about the running thread. Base class: nothing else runs yet."""

    def take(self) -> None:
        """Let interrupts in, and others run."""

    def wait_for_change(self) -> None:
        """Sleep until `report_change`: for modules below the scheduler and rare changes. Check again afterwards."""

    def report_change(self) -> None:
        """Wake whoever waits for a change."""

    def is_interrupted(self) -> bool:
        """Whether a signal waits for the running thread."""
        return False

    def is_dying(self) -> bool:
        """Whether the running thread is being killed: nobody will see what its call returns."""
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
    """Count a finished turn of a long loop, of about that many instructions. The caller's state must be consistent."""
    spend(instructions)
    if PACE.left < 0:
        take_rest()


@inline
def pace_or_end(instructions: int) -> None:
    """The same in work whose result nobody will see once the running thread is killed. Raises EINTR then: with the work
    so far undone, or complete. For nested loops: a killed program must end soon, not in minutes.
    """
    spend(instructions)
    if PACE.left < 0:
        rest_or_end()


@inline
def spend(instructions: int) -> None:
    """Count about that many instructions where no safe point is allowed: the next one comes sooner by that much."""
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
    """A safe point, now. Raises EINTR if the running thread is being killed."""
    take_rest()
    if is_dying():
        raise Errno(EINTR)


def is_interrupted() -> bool:
    """Whether a signal waits for the running thread, so that a call that may end early should do so."""
    return PACE.rest.is_interrupted()


def is_dying() -> bool:
    """Whether the running thread is being killed, for example by SIGKILL."""
    return PACE.rest.is_dying()


@inline
def ends_at(offset: int) -> bool:
    """Whether a kill ends a transfer at an offset. Checks only at multiples of PACE_BYTES, so it is nearly free."""
    return offset & (PACE_BYTES - 1) == 0 and is_dying()
