"""POSIX message queues: files of a file system of their own, which hold messages by priority (mq_overview(7)).

A queue is an inode; a descriptor of it is an open file. The file system need not be mounted anywhere: mq_open(2) finds
queues in its single instance. The message with the highest priority goes first, and of those the oldest.

A process registered for a notification gets one, once, when a message enters an empty queue with no waiting receiver.

Context: sending and receiving sleep. Source: mq_overview(7), mq_open(3), mq_notify(3), proc_sys_fs(5).
"""

from collections.abc import Callable
from typing import Final

from kernel.fs.constants import O_NONBLOCK, READABLE, S_IFDIR, S_IFMT, S_IFREG, SEEK_CUR, SEEK_END, SEEK_HOLE, WRITABLE
from kernel.fs.dentry import Dentry
from kernel.fs.file import DirectorySink, File, InodeFile, add_offset
from kernel.fs.filesystem import FileSystem
from kernel.fs.inode import Inode
from kernel.fs.path import Mount, Path
from kernel.lang import (
    EACCES,
    EAGAIN,
    EFBIG,
    EINVAL,
    EMFILE,
    EMSGSIZE,
    ENOSPC,
    ENXIO,
    EPERM,
    ETIMEDOUT,
    Errno,
    final,
    noraise,
    span_of,
)
from kernel.lib.capabilities import CAP_SYS_RESOURCE
from kernel.lib.credentials import Actor, Credentials, caller_credentials
from kernel.lib.ids import KernelUid
from kernel.lib.namespace import UserNamespace
from kernel.lib.pace import pace
from kernel.lib.pid import UNSET, Pid, shown_to_caller
from kernel.lib.settings import INT_LEAST, INT_MOST, SystemSetting
from kernel.lib.user import Buffer
from kernel.lib.user_account import UserAccount, account_of
from kernel.sched import PollWaiter, WaitQueue
from kernel.time import realtime_ns

MQUEUE_MAGIC: Final = 0x19800202
PRIORITIES: Final = 32768
_MOST_MESSAGES: Final = 65536  # of root's queues
_MOST_BYTES: Final = 16 << 20
_FILE_SIZE: Final = 80  # what stat(2) shows
_LARGEST_FILE: Final = (1 << 31) - 1
_ENTRY_SIZE: Final = 20
_MESSAGE_OVERHEAD: Final = 48  # what a message, and a priority, count against RLIMIT_MSGQUEUE
_UNLINK_COST: Final = 2000  # instructions for a queue
_LOOK_COST: Final = 60
_DROP_COST: Final = 60  # for a message
_FIRST_POSITION: Final = 2
NO_LIMIT: Final = 1 << 62

DEFAULT_COUNT: Final = SystemSetting(b"fs/mqueue/msg_default", [10], 1, _MOST_MESSAGES)
LARGEST_COUNT: Final = SystemSetting(b"fs/mqueue/msg_max", [10], 1, _MOST_MESSAGES)
DEFAULT_SIZE: Final = SystemSetting(b"fs/mqueue/msgsize_default", [8192], 128, _MOST_BYTES)
LARGEST_SIZE: Final = SystemSetting(b"fs/mqueue/msgsize_max", [8192], 128, _MOST_BYTES)
MOST_QUEUES: Final = SystemSetting(b"fs/mqueue/queues_max", [256], INT_LEAST, INT_MOST)

IdentifyProcess = Callable[[], Pid]


@final
class CallerProcess:
    """Finds the number of the running process; registered by the package of tasks' system calls."""

    def __init__(self) -> None:
        self.find: IdentifyProcess | None = None

    def identify(self) -> Pid:
        """The number; 0 for kernel threads."""
        find = self.find
        return find() if find is not None else UNSET


CALLER_PROCESS: Final = CallerProcess()


