"""mq_notify(2): notifying a process that a message came.

The notification for mq_notify(3)'s threads goes to a netlink socket, on which the C library waits for it.
"""

from typing import Final

from kernel.doors.table import syscall
from kernel.ipc.posix_queues import Notification
from kernel.lang import EBUSY, EINVAL, ENOTSOCK, Errno, Span, UserAddr, final, i32, span_of, u8
from kernel.lib import user
from kernel.lib.ids import KernelUid
from kernel.lib.pid import Pid
from kernel.net.netlink.socket import Datagram, NetlinkSocket
from kernel.net.sockets.socket import Socket
from kernel.syscalls.descriptor_arguments import file_at
from kernel.syscalls.mq_open import queue_file
from kernel.task.pids import find_process
from kernel.task.send import send_to_process
from kernel.task.siginfo import from_process
from kernel.task.signals import is_valid
from kernel.task.task import current, uid_shown_to
from kernel.task.words import load_i32, load_i64
from kernel.time import realtime_ns

_SIGEV_SIGNAL: Final = 0
_SIGEV_NONE: Final = 1
_SIGEV_THREAD: Final = 2
_SI_MESGQ: Final = -3
_COOKIE_SIZE: Final = 32
_COOKIE_WOKEN_UP: Final = 1
_COOKIE_REMOVED: Final = 2


@final
class SignalNotification(Notification):
    """By a signal, or not at all (SIGEV_NONE)."""

    def __init__(self, process: Pid, kind: int, signo: int, value: int) -> None:
        super().__init__(process, kind, signo)
        self.value: int = value

    def message_came(self, sender: Pid, uid: KernelUid) -> None:
        target = find_process(self.process)
        if self.kind != _SIGEV_SIGNAL or self.signo == 0 or target is None:
            return
        try:
            shown = uid_shown_to(target, uid)
            info = from_process(self.signo, _SI_MESGQ, target.pids.shown(sender), shown)
            info.third = self.value
            send_to_process(target, info)
        except (Errno, MemoryError):
            return  # the target's queue of signals is full


@final
class SocketNotification(Notification):
    """By a cookie in a netlink socket, where a thread waits for it (SIGEV_THREAD)."""

    def __init__(self, process: Pid, signo: int, socket: NetlinkSocket, cookie: bytes) -> None:
        super().__init__(process, _SIGEV_THREAD, signo)
        self.socket: NetlinkSocket | None = socket
        self.cookie: bytes = cookie
        socket.acquire()

    def message_came(self, sender: Pid, uid: KernelUid) -> None:
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


@syscall("mq_notify", status="Full", args="fd:mq <sigevent?")
def mq_notify(descriptor: i32, event: UserAddr) -> int:
    """mq_notify(3)."""
    task = current()
    if event == 0:
        queue_file(file_at(descriptor)).queue.unregister(task.pid)
        return 0
    storage = bytearray(64)
    user.read_into(span_of(storage), event)
    notification = _notification(task.pid, span_of(storage))
    try:
        queue = queue_file(file_at(descriptor)).queue
        if queue.notification is not None:
            raise Errno(EBUSY)
    except (Errno, MemoryError):
        _drop(notification)
        raise
    queue.notification = notification
    queue.atime_ns = realtime_ns()
    queue.ctime_ns = queue.atime_ns
    return 0


def _drop(notification: Notification) -> None:
    """It was not registered: no one is notified."""
    if isinstance(notification, SocketNotification) and notification.socket is not None:
        notification.socket.release()
        notification.socket = None


def _notification(process: Pid, event: Span[u8]) -> Notification:
    """The request in a struct sigevent. Raises EBADF, EFAULT, EINVAL, ENOTSOCK."""
    value = UserAddr(load_i64(event, 0))
    signo = load_i32(event, 8)
    kind = load_i32(event, 12)
    if kind == _SIGEV_THREAD:
        cookie = user.read_bytes(value, _COOKIE_SIZE)
        socket = file_at(signo)
        if not isinstance(socket, NetlinkSocket):
            raise Errno(EINVAL if isinstance(socket, Socket) else ENOTSOCK)
        return SocketNotification(process, signo, socket, cookie)
    if kind != _SIGEV_SIGNAL and kind != _SIGEV_NONE:
        raise Errno(EINVAL)
    if kind == _SIGEV_SIGNAL and signo != 0 and not is_valid(signo):
        raise Errno(EINVAL)
    return SignalNotification(process, kind, signo, value)
