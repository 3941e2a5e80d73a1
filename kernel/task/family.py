"""The children of a process, and its place among its siblings that wait to be reaped.

Invariants: living and zombie children are in one list, the oldest first: the order of their births (zombies.py) grows
from each to the next. List and heap of zombies are linked through the processes, so that entering allocates nothing.
Guarded by the kernel lock: the parent changes it in fork and wait, a child in exit.
"""

from typing import TYPE_CHECKING, Final

from kernel.lang import final, inline
from kernel.lib.linked import FIRST, NEXT, Linkage, Links
from kernel.lib.pace import spend
from kernel.sched import WaitQueue
from kernel.task.usage import Usage

if TYPE_CHECKING:
    from kernel.task.process import Process

_SKIP_COST: Final = 6  # instructions


@final
class Family:
    """The family, as described above."""

    children: Links["Process"]
    siblings: Links["Process"]  # its place among the children of the parent

    def __init__(self) -> None:
        self.news: int = 0  # how often there was something to report, or a child left
        self.waiters: WaitQueue = WaitQueue()  # wait(2): woken for reports of children and tracees
        self.waited: Usage = Usage()  # of reaped children, and of theirs
        self.oldest_zombie: Process | None = None  # of the children: the top of their heap
        # In the heap of the parent (zombies.py)
        self.heap_above: Process | None = None
        self.heap_left: Process | None = None
        self.heap_right: Process | None = None
        self.heap_rank: int = 0  # 0: not in it

    @property
    def first_child(self) -> "Process | None":
        """The oldest."""
        return self.children[FIRST]

    @property
    def is_in_heap(self) -> bool:
        """Whether the process waits to be reaped."""
        return self.heap_rank != 0

    def tell(self) -> None:
        """A child or tracee has something to report, or waits must look again for another reason: wake them."""
        self.news += 1
        self.waiters.wake_all()


@final
class _Children(Linkage["Process"]):
    @inline
    def links(self, entry: "Process") -> "Links[Process]":
        return entry.family.siblings


_CHILDREN: Final = _Children()


def enter_child(parent: "Process", child: "Process", order: int) -> None:
    """A process that is nobody's child becomes the youngest one of this parent: it has the highest order."""
    child.origin.order = order
    _CHILDREN.append(parent.family.children, child)


def leave_parent(parent: "Process", child: "Process") -> None:
    """A child is reaped, or gets another parent."""
    parent.family.news += 1
    _CHILDREN.remove(parent.family.children, child)


def child_after(parent: "Process", child: "Process", order: int) -> "Process | None":
    """The next younger child after a safe point: the one from which to go on had this order, and may have left."""
    if child.parent is parent and child.origin.order == order:
        return child.family.siblings[NEXT]
    other = parent.family.first_child
    while other is not None and other.origin.order <= order:
        other = other.family.siblings[NEXT]
        spend(_SKIP_COST)
    return other
