"""POSIX message queues: mq_open(2), mq_unlink(2), mq_timedsend(2), mq_timedreceive(2), mq_notify(2), mq_getsetattr(2).

The notification of mq_notify(3)'s threads goes to a netlink socket, in which the C library waits for it.
"""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.constants import (
    MAY_EXEC,
    MAY_READ,
    MAY_WRITE,
    NAME_MAX,
    O_ACCMODE,
    O_CREAT,
    O_EXCL,
    O_NONBLOCK,
    PATH_MAX,
    S_IFREG,
)
from kernel.fs.file import File
from kernel.fs.names import check_removal
from kernel.ipc.posix_queues import (
    CALLER_PROCESS,
    PRIORITIES,
    Notification,
    Queue,
    QueueAttributes,
    QueuedMessage,
    QueueFile,
    default_attributes,
)
from kernel.lang import (
    EACCES,
    EBADF,
    EBUSY,
    EEXIST,
    EINVAL,
    EMSGSIZE,
    ENAMETOOLONG,
    ENOENT,
    Errno,
    Span,
    UserAddr,
    final,
    i32,
    span_of,
    u8,
    u32,
)
from kernel.lib import user
from kernel.lib.pid import UNSET, Pid
from kernel.net.netlink.socket import Datagram, NetlinkSocket
from kernel.syscalls.timeouts import timespec_ns
from kernel.task.limits import RLIMIT_MSGQUEUE
from kernel.task.pids import find_process
from kernel.task.send import send_to_process
from kernel.task.siginfo import from_process
from kernel.task.signals import is_valid
from kernel.task.task import current, current_or_none
from kernel.task.words import load_i32, load_i64, store_i64
from kernel.time import monotonic_ns, realtime_ns
from kernel.time.timers import FOREVER_NS

_SIGEV_SIGNAL: Final = 0
_SIGEV_NONE: Final = 1
_SIGEV_THREAD: Final = 2
_SI_MESGQ: Final = -3
_COOKIE_SIZE: Final = 32
_COOKIE_WOKEN_UP: Final = 1
_COOKIE_REMOVED: Final = 2
_ATTRIBUTES_SIZE: Final = 64


def _caller() -> Pid:
    task = current_or_none()
    return task.pid if task is not None else UNSET


CALLER_PROCESS.find = _caller


@final
class SignalNotification(Notification):
    """By a signal, or not at all (SIGEV_NONE)."""

    def __init__(self, process: Pid, kind: int, signo: int, value: int) -> None:
        super().__init__(process, kind, signo)
        self.value: int = value

    def message_came(self, sender: Pid, uid: int) -> None:
        target = find_process(self.process)
        if self.kind != _SIGEV_SIGNAL or self.signo == 0 or target is None:
            return
        try:
            info = from_process(self.signo, _SI_MESGQ, target.pids.shown(sender), uid)
            info.third = self.value
            send_to_process(target, info)
        except Errno:
            return  # the target's queue of signals is full
        except MemoryError:
            return


@final
class SocketNotification(Notification):
    """By a cookie in a netlink socket, where a thread waits for it (SIGEV_THREAD)."""

    def __init__(self, process: Pid, signo: int, socket: NetlinkSocket, cookie: bytes) -> None:
        super().__init__(process, _SIGEV_THREAD, signo)
        self.socket: NetlinkSocket | None = socket
        self.cookie: bytes = cookie
        socket.acquire()

    def message_came(self, sender: Pid, uid: int) -> None:
        self._send(_COOKIE_WOKEN_UP)

    def removed(self) -> None:
        self._send(_COOKIE_REMOVED)

    def _send(self, what: int) -> None:
        socket = self.socket
        self.socket = None
        if socket is None:
            return
        try:
            socket.enqueue(Datagram(self.cookie[: _COOKIE_SIZE - 1] + (b"\1" if what == 1 else b"\2"), 0, 0))
        except MemoryError:
            pass  # Linux too loses it where there is no memory
        finally:
            socket.release()