@final
class QueueAttributes:
    """The attributes of a new queue (struct mq_attr)."""

    def __init__(self, most_messages: int, message_size: int) -> None:
        self.most_messages: int = most_messages
        self.message_size: int = message_size

    def check(self, is_privileged: bool) -> None:
        """Raises EINVAL for values out of bounds."""
        count = self.most_messages
        size = self.message_size
        if count <= 0 or size <= 0:
            raise Errno(EINVAL)
        if is_privileged:
            if count > _MOST_MESSAGES or size > _MOST_BYTES:
                raise Errno(EINVAL)
        elif count > LARGEST_COUNT.value or size > LARGEST_SIZE.value:
            raise Errno(EINVAL)

    def accounted_bytes(self) -> int:
        """What a queue counts against RLIMIT_MSGQUEUE."""
        count = self.most_messages
        return count * self.message_size + count * _MESSAGE_OVERHEAD + min(count, PRIORITIES) * _MESSAGE_OVERHEAD


def default_attributes() -> QueueAttributes:
    """The attributes of a queue that is created without any."""
    return QueueAttributes(min(LARGEST_COUNT.value, DEFAULT_COUNT.value), min(LARGEST_SIZE.value, DEFAULT_SIZE.value))


@final
class QueuedMessage:
    """One message."""

    def __init__(self, priority: int, data: bytes) -> None:
        self.priority: int = priority
        self.data: bytes = data


class Notification:
    """Notifies of a message in an empty queue (mq_notify(3)). Base class."""

    def __init__(self, process: Pid, kind: int, signo: int) -> None:
        self.process: Pid = process
        self.kind: int = kind  # SIGEV_*
        self.signo: int = signo

    def message_came(self, sender: Pid, uid: KernelUid) -> None:
        """Notify. Raises nothing."""

    def removed(self) -> None:
        """The registration was withdrawn."""


@final
class _Receiver:
    """A thread that waits for a message."""

    def __init__(self) -> None:
        self.message: QueuedMessage | None = None
        self.queue: WaitQueue = WaitQueue()


@final
class _Sender:
    """A thread that waits for room."""

    def __init__(self, message: QueuedMessage) -> None:
        self.message: QueuedMessage | None = message  # None once it is in the queue
        self.queue: WaitQueue = WaitQueue()


