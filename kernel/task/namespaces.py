"""Leaving and entering namespaces: what clone(2), unshare(2) and setns(2) do with them (namespaces(7)).

Mount, UTS and IPC namespaces can be made. Of the other kinds everybody is in the first, and may enter it.
"""

from typing import Final

from kernel.fs.mount_namespaces import enter_namespace, separate
from kernel.fs.namespace import NamespaceFile
from kernel.fs.path import FsContext, MountNamespace
from kernel.ipc.namespace import IpcNamespace, new_ipc_namespace
from kernel.lang import EINVAL, EPERM, EUSERS, Errno, noraise
from kernel.lib.capabilities import CAP_SYS_ADMIN
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
    FIRST_PID,
    FIRST_TIME,
    FIRST_USER,
    Namespace,
)
from kernel.task.host import Host
from kernel.task.inspection import may_attach_to
from kernel.task.task import Task

CLONE_VM: Final = 0x100
CLONE_FS: Final = 0x200
CLONE_FILES: Final = 0x400
CLONE_SIGHAND: Final = 0x800
CLONE_THREAD: Final = 0x1_0000
CLONE_SYSVSEM: Final = 0x4_0000

MADE: Final = CLONE_NEWIPC | CLONE_NEWNS | CLONE_NEWUTS
ALL_KINDS: Final = (
    MADE | CLONE_NEWCGROUP | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWTIME | CLONE_NEWUSER
)  # fmt: skip
_UNSHARED: Final = CLONE_THREAD | CLONE_VM | CLONE_SIGHAND | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM | MADE


def namespace_of(task: Task, kind: int) -> Namespace | None:
    """The one of a kind that a task is in; None for a mount namespace if the task has ended. Raises EINVAL."""
    if kind == CLONE_NEWNS:
        context = task.fs_context
        return None if context is None else context.namespace
    if kind == CLONE_NEWUTS:
        return task.uts
    if kind == CLONE_NEWIPC:
        return task.ipc
    for each in (FIRST_CGROUP, FIRST_NET, FIRST_PID, FIRST_TIME, FIRST_USER):
        if each.kind == kind:
            return each
    raise Errno(EINVAL)


def require_administrator(task: Task) -> None:
    """Only who may mount may make or enter namespaces. Raises EPERM."""
    if not task.credentials.capable(CAP_SYS_ADMIN):
        raise Errno(EPERM)


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
        undos.release(task.pid)


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
        if context is not None and flags & CLONE_NEWNS != 0:
            separate(context)
    except (Errno, MemoryError):
        if context is not None:
            context.release()
        if files is not task.files:
            files.release()
        raise
    task.uts = uts
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
    if kinds & CLONE_NEWNS != 0:
        if mounts is None:
            raise Errno(EINVAL)
        _enter(task, mounts)
    if kinds & CLONE_NEWUTS != 0:
        task.uts = other.uts
    if kinds & CLONE_NEWIPC != 0:
        _change_ipc(task, other.ipc)


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
