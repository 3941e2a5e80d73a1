"""Rings that a task names by an index instead of a descriptor: IORING_REGISTER_RING_FDS,
IORING_UNREGISTER_RING_FDS, IORING_SETUP_REGISTERED_FD_ONLY.
"""

from typing import Final

from kernel.fs.file import File
from kernel.lang import EBUSY, EINVAL, EOPNOTSUPP, Errno, UserAddr
from kernel.lib import user
from kernel.syscalls.descriptor_arguments import file_at
from kernel.syscalls.io_uring_enter import MOST_RINGS
from kernel.task.task import Task
from kernel.uring.file import UringFile
from kernel.uring.perform import work_of

RING_FDS: Final = 20
_ANY_SLOT: Final = 0xFFFF_FFFF
_UPDATE_SIZE: Final = 16  # struct io_uring_rsrc_update


def add_ring_of_ones_own(task: Task, file: UringFile) -> int:
    """Name a new ring by the first free index, which keeps the caller's reference. Raises EBUSY, MemoryError."""
    registered = _registered(task)
    slot = _free_slot(registered, _ANY_SLOT)
    registered[slot] = file
    return slot


def register_rings(task: Task, code: int, argument: UserAddr, count: int) -> int:
    """Name rings by indices, or end that; returns how many. Raises EINVAL, EFAULT, EBADF, EOPNOTSUPP, EBUSY."""
    if count == 0 or count > MOST_RINGS:
        raise Errno(EINVAL)
    registered = _registered(task)
    done = 0
    try:
        while done < count:
            place = user.at(argument, done * _UPDATE_SIZE)
            offset = user.read_u32(place)
            reserved = user.read_u32(user.at(place, 4))
            data = user.read_i64(user.at(place, 8))
            if reserved != 0:
                raise Errno(EINVAL)
            if code == RING_FDS:
                slot = _add_ring(registered, offset, data)
                try:
                    user.write_u32(place, slot)
                except Errno:
                    _drop_ring(registered, slot)
                    raise
            else:
                if data != 0 or offset >= MOST_RINGS:
                    raise Errno(EINVAL)
                _drop_ring(registered, offset)
            done += 1
    except Errno:
        if done == 0:
            raise
    return done


def _registered(task: Task) -> list[File | None]:
    """The task's rings by index. Raises MemoryError."""
    work = work_of(task)
    while len(work.registered) < MOST_RINGS:
        work.registered.append(None)
    return work.registered


def _drop_ring(registered: list[File | None], slot: int) -> None:
    old = registered[slot]
    registered[slot] = None
    if old is not None:
        old.release()


def _add_ring(registered: list[File | None], offset: int, descriptor: int) -> int:
    if offset != _ANY_SLOT and offset >= MOST_RINGS:
        raise Errno(EINVAL)
    word = descriptor & 0xFFFF_FFFF
    file = file_at(word if word < 1 << 31 else -1)
    if not isinstance(file, UringFile):
        raise Errno(EOPNOTSUPP)
    slot = _free_slot(registered, offset)
    registered[slot] = file.acquire()
    return slot


def _free_slot(registered: list[File | None], offset: int) -> int:
    """An index, or any. Raises EBUSY."""
    for slot in range(MOST_RINGS):
        if (offset == _ANY_SLOT or slot == offset) and registered[slot] is None:
            return slot
    raise Errno(EBUSY)
