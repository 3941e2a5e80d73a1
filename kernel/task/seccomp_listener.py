"""User notification of seccomp: a filter may leave a call to another program, which has the filter's listener
(seccomp_unotify(2)).

A thread whose call is left to the listener sleeps until the answer: a result, files that are added to the
thread's, or letting the call go on. If the listener closes, such calls fail with ENOSYS.

Invariant: a notification is in the listener's list from the call until its thread has taken the answer, or has given
up. Its state goes from NEW to TAKEN to ANSWERED; back to NEW only if it could not be delivered.

Context: system calls of both sides. Threads sleep here. Raises MemoryError.
"""

from enum import IntEnum
from typing import Final

from arch import AUDIT_ARCHITECTURE, TrapFrame
from kernel.fs.anonymous import anonymous_path
from kernel.fs.constants import O_CLOEXEC, O_RDWR, POLLHUP, READABLE, WRITABLE
from kernel.fs.descriptors import FileTable
from kernel.fs.file import File
from kernel.lang import (
    EINPROGRESS,
    EINVAL,
    ENOENT,
    ENOSYS,
    ERESTARTSYS,
    Errno,
    UserAddr,
    final,
    noraise,
    span_of,
)
from kernel.lib import user
from kernel.lib.random import word
from kernel.sched import PollWaiter, WaitQueue
from kernel.task.seccomp_filter import FilterListener
from kernel.task.task import Task, current
from kernel.task.words import load_i32, load_i64, store_i32, store_i64

_RECEIVE: Final = 0xC050_2100  # SECCOMP_IOCTL_NOTIF_…
_SEND: Final = 0xC018_2101
_ID_VALID: Final = 0x4008_2102
_ID_VALID_OLD: Final = 0x8008_2102  # with the direction reversed, as it was at first
_ADD_FILE: Final = 0x4018_2103  # without its size
_SET_FLAGS: Final = 0x4008_2104
_WITHOUT_SIZE: Final = ~(0x3FFF << 16)
_SIZE_SHIFT: Final = 16
_SIZE_MASK: Final = 0x3FFF

NOTIFICATION_SIZE: Final = 80  # struct seccomp_notif
ANSWER_SIZE: Final = 24  # struct seccomp_notif_resp
DATA_SIZE: Final = 64  # struct seccomp_data
_ADDITION_SIZE: Final = 24  # struct seccomp_notif_addfd
_PAGE: Final = 4096

_CONTINUE: Final = 1  # SECCOMP_USER_NOTIF_FLAG_CONTINUE
_SYNC_WAKE_UP: Final = 1  # SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP
_AT_NUMBER: Final = 1  # SECCOMP_ADDFD_FLAG_SETFD
_AND_ANSWER: Final = 2  # SECCOMP_ADDFD_FLAG_SEND


class State(IntEnum):
    """The progress of a notification."""

    NEW = 0
    TAKEN = 1
    ANSWERED = 2


@final
class Notification:
    """A call that waits for its answer."""

    def __init__(self, task: Task, number: int, call: int, frame: TrapFrame) -> None:
        self.task: Task = task
        self.number: int = number
        self.state: State = State.NEW
        self.value: int = 0  # of the answer
        self.error: int = 0
        self.goes_on: bool = False
        self.answered: WaitQueue = WaitQueue()
        self.data: bytearray = bytearray(DATA_SIZE)
        words = span_of(self.data)
        store_i32(words, 0, call)
        store_i32(words, 4, AUDIT_ARCHITECTURE)
        store_i64(words, 8, frame.instruction_pointer)
        store_i64(words, 16, frame.first)
        store_i64(words, 24, frame.second)
        store_i64(words, 32, frame.third)
        store_i64(words, 40, frame.fourth)
        store_i64(words, 48, frame.fifth)
        store_i64(words, 56, frame.sixth)

    def answer(self, value: int, error: int, goes_on: bool) -> None:
        """Let the thread go on."""
        self.state = State.ANSWERED
        self.value = value
        self.error = error
        self.goes_on = goes_on
        self.answered.wake_all()


