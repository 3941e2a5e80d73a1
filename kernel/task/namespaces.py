"""Leaving and entering namespaces: the work of clone(2), unshare(2) and setns(2) (namespaces(7)).

A time namespace that a task creates is entered by its children, and by itself with the next program (execve(2)):
threads that share memory share the pages by which they read the clocks.

A call that asks for a user namespace and others creates the user namespace first, and it owns the others.
"""

from typing import Final

from kernel.cgroup.namespace import GroupNamespace, new_group_namespace
from kernel.fs.mount_namespaces import check_entry, enter_namespace, separate
from kernel.fs.namespace import NamespaceFile
from kernel.fs.path import FsContext, MountNamespace
from kernel.ipc.namespace import FIRST_IPC, IpcNamespace, new_ipc_namespace
from kernel.lang import EINVAL, EPERM, ESRCH, EUSERS, Errno, final, noraise
from kernel.lib.capabilities import CAP_CHECKPOINT_RESTORE, CAP_SYS_ADMIN
from kernel.lib.credentials import Credentials
from kernel.lib.namespace import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWTIME,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    NETWORKS,
    Namespace,
    UserNamespace,
)
from kernel.lib.pid import NOBODY
from kernel.lib.settings import Setting
from kernel.task.acting import real_credentials
from kernel.task.core_settings import SUID_DUMPABLE
from kernel.task.host import Host
from kernel.task.inspection import may_attach_to
from kernel.task.namespace_set import NamespaceSet
from kernel.task.pid_namespace import LARGEST_MAX, PID_MAX, PidNamespace, new_pid_namespace
from kernel.task.task import Task, current
from kernel.task.user_namespaces import check_room, count, with_new_user_namespace
from kernel.task.vdso import enter_time
from kernel.time.namespace import TimeNamespace

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
        super().__init__(b"kernel/ns_last_pid", 0, LARGEST_MAX)
        self.mode = 0o666

    def numbers(self) -> list[int]:
        return [current().pids.last]

    def store(self, numbers: list[int]) -> None:
        if numbers[0] > PID_MAX.value:
            raise Errno(EINVAL)
        current().pids.last = numbers[0]

    def may_be_changed_by(self, who: Credentials) -> bool:
        return True  # anyone may open it, and `check_writer` decides

    def check_writer(self) -> None:
        if not may_checkpoint(current().credentials, current().pids.owner):
            raise Errno(EPERM)


def may_checkpoint(who: Credentials, owner: UserNamespace) -> bool:
    """Whether a task may choose the numbers of processes under a user namespace."""
    return who.capable_in(owner, CAP_CHECKPOINT_RESTORE) or who.capable_in(owner, CAP_SYS_ADMIN)


_LAST_PID: Final = LastPid()

# Besides user namespaces:
MADE: Final = CLONE_NEWCGROUP | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWTIME | CLONE_NEWUTS
_IN_SETS: Final = MADE & ~CLONE_NEWNS  # a NamespaceSet has them
ALL_KINDS: Final = MADE | CLONE_NEWUSER
_SHARED_BY_THREADS: Final = CLONE_THREAD | CLONE_VM | CLONE_SIGHAND | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM
_UNSHARED: Final = _SHARED_BY_THREADS | CLONE_NEWUSER | MADE


def namespace_of(task: Task, kind: int) -> Namespace | None:
    """The namespace of a kind that a task is in; None for some if the task has ended. Raises EINVAL."""
    if kind == CLONE_NEWNS:
        context = task.fs_context
        return None if context is None else context.namespace
    if kind == CLONE_NEWUTS:
        return task.namespaces.uts
    if kind == CLONE_NEWIPC:
        ipc = task.namespaces.ipc
        return ipc if task.membership.is_in_ipc or ipc is FIRST_IPC else None
    if kind == CLONE_NEWPID:
        return None if task.process.ending.is_reaped else task.pids
    if kind == CLONE_NEWUSER:
        return real_credentials(task).user_namespace
    if kind == CLONE_NEWNET:
        network = task.namespaces.network
        return network if task.membership.is_in_network or network is NETWORKS.first else None
    if kind == CLONE_NEWCGROUP:
        return None if task.is_exiting else task.namespaces.groups
    if kind == CLONE_NEWTIME:
        return None if task.is_exiting else task.namespaces.time
    raise Errno(EINVAL)


def pids_for_children_of(task: Task) -> Namespace | None:
    """The namespace of a task's future children; None until the first one is created, or if the task has ended."""
    pids = task.namespaces.pids_for_children
    has_begun = pids.init != NOBODY or pids.is_closed
    return pids if has_begun and not task.process.ending.is_reaped else None