@final
class Queue(Inode):
    """One queue. Invariants: messages are in the order in which they go; no thread waits to receive if there are any,
    nor to send while there is room.
    """

    def __init__(
        self, file_system: "MqueueFileSystem", mode: int, attributes: QueueAttributes, account: UserAccount
    ) -> None:
        super().__init__(file_system, file_system.new_ino(), S_IFREG | mode)
        self.size = _FILE_SIZE
        self.attributes: QueueAttributes = attributes
        self.messages: list[QueuedMessage] = []
        self.byte_count: int = 0
        self.position: int = -1  # of its name in the directory
        self.receivers: list[_Receiver] = []
        self.senders: list[_Sender] = []
        self.watchers: WaitQueue = WaitQueue()  # poll
        self.notification: Notification | None = None
        self.account: UserAccount = account

    def is_only_read(self) -> bool:
        return True

    def open(self, path: Path, flags: int) -> File:
        return QueueFile(path, flags, self)

    def truncate(self, size: int) -> None:
        """Changes what stat(2) shows, and nothing else. Raises EFBIG."""
        if size > _LARGEST_FILE:
            raise Errno(EFBIG)
        self.size = size
        self.touch_modified()

    def evict(self) -> None:
        while len(self.messages) > 0:  # nobody else has the queue
            self.messages.pop()
            pace(_DROP_COST)
        self.account.queue_bytes -= self.attributes.accounted_bytes()
        self.account.release()

    # ---- Messages -----------------------------------------------------------------------------------------------

    def _insert(self, message: QueuedMessage) -> None:
        index = 0
        end = len(self.messages)
        while index < end:  # those before the place have no lower priority
            middle = (index + end) // 2
            if self.messages[middle].priority < message.priority:
                end = middle
            else:
                index = middle + 1
        self.messages.insert(index, message)
        self.byte_count += len(message.data)

    def is_full(self) -> bool:
        """Whether a sender would have to wait."""
        return len(self.messages) >= self.attributes.most_messages

    def send(self, message: QueuedMessage, deadline_ns: int, waits: bool, pid: Pid, uid: KernelUid) -> None:
        """mq_timedsend(2). Raises EAGAIN, EMSGSIZE, ERESTARTSYS, ETIMEDOUT, MemoryError."""
        if len(message.data) > self.attributes.message_size:
            raise Errno(EMSGSIZE)
        if self.is_full():
            if not waits:
                raise Errno(EAGAIN)
            self._wait_to_send(message, deadline_ns)
        elif len(self.receivers) > 0:
            receiver = self.receivers.pop(0)
            receiver.message = message
            receiver.queue.wake_all()
        else:
            self._insert(message)
            if len(self.messages) == 1:
                self._notify(pid, uid)
            self.watchers.wake_all()
        self._touch()

    def _wait_to_send(self, message: QueuedMessage, deadline_ns: int) -> None:
        sender = _Sender(message)
        self.senders.append(sender)
        timed_out = False
        try:
            while sender.message is not None and not timed_out:
                timed_out = not sender.queue.sleep_until(deadline_ns, interruptible=True)
        except Errno:
            if sender.message is not None:
                raise
        finally:
            if sender in self.senders:
                self.senders.remove(sender)
        if sender.message is not None:
            raise Errno(ETIMEDOUT)

    def receive(self, deadline_ns: int, waits: bool) -> QueuedMessage:
        """mq_timedreceive(2). Raises EAGAIN, ERESTARTSYS, ETIMEDOUT, MemoryError."""
        if len(self.messages) > 0:
            message = self.messages.pop(0)
            self.byte_count -= len(message.data)
            self._admit_sender()
            self.watchers.wake_all()
        else:
            if not waits:
                raise Errno(EAGAIN)
            message = self._wait_to_receive(deadline_ns)
        self._touch()
        return message

    def _admit_sender(self) -> None:
        """There is room: the next waiting sender is done."""
        if len(self.senders) > 0:
            sender = self.senders.pop(0)
            waiting = sender.message
            if waiting is not None:
                self._insert(waiting)
                sender.message = None
                sender.queue.wake_all()

    def _wait_to_receive(self, deadline_ns: int) -> QueuedMessage:
        receiver = _Receiver()
        self.receivers.append(receiver)
        timed_out = False
        try:
            while receiver.message is None and not timed_out:
                timed_out = not receiver.queue.sleep_until(deadline_ns, interruptible=True)
        except Errno:
            if receiver.message is None:
                raise
        finally:
            if receiver in self.receivers:
                self.receivers.remove(receiver)
        message = receiver.message
        if message is None:
            raise Errno(ETIMEDOUT)
        return message

    def _touch(self) -> None:
        now = realtime_ns()
        self.atime_ns = now
        self.mtime_ns = now
        self.ctime_ns = now

    # ---- Notification -------------------------------------------------------------------------------------------

    def _notify(self, pid: Pid, uid: KernelUid) -> None:
        notification = self.notification
        if notification is not None:
            self.notification = None
            notification.message_came(pid, uid)

    @noraise
    def unregister(self, process: Pid) -> None:
        """Withdraw the notification of a process, if it is the registered one."""
        notification = self.notification
        if notification is not None and notification.process == process:
            self.notification = None
            notification.removed()

    def status_line(self) -> bytes:
        """The text that a read of the queue's file returns."""
        notification = self.notification
        kind = 0
        signo = 0
        process = 0
        if notification is not None:
            kind = notification.kind
            signo = notification.signo if kind == 0 else 0
            process = shown_to_caller(notification.process)
        text = _padded(f"QSIZE:{self.byte_count}", 16) + _padded(f" NOTIFY:{kind}", 13)
        return text + _padded(f" SIGNO:{signo}", 12) + _padded(f" NOTIFY_PID:{process}", 18) + b"\n"