@final
class Listener(FilterListener):
    """The state shared by a filter and its listener's file."""

    def __init__(self, waits_killable: bool) -> None:
        super().__init__()
        self.waits_killable: bool = waits_killable  # after a notification was taken, only a kill ends the wait for it
        self.waiting: list[Notification] = []
        self.users: int = 0  # threads with the filter
        self.queue: WaitQueue = WaitQueue()  # something was notified or taken, or no thread is left
        self._next: int = word() >> 2

    def join(self) -> None:
        """One more thread has the filter."""
        self.users += 1

    @noraise
    def leave(self) -> None:
        """A thread with the filter ends."""
        self.users -= 1
        if self.users == 0:
            self.queue.wake_all()

    def next_number(self) -> int:
        """A number for a notification: ascending, from an arbitrary one on."""
        self._next = self._next + 1 if self._next < 1 << 62 else 1
        return self._next

    def find(self, number: int) -> Notification | None:
        """The notification with a number."""
        for each in self.waiting:
            if each.number == number:
                return each
        return None

    def first_new(self) -> Notification | None:
        """The oldest that was not taken."""
        for each in self.waiting:
            if each.state == State.NEW:
                return each
        return None

    def remove(self, notification: Notification) -> None:
        """Its thread goes on."""
        for index in range(len(self.waiting)):
            if self.waiting[index] is notification:
                self.waiting.pop(index)
                return

    @noraise
    def close(self) -> None:
        """No one listens any more."""
        self.is_closed = True
        for each in self.waiting:
            if each.state != State.ANSWERED:
                each.answer(0, -ENOSYS, goes_on=False)


@noraise
def leave_filters(task: Task) -> None:
    """A thread ends: its listener may have no thread left."""
    top = task.call_filter
    task.call_filter = None
    heard = None if top is None else top.heard
    if isinstance(heard, Listener):
        heard.leave()


def ask(task: Task, listener: Listener, call: int, frame: TrapFrame) -> bool:
    """Leave the running thread's call to the listener. Returns whether the call goes on; if not, its result is in the
    frame.
    """
    if listener.is_closed:
        frame.set_result(-ENOSYS)
        return False
    notification = Notification(task, listener.next_number(), call, frame)
    listener.waiting.append(notification)
    listener.queue.wake_all()
    try:
        _wait(task, listener, notification)
    finally:
        listener.remove(notification)
    if notification.state != State.ANSWERED:
        frame.set_result(-ERESTARTSYS)
        return False
    if notification.goes_on:
        return True
    frame.set_result(notification.error if notification.error != 0 else notification.value)
    frame.forget_call()  # the program sees the number, even one that would repeat the call
    return False


def _wait(task: Task, listener: Listener, notification: Notification) -> None:
    """Wait for the answer, or a signal."""
    while notification.state != State.ANSWERED:
        only_kills = listener.waits_killable and notification.state == State.TAKEN
        if only_kills and task.must_end():
            return  # it is killed, or another thread executes a program
        task.signals.kill_wakes = only_kills
        is_interrupted = False
        try:
            notification.answered.sleep(interruptible=not only_kills)
        except Errno:
            is_interrupted = True
        finally:
            task.signals.kill_wakes = False
        if is_interrupted and not (listener.waits_killable and notification.state == State.TAKEN):
            return


def _install(files: FileTable, file: File, wanted: int, cloexec: bool) -> int:
    """Give another process a descriptor, with this number unless it is -1. That may sleep, and the process may end:
    the table is held, so that its contents are closed then.
    """
    files.acquire()
    try:
        if wanted < 0:
            return files.install(file.acquire(), cloexec)
        files.replace(wanted, file, cloexec)
        return wanted
    finally:
        files.release()


