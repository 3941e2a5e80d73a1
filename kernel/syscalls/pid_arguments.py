"""Threads and processes that a program names by number."""

from kernel.lang import ESRCH, Errno
from kernel.task.pids import find_process, find_task
from kernel.task.process import Process
from kernel.task.task import Task, current


def task_at(pid: int) -> Task:
    """The thread of a positive number. Raises ESRCH."""
    task = find_task(current().pids.resolve(pid)) if pid > 0 else None
    if task is None:
        raise Errno(ESRCH)
    return task


def process_at(pid: int) -> Process:
    """The process of a number, which may be that of any of its threads; the caller's own for 0. Raises ESRCH."""
    task = current()
    if pid == 0:
        return task.process
    chosen = task.pids.resolve(pid)
    process = find_process(chosen)
    if process is not None:
        return process
    thread = find_task(chosen)
    if thread is None:
        raise Errno(ESRCH)
    return thread.process
