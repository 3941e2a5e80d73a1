"""Whether one process may look into another: its memory, its descriptors (ptrace(2), "Ptrace access mode checking")."""

from kernel.task.process import Process
from kernel.task.task import Task


def may_look_into(reader: Task, process: Process, task: Task | None) -> bool:
    """Whether `reader` may see the memory and files of a process, by the credentials of `task`, a thread of it."""
    if reader.process is process or reader.credentials.capable():
        return True
    if task is None or not process.is_dumpable:
        return False
    mine = reader.credentials
    other = task.credentials
    return (
        mine.fsuid == other.uid
        and mine.fsuid == other.euid
        and mine.fsuid == other.suid
        and mine.fsgid == other.gid
        and mine.fsgid == other.egid
        and mine.fsgid == other.sgid
    )
