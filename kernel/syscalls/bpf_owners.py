"""Maps of bpf(2) whose values belong to sockets, threads and control groups: what their keys, descriptors, stand for.

The owner is looked up when nothing sleeps any more, so it has not gone when it gets a value.
"""

from kernel.bpf.maps import GROUP_STORAGE, SOCKET_STORAGE
from kernel.bpf.storage import NO_LIMIT, StorageMap
from kernel.lang import EBADF, ENOENT, Errno, Span, span_of, u8
from kernel.net.internet.sysctl import CORE
from kernel.syscalls.bpf_groups import group_at
from kernel.syscalls.descriptor_arguments import file_at
from kernel.syscalls.socket_arguments import socket_at
from kernel.task.pidfd import PidFile
from kernel.task.words import load_i32


def _owner(map_: StorageMap, key: bytes) -> tuple[int, int]:
    """The number of the owner, and how many bytes its values may count. Raises EBADF, ENOTSOCK, ENOENT."""
    descriptor = load_i32(span_of(key), 0)
    if map_.kind == SOCKET_STORAGE:
        socket = socket_at(descriptor)
        return socket.inode.ino, CORE.optmem(socket.network)
    if map_.kind == GROUP_STORAGE:
        return group_at(descriptor).number, NO_LIMIT
    file = file_at(descriptor)
    if not isinstance(file, PidFile):
        raise Errno(EBADF)
    try:
        return int(file.living_thread().tid), NO_LIMIT
    except Errno:
        raise Errno(ENOENT) from None


def owned_value(map_: StorageMap, key: bytes) -> bytes:
    """The value of an owner. Raises ENOENT, and what finding it does; MemoryError."""
    number, _ = _owner(map_, key)
    slot = map_.slot_for(number)
    if slot < 0:
        raise Errno(ENOENT)
    return map_.value(slot)


def set_owned(map_: StorageMap, key: bytes, value: Span[u8], flags: int) -> None:
    """Give an owner a value. Raises EINVAL, EEXIST, ENOENT, and what finding it does; MemoryError."""
    number, most = _owner(map_, key)
    map_.set_of(number, value, flags, most)


def drop_owned(map_: StorageMap, key: bytes) -> None:
    """Take it away. Raises ENOENT, and what finding the owner does."""
    number, _ = _owner(map_, key)
    map_.drop_of(number)
