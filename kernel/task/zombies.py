"""The children that wait to be reaped, oldest first: wait(2) takes that one, however many others live.

A pairing heap by the order in which the parent got its children, linked through the processes themselves: adding one
allocates nothing, since a process that ends cannot be refused.

Invariants: no process is younger than one below it; `heap_previous` is the previous sibling, or the parent in the heap
of a first child.
Cost: adding is constant, removing one logarithmic on average.
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
    child.family.is_in_heap = True
    oldest = parent.family.oldest_zombie
    parent.family.oldest_zombie = child if oldest is None else _merge(oldest, child)


def leave_zombies(parent: Process, child: Process) -> None:
    """The child is reaped, or gets another parent."""
    if not child.family.is_in_heap:
        return
    child.family.is_in_heap = False
    below = _combine(child)
    previous = child.family.heap_previous
    if previous is None:
        parent.family.oldest_zombie = below
        return
    following = child.family.heap_next
    if previous.family.heap_first is child:
        previous.family.heap_first = following
    else:
        previous.family.heap_next = following
    if following is not None:
        following.family.heap_previous = previous
    child.family.heap_previous = None
    child.family.heap_next = None
    top = parent.family.oldest_zombie
    if below is not None and top is not None:
        parent.family.oldest_zombie = _merge(top, below)


def _merge(one: Process, other: Process) -> Process:
    """Merge two heaps; returns the top, which has no siblings."""
    top = one if one.origin.order < other.origin.order else other
    below = other if top is one else one
    first = top.family.heap_first
    below.family.heap_previous = top
    below.family.heap_next = first
    if first is not None:
        first.family.heap_previous = below
    top.family.heap_first = below
    return top


def _combine(parent: Process) -> Process | None:
    """Merge the heaps below a removed one: in pairs, then the pairs from the last to the first."""
    rest = parent.family.heap_first
    parent.family.heap_first = None
    pairs: Process | None = None  # linked by `heap_next`, the last first
    while rest is not None:
        one = rest
        other = one.family.heap_next
        rest = None
        one.family.heap_next = None
        one.family.heap_previous = None
        if other is not None:
            rest = other.family.heap_next
            other.family.heap_next = None
            other.family.heap_previous = None
            one = _merge(one, other)
        one.family.heap_next = pairs
        pairs = one
    top: Process | None = None
    while pairs is not None:
        one = pairs
        pairs = one.family.heap_next
        one.family.heap_next = None
        top = one if top is None else _merge(top, one)
    return top
