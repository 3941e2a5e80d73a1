"""Leaving and entering namespaces: what clone(2), unshare(2) and setns(2) do with them (namespaces(7)).

Mount, UTS and IPC namespaces can be created. Of the other kinds everybody is in the first, and may enter it.
"""

from typing import Final

from kernel.fs.mount_namespaces import enter_namespace, separate
from kernel.fs.namespace import NamespaceFile
from kernel.fs.path import FsContext, MountNamespace
from kernel.ipc.namespace import IpcNamespace, new_ipc_namespace
from kernel.lang import EINVAL, EPERM, EUSERS, Errno, final, noraise
from kernel.lib.capabilities import CAP_CHECKPOINT_RESTORE, CAP_SYS_ADMIN
from kernel.lib.namespace import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWTIME,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    FIRST_CGROUP,
    FIRST_NET,
    FIRST_TIME,
    FIRST_USER,
    Namespace,
)
from kernel.lib.pid import NOBODY
from kernel.lib.settings import Setting
from kernel.task.host import Host
from kernel.task.inspection import may_attach_to
from kernel.task.pid_namespace import PID_LIMIT, PidNamespace, new_pid_namespace
from kernel.task.task import Task, current

CLONE_VM: Final = 0x100
CLONE_FS: Final = 0x200
CLONE_FILES: Final = 0x400
CLONE_SIGHAND: Final = 0x800
CLONE_THREAD: Final = 0x1_0000
CLONE_SYSVSEM: Final = 0x4_0000


@final
class LastPid(Setting):
    """/proc/sys/kernel/ns_last_pid: the number given last in the pid namespace of the running thread."""

    def __init__(self) -> None:
        super().__init__(b"kernel/ns_last_pid", 0, PID_LIMIT)

    def numbers(self) -> list[int]:
        return [current().pids.last]

    def store(self, numbers: list[int]) -> None:
        current().pids.last = numbers[0]

    def check_writer(self) -> None:
        credentials = current().credentials
        if not credentials.capable(CAP_CHECKPOINT_RESTORE) and not credentials.capable(CAP_SYS_ADMIN):
            raise Errno(EPERM)


_LAST_PID: Final = LastPid()

MADE: Final = CLONE_NEWIPC | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS
ALL_KINDS: Final = (
    MADE | CLONE_NEWCGROUP | CLONE_NEWNET | CLONE_NEWTIME | CLONE_NEWUSER
)  # fmt: skip
_UNSHARED: Final = CLONE_THREAD | CLONE_VM | CLONE_SIGHAND | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM | MADE


def namespace_of(task: Task, kind: int) -> Namespace | None:
    """The one of a kind that a task is in; None for some if the task has ended. Raises EINVAL."""
    if kind == CLONE_NEWNS:
        context = task.fs_context
        return None if context is None else context.namespace
    if kind == CLONE_NEWUTS:
        return task.uts
    if kind == CLONE_NEWIPC:
        return task.ipc
    if kind == CLONE_NEWPID:
        return None if task.process.is_reaped else task.pids
    for each in (FIRST_CGROUP, FIRST_NET, FIRST_TIME, FIRST_USER):
        if each.kind == kind:
            return each
    raise Errno(EINVAL)


def pids_for_children_of(task: Task) -> Namespace | None:
    """Where a task's children will be born; None until the first one was, or if the task has ended."""
    pids = task.pids_for_children
    has_begun = pids.init != NOBODY or pids.is_closed
    return pids if has_begun and not task.process.is_reaped else None


def require_administrator(task: Task) -> None:
    """Only those who may mount may make or enter namespaces. Raises EPERM."""
    if not task.credentials.capable(CAP_SYS_ADMIN):
        raise Errno(EPERM)


def pids_of_child(parent: Task, flags: int) -> PidNamespace:
    """clone(2): where a child is born. Raises EPERM, EINVAL, ENOSPC, MemoryError."""
    if flags & CLONE_NEWPID == 0:
        return parent.pids_for_children
    require_administrator(parent)
    return _below(parent)


def _below(task: Task) -> PidNamespace:
    """A new pid namespace for children. Raises EINVAL if the task's children are born in another one than it."""
    if task.pids_for_children is not task.pids:
        raise Errno(EINVAL)
    return new_pid_namespace(task.pids)


def give_child_its_own(parent: Task, child: Task, flags: int) -> None:
    """clone(2): the child, which has files and a file context of its own, gets new namespaces of some kinds, and shares
    the rest. Raises EPERM, MemoryError.
    """
    child.uts = parent.uts
    if flags & MADE == 0:
        _share_ipc(child, parent.ipc)
        return
    require_administrator(parent)
    if flags & CLONE_NEWIPC != 0 and flags & CLONE_SYSVSEM != 0:
        raise Errno(EINVAL)
    if flags & CLONE_NEWNS != 0:
        separate(child.fs)
    if flags & CLONE_NEWUTS != 0:
        child.uts = parent.uts.copy()
    _share_ipc(child, parent.ipc if flags & CLONE_NEWIPC == 0 else new_ipc_namespace())


def _share_ipc(task: Task, namespace: IpcNamespace) -> None:
    """Put a task that is in none into a namespace."""
    namespace.acquire()
    task.ipc = namespace
    task.is_in_ipc = True


