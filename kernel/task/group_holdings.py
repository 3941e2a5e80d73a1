"""What the kernel's heap holds for descriptors of processes in a control group: sockets with what lies in their queues,
queues of events. It is looked at as often as a thread of the group has run for a while, as holding more takes time.

Context: sleeps, where there are many descriptors.
"""

from typing import Final

from kernel.cgroup.memory import MEMORY_CONTROLS
from kernel.lang import noinline, noraise
from kernel.lib.pace import pace
from kernel.mm.frames import PAGE_SHIFT
from kernel.task.task import Task

_LOOK_COST: Final = 150  # instructions for a descriptor


@noinline
@noraise
def count_holdings(task: Task) -> None:
    """Count for the group of the running thread what the kernel holds for it now."""
    task.counts_holdings = False
    files = task.file_table
    if files is None or task.charged == 0:
        return
    held_bytes = 0
    for descriptor in range(files.size()):
        file = files.find(descriptor)
        if file is not None:
            held_bytes += file.heap_bytes()
        pace(_LOOK_COST)
    control = MEMORY_CONTROLS.living(task.charged)
    if control is None or files.users == 0:
        return
    files.count_for(control, held_bytes >> PAGE_SHIFT)
    if control.exceeded(0) is not None:
        task.lacks_charge = True
