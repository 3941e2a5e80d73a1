"""IPC namespaces: separate System V objects and POSIX queues (ipc_namespaces(7)).

Limits are machine-wide, not per namespace: what Linux keeps for each under /proc/sys/kernel and /proc/sys/fs/mqueue is
one setting here.
"""

from collections.abc import Callable
from typing import Final

from kernel.fs.filesystem import FileSystem, refuse_options, register_filesystem
from kernel.ipc import message_queues, semaphores, shared_memory
from kernel.ipc.message_queues import Queues, queue_line
from kernel.ipc.posix_queues import QueueMount
from kernel.ipc.semaphores import Sets, set_line
from kernel.ipc.shared_memory import Segments, segment_line
from kernel.ipc.sysv import INDEX_MASK, IpcObject
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
from kernel.lib.pace import pace
from kernel.lib.proc_files import TextPieces, proc_pieces

_LINE_COST: Final = 8000  # instructions


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


class IpcLines(TextPieces):
    """A heading, and a line for each object of a kind in the reader's namespace. Base class."""

    def __init__(self) -> None:
        self.index: int = -1  # of the next one; -1: the heading is next

    def next(self) -> bytes | None:
        if self.index < 0:
            self.index = 0
            return self.heading()
        pace(_LINE_COST)
        return self.line(ipc_of_caller())

    def heading(self) -> bytes:
        """The first line."""
        return b""

    def line(self, namespace: IpcNamespace) -> bytes | None:
        """The line of the first object from `index` on, which is that of the next one then."""
        return None

    def pass_by(self, found: IpcObject) -> None:
        """The next one comes after an object."""
        self.index = (found.identifier & INDEX_MASK) + 1


@final
class QueueLines(IpcLines):
    """Of message queues."""

    def heading(self) -> bytes:
        return message_queues.HEADING

    def line(self, namespace: IpcNamespace) -> bytes | None:
        found = namespace.queues.table.from_index(self.index)
        if found is None:
            return None
        self.pass_by(found)
        return queue_line(found)


@final
class SetLines(IpcLines):
    """Of sets of semaphores."""

    def heading(self) -> bytes:
        return semaphores.HEADING

    def line(self, namespace: IpcNamespace) -> bytes | None:
        found = namespace.sets.table.from_index(self.index)
        if found is None:
            return None
        self.pass_by(found)
        return set_line(found)


@final
class SegmentLines(IpcLines):
    """Of segments of shared memory."""

    def heading(self) -> bytes:
        return shared_memory.HEADING

    def line(self, namespace: IpcNamespace) -> bytes | None:
        found = namespace.segments.table.from_index(self.index)
        if found is None:
            return None
        self.pass_by(found)
        return segment_line(found)


@proc_pieces("sysvipc/msg")
def list_queues() -> TextPieces:
    """/proc/sysvipc/msg."""
    return QueueLines()


@proc_pieces("sysvipc/sem")
def list_sets() -> TextPieces:
    """/proc/sysvipc/sem."""
    return SetLines()


@proc_pieces("sysvipc/shm")
def list_segments() -> TextPieces:
    """/proc/sysvipc/shm."""
    return SegmentLines()


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