@final
class ListenerFile(File):
    """The listener."""

    def __init__(self, listener: Listener) -> None:
        """Raises ENFILE, MemoryError."""
        super().__init__(anonymous_path(b"seccomp notify"), O_RDWR)
        self.listener: Listener = listener

    @noraise
    def close(self) -> None:
        self.listener.close()

    def poll(self, waiter: PollWaiter | None) -> int:
        listener = self.listener
        if waiter is not None:
            waiter.wait_on(listener.queue)
        state = POLLHUP if listener.users == 0 else 0
        for each in listener.waiting:
            if each.state == State.NEW:
                state |= READABLE
            elif each.state == State.TAKEN:
                state |= WRITABLE
        return state

    def ioctl(self, command: int, argument: int) -> int:
        """seccomp_unotify(2). Raises EINVAL for unknown commands."""
        address = UserAddr(argument)
        if command == _RECEIVE:
            self._receive(address)
            return 0
        if command == _SEND:
            self._send(address)
            return 0
        if command == _ID_VALID or command == _ID_VALID_OLD:
            found = self.listener.find(user.read_u64(address))
            if found is None or found.state != State.TAKEN:
                raise Errno(ENOENT)
            return 0
        if command == _SET_FLAGS:
            if argument & ~_SYNC_WAKE_UP != 0:
                raise Errno(EINVAL)
            return 0  # woken threads run when it is their turn
        if command & _WITHOUT_SIZE == _ADD_FILE & _WITHOUT_SIZE:
            return self._add_file(address, command >> _SIZE_SHIFT & _SIZE_MASK)
        raise Errno(EINVAL)

    def _receive(self, address: UserAddr) -> None:
        """Wait for a notification, and deliver it. Raises ENOENT if none can come, or it has gone."""
        for byte in user.read_bytes(address, NOTIFICATION_SIZE):
            if byte != 0:
                raise Errno(EINVAL)
        listener = self.listener
        found = listener.first_new()
        while found is None:
            if listener.users == 0:
                raise Errno(ENOENT)
            listener.queue.sleep()
            found = listener.first_new()
        storage = bytearray(NOTIFICATION_SIZE)
        words = span_of(storage)
        store_i64(words, 0, found.number)
        store_i32(words, 8, current().pids.shown(found.task.tid))
        words[16:NOTIFICATION_SIZE].copy_from(span_of(found.data))
        found.state = State.TAKEN
        listener.queue.wake_all()
        try:
            user.write_from(address, words)
        except Errno:
            if found.state == State.TAKEN:
                found.state = State.NEW
                found.answered.wake_all()
                listener.queue.wake_all()
            raise

    def _taken(self, number: int) -> Notification:
        """One that was taken and not answered. Raises ENOENT, EINPROGRESS."""
        found = self.listener.find(number)
        if found is None:
            raise Errno(ENOENT)
        if found.state != State.TAKEN:
            raise Errno(EINPROGRESS)
        return found

    def _send(self, address: UserAddr) -> None:
        words = span_of(user.read_bytes(address, ANSWER_SIZE))
        number = load_i64(words, 0)
        value = load_i64(words, 8)
        error = load_i32(words, 16)
        flags = words.load_u32(20)
        if flags & ~_CONTINUE != 0 or (flags != 0 and (error != 0 or value != 0)):
            raise Errno(EINVAL)
        self._taken(number).answer(value, error, goes_on=flags != 0)

    def _add_file(self, address: UserAddr, size: int) -> int:
        """Add one of the caller's files to those of the waiting thread. Returns its number there."""
        if not _ADDITION_SIZE <= size < _PAGE:
            raise Errno(EINVAL)
        user.require_zeros(address, _ADDITION_SIZE, size)
        words = span_of(user.read_bytes(address, _ADDITION_SIZE))
        number = load_i64(words, 0)
        flags = words.load_u32(8)
        source = load_i32(words, 12)
        wanted = words.load_u32(16)
        how = words.load_u32(20)
        if how & ~O_CLOEXEC != 0 or flags & ~(_AT_NUMBER | _AND_ANSWER) != 0:
            raise Errno(EINVAL)
        if wanted != 0 and flags & _AT_NUMBER == 0:
            raise Errno(EINVAL)
        file = current().files.get(source).acquire()
        try:
            found = self._taken(number)
            placed = _install(found.task.files, file, wanted if flags & _AT_NUMBER != 0 else -1, cloexec=how != 0)
        finally:
            file.release()
        if flags & _AND_ANSWER != 0 and found.state == State.TAKEN:
            found.answer(placed, 0, goes_on=False)
        return placed