def time_for_children_of(task: Task) -> TimeNamespace | None:
    """The namespace of a task's future children; None if the task has ended."""
    return None if task.is_exiting else task.namespaces.time_for_children


def require_administrator(task: Task, owner: UserNamespace) -> None:
    """Require the administrator of a user namespace, for creating or entering those that it owns. Raises EPERM."""
    if not task.credentials.capable_in(owner, CAP_SYS_ADMIN):
        raise Errno(EPERM)


def pids_of_child(parent: Task, flags: int, owner: UserNamespace) -> PidNamespace:
    """clone(2): the child's namespace; a new one belongs to the user namespace `owner`. Raises EPERM, EINVAL, ENOSPC,
    MemoryError.
    """
    if flags & CLONE_NEWPID == 0:
        return parent.namespaces.pids_for_children
    require_administrator(parent, owner)
    return _below(parent, owner)


def _below(task: Task, owner: UserNamespace) -> PidNamespace:
    """A new pid namespace for children. Raises EINVAL if the task's children are not created in its own."""
    if task.namespaces.pids_for_children is not task.pids:
        raise Errno(EINVAL)
    check_room(owner, task.credentials.euid, CLONE_NEWPID)
    fresh = new_pid_namespace(task.pids, owner)
    count(fresh, owner, task.credentials.euid)
    return fresh


def _new_uts(task: Task, owner: UserNamespace) -> Host:
    check_room(owner, task.credentials.euid, CLONE_NEWUTS)
    fresh = task.namespaces.uts.copy(owner)
    count(fresh, owner, task.credentials.euid)
    return fresh


def _new_ipc(task: Task, owner: UserNamespace) -> IpcNamespace:
    check_room(owner, task.credentials.euid, CLONE_NEWIPC)
    fresh = new_ipc_namespace(owner)
    try:
        count(fresh, owner, task.credentials.euid)
    except MemoryError:
        fresh.end()
        raise
    return fresh


def _new_network(task: Task, owner: UserNamespace) -> Namespace:
    make = NETWORKS.make
    if make is None:
        raise Errno(EINVAL)
    check_room(owner, task.credentials.euid, CLONE_NEWNET)
    fresh = make(owner)
    fresh.acquire()
    try:
        count(fresh, owner, task.credentials.euid)
    except MemoryError:
        fresh.release()
        raise
    return fresh


def _new_groups(task: Task, owner: UserNamespace) -> GroupNamespace:
    check_room(owner, task.credentials.euid, CLONE_NEWCGROUP)
    fresh = new_group_namespace(task.cgroup, owner)
    count(fresh, owner, task.credentials.euid)
    return fresh


def _new_time(task: Task, owner: UserNamespace) -> TimeNamespace:
    check_room(owner, task.credentials.euid, CLONE_NEWTIME)
    fresh = task.namespaces.time_for_children.copy(owner)
    count(fresh, owner, task.credentials.euid)
    return fresh


def _separate(task: Task, context: FsContext, owner: UserNamespace) -> None:
    check_room(owner, task.credentials.euid, CLONE_NEWNS)
    count(separate(context, owner), owner, task.credentials.euid)


def give_child_its_own(parent: Task, child: Task, flags: int) -> None:
    """clone(2): the child, which has files and a file context of its own, gets new namespaces of some kinds, and shares
    the rest. Raises EPERM, ENOSPC, MemoryError.
    """
    owner = child.credentials.user_namespace
    if flags & MADE == 0:
        child.namespaces = parent.namespaces
        _join_ipc(child)
        _join_network(child)
        _begin_time(parent, child, flags)
        return
    require_administrator(parent, owner)
    if flags & CLONE_NEWIPC != 0 and flags & CLONE_SYSVSEM != 0:
        raise Errno(EINVAL)
    fresh = parent.namespaces.copy()
    fresh.pids_for_children = child.pids
    child.namespaces = fresh  # only the child has them yet
    if flags & CLONE_NEWNS != 0:
        _separate(parent, child.fs, owner)
    if flags & CLONE_NEWUTS != 0:
        fresh.uts = _new_uts(parent, owner)
    if flags & CLONE_NEWCGROUP != 0:
        fresh.groups = _new_groups(parent, owner)
    if flags & CLONE_NEWTIME != 0:
        fresh.time_for_children = _new_time(parent, owner)
    if flags & CLONE_NEWIPC != 0:
        fresh.ipc = _new_ipc(parent, owner)
    _join_ipc(child)
    if flags & CLONE_NEWNET == 0:
        _join_network(child)
    else:
        fresh.network = _new_network(parent, owner)
        child.membership.is_in_network = True
    _begin_time(parent, child, flags)