def _padded(text: str, width: int) -> bytes:
    """Text with blanks after it."""
    out = bytearray(text.encode())
    while len(out) < width:
        out.append(ord(" "))
    return bytes(out)


@final
class QueueFile(File):
    """An open queue."""

    def __init__(self, path: Path, flags: int, queue: Queue) -> None:
        super().__init__(path, flags)
        self.queue: Queue = queue
        self.seekable = True

    def pwrite(self, buffer: Buffer, offset: int) -> int:
        raise Errno(EINVAL)

    def can_write(self) -> bool:
        return False

    def can_be_watched(self) -> bool:
        return True

    def flush(self, owner: int) -> None:
        """The process that closes it withdraws its notification."""
        self.queue.unregister(CALLER_PROCESS.identify())

    def truncate(self, size: int) -> None:
        self.queue.truncate(size)

    def waits(self) -> bool:
        """Whether calls with this descriptor wait."""
        return self.flags & O_NONBLOCK == 0

    def read(self, buffer: Buffer) -> int:
        offset = self.position
        done = self.pread(buffer, offset)
        self.position = offset + done
        return done

    def pread(self, buffer: Buffer, offset: int) -> int:
        text = self.queue.status_line()
        if offset >= len(text):
            return 0
        return buffer.put(span_of(text)[offset : len(text)])

    def seek(self, offset: int, whence: int) -> int:
        if whence == SEEK_CUR:
            target = add_offset(self.position, offset)
        elif whence == SEEK_END:
            target = add_offset(self.inode.size, offset)
        else:
            target = offset
        if whence > SEEK_END:
            if not 0 <= offset < self.inode.size:
                raise Errno(ENXIO)
            if whence == SEEK_HOLE:
                target = self.inode.size
        if target < 0:
            raise Errno(EINVAL)
        self.position = target
        return target

    def poll(self, waiter: PollWaiter | None) -> int:
        queue = self.queue
        if waiter is not None:
            waiter.wait_on(queue.watchers)
        state = 0
        if len(queue.messages) > 0:
            state |= READABLE
        if not queue.is_full():
            state |= WRITABLE
        return state


