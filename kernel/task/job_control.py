"""Moving processes between groups, and starting sessions (setpgid(2), setsid(2))."""

from kernel.lang import EACCES, EINVAL, EPERM, ESRCH, Errno
from kernel.task.groups import drop_session_if_empty, find_group, join, new_group, new_session
from kernel.task.pids import find_process, find_task, leave_group
from kernel.task.task import Task


def change_group(task: Task, pid: int, pgid: int) -> None:
    """setpgid: move a process (0: the caller's) to a group of the session, or a new one of its own number. A group
    that this orphans gets no signal. Raises EINVAL, ESRCH, EPERM, EACCES, MemoryError.
    """
    if pgid < 0 or (pgid == 0 and pid < 0):
        raise Errno(EINVAL)
    process = task.process if pid == 0 else find_process(task.pids.resolve(pid))
    if process is None:
        raise Errno(ESRCH if find_task(task.pids.resolve(pid)) is None else EINVAL)
    caller = task.process
    if process.parent is caller:
        if process.session_id != caller.session_id:
            raise Errno(EPERM)
        if process.program.has_execed:
            raise Errno(EACCES)
    elif process is not caller:
        raise Errno(ESRCH)
    if process.is_session_leader():
        raise Errno(EPERM)
    old = process.job
    chosen = process.pid if pgid == 0 else task.pids.resolve(pgid)
    if old is None or old.pgid == chosen:
        return
    group = find_group(chosen)
    if group is None:
        if chosen != process.pid:
            raise Errno(EPERM)
        group = new_group(chosen, old.owner)
    elif group.owner is not old.owner:
        raise Errno(EPERM)
    leave_group(process)
    join(process, group)


def start_session(task: Task) -> int:
    """setsid: create a session and a group of the caller's number, without a terminal. Raises EPERM, MemoryError."""
    process = task.process
    if find_group(process.pid) is not None:
        raise Errno(EPERM)
    session = new_session(process.pid)
    try:
        group = new_group(process.pid, session)
    except MemoryError:
        drop_session_if_empty(session)
        raise
    leave_group(process)
    join(process, group)
    return task.own_pid