def _begin_time(parent: Task, child: Task, flags: int) -> None:
    """The child, which has its memory, enters the time namespace for children unless that memory is its parent's."""
    if flags & CLONE_VM == 0 and child.namespaces.time_for_children is not parent.namespaces.time:
        enter_time(child, child.namespaces.time_for_children)


def _join_ipc(task: Task) -> None:
    """Count a task as a user of the namespace in its set."""
    task.namespaces.ipc.acquire()
    task.membership.is_in_ipc = True


def _join_network(task: Task) -> None:
    """Count a task as a user of the network in its set."""
    task.namespaces.network.acquire()
    task.membership.is_in_network = True


def _change_set(task: Task, fresh: NamespaceSet) -> None:
    """Replace the task's set; keep it if nothing changes. Pending semaphore undos of the old one are done first.
    Sockets stay where they are.
    """
    if fresh is task.namespaces:
        return
    if fresh.ipc is not task.namespaces.ipc:
        undo_semaphores(task)
    old = task.namespaces
    was_in_ipc = task.membership.is_in_ipc
    was_in_network = task.membership.is_in_network
    task.namespaces = fresh
    _join_ipc(task)
    _join_network(task)
    if was_in_ipc:
        old.ipc.release()
    if was_in_network:
        old.network.release()


@noraise
def leave_namespaces(task: Task) -> None:
    """The task ends, or will not live."""
    if task.membership.is_in_ipc:
        task.membership.is_in_ipc = False
        task.namespaces.ipc.release()
    if task.membership.is_in_network:
        task.membership.is_in_network = False
        task.namespaces.network.release()


def undo_semaphores(task: Task) -> None:
    """Do the task's SEM_UNDO operations now, if no other thread shares them."""
    belongings = task.belongings
    if belongings is None:
        return
    undos = belongings.semaphore_undos
    belongings.semaphore_undos = None
    if undos is not None:
        undos.release(task.process.bearer)


def unshare(task: Task, flags: int) -> None:
    """unshare(2)."""
    if flags & CLONE_NEWUSER != 0:
        flags |= CLONE_THREAD | CLONE_FS
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
    fresh = task.namespaces if flags & _IN_SETS == 0 else task.namespaces.copy()
    ipc: IpcNamespace | None = None
    network: Namespace | None = None
    credentials = task.credentials
    try:
        if flags & CLONE_FS != 0 and (flags & CLONE_NEWNS != 0 or task.fs.users > 1):
            context = task.fs.copy()
        if flags & CLONE_FILES != 0 and files.users > 1:
            files = files.copy()
        if flags & CLONE_NEWUSER != 0:
            credentials = with_new_user_namespace(task)
        owner = credentials.user_namespace
        if flags & MADE != 0:
            require_administrator(task, owner)
        if flags & CLONE_NEWUTS != 0:
            fresh.uts = _new_uts(task, owner)
        if flags & CLONE_NEWCGROUP != 0:
            fresh.groups = _new_groups(task, owner)
        if flags & CLONE_NEWIPC != 0:
            ipc = _new_ipc(task, owner)
            fresh.ipc = ipc
        if flags & CLONE_NEWPID != 0:
            fresh.pids_for_children = _below(task, owner)
        if flags & CLONE_NEWTIME != 0:
            fresh.time_for_children = _new_time(task, owner)
        if flags & CLONE_NEWNET != 0:
            network = _new_network(task, owner)
            fresh.network = network
        if context is not None and flags & CLONE_NEWNS != 0:
            _separate(task, context, owner)
    except (Errno, MemoryError):
        if ipc is not None:
            ipc.end()
        if network is not None:
            network.release()
        if context is not None:
            context.release()
        if files is not task.files:
            files.release()
        raise
    task.credentials = credentials
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
    _change_set(task, fresh)
    if network is not None:
        network.release()  # the reference that it has as its creator


def _require_alone(task: Task, flags: int) -> None:
    """Raise EINVAL if the call would separate what threads must share."""
    if flags & CLONE_THREAD != 0 and task.process.thread_count() > 1:
        raise Errno(EINVAL)
    if flags & CLONE_VM != 0 and task.space.users > 1:
        raise Errno(EINVAL)


# ---- setns(2) -------------------------------------------------------------------------------------------------------


