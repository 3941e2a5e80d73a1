"""Registered files of a ring, as io_uring_register(2) registers and replaces them.

The order of checks is Linux's.
"""

from typing import Final

from kernel.fs.file import File
from kernel.lang import EBADF, EBUSY, EFAULT, EINVAL, EMFILE, ENFILE, ENXIO, EOVERFLOW, Errno, UserAddr
from kernel.lib import user
from kernel.lib.pace import pace
from kernel.syscalls.descriptor_arguments import borrowed_file
from kernel.syscalls.uring_arguments import Registration, Replacement
from kernel.task.limits import RLIMIT_NOFILE, UNLIMITED
from kernel.task.task import Task
from kernel.uring.file import UringFile
from kernel.uring.retirement import retire_file
from kernel.uring.ring import Ring

_MOST_FILES: Final = 1 << 20
_SKIP_FILE: Final = -2
_NO_FILE: Final = -1
_RANGE_RESERVED: Final = 8
_WORD: Final = 0xFFFF_FFFF
_COST: Final = 400  # instructions of one entry of a list, for `pace`


def _file_for_ring(descriptor: int) -> File:
    """A referenced file for a ring's list. Raises EBADF, for rings too."""
    file = borrowed_file(descriptor)
    if isinstance(file, UringFile):
        raise Errno(EBADF)
    return file.acquire()


def register_files(ring: Ring, task: Task, wanted: Registration) -> int:
    """IORING_REGISTER_FILES, IORING_REGISTER_FILES2. Raises EBUSY, EINVAL, EMFILE, EFAULT, EBADF, MemoryError."""
    files = ring.registered.files
    count = wanted.count
    if files.exists:
        raise Errno(EBUSY)
    if count == 0:
        raise Errno(EINVAL)
    limit = task.process.limits.soft[RLIMIT_NOFILE]
    if count > _MOST_FILES or (limit != UNLIMITED and count > limit):
        raise Errno(EMFILE)
    files.exists = True
    done = False
    try:
        _read_tags(ring, wanted)
        for index in range(count):
            file = _listed_file(wanted, index, files.tag_of(index))
            try:
                files.slots.append(file)
            except MemoryError:
                if file is not None:
                    file.release()
                raise
            pace(_COST)
        files.search_in(0, count)
        done = True
    finally:
        if not done:
            ring.drop_files()
    return 0


def _read_tags(ring: Ring, wanted: Registration) -> None:
    """All tags are read before the first file is. Raises EFAULT, MemoryError."""
    if wanted.tags == 0:
        return
    for index in range(wanted.count):
        tag = wanted.tag(index)
        if tag != 0:
            ring.registered.files.tags[index] = tag
        pace(_COST)


def _listed_file(wanted: Registration, index: int, tag: int) -> File | None:
    """The file of a new slot. Raises EFAULT, EBADF; EINVAL for a tag without a file."""
    descriptor = _NO_FILE
    if wanted.entries != 0:
        descriptor = user.read_i32(user.at(wanted.entries, index * 4))
    if descriptor != _NO_FILE:
        return _file_for_ring(descriptor)
    if tag != 0:
        raise Errno(EINVAL)
    return None


def set_file_range(ring: Ring, argument: UserAddr) -> int:
    """IORING_REGISTER_FILE_ALLOC_RANGE: where free slots are looked for. Raises EFAULT, EOVERFLOW, EINVAL."""
    start = user.read_u32(argument)
    length = user.read_u32(user.at(argument, 4))
    reserved = user.read_i64(user.at(argument, _RANGE_RESERVED))
    if start + length > _WORD:
        raise Errno(EOVERFLOW)
    if reserved != 0 or start + length > len(ring.registered.files.slots):
        raise Errno(EINVAL)
    ring.registered.files.search_in(start, start + length)
    return 0


def update_files(ring: Ring, wanted: Replacement) -> int:
    """Put files of descriptors into a ring's list; returns how many. What was there is retired, even where the new
    file does not exist. Raises EOVERFLOW, ENXIO, EINVAL, EFAULT, EBADF, MemoryError.
    """
    if wanted.first + wanted.count > _WORD:
        raise Errno(EOVERFLOW)
    if not ring.registered.files.exists:
        raise Errno(ENXIO)
    if wanted.first + wanted.count > len(ring.registered.files.slots):
        raise Errno(EINVAL)
    done = 0
    try:
        while done < wanted.count:
            _update_file(ring, wanted, done)
            done += 1
            pace(_COST)
    except (Errno, MemoryError):
        if done == 0:
            raise
    return done


def _update_file(ring: Ring, wanted: Replacement, index: int) -> None:
    """One of them."""
    tag = wanted.tag(index)
    descriptor = user.read_i32(user.at(wanted.entries, index * 4))
    if tag != 0 and (descriptor == _SKIP_FILE or descriptor == _NO_FILE):
        raise Errno(EINVAL)
    if descriptor == _SKIP_FILE:
        return
    slot = wanted.first + index
    files = ring.registered.files
    if not files.has(slot):  # another thread dropped the list during a sleep
        raise Errno(ENXIO)
    if files.slots[slot] is not None:
        retire_file(ring, slot)
    if descriptor == _NO_FILE:
        return
    fresh = _file_for_ring(descriptor)
    done = False
    try:
        _fill_slot(ring, slot, fresh, tag)
        done = True
    finally:
        if not done:
            fresh.release()


def _fill_slot(ring: Ring, slot: int, fresh: File, tag: int) -> None:
    """Raises ENXIO if another thread dropped the list while this one slept; MemoryError."""
    files = ring.registered.files
    while True:
        if not files.has(slot):
            raise Errno(ENXIO)
        if files.slots[slot] is None:
            break
        retire_file(ring, slot)  # another thread filled it
    files.put(slot, fresh, tag)


def place_files(ring: Ring, descriptors: UserAddr, count: int) -> int:
    """Put files of descriptors into free slots, whose indices replace the descriptors in the program's list; returns
    how many. Raises ENXIO, EFAULT, EBADF, ENFILE, MemoryError.
    """
    if not ring.registered.files.exists:
        raise Errno(ENXIO)
    done = 0
    try:
        while done < count:
            _place_file(ring, user.at(descriptors, done * 4))
            done += 1
            pace(_COST)
    except (Errno, MemoryError):
        if done == 0:
            raise
    return done


def _place_file(ring: Ring, place: UserAddr) -> None:
    """One of them."""
    files = ring.registered.files
    file = _file_for_ring(user.read_i32(place))
    done = False
    try:
        slot = files.find_free()
        if slot < 0:
            raise Errno(ENFILE)
        files.put(slot, file, 0)
        done = True
    finally:
        if not done:
            file.release()
    try:
        user.write_u32(place, slot)
    except Errno:
        if files.has(slot) and files.slots[slot] is file:  # nobody has emptied it meanwhile
            retire_file(ring, slot)
        raise


def registered_files(ring: Ring, task: Task, descriptors: UserAddr, count: int) -> int:
    """IORING_REGISTER_FILES. Raises EFAULT; else as `register_files`."""
    if descriptors == 0:
        raise Errno(EFAULT)
    return register_files(ring, task, Registration(descriptors, count, UserAddr(0)))
