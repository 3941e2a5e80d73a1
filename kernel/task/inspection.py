"""Whether one process may inspect another, or control it: its memory, its descriptors (ptrace(2), "Ptrace access mode
checking").

Files of /proc check the reader's file system ids, system calls its real ids. To read memory or be a tracer is to
attach, which Yama may restrict.
"""

from kernel.lib.capabilities import CAP_SYS_PTRACE
from kernel.lib.domain import lies_within
from kernel.lib.ids import KernelGid, KernelUid
from kernel.task.acting import real_credentials
from kernel.task.process import Process
from kernel.task.task import Task
from kernel.task.yama import may_attach


def may_look_into(reader: Task, process: Process, task: Task | None) -> bool:
    """Whether `reader` may see what files of /proc show of a process, by the credentials of `task`, a thread of it."""
    mine = reader.credentials
    return _may(reader, process, task, mine.fsuid, mine.fsgid, mine.effective)


def may_reach_into(reader: Task, process: Process, task: Task | None) -> bool:
    """The same for files that a debugger uses."""
    return may_look_into(reader, process, task) and _yama_agrees(reader, process, task)


def may_ask_about(reader: Task, process: Process, task: Task) -> bool:
    """Whether calls may inform `reader` about a process (kcmp(2), get_robust_list(2))."""
    mine = reader.credentials
    return _may(reader, process, task, mine.uid, mine.gid, mine.permitted)


def may_attach_to(reader: Task, process: Process, task: Task) -> bool:
    """The same for calls that control it (ptrace(2), process_vm_readv(2), pidfd_getfd(2))."""
    return may_ask_about(reader, process, task) and _yama_agrees(reader, process, task)


def _yama_agrees(reader: Task, process: Process, task: Task | None) -> bool:
    return reader.process is process or may_attach(reader, task)


def _may(
    reader: Task, process: Process, task: Task | None, uid: KernelUid, gid: KernelGid, capabilities: int
) -> bool:
    """By the ids and capabilities relevant for the call: the inspected process must not be more privileged.
    """
    mine = reader.credentials
    if reader.process is process:
        return True
    scope = mine.scope
    if scope is not None and (task is None or not lies_within(real_credentials(task).scope, scope)):
        return False
    if mine.capable(CAP_SYS_PTRACE):
        return True
    if task is None:
        return False
    other = real_credentials(task)
    is_privileged = mine.capable_in(other.user_namespace, CAP_SYS_PTRACE)
    if not is_privileged and not other.owns_all(uid, gid):
        return False
    memory = task.memory
    if not process.is_dumpable:  # one that has ended still counts as it was, and only the first administrator may look
        if memory is None or not mine.capable_in(memory.user_namespace, CAP_SYS_PTRACE):
            return False
    return is_privileged or (mine.user_namespace is other.user_namespace and other.permitted & ~capabilities == 0)
