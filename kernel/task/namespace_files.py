"""What an open file of a namespace answers: its kind, what is above it, who is called how in it (ioctl_ns(2))."""

from typing import Final

from kernel.fs.constants import O_RDONLY
from kernel.fs.namespace import QUESTIONS, NamespaceFile, namespace_path
from kernel.lang import EINVAL, ENOTTY, EPERM, ESRCH, Errno, UserAddr
from kernel.lib import user
from kernel.lib.namespace import CLONE_NEWUSER, FIRST_USER, Namespace
from kernel.task.pid_namespace import PidNamespace
from kernel.task.pids import find_task
from kernel.task.task import Task, current

NS_GET_USERNS: Final = 0xB701
NS_GET_PARENT: Final = 0xB702
NS_GET_NSTYPE: Final = 0xB703
NS_GET_OWNER_UID: Final = 0xB704
NS_GET_PID_FROM_PIDNS: Final = 0x8004_B706
NS_GET_TGID_FROM_PIDNS: Final = 0x8004_B707
NS_GET_PID_IN_PIDNS: Final = 0x8004_B708
NS_GET_TGID_IN_PIDNS: Final = 0x8004_B709


def answer(namespace: Namespace, command: int, argument: int) -> int:
    """ioctl(2) on a namespace's file."""
    task = current()
    kind = namespace.kind
    if command == NS_GET_NSTYPE:
        return kind
    if command == NS_GET_USERNS:
        if kind == CLONE_NEWUSER:
            raise Errno(EPERM)  # what owns the first one nobody may see
        return _open(task, FIRST_USER)
    if command == NS_GET_PARENT:
        return _open(task, _parent(task, namespace))
    if command == NS_GET_OWNER_UID:
        if kind != CLONE_NEWUSER:
            raise Errno(EINVAL)
        user.write_u32(UserAddr(argument), 0)
        return 0
    if NS_GET_PID_FROM_PIDNS <= command <= NS_GET_TGID_IN_PIDNS:
        return _number(task, namespace, command, argument)
    raise Errno(ENOTTY)


def _open(task: Task, namespace: Namespace) -> int:
    """A new descriptor, closed by execve."""
    return task.files.install(NamespaceFile(namespace_path(namespace), O_RDONLY, namespace), cloexec=True)


def _parent(task: Task, namespace: Namespace) -> Namespace:
    """The one above, of kinds that are nested. Raises EINVAL; EPERM for what the caller's own does not contain."""
    if isinstance(namespace, PidNamespace):
        parent = namespace.parent
        if parent is None or not task.pids.contains(parent):
            raise Errno(EPERM)
        return parent
    raise Errno(EPERM if namespace.kind == CLONE_NEWUSER else EINVAL)


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
