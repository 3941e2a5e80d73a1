"""Parts of an address space: numbers and switches that belong together.

They are structs inside the object and begin as zeros, as those of a task (kernel/task/parts.py).

Guarded by the kernel lock.
"""

from kernel.lang import struct


@struct
class SpaceLayout:
    """Where what lies in a space. Of a program's parts the kernel knows by execve(2), or by prctl(2), PR_SET_MM."""

    mapping_top: int  # mmap looks for room below this
    mapping_bottom: int  # … or above this, if it is not 0
    brk_start: int
    brk_end: int
    argument_start: int
    argument_end: int
    environment_start: int
    environment_end: int
    stack_top: int
    code_start: int
    code_end: int
    data_start: int
    data_end: int
    vdso_start: int
    probe_page: int  # where displaced instructions run (kernel/perf/probe_page.py); 0: there is no such page
    has_breakpoints: bool  # a probe's may stand there, or have stood there (kernel/perf/probes.py)
    is_being_copied: bool  # by fork(2), which copies its parent's layout at its end


@struct
class SpaceLimits:
    """Its process's resource limits, in bytes (setrlimit(2)); the task layer sets them."""

    address: int
    data: int
    stack: int


@struct
class SpaceSettings:
    """Settings of prctl(2), kept by fork and execve, and what a core file shows."""

    refuses_huge_pages: bool
    write_execute_rule: int  # PR_SET_MDWE: DENY_WRITE_EXECUTE, and perhaps THIS_SPACE_ONLY
    dump_filter: int  # DUMP_*
