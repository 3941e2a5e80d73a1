"""Parts of a thread: numbers and switches that belong together.

They are structs inside the object and begin as zeros, as those of a task (kernel/task/parts.py). What lets a thread go
before others is in thread.py.

Guarded by the kernel lock. A thread changes its own parts, and the scheduler those of any thread.
"""

from kernel.lang import struct


@struct
class Accounts:
    """What a thread has used so far."""

    runtime_ns: int
    divided_ns: int  # the part of it that is divided into the next two
    user_ns: int
    system_ns: int
    disk_read_bytes: int
    disk_written_bytes: int  # of pages that it dirtied
    cancelled_bytes: int  # … of dirty pages that it dropped before they were written
    voluntary_switches: int
    involuntary_switches: int
    migrations: int  # from one processor to another
    started_ns: int  # since when


@struct
class Wishes:
    """How a thread asked to be scheduled (sched_setattr(2), nice(2))."""

    policy: int  # SCHED_*
    nice: int
    realtime_priority: int
    reset_on_fork: bool


@struct
class ThreadTurn:
    """A thread's turn on its processor: the present or the next one."""

    slice_ns: int  # the rest of its slice or budget; 0 or less: it has used it up, and owes the excess
    length_ns: int  # of that slice, when it began
    round: int  # the latest round in which it had a slice
    queue_index: int  # which list of the run queue


@struct
class Charges:
    """What a thread's control group counts of it; what counts it is beside them (`share`, `pressure`, `disks`)."""

    memory: int  # the number of what counts its memory (cgroup/memory.py); 0: none
    load: int  # its weight in `share` while it runs or is ready
    strain: int  # what makes its sleeps and wakes count (pressure.py)
    standing: int  # its standing in `pressure`
    has_failed: bool  # a charge did, which was the reason it did not get a page
    is_over_limit: bool  # its group is: it handles that before it goes on in user mode
