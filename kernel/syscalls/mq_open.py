"""POSIX message queues: mq_open(2), mq_unlink(2), mq_getsetattr(2)."""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.constants import (
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
from kernel.ipc.posix_queues import CALLER_PROCESS, Queue, QueueAttributes, QueueFile, default_attributes
from kernel.lang import EACCES, EBADF, EEXIST, EINVAL, ENAMETOOLONG, ENOENT, Errno, Span, UserAddr, i32, span_of, u8
from kernel.lib import user
from kernel.lib.credentials import plain_actor
from kernel.lib.pid import UNSET, Pid
from kernel.syscalls.descriptor_arguments import file_at
from kernel.task.limits import RLIMIT_MSGQUEUE
from kernel.task.task import current, current_or_none
from kernel.task.words import load_i64, store_i64

_ATTRIBUTES_SIZE: Final = 64


def _caller() -> Pid:
    task = current_or_none()
    return task.pid if task is not None else UNSET


CALLER_PROCESS.find = _caller


def _name_at(address: UserAddr) -> bytes:
    """A queue's name, from which the C library has removed the slash."""
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
    files = current().files
    number = files.reserve()
    try:
        file = _open_queue(name, flags, mode, attributes)
    except (Errno, MemoryError):
        files.give_back(number)
        raise
    return files.fill(number, file, cloexec=True)


def _open_queue(name: bytes, flags: int, mode: int, attributes: QueueAttributes) -> QueueFile:
    """Open a queue, or make it."""
    task = current()
    directory = current().namespaces.ipc.mqueues.file_system.directory()
    queue = directory.queues.get(name)
    credentials = task.credentials
    is_new = queue is None
    if queue is None:
        if flags & O_CREAT == 0:
            raise Errno(ENOENT)
        directory.check_creation(plain_actor(credentials))
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
        queue.check_permission(plain_actor(credentials), wanted)
    try:
        return QueueFile(current().namespaces.ipc.mqueues.place(name, queue), flags & (O_ACCMODE | O_NONBLOCK), queue)
    except (Errno, MemoryError):
        if is_new:
            directory.unlink(name, queue)
        raise


@syscall("mq_unlink", status="Full", args="name:queue")
def mq_unlink(name_address: UserAddr) -> int:
    """mq_unlink(3)."""
    name = _name_at(name_address)
    directory = current().namespaces.ipc.mqueues.file_system.directory()
    queue = directory.queues.get(name)
    if queue is None:
        raise Errno(ENOENT)
    check_removal(plain_actor(current().credentials), directory, queue)
    directory.unlink(name, queue)
    return 0


def queue_file(file: File) -> QueueFile:
    if not isinstance(file, QueueFile):
        raise Errno(EBADF)
    return file


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
    file = queue_file(file_at(descriptor))
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
