"""Registered buffers of a ring, as io_uring_register(2) registers, replaces and clones them.

The order of checks is Linux's.
"""

from typing import Final

from kernel.lang import EBUSY, EFAULT, EINTR, EINVAL, ENOMEM, ENXIO, EOVERFLOW, Errno, UserAddr
from kernel.lib import user
from kernel.lib.capabilities import CAP_IPC_LOCK
from kernel.lib.pace import is_dying, pace
from kernel.syscalls.uring_arguments import Registration, Replacement
from kernel.task.limits import RLIMIT_MEMLOCK, UNLIMITED
from kernel.task.task import Task
from kernel.uring.request import Request
from kernel.uring.resources import FixedBuffer
from kernel.uring.retirement import retire_buffer, use_resource
from kernel.uring.ring import Ring

_MOST_BUFFERS: Final = 1 << 14
_LONGEST_BUFFER: Final = 1 << 30
_VECTOR_SIZE: Final = 16  # struct iovec
_PAGE_SHIFT: Final = 12
_PAGE_MASK: Final = 4095
_WORD: Final = 0xFFFF_FFFF
_COST: Final = 400  # instructions of one entry of a list, for `pace`


def check_fixed_buffer(request: Request) -> None:
    """Raise EFAULT unless the memory of a request lies in the registered buffer that it names. Raises MemoryError."""
    slots = request.ring.registered.buffers.slots
    whole = slots[request.entry.buffer_index] if request.entry.buffer_index < len(slots) else None
    if whole is None or request.entry.address < whole.address:  # any number of 64 bits
        raise Errno(EFAULT)
    start = request.entry.address - whole.address  # fits: a registered buffer lies in the user half
    if start > whole.length or request.entry.length > whole.length - start:  # fits: neither is negative
        raise Errno(EFAULT)
    use_resource(request)


def register_buffers(ring: Ring, task: Task, wanted: Registration) -> int:
    """IORING_REGISTER_BUFFERS, IORING_REGISTER_BUFFERS2. Raises EBUSY, EINVAL, EFAULT, EOVERFLOW, ENOMEM."""
    buffers = ring.registered.buffers
    if buffers.exists:
        raise Errno(EBUSY)
    if wanted.count == 0 or wanted.count > _MOST_BUFFERS:
        raise Errno(EINVAL)
    done = False
    try:
        _read_tags(ring, wanted)
        most = most_pages(task)
        for index in range(wanted.count):
            buffer = None if wanted.entries == 0 else _buffer_at(wanted.entries, index)
            if buffer is None and buffers.tag_of(index) != 0:
                raise Errno(EINVAL)
            most -= _pages_of(buffer, most)
            buffers.slots.append(buffer)
            pace(_COST)
        buffers.exists = True
        buffers.space = task.space
        done = True
    finally:
        if not done:
            buffers.drop()
    return 0


def _read_tags(ring: Ring, wanted: Registration) -> None:
    """All tags are read before the first buffer is. Raises EFAULT, MemoryError."""
    if wanted.tags == 0:
        return
    for index in range(wanted.count):
        tag = wanted.tag(index)
        if tag != 0:
            ring.registered.buffers.tags[index] = tag
        pace(_COST)


def _buffer_at(vector: UserAddr, index: int) -> FixedBuffer | None:
    """A range of a vector; None for an empty slot. Raises EFAULT, EINVAL, EOVERFLOW, MemoryError."""
    place = user.at(vector, index * _VECTOR_SIZE)
    address = UserAddr(user.read_i64(place))
    length = user.read_i64(user.at(place, 8))
    if length < 0:
        raise Errno(EINVAL)
    if address == 0 and length == 0:
        return None
    _check_range(address, length)
    return FixedBuffer(address, length)


def _check_range(address: UserAddr, length: int) -> None:
    """Raises EFAULT, EOVERFLOW for an impossible range."""
    if address == 0 or length == 0 or length > _LONGEST_BUFFER:
        raise Errno(EFAULT)
    if address < 0 and address + length + _PAGE_MASK >= 0:  # the sum of unsigned numbers
        raise Errno(EOVERFLOW)
    user.check(address, length)


def most_pages(task: Task) -> int:
    """How many pages RLIMIT_MEMLOCK leaves."""
    limit = task.process.limits.soft[RLIMIT_MEMLOCK]
    if limit == UNLIMITED or task.credentials.capable(CAP_IPC_LOCK):
        return UNLIMITED
    return (limit >> _PAGE_SHIFT) - task.space.pinned_pages


def _pages_of(buffer: FixedBuffer | None, most: int) -> int:
    """Fault the pages of a buffer in; how many there are. Raises EFAULT, ENOMEM, EINTR."""
    if buffer is None:
        return 0
    last = buffer.address + buffer.length - 1 >> _PAGE_SHIFT  # fits: it lies in the user half
    pages = last - (buffer.address >> _PAGE_SHIFT) + 1
    if pages > most:
        raise Errno(ENOMEM)
    _touch(UserAddr(buffer.address), buffer.length)
    return 0 if most == UNLIMITED else pages


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


def registered_buffers(ring: Ring, task: Task, vector: UserAddr, count: int) -> int:
    """IORING_REGISTER_BUFFERS. Raises EFAULT; else as `register_buffers`."""
    if vector == 0:
        raise Errno(EFAULT)
    return register_buffers(ring, task, Registration(vector, count, UserAddr(0)))


# ---- Replacing -------------------------------------------------------------------------------------------------------


def update_buffers(ring: Ring, task: Task, wanted: Replacement) -> int:
    """IORING_REGISTER_BUFFERS_UPDATE; returns how many. Raises EOVERFLOW, ENXIO, EINVAL, EFAULT, ENOMEM."""
    if wanted.first + wanted.count > _WORD:
        raise Errno(EOVERFLOW)
    if not ring.registered.buffers.exists:
        raise Errno(ENXIO)
    if wanted.first + wanted.count > len(ring.registered.buffers.slots):
        raise Errno(EINVAL)
    if ring.registered.buffers.space is not task.space:
        raise Errno(EINVAL)  # the others lie in another program's memory
    done = 0
    try:
        while done < wanted.count:
            _update_buffer(ring, task, wanted, done)
            done += 1
            pace(_COST)
    except (Errno, MemoryError):
        if done == 0:
            raise
    return done


def _update_buffer(ring: Ring, task: Task, wanted: Replacement, index: int) -> None:
    """One of them."""
    buffers = ring.registered.buffers
    buffer = _buffer_at(wanted.entries, index)
    tag = wanted.tag(index)
    if buffer is None and tag != 0:
        raise Errno(EINVAL)
    _pages_of(buffer, most_pages(task))
    slot = wanted.first + index
    if buffers.slots[slot] is not None:
        retire_buffer(ring, slot)
    if tag != 0:
        buffers.tags[slot] = tag
    buffers.slots[slot] = buffer


# ---- Cloning ---------------------------------------------------------------------------------------------------------


def clone_buffers(ring: Ring, source: Ring, task: Task) -> int:
    """Share the buffers of another ring, which may be this one, without their tags. The other is not locked: nothing
    sleeps in between. Raises ENXIO, EBUSY, MemoryError; EINVAL if they lie in another program's memory.
    """
    theirs = source.registered.buffers
    if not theirs.exists:
        raise Errno(ENXIO)
    own = ring.registered.buffers
    if own.exists:
        raise Errno(EBUSY)
    if theirs.space is not task.space:
        raise Errno(EINVAL)
    own.slots = theirs.slots[0 : len(theirs.slots)]
    own.space = theirs.space
    own.exists = True
    return 0
