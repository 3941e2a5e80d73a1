"""_exit(2), exit_group(2)."""

from kernel.doors.table import syscall
from kernel.lang import i32
from kernel.task.exit import end_process, end_thread, exit_task
from kernel.task.task import current


@syscall("exit", status="Full", args="int")
def exit_call(code: i32) -> int:
    """_exit(2), of one thread."""
    end_thread(current(), (code & 0xFF) << 8)
    return 0


@syscall("exit_group", status="Full", args="int")
def exit_group(code: i32) -> int:
    """exit_group(2): all threads end."""
    task = current()
    end_process(task.process, (code & 0xFF) << 8)
    exit_task(task)
    return 0