def _name_at(address: UserAddr) -> bytes:
    """A queue's name, without the slash that the C library has taken away."""
    name = user.read_string(address, PATH_MAX)
    if len(name) == 0:
        raise Errno(ENOENT)
    if b"/" in name or name == b"." or name == b"..":
        raise Errno(EACCES)
    if len(name) > NAME_MAX:
        raise Errno(ENAMETOOLONG)
    return name


@syscall("mq_open", status="Full", args="name:queue flags:open mode <mq_attr? -> fd:mq")
def mq_open(name_address: UserAddr, flags: i32, mode: i32, attributes_address: UserAddr) -> int:
    """mq_open(3)."""
    attributes = _read_attributes(attributes_address) if attributes_address != 0 else default_attributes()
    name = _name_at(name_address)
    task = current()
    task.files.lowest_free(0)
    directory = current().ipc.mqueues.file_system.directory()
    queue = directory.queues.get(name)
    credentials = task.credentials
    if queue is None:
        if flags & O_CREAT == 0:
            raise Errno(ENOENT)
        directory.check_permission(credentials, MAY_WRITE | MAY_EXEC)
        permissions = mode & 0o777 & ~task.fs.umask
        limit = task.process.limits.soft[RLIMIT_MSGQUEUE]
        queue = directory.make(name, S_IFREG | permissions, attributes, credentials, limit)
    else:
        if flags & (O_CREAT | O_EXCL) == O_CREAT | O_EXCL:
            raise Errno(EEXIST)
        access = flags & O_ACCMODE
        if access == O_ACCMODE:
            raise Errno(EINVAL)
        wanted = MAY_READ if access == 0 else MAY_WRITE if access == 1 else MAY_READ | MAY_WRITE
        queue.check_permission(credentials, wanted)
    file = QueueFile(current().ipc.mqueues.place(name, queue), flags & (O_ACCMODE | O_NONBLOCK), queue)
    return task.files.install(file, True)


@syscall("mq_unlink", status="Full", args="name:queue")
def mq_unlink(name_address: UserAddr) -> int:
    """mq_unlink(3)."""
    name = _name_at(name_address)
    directory = current().ipc.mqueues.file_system.directory()
    queue = directory.queues.get(name)
    if queue is None:
        raise Errno(ENOENT)
    check_removal(current().fs, directory, queue)
    directory.unlink(name, queue)
    return 0


def _queue_file(file: File) -> QueueFile:
    if not isinstance(file, QueueFile):
        raise Errno(EBADF)
    return file


def _deadline(address: UserAddr) -> int:
    """A time of the wall clock, as the monotonic clock shows it. Raises EINVAL, EFAULT."""
    if address == 0:
        return FOREVER_NS
    return max(1, monotonic_ns() + timespec_ns(address) - realtime_ns())


@syscall("mq_timedsend", status="Full", args="fd:mq <bytes[length] size int <timespec?")
def mq_timedsend(descriptor: i32, address: UserAddr, length: int, priority: u32, timeout: UserAddr) -> int:
    """mq_timedsend(3)."""
    deadline_ns = _deadline(timeout)
    if priority >= PRIORITIES:
        raise Errno(EINVAL)
    task = current()
    file = _queue_file(task.files.get(descriptor))
    if not file.writable:
        raise Errno(EBADF)
    if length < 0 or length > file.queue.attributes.message_size:
        raise Errno(EMSGSIZE)
    message = QueuedMessage(priority, user.read_bytes(address, length))
    file.acquire()
    try:
        file.queue.send(message, deadline_ns, file.waits(), task.pid, task.credentials.uid)
    finally:
        file.release()
    return 0


