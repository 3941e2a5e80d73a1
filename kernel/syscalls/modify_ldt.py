"""A program's own segments: modify_ldt(2).

Linux returns an int, so errors come as 32-bit numbers, and the C library takes them for results.
"""

from typing import Final

from arch.programs import LocalTable, read_description, show_default_table
from kernel.doors.table import syscall
from kernel.lang import ENOMEM, ENOSYS, Errno, UserAddr, i32
from kernel.task import current
from kernel.task.task import Task

_READ: Final = 0
_WRITE_OLD: Final = 1
_READ_DEFAULT: Final = 2
_WRITE: Final = 0x11
_INT: Final = 0xFFFF_FFFF
_LARGEST: Final = 1 << 20  # more than any table: sizes are unsigned


@syscall("modify_ldt", status="Full", args="one:0|1|2|0x11 =segment size", notes="32-bit code cannot make system calls")
def modify_ldt(function: i32, address: UserAddr, size: int) -> int:
    """modify_ldt(2)."""
    try:
        return _modify(current(), function, address, size)
    except Errno as error:
        return -error.code & _INT
    except MemoryError:
        return -ENOMEM & _INT


def _modify(task: Task, function: int, address: UserAddr, size: int) -> int:
    if function == _READ:
        table = task.space.segments
        return 0 if table is None else table.show(address, size if size >= 0 else _LARGEST)
    if function == _READ_DEFAULT:
        return show_default_table(address, size if size >= 0 else _LARGEST)
    if function != _WRITE and function != _WRITE_OLD:
        raise Errno(ENOSYS)
    number, descriptor = read_description(address, size, old_mode=function == _WRITE_OLD)
    table = task.space.segments
    if table is None:
        table = LocalTable()
        task.space.segments = table
        for thread in task.process.threads.values():
            thread.registers.use_segments(table)
    table.put(number, descriptor)
    task.registers.refresh_segments(table)
    return 0
