"""The children of a process, and its place among its siblings that wait to be reaped.

Invariants: living and zombie children are in one list, the oldest first: the order of their births (zombies.py) grows
from each to the next. List and heap of zombies are linked through the processes, so that entering allocates nothing.
Guarded by the kernel lock: the parent changes it in fork and wait, a child in exit.
"""

from typing import TYPE_CHECKING, Final

from kernel.lang import final
from kernel.lib.pace import spend
from kernel.sched import WaitQueue
from kernel.task.usage import Usage

if TYPE_CHECKING:
    from kernel.task.process import Process

_SKIP_COST: Final = 6  # instructions


@final
class Family:
    """The family, as described above."""

    def __init__(self) -> None:
        self.first_child: Process | None = None
        self.last_child: Process | None = None
        # Among the children of the parent
        self.elder: Process | None = None
        self.younger: Process | None = None
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
    def is_in_heap(self) -> bool:
        """Whether the process waits to be reaped."""
        return self.heap_rank != 0

    def tell(self) -> None:
        """A child or tracee has something to report, or waits must look again for another reason: wake them."""
        self.news += 1
        self.waiters.wake_all()


def enter_child(parent: "Process", child: "Process", order: int) -> None:
    """A process that is nobody's child becomes the youngest one of this parent: it has the highest order."""
    family = parent.family
    last = family.last_child
    child.origin.order = order
    child.family.elder = last
    if last is None:
        family.first_child = child
    else:
        last.family.younger = child
    family.last_child = child


def leave_parent(parent: "Process", child: "Process") -> None:
    """A child is reaped, or gets another parent."""
    family = parent.family
    family.news += 1
    elder = child.family.elder
    younger = child.family.younger
    if elder is None:
        family.first_child = younger
    else:
        elder.family.younger = younger
    if younger is None:
        family.last_child = elder
    else:
        younger.family.elder = elder
    child.family.elder = None
    child.family.younger = None


def child_after(parent: "Process", child: "Process", order: int) -> "Process | None":
    """The next younger child after a safe point: the one from which to go on had this order, and may have left."""
    if child.parent is parent and child.origin.order == order:
        return child.family.younger
    other = parent.family.first_child
    while other is not None and other.origin.order <= order:
        other = other.family.younger
        spend(_SKIP_COST)
    return other
