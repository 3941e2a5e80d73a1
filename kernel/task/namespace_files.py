"""Commands on an open namespace file: its kind, its parent, translation of ids, which mount namespace
it is and which come before and after it (ioctl_nsfs(2)).
"""

from typing import Final

from kernel.fs.constants import O_RDONLY
from kernel.fs.mount_status import next_namespace
from kernel.fs.namespace import QUESTIONS, NamespaceFile, namespace_path
from kernel.fs.path import MountNamespace
from kernel.lang import EINVAL, ENOTTY, EPERM, ESRCH, Errno, UserAddr
from kernel.lib import user
from kernel.lib.capabilities import CAP_SYS_ADMIN
from kernel.lib.namespace import FIRST_USER, Namespace, UserNamespace
from kernel.task.pid_namespace import PidNamespace
from kernel.task.pids import find_task
from kernel.task.task import Task, current

NS_GET_USERNS: Final = 0xB701
NS_GET_PARENT: Final = 0xB702
NS_GET_NSTYPE: Final = 0xB703
NS_GET_OWNER_UID: Final = 0xB704
NS_GET_MNTNS_ID: Final = 0x8008_B705
NS_GET_PID_FROM_PIDNS: Final = 0x8004_B706
NS_GET_TGID_FROM_PIDNS: Final = 0x8004_B707
NS_GET_PID_IN_PIDNS: Final = 0x8004_B708
NS_GET_TGID_IN_PIDNS: Final = 0x8004_B709
NS_MNT_GET_INFO: Final = 0x8010_B70A
NS_MNT_GET_NEXT: Final = 0x8010_B70B
NS_MNT_GET_PREV: Final = 0x8010_B70C

_SIZE_SHIFT: Final = 16  # the bits of a command that hold the size of the argument's structure
_SIZE_MASK: Final = 0x3FFF
_WITHOUT_SIZE: Final = ~(_SIZE_MASK << _SIZE_SHIFT)
_INFO_SIZE: Final = 16  # struct mnt_ns_info


def answer(namespace: Namespace, command: int, argument: int) -> int:
    """ioctl(2) on a namespace's file."""
    task = current()
    kind = namespace.kind
    if command == NS_GET_NSTYPE:
        return kind
    if command == NS_GET_USERNS:
        return _open(task, _owner(task, namespace))
    if command == NS_GET_PARENT:
        return _open(task, _parent(task, namespace))
    if command == NS_GET_OWNER_UID:
        if not isinstance(namespace, UserNamespace):
            raise Errno(EINVAL)
        user.write_u32(UserAddr(argument), task.credentials.user_namespace.shown_uid(namespace.owner_uid))
        return 0
    if command == NS_GET_MNTNS_ID:
        user.write_u64(UserAddr(argument), _mounts(namespace).sequence)
        return 0
    if NS_GET_PID_FROM_PIDNS <= command <= NS_GET_TGID_IN_PIDNS:
        return _number(task, namespace, command, argument)
    return _ask_mounts(task, namespace, command, argument)


def _mounts(namespace: Namespace) -> MountNamespace:
    """The mount namespace; raises EINVAL for one of another kind."""
    if not isinstance(namespace, MountNamespace):
        raise Errno(EINVAL)
    return namespace


def _ask_mounts(task: Task, namespace: Namespace, command: int, argument: int) -> int:
    """Commands whose structure may grow: about a mount namespace, or to open the next or previous one."""
    size = command >> _SIZE_SHIFT & _SIZE_MASK
    kind = command & _WITHOUT_SIZE
    if kind == NS_MNT_GET_INFO & _WITHOUT_SIZE:
        mounts = _mounts(namespace)
        if argument == 0 or size < _INFO_SIZE:
            raise Errno(EINVAL)
        _describe(UserAddr(argument), mounts)
        return 0
    backwards = kind == NS_MNT_GET_PREV & _WITHOUT_SIZE
    if not backwards and kind != NS_MNT_GET_NEXT & _WITHOUT_SIZE:
        raise Errno(ENOTTY)
    if not task.credentials.capable(CAP_SYS_ADMIN):
        raise Errno(EPERM)
    mounts = _mounts(namespace)
    if argument != 0 and size < _INFO_SIZE:
        raise Errno(EINVAL)
    found = next_namespace(mounts.sequence, backwards)
    found.acquire()
    try:
        if argument != 0:
            _describe(UserAddr(argument), found)
        return _open(task, found)
    finally:
        found.release()


def _describe(address: UserAddr, mounts: MountNamespace) -> None:
    """Write a struct mnt_ns_info. The root of the tree does not count."""
    user.write_u32(address, _INFO_SIZE)
    user.write_u32(user.at(address, 4), max(len(mounts.mounts) - 1, 0))
    user.write_u64(user.at(address, 8), mounts.sequence)


def _open(task: Task, namespace: Namespace) -> int:
    """A new descriptor, closed by execve."""
    return task.files.install(NamespaceFile(namespace_path(namespace), O_RDONLY, namespace), cloexec=True)


def _parent(task: Task, namespace: Namespace) -> Namespace:
    """The parent, of kinds that are nested. Raises EINVAL; EPERM for one not inside the caller's own."""
    if isinstance(namespace, PidNamespace):
        parent = namespace.parent
        if parent is None or not task.pids.contains(parent):
            raise Errno(EPERM)
        return parent
    if isinstance(namespace, UserNamespace):
        return _owner(task, namespace)
    raise Errno(EINVAL)


def _owner(task: Task, namespace: Namespace) -> UserNamespace:
    """The user namespace that owns another. Raises EPERM for one not inside the caller's own."""
    if namespace is FIRST_USER or not task.credentials.user_namespace.contains(namespace.owner):
        raise Errno(EPERM)
    return namespace.owner


def _number(task: Task, namespace: Namespace, command: int, number: int) -> int:
    """Translate between the caller's numbers and those of a pid namespace. Raises EINVAL, ESRCH."""
    if not isinstance(namespace, PidNamespace):
        raise Errno(EINVAL)
    enters = command >= NS_GET_PID_IN_PIDNS
    found = find_task((task.pids if enters else namespace).resolve(number))
    if found is None:
        raise Errno(ESRCH)
    is_process = command in (NS_GET_TGID_FROM_PIDNS, NS_GET_TGID_IN_PIDNS)
    shown = (namespace if enters else task.pids).shown(found.pid if is_process else found.tid)
    if shown == 0:
        raise Errno(ESRCH)
    return shown


QUESTIONS.answer = answer
