"""System V message queues: msgget(2), msgsnd(2), msgrcv(2), msgctl(2)."""

from typing import Final

from kernel.doors.table import syscall
from kernel.ipc.message_queues import (
    ANY,
    EQUAL,
    LARGEST_MESSAGE,
    LESS_EQUAL,
    MOST_QUEUES,
    NOT_EQUAL,
    NUMBER,
    QUEUE_BYTES,
    Choice,
    Message,
    MessageQueue,
)
from kernel.ipc.sysv import IPC_INFO, IPC_NOWAIT, IPC_RMID, IPC_SET, IPC_STAT, READ
from kernel.lang import EINVAL, Errno, UserAddr, i32, span_of
from kernel.lib import user
from kernel.task.task import current
from kernel.task.words import load_i32, load_i64, store_i32, store_i64

_MSG_NOERROR: Final = 0o10000
_MSG_EXCEPT: Final = 0o20000
_MSG_COPY: Final = 0o40000

_MSG_STAT: Final = 11
_MSG_INFO: Final = 12
_MSG_STAT_ANY: Final = 13

_STATUS_SIZE: Final = 120
_SEGMENT_SIZE: Final = 16  # Linux's value for MSGSSZ
_LARGEST_TYPE: Final = (1 << 63) - 1


@syscall("msgget", status="Full", args="key flags:IPC_CREAT|IPC_EXCL|0600|0666 -> msgid")
def msgget(key: i32, flags: i32) -> int:
    """msgget(2)."""
    task = current()
    return task.namespaces.ipc.queues.open(key, flags, task.credentials)


@syscall("msgsnd", status="Full", args="msgid <msgbuf[size] size flags:IPC_NOWAIT")
def msgsnd(identifier: i32, address: UserAddr, size: int, flags: i32) -> int:
    """msgsnd(2)."""
    kind = user.read_i64(address)
    if size < 0 or size > LARGEST_MESSAGE.value or identifier < 0 or kind < 1:
        raise Errno(EINVAL)
    message = Message(kind, user.read_bytes(user.at(address, 8), size))
    task = current()
    queue = current().namespaces.ipc.queues.table.get(identifier)
    queue.send(message, task.credentials, task.process.as_bearer(), flags & IPC_NOWAIT == 0)
    return 0


@syscall("msgrcv", status="Full", args="msgid >msgbuf size int flags:IPC_NOWAIT|MSG_EXCEPT|MSG_NOERROR|MSG_COPY")
def msgrcv(identifier: i32, address: UserAddr, size: int, kind: int, flags: i32) -> int:
    """msgrcv(2)."""
    if identifier < 0 or size < 0:
        raise Errno(EINVAL)
    if flags & _MSG_COPY != 0:
        if flags & _MSG_EXCEPT != 0 or flags & IPC_NOWAIT == 0:
            raise Errno(EINVAL)
        user.read_bytes(address, min(size, LARGEST_MESSAGE.value))  # as Linux, which makes its copy from there
    choice = _choice(kind, size, flags)
    task = current()
    queue = current().namespaces.ipc.queues.table.get(identifier)
    message = queue.receive(choice, task.credentials, task.process.as_bearer(), flags & IPC_NOWAIT == 0)
    count = min(size, len(message.data))
    user.check(address, count + 8)
    user.write_i64(address, message.kind)
    user.write_from(user.at(address, 8), span_of(message.data)[0:count])
    return count


def _choice(kind: int, size: int, flags: int) -> Choice:
    cuts = flags & _MSG_NOERROR != 0
    if flags & _MSG_COPY != 0:
        return Choice(NUMBER, kind if kind >= 0 else _LARGEST_TYPE, size, cuts)
    if kind == 0:
        return Choice(ANY, 0, size, cuts)
    if kind < 0:
        return Choice(LESS_EQUAL, -kind if kind > -_LARGEST_TYPE else _LARGEST_TYPE, size, cuts)
    return Choice(NOT_EQUAL if flags & _MSG_EXCEPT != 0 else EQUAL, kind, size, cuts)


@syscall("msgctl", status="Full", args="msgid one:msgctl any")
def msgctl(identifier: i32, command: i32, address: UserAddr) -> int:
    """msgctl(2)."""
    if identifier < 0 or command < 0:
        raise Errno(EINVAL)
    if command == IPC_INFO or command == _MSG_INFO:
        return _write_limits(address, command == _MSG_INFO)
    credentials = current().credentials
    if command == IPC_STAT:
        queue = current().namespaces.ipc.queues.table.get(identifier)
        queue.check_permission(credentials, READ)
        _write_status(queue, address)
        return 0
    if command == _MSG_STAT or command == _MSG_STAT_ANY:
        queue = current().namespaces.ipc.queues.table.at(identifier)
        if command == _MSG_STAT:
            queue.check_permission(credentials, READ)
        _write_status(queue, address)
        return queue.identifier
    if command == IPC_SET:
        storage = bytearray(_STATUS_SIZE)
        fields = span_of(storage)
        user.read_into(fields, address)
        queue = current().namespaces.ipc.queues.table.get(identifier)
        queue.check_owner(credentials)
        most_bytes = load_i64(fields, 88)
        if most_bytes < 0:
            most_bytes = _LARGEST_TYPE
        queue.change(load_i32(fields, 4), load_i32(fields, 8), load_i32(fields, 20), most_bytes, credentials)
        return 0
    if command == IPC_RMID:
        queue = current().namespaces.ipc.queues.table.get(identifier)
        queue.check_owner(credentials)
        queue.remove()
        return 0
    raise Errno(EINVAL)


def _write_status(queue: MessageQueue, address: UserAddr) -> None:
    """struct msqid64_ds."""
    storage = bytearray(_STATUS_SIZE)
    out = span_of(storage)
    queue.store(out)
    store_i64(out, 48, queue.sent_s)
    store_i64(out, 56, queue.received_s)
    store_i64(out, 64, queue.changed_s)
    store_i64(out, 72, queue.byte_count)
    store_i64(out, 80, queue.count)
    store_i64(out, 88, queue.most_bytes)
    pids = current().pids
    store_i32(out, 96, pids.shown_bearer(queue.last_sender))
    store_i32(out, 100, pids.shown_bearer(queue.last_receiver))
    user.write_from(address, out)


def _write_limits(address: UserAddr, with_usage: bool) -> int:
    """struct msginfo."""
    storage = bytearray(32)
    out = span_of(storage)
    # Without usage these three are Linux's constants, without meaning.
    store_i32(out, 0, len(current().namespaces.ipc.queues.table.objects) if with_usage else 32000 * 16384 // 1024)
    store_i32(out, 4, current().namespaces.ipc.queues.message_count if with_usage else 16384)
    store_i32(out, 8, LARGEST_MESSAGE.value)
    store_i32(out, 12, QUEUE_BYTES.value)
    store_i32(out, 16, MOST_QUEUES.value)
    store_i32(out, 20, _SEGMENT_SIZE)
    store_i32(out, 24, current().namespaces.ipc.queues.byte_count if with_usage else 16384)
    out.store_u16(28, 0xFFFF)
    user.write_from(address, out)
    return current().namespaces.ipc.queues.table.highest_index()
