"""Whether one process may look into another: its memory, its descriptors (ptrace(2), "Ptrace access mode checking")."""

from kernel.lib.capabilities import CAP_SYS_PTRACE
from kernel.task.process import Process
from kernel.task.task import Task


def may_look_into(reader: Task, process: Process, task: Task | None) -> bool:
    """Whether `reader` may see the memory and files of a process, by the credentials of `task`, a thread of it."""
    mine = reader.credentials
    return _may(reader, process, task, mine.fsuid, mine.fsgid, mine.effective)


def may_attach_to(reader: Task, process: Process, task: Task) -> bool:
    """The same for calls that act by the reader's real ids (process_vm_readv(2), kcmp(2), pidfd_getfd(2))."""
    mine = reader.credentials
    return _may(reader, process, task, mine.uid, mine.gid, mine.permitted)


def _may(reader: Task, process: Process, task: Task | None, uid: int, gid: int, capabilities: int) -> bool:
    """By the ids and capabilities that count for the call: who is looked into must not be able to do more."""
    if reader.process is process or reader.credentials.capable(CAP_SYS_PTRACE):
        return True
    if task is None or (task.memory is not None and not process.is_dumpable):
        return False
    other = task.credentials
    return (
        other.permitted & ~capabilities == 0
        and uid == other.uid
        and uid == other.euid
        and uid == other.suid
        and gid == other.gid
        and gid == other.egid
        and gid == other.sgid
    )