def _change_ipc(task: Task, namespace: IpcNamespace) -> None:
    """Another one. What a namespace had of semaphores to undo is undone first."""
    undo_semaphores(task)
    old = task.ipc
    namespace.acquire()
    task.ipc = namespace
    old.release()


@noraise
def leave_namespaces(task: Task) -> None:
    """The task ends, or is not to live."""
    if task.is_in_ipc:
        task.is_in_ipc = False
        task.ipc.release()


def undo_semaphores(task: Task) -> None:
    """What the task has of SEM_UNDO is done now, if no other thread has a part in it."""
    undos = task.semaphore_undos
    task.semaphore_undos = None
    if undos is not None:
        undos.release(task.process.bearer)


def unshare(task: Task, flags: int) -> None:
    """unshare(2)."""
    if flags & CLONE_VM != 0:
        flags |= CLONE_SIGHAND
    if flags & CLONE_SIGHAND != 0:
        flags |= CLONE_THREAD
    if flags & CLONE_NEWNS != 0:
        flags |= CLONE_FS
    if flags & ~_UNSHARED != 0:
        raise Errno(EINVAL)
    _require_alone(task, flags)
    context: FsContext | None = None
    files = task.files
    uts = task.uts
    ipc: IpcNamespace | None = None
    pids = task.pids_for_children
    try:
        if flags & CLONE_FS != 0 and (flags & CLONE_NEWNS != 0 or task.fs.users > 1):
            context = task.fs.copy()
        if flags & CLONE_FILES != 0 and files.users > 1:
            files = files.copy()
        if flags & MADE != 0:
            require_administrator(task)
        if flags & CLONE_NEWUTS != 0:
            uts = uts.copy()
        if flags & CLONE_NEWIPC != 0:
            ipc = new_ipc_namespace()
        if flags & CLONE_NEWPID != 0:
            pids = _below(task)
        if context is not None and flags & CLONE_NEWNS != 0:
            separate(context)
    except (Errno, MemoryError):
        if context is not None:
            context.release()
        if files is not task.files:
            files.release()
        raise
    task.uts = uts
    task.pids_for_children = pids
    if context is not None:
        old_context = task.fs
        task.fs_context = context
        old_context.release()
    if files is not task.files:
        old_files = task.files
        task.file_table = files
        old_files.release()
    if flags & CLONE_SYSVSEM != 0:
        undo_semaphores(task)
    if ipc is not None:
        _change_ipc(task, ipc)


def _require_alone(task: Task, flags: int) -> None:
    """Raise EINVAL where what threads must share would be taken apart."""
    if flags & CLONE_THREAD != 0 and task.process.thread_count() > 1:
        raise Errno(EINVAL)
    if flags & CLONE_VM != 0 and task.space.users > 1:
        raise Errno(EINVAL)


def enter(task: Task, file: NamespaceFile, kind: int) -> None:
    """setns(2) with a namespace's file. `kind` is what the caller takes it for, 0 if that does not matter."""
    namespace = file.namespace
    if kind != 0 and kind != namespace.kind:
        raise Errno(EINVAL)
    _enter(task, namespace)


def enter_those_of(task: Task, other: Task, kinds: int) -> None:
    """setns(2) with a process descriptor: those of some kinds of another process, all or none. Raises EINVAL, EPERM."""
    if kinds == 0 or kinds & ~ALL_KINDS != 0:
        raise Errno(EINVAL)
    if not may_attach_to(task, other.process, other):
        raise Errno(EPERM)
    if kinds & CLONE_NEWUSER != 0:
        raise Errno(EINVAL)  # everybody is in it
    require_administrator(task)
    if kinds & CLONE_NEWTIME != 0:
        _require_one_thread(task)
    mounts = namespace_of(other, CLONE_NEWNS)
    if kinds & CLONE_NEWPID != 0:
        _check_below(task, other.pids)
    if kinds & CLONE_NEWNS != 0:
        if mounts is None:
            raise Errno(EINVAL)
        _enter(task, mounts)
    if kinds & CLONE_NEWUTS != 0:
        task.uts = other.uts
    if kinds & CLONE_NEWIPC != 0:
        _change_ipc(task, other.ipc)
    if kinds & CLONE_NEWPID != 0:
        task.pids_for_children = other.pids


def _require_one_thread(task: Task) -> None:
    if task.process.thread_count() > 1:
        raise Errno(EUSERS)


def _enter(task: Task, namespace: Namespace) -> None:
    if namespace.kind == CLONE_NEWUSER:
        raise Errno(EINVAL)
    if isinstance(namespace, MountNamespace):
        enter_namespace(task.fs, namespace)
        return
    if namespace.kind == CLONE_NEWTIME:
        _require_one_thread(task)
    require_administrator(task)
    if isinstance(namespace, Host):
        task.uts = namespace
    elif isinstance(namespace, IpcNamespace):
        _change_ipc(task, namespace)
    elif isinstance(namespace, PidNamespace):
        _check_below(task, namespace)
        task.pids_for_children = namespace


def _check_below(task: Task, namespace: PidNamespace) -> None:
    """Children may be born in the task's own pid namespace or below. Raises EINVAL."""
    if not task.pids.contains(namespace):
        raise Errno(EINVAL)
