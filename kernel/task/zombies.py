"""The children that wait to be reaped, oldest first: wait(2) takes that one, however many others live.

A leftist heap by the order in which the parent got its children, linked through the processes themselves: adding one
allocates nothing, since a process that ends cannot be refused. Its rank is how many processes are on the way down from
it that always goes right, itself included; on the left there is never a lower one than on the right.

Invariants: no process is younger than one below it; the rank is one more than that of the process on the right, and not
above one more than that on the left; `heap_above` is what has the process on its left or right.
Cost: adding one and removing any takes as many steps as the number of processes has bits, always: with interrupts off,
an average would not do.
Source: C. A. Crane, "Linear lists and priority queues as balanced binary trees" (1972).
"""

from typing import Final

from kernel.lang import final
from kernel.task.process import Process


@final
class Births:
    """Numbers children in the order in which their parents get them."""

    def __init__(self) -> None:
        self.last: int = 0

    def next(self) -> int:
        self.last += 1
        return self.last


BIRTHS: Final = Births()


def enter_zombie(parent: Process, child: Process) -> None:
    """A child has ended. Does nothing to one that is already in the heap."""
    if child.family.is_in_heap:
        return
    child.family.heap_rank = 1
    parent.family.oldest_zombie = _merge(parent.family.oldest_zombie, child)


def leave_zombies(parent: Process, child: Process) -> None:
    """The child is reaped, or gets another parent."""
    family = child.family
    if not family.is_in_heap:
        return
    above = family.heap_above
    below = _merge(family.heap_left, family.heap_right)
    family.heap_rank = 0
    family.heap_above = None
    family.heap_left = None
    family.heap_right = None
    if below is not None:
        below.family.heap_above = above
    if above is None:
        parent.family.oldest_zombie = below
        return
    if above.family.heap_left is child:
        above.family.heap_left = below
    else:
        above.family.heap_right = below
    place: Process | None = above
    while place is not None and _mend(place):
        place = place.family.heap_above


def _merge(one: Process | None, other: Process | None) -> Process | None:
    """Merge two heaps; returns the top, with nothing above it."""
    top: Process | None = None
    last: Process | None = None  # the end of the way down that always goes right, as far as it is merged
    while one is not None and other is not None:
        older = one
        if other.origin.order < one.origin.order:
            older = other
            other = one
        one = older.family.heap_right
        _hang(last, older)
        if last is None:
            top = older
        last = older
    rest = other if one is None else one
    if rest is not None:
        _hang(last, rest)
    if last is None:
        return rest
    while last is not None:
        _mend(last)
        last = last.family.heap_above
    return top


def _hang(above: Process | None, below: Process) -> None:
    below.family.heap_above = above
    if above is not None:
        above.family.heap_right = below


def _mend(place: Process) -> bool:
    """What is below a process has changed. Returns whether its rank has."""
    family = place.family
    left = _rank(family.heap_left)
    right = _rank(family.heap_right)
    if left < right:
        higher = family.heap_right
        family.heap_right = family.heap_left
        family.heap_left = higher
    rank = min(left, right) + 1
    has_changed = rank != family.heap_rank
    family.heap_rank = rank
    return has_changed


def _rank(process: Process | None) -> int:
    return 0 if process is None else process.family.heap_rank