def enter(task: Task, file: NamespaceFile, kind: int) -> None:
    """setns(2) with a namespace's file. `kind` is the kind that the caller expects, 0 for any."""
    namespace = file.namespace
    if kind != 0 and kind != namespace.kind:
        raise Errno(EINVAL)
    _check_entry(task, namespace, task.credentials.user_namespace)
    _enter_all(task, [namespace])


def check_kinds(kinds: int) -> None:
    """Raise EINVAL unless setns(2) with a process descriptor knows the kinds, before the process is found."""
    if kinds == 0 or kinds & ~ALL_KINDS != 0:
        raise Errno(EINVAL)


def enter_those_of(task: Task, other: Task, kinds: int) -> None:
    """setns(2) with a process descriptor: enter those of some kinds of another process, or none. Raises EINVAL, EPERM,
    ESRCH.
    """
    if not may_attach_to(task, other.process, other):
        raise Errno(EPERM)
    if other.is_exiting:
        raise Errno(ESRCH)
    inside = task.credentials.user_namespace
    if kinds & CLONE_NEWUSER != 0:
        inside = real_credentials(other).user_namespace
    entered: list[Namespace] = []
    for kind in _IN_ORDER:
        if kinds & kind != 0:
            namespace = namespace_of(other, kind)
            if namespace is None:
                raise Errno(ESRCH)
            _check_entry(task, namespace, inside)
            entered.append(namespace)
    for namespace in entered:
        namespace.acquire()  # leaving a mount namespace may take long, and the other process may end
    try:
        _enter_all(task, entered)
    finally:
        for namespace in entered:
            namespace.release()


# A user namespace comes first, because it decides what else may be entered.
_IN_ORDER: Final = [
    CLONE_NEWUSER,
    CLONE_NEWNS,
    CLONE_NEWUTS,
    CLONE_NEWIPC,
    CLONE_NEWPID,
    CLONE_NEWCGROUP,
    CLONE_NEWNET,
    CLONE_NEWTIME,
]


def _check_entry(task: Task, namespace: Namespace, inside: UserNamespace) -> None:
    """Whether a task may enter a namespace, together with the user namespace `inside`, or being in it. Raises EPERM,
    EINVAL, EUSERS.
    """
    if isinstance(namespace, UserNamespace):
        _check_user_entry(task, namespace)
        return
    if isinstance(namespace, MountNamespace):
        check_entry(task.fs, namespace, inside)
        return
    if isinstance(namespace, TimeNamespace) and (task.process.thread_count() > 1 or task.space.users > 1):
        raise Errno(EUSERS)
    require_administrator(task, namespace.owner)
    require_administrator(task, inside)
    if isinstance(namespace, PidNamespace) and not task.pids.contains(namespace):
        raise Errno(EINVAL)  # children may only be created in the task's own or below


def _check_user_entry(task: Task, namespace: UserNamespace) -> None:
    """No one gains capabilities by re-entering its own, and state shared by threads has one owner."""
    if namespace is task.credentials.user_namespace or task.process.thread_count() > 1 or task.fs.users != 1:
        raise Errno(EINVAL)
    if not task.credentials.capable_in(namespace, CAP_SYS_ADMIN):
        raise Errno(EPERM)


def _enter_all(task: Task, namespaces: list[Namespace]) -> None:
    """Enter the checked namespaces. Raises MemoryError, and then none was entered."""
    fresh = task.namespaces
    for namespace in namespaces:
        if namespace.kind & _IN_SETS != 0:
            if fresh is task.namespaces:
                fresh = fresh.copy()
            fresh.put(namespace)
    for namespace in namespaces:
        _enter(task, namespace)
    _change_set(task, fresh)
    for namespace in namespaces:
        if isinstance(namespace, TimeNamespace):
            enter_time(task, namespace)


def _enter(task: Task, namespace: Namespace) -> None:
    """Do the work of entering one beyond the set. The task's SEM_UNDO operations are done even if it is already in that
    namespace. Raises MemoryError only for a user namespace, which is entered first.
    """
    if isinstance(namespace, UserNamespace):
        old = task.credentials
        fresh = old.copy()
        fresh.enter(namespace)
        if fresh.is_dangerous_after(old):
            task.process.program.dumpable = SUID_DUMPABLE.value
            task.process.settings.death_signal = 0
        task.credentials = fresh
    elif isinstance(namespace, MountNamespace):
        enter_namespace(task.fs, namespace)
    elif isinstance(namespace, IpcNamespace):
        undo_semaphores(task)
