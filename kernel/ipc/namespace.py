"""IPC namespaces: separate System V objects and POSIX queues (ipc_namespaces(7)).

Limits are machine-wide, not per namespace: what Linux keeps for each under /proc/sys/kernel and /proc/sys/fs/mqueue is
one setting here.
"""

from collections.abc import Callable
from typing import Final

from kernel.fs.filesystem import FileSystem, refuse_options, register_filesystem
from kernel.ipc.message_queues import Queues, queue_lines
from kernel.ipc.posix_queues import QueueMount
from kernel.ipc.semaphores import Sets, set_lines
from kernel.ipc.shared_memory import Segments, segment_lines
from kernel.lang import EINVAL, EPERM, Errno, final, noraise
from kernel.lib.capabilities import CAP_SYS_ADMIN
from kernel.lib.credentials import caller_credentials
from kernel.lib.namespace import (
    CLONE_NEWIPC,
    FIRST_IPC_NUMBER,
    FIRST_USER,
    Namespace,
    UserNamespace,
    count_no_more,
    next_number,
)
from kernel.lib.proc_files import proc_file


@final
class IpcNamespace(Namespace):
    """An IPC namespace. Counted by its tasks and open files: its objects go with the last of them."""

    def __init__(self, number: int, maker: UserNamespace) -> None:
        super().__init__(CLONE_NEWIPC, b"ipc", number, maker)
        self.queues: Queues = Queues(maker)
        self.sets: Sets = Sets(maker)
        self.segments: Segments = Segments(maker)
        self.mqueues: QueueMount = QueueMount(maker)
        self.users: int = 0

    def acquire(self) -> None:
        self.users += 1

    @noraise
    def release(self) -> None:
        self.users -= 1
        if self.users == 0:
            self.end()
            count_no_more(self)

    def hold(self) -> None:
        self.acquire()

    @noraise
    def let_go(self) -> None:
        self.release()

    @noraise
    def end(self) -> None:
        """It has no user, and never will again."""
        self.queues.remove_all()
        self.sets.remove_all()
        self.segments.remove_all()
        self.mqueues.end()


FIRST_IPC: Final = IpcNamespace(FIRST_IPC_NUMBER, FIRST_USER)
FIRST_IPC.acquire()  # it never ends


def new_ipc_namespace(owner: UserNamespace) -> IpcNamespace:
    """An empty namespace, without users. Raises MemoryError."""
    return IpcNamespace(next_number(), owner)


@final
class IpcCaller:
    """Finds the running thread's namespace; registered by the package of tasks."""

    def __init__(self) -> None:
        self.find: Callable[[], IpcNamespace | None] | None = None


IPC_CALLER: Final = IpcCaller()


def ipc_of_caller() -> IpcNamespace:
    """The running thread's namespace; the first in kernel threads."""
    find = IPC_CALLER.find
    found = None if find is None else find()
    return FIRST_IPC if found is None else found


@proc_file("sysvipc/msg")
def list_queues() -> bytes:
    """/proc/sysvipc/msg."""
    return queue_lines(ipc_of_caller().queues)


@proc_file("sysvipc/sem")
def list_sets() -> bytes:
    """/proc/sysvipc/sem."""
    return set_lines(ipc_of_caller().sets)


@proc_file("sysvipc/shm")
def list_segments() -> bytes:
    """/proc/sysvipc/shm. There is no swapping."""
    return segment_lines(ipc_of_caller().segments)


def make_mqueue(source: bytes, options: bytes) -> FileSystem:
    """There is one instance a namespace, whatever the source is called. Raises EPERM before it is registered."""
    if len(options) > 0:
        raise Errno(EINVAL)
    file_system = ipc_of_caller().mqueues.file_system
    who = caller_credentials()
    if who is not None and not who.capable_in(file_system.user_namespace, CAP_SYS_ADMIN):
        raise Errno(EPERM)
    file_system.source = source
    return file_system


register_filesystem(b"mqueue", make_mqueue, is_for_all=True).check_options = refuse_options