@final
class QueueDirectory(Inode):
    """The root, the only directory."""

    def __init__(self, file_system: "MqueueFileSystem") -> None:
        super().__init__(file_system, file_system.new_ino(), S_IFDIR | 0o1777)
        self.owner: MqueueFileSystem = file_system
        self.nlink = 2
        self.size = 2 * _ENTRY_SIZE
        self.caches_children = False
        self.queues: dict[bytes, Queue] = {}
        self.is_closed: bool = False  # its namespace has ended: a mount may still show it
        self.positions: list[bytes] = []  # names by position; empty where one was removed

    def lookup(self, name: bytes) -> Inode | None:
        return self.queues.get(name)

    def create(self, name: bytes, mode: int, rdev: int, actor: Actor) -> Inode:
        if mode & S_IFMT != S_IFREG:
            raise Errno(EPERM)
        return self.make(name, mode, default_attributes(), actor, NO_LIMIT)

    def make(
        self, name: bytes, mode: int, attributes: QueueAttributes, credentials: Credentials, limit_bytes: int
    ) -> Queue:
        """A new queue; the name is free. Raises EINVAL, EMFILE, ENOSPC, MemoryError; EACCES once the namespace has
        ended, because it would never be removed.
        """
        if self.is_closed:
            raise Errno(EACCES)
        if 0 <= MOST_QUEUES.value <= len(self.queues) and not credentials.capable(CAP_SYS_RESOURCE):
            raise Errno(ENOSPC)
        attributes.check(credentials.capable(CAP_SYS_RESOURCE))
        size = attributes.accounted_bytes()
        account = account_of(credentials.uid)
        queue: Queue | None = None
        try:
            if account.queue_bytes + size > limit_bytes:
                raise Errno(EMFILE)
            queue = self._enter(name, Queue(self.owner, mode & 0o777, attributes, account))
        finally:
            if queue is None:
                account.release()
        queue.uid = credentials.fsuid
        queue.gid = credentials.fsgid
        account.queue_bytes += size
        self.size += _ENTRY_SIZE
        self.touch_modified()
        return queue

    def _enter(self, name: bytes, queue: Queue) -> Queue:
        """Give a queue a name that is free. Raises MemoryError."""
        self.queues[name] = queue
        try:
            self.positions.append(name)
        except MemoryError:
            self.queues.pop(name)
            raise
        queue.position = len(self.positions) - 1
        return queue

    def unlink(self, name: bytes, target: Inode) -> None:
        gone = self.queues.pop(name)
        self.positions[gone.position] = b""
        while len(self.positions) > 0 and self.positions[-1] == b"":
            self.positions.pop()
        self.size -= _ENTRY_SIZE
        self.touch_modified()
        target.drop_link()

    def read_directory(self, position: int, sink: DirectorySink) -> None:
        index = position - _FIRST_POSITION
        while index < len(self.positions):
            name = self.positions[index]
            index += 1
            queue = self.queues.get(name) if name else None
            if queue is not None and not sink.emit(name, queue.ino, S_IFREG >> 12, index + _FIRST_POSITION):
                return
            sink.position = index + _FIRST_POSITION
            pace(_LOOK_COST)  # positions stay; those at the end may go

    def open(self, path: Path, flags: int) -> File:
        return InodeFile(path, flags)


@final
class MqueueFileSystem(FileSystem):
    """The instance of a namespace."""

    def __init__(self, owner: UserNamespace) -> None:
        super().__init__(b"mqueue", b"none", MQUEUE_MAGIC)
        self.belong_to(owner)
        self.next_ino: int = 1
        self.top: QueueDirectory | None = None

    def new_ino(self) -> int:
        """A number for an inode."""
        ino = self.next_ino
        self.next_ino += 1
        return ino

    def directory(self) -> QueueDirectory:
        """The root directory."""
        top = self.top
        if top is None:
            top = QueueDirectory(self)
            maker = caller_credentials()
            if maker is not None:
                top.uid = maker.fsuid
                top.gid = maker.fsgid
            self.top = top
        return top

    def root(self) -> Inode:
        return self.directory()

    def remove_all(self) -> None:
        """Its namespace ends. Queues that are open live on without a name."""
        top = self.top
        if top is not None:
            top.is_closed = True
        while top is not None and len(top.positions) > 0:
            name = top.positions[-1]
            queue = top.queues.get(name)
            if queue is None:
                top.positions.pop()
            else:
                top.unlink(name, queue)
            pace(_UNLINK_COST)
        self.top = None  # the two refer to each other


@final
class QueueMount:
    """The file system, and the mount through which mq_open(2) sees it."""

    def __init__(self, owner: UserNamespace) -> None:
        self.file_system: MqueueFileSystem = MqueueFileSystem(owner)
        try:
            self.mount: Mount = Mount(self.file_system, Dentry(None, b"/", self.file_system.root()), 0)
        except MemoryError:
            self.file_system.top = None  # the two refer to each other
            raise
        self.mount.is_internal = True

    @noraise
    def end(self) -> None:
        """Its namespace ends. The instance lives on while programs have it mounted."""
        self.file_system.remove_all()
        self.mount.uncount()

    def place(self, name: bytes, queue: Queue) -> Path:
        """The path of a queue."""
        return Path(self.mount, Dentry(self.mount.root, name, queue))
