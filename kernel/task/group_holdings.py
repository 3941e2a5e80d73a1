"""The kernel memory held for descriptors of processes in a control group: sockets with the contents of their queues,
queues of events. It is counted when the heap has grown for a thread of the group, or when that has run for a while.

Context: sleeps, if there are many descriptors.
"""

from typing import Final

from kernel.cgroup.memory import MEMORY_CONTROLS, MemoryControl
from kernel.fs.descriptors import FileTable
from kernel.lang import noinline, noraise
from kernel.lib.pace import pace
from kernel.mm.frames import PAGE_SHIFT
from kernel.task.memory_shortage import COUNTS
from kernel.task.task import Task

_LOOK_COST: Final = 150  # instructions for a descriptor


@noinline
@noraise
def count_holdings(task: Task) -> None:
    """Count, for the group of the running thread, the kernel memory held for it now."""
    task.membership.counts_holdings = False
    files = task.file_table
    control = MEMORY_CONTROLS.living(task.charges.memory)
    if files is not None and control is not None:
        _count(files, control)
        if control.exceeded(0) is not None:
            task.charges.is_over_limit = True


@noraise
def count_again(task: Task) -> None:
    """The same for any thread: data that others have taken out of its queues are no longer held. Sleeps."""
    files = task.file_table
    if files is not None and files.control is not None:
        _count(files, files.control)


def _count(files: FileTable, control: MemoryControl) -> None:
    """Each holder of a shared description counts its part."""
    COUNTS.last += 1
    count = COUNTS.last
    held_bytes = 0
    for descriptor in range(files.size()):
        file = files.find(descriptor)
        if file is not None:
            held_bytes += file.heap_bytes(count) // max(file.users, 1)
        pace(_LOOK_COST)
    if control.holder is not None and files.users > 0:
        files.count_for(control, held_bytes >> PAGE_SHIFT)