@syscall("mq_timedreceive", status="Full", args="fd:mq >bytes[length] size >int? <timespec?")
def mq_timedreceive(
    descriptor: i32, address: UserAddr, length: int, priority_address: UserAddr, timeout: UserAddr
) -> int:
    """mq_timedreceive(3)."""
    deadline_ns = _deadline(timeout)
    file = _queue_file(current().files.get(descriptor))
    if not file.readable:
        raise Errno(EBADF)
    if 0 <= length < file.queue.attributes.message_size:
        raise Errno(EMSGSIZE)
    file.acquire()
    try:
        message = file.queue.receive(deadline_ns, file.waits())
    finally:
        file.release()
    if priority_address != 0:
        user.write_u32(priority_address, message.priority)
    user.write_bytes(address, message.data)
    return len(message.data)


@syscall("mq_notify", status="Full", args="fd:mq <sigevent?")
def mq_notify(descriptor: i32, event: UserAddr) -> int:
    """mq_notify(3)."""
    task = current()
    if event == 0:
        _queue_file(task.files.get(descriptor)).queue.unregister(task.pid)
        return 0
    storage = bytearray(64)
    user.read_into(span_of(storage), event)
    notification = _notification(task.pid, span_of(storage))
    try:
        queue = _queue_file(task.files.get(descriptor)).queue
        if queue.notification is not None:
            raise Errno(EBUSY)
    except Errno:
        _drop(notification)
        raise
    queue.notification = notification
    queue.atime_ns = realtime_ns()
    queue.ctime_ns = queue.atime_ns
    return 0


def _drop(notification: Notification) -> None:
    """It was not registered: nobody is told."""
    if isinstance(notification, SocketNotification) and notification.socket is not None:
        notification.socket.release()
        notification.socket = None


def _notification(process: Pid, event: Span[u8]) -> Notification:
    """What a struct sigevent asks for. Raises EBADF, EFAULT, EINVAL."""
    value = UserAddr(load_i64(event, 0))
    signo = load_i32(event, 8)
    kind = load_i32(event, 12)
    if kind == _SIGEV_THREAD:
        cookie = user.read_bytes(value, _COOKIE_SIZE)
        socket = current().files.get(signo)
        if not isinstance(socket, NetlinkSocket):
            raise Errno(EINVAL)
        return SocketNotification(process, signo, socket, cookie)
    if kind != _SIGEV_SIGNAL and kind != _SIGEV_NONE:
        raise Errno(EINVAL)
    if kind == _SIGEV_SIGNAL and signo != 0 and not is_valid(signo):
        raise Errno(EINVAL)
    return SignalNotification(process, kind, signo, value)


def _read_attributes(address: UserAddr) -> QueueAttributes:
    storage = bytearray(_ATTRIBUTES_SIZE)
    user.read_into(span_of(storage), address)
    return QueueAttributes(load_i64(span_of(storage), 8), load_i64(span_of(storage), 16))


@syscall("mq_getsetattr", status="Full", args="fd:mq <mq_attr? >mq_attr?")
def mq_getsetattr(descriptor: i32, fresh: UserAddr, old: UserAddr) -> int:
    """mq_getattr(3), mq_setattr(3)."""
    flags = 0
    if fresh != 0:
        storage = bytearray(_ATTRIBUTES_SIZE)
        user.read_into(span_of(storage), fresh)
        flags = load_i64(span_of(storage), 0)
        if flags & ~O_NONBLOCK != 0:
            raise Errno(EINVAL)
    file = _queue_file(current().files.get(descriptor))
    before = bytearray(_ATTRIBUTES_SIZE)
    _store_attributes(span_of(before), file)
    if fresh != 0:
        file.set_status_flags(file.flags & ~O_NONBLOCK | flags)
    if old != 0:
        user.write_from(old, span_of(before))
    return 0


def _store_attributes(out: Span[u8], file: QueueFile) -> None:
    """struct mq_attr."""
    queue: Queue = file.queue
    store_i64(out, 0, file.flags & O_NONBLOCK)
    store_i64(out, 8, queue.attributes.most_messages)
    store_i64(out, 16, queue.attributes.message_size)
    store_i64(out, 24, len(queue.messages))
