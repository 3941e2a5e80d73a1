"""Files, buffers and the eventfd of a ring, as io_uring_register(2) registers them."""

from typing import Final

from kernel.fs.file import File
from kernel.ipc.eventfd import EventFile
from kernel.lang import EBADF, EBUSY, EFAULT, EINTR, EINVAL, EMFILE, ENOMEM, ENXIO, EOVERFLOW, Errno, UserAddr
from kernel.lib import user
from kernel.lib.capabilities import CAP_IPC_LOCK
from kernel.lib.pace import is_dying, pace
from kernel.syscalls.descriptor_arguments import borrowed_file, file_at
from kernel.task.limits import RLIMIT_MEMLOCK, RLIMIT_NOFILE, UNLIMITED
from kernel.task.task import Task
from kernel.uring.file import UringFile
from kernel.uring.ring import FixedBuffer, Ring

_MOST_BUFFERS: Final = 1 << 14
_LONGEST_BUFFER: Final = 1 << 30
_MOST_FILES: Final = 1 << 20
_SKIP_FILE: Final = -2
_PAGE_SHIFT: Final = 12
_COST: Final = 400  # instructions of one entry of a list, for `pace`


# ---- Buffers ---------------------------------------------------------------------------------------------------------


def register_buffers(ring: Ring, task: Task, vector: UserAddr, count: int) -> int:
    """IORING_REGISTER_BUFFERS. Raises EFAULT, EBUSY, EINVAL, ENOMEM."""
    if vector == 0:
        raise Errno(EFAULT)
    if ring.has_buffers:
        raise Errno(EBUSY)
    if count == 0 or count > _MOST_BUFFERS:
        raise Errno(EINVAL)
    most = UNLIMITED  # pages
    limit = task.process.limits.soft[RLIMIT_MEMLOCK]
    if limit != UNLIMITED and not task.credentials.capable(CAP_IPC_LOCK):
        most = (limit >> _PAGE_SHIFT) - task.space.pinned_pages
    made: list[FixedBuffer] = []
    pages = 0
    for index in range(count):
        address = user.read_i64(user.at(vector, index * 16))
        length = user.read_i64(user.at(vector, index * 16 + 8))
        _check_buffer(UserAddr(address), length)
        if length > 0:
            pages += (address + length - 1 >> _PAGE_SHIFT) - (address >> _PAGE_SHIFT) + 1
            if pages > most:
                raise Errno(ENOMEM)
            _touch(UserAddr(address), length)
        made.append(FixedBuffer(address, length))
        pace(_COST)
    ring.buffers = made
    ring.has_buffers = True
    return 0


def _check_buffer(address: UserAddr, length: int) -> None:
    """Raises EFAULT for an impossible range."""
    if address == 0 and length == 0:
        return
    if address == 0 or length <= 0 or length > _LONGEST_BUFFER:
        raise Errno(EFAULT)
    user.check(address, length)


def _touch(address: UserAddr, length: int) -> None:
    """Fault in every page for writing, without changing it. Raises EFAULT for memory that does not exist, or is not
    writable; EINTR when the thread must end.
    """
    place = 0
    while place < length:
        word = UserAddr(user.at(address, place) & ~3)
        seen = user.read_u32(word)
        user.compare_and_swap_u32(word, seen, seen)  # another processor's store stays
        if is_dying():
            raise Errno(EINTR)
        place = (address + place >> _PAGE_SHIFT << _PAGE_SHIFT) + (1 << _PAGE_SHIFT) - address
        pace(_COST)


def drop_buffers(ring: Ring) -> int:
    """IORING_UNREGISTER_BUFFERS. Raises ENXIO."""
    if not ring.has_buffers:
        raise Errno(ENXIO)
    ring.has_buffers = False
    ring.buffers = []
    return 0


# ---- Files -----------------------------------------------------------------------------------------------------------


def _file_for_ring(descriptor: int) -> File | None:
    """A referenced file for a ring's list; none for -1. Raises EBADF, for rings too."""
    if descriptor == -1:
        return None
    file = borrowed_file(descriptor)
    if isinstance(file, UringFile):
        raise Errno(EBADF)
    return file.acquire()


def register_files(ring: Ring, task: Task, descriptors: UserAddr, count: int) -> int:
    """IORING_REGISTER_FILES. Raises EFAULT, EBUSY, EINVAL, EMFILE, EBADF."""
    if descriptors == 0:
        raise Errno(EFAULT)
    if ring.has_files:
        raise Errno(EBUSY)
    if count == 0:
        raise Errno(EINVAL)
    limit = task.process.limits.soft[RLIMIT_NOFILE]
    if count > _MOST_FILES or (limit != UNLIMITED and count > limit):
        raise Errno(EMFILE)
    ring.has_files = True
    done = False
    try:
        for index in range(count):
            ring.files.append(_file_for_ring(user.read_i32(user.at(descriptors, index * 4))))
            pace(_COST)
        done = True
    finally:
        if not done:
            ring.drop_files()
    return 0


def update_files_by(ring: Ring, argument: UserAddr, count: int) -> int:
    """IORING_REGISTER_FILES_UPDATE: `argument` is a struct io_uring_rsrc_update. As `update_files`."""
    if count == 0:
        raise Errno(EINVAL)
    offset = user.read_u32(argument)
    reserved = user.read_u32(user.at(argument, 4))
    descriptors = UserAddr(user.read_i64(user.at(argument, 8)))
    if reserved != 0:
        raise Errno(EINVAL)
    return update_files(ring, descriptors, count, offset)


def update_files(ring: Ring, descriptors: UserAddr, count: int, offset: int) -> int:
    """Put files of descriptors into a ring's list, from an index on; returns their number. Replaced files are dropped.
    Raises EOVERFLOW, ENXIO, EINVAL, EFAULT, EBADF.
    """
    if offset + count > 0xFFFF_FFFF:
        raise Errno(EOVERFLOW)
    if not ring.has_files:
        raise Errno(ENXIO)
    if offset + count > len(ring.files):
        raise Errno(EINVAL)
    done = 0
    try:
        while done < count:
            descriptor = user.read_i32(user.at(descriptors, done * 4))
            if descriptor != _SKIP_FILE:
                fresh = _file_for_ring(descriptor)
                if offset + done >= len(ring.files):  # another thread dropped the list during a sleep
                    if fresh is not None:
                        fresh.release()
                    raise Errno(ENXIO)
                old = ring.files[offset + done]
                ring.files[offset + done] = fresh
                if fresh is None:
                    ring.free_slot = min(ring.free_slot, offset + done)
                if old is not None:
                    old.release()
            done += 1
            pace(_COST)
    except Errno:
        if done == 0:
            raise
    return done


# ---- The eventfd -----------------------------------------------------------------------------------------------------


def register_bell(ring: Ring, argument: UserAddr, count: int, *, is_for_late: bool) -> int:
    """IORING_REGISTER_EVENTFD. Raises EINVAL, EBUSY, EFAULT, EBADF."""
    if count != 1:
        raise Errno(EINVAL)
    if ring.bell is not None:
        raise Errno(EBUSY)
    file = file_at(user.read_i32(argument))
    if not isinstance(file, EventFile):
        raise Errno(EINVAL)
    file.acquire()
    ring.bell = file
    ring.bell_is_for_late = is_for_late
    return 0
