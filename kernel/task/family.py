"""The children of a process, and its place among its siblings that wait to be reaped.

Invariants: `children` holds living and zombie children, by pid, the oldest first. The heap of zombies is linked through
their processes, so that adding one allocates nothing (zombies.py).
Guarded by the kernel lock: the parent changes it in fork and wait, a child in exit.
"""

from typing import TYPE_CHECKING

from kernel.lang import final
from kernel.lib.pid import Pid
from kernel.sched import WaitQueue
from kernel.task.usage import Usage

if TYPE_CHECKING:
    from kernel.task.process import Process


@final
class Family:
    """The family, as described above."""

    def __init__(self) -> None:
        self.children: dict[Pid, Process] = {}
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
