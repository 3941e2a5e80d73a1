"""Buffers that a program provides: the operations PROVIDE_BUFFERS and REMOVE_BUFFERS, and the commands of
io_uring_register(2) for rings of buffers.
"""

from typing import Final, Literal

from kernel.lang import E2BIG, EEXIST, EFAULT, ENOBUFS, ENOENT, Array, Errno, UserAddr, u8
from kernel.lib import user
from kernel.lib.pace import pace
from kernel.mm.ring_memory import RingMemory
from kernel.syscalls.uring_arguments import refuse_if
from kernel.uring import layout
from kernel.uring.buffers import BUFFER_BYTES, ENTRY_SIZE, BufferGroup, Chosen, ProvidedBuffer
from kernel.uring.operation import Operation
from kernel.uring.request import Request
from kernel.uring.ring import Ring

_MOST_BUFFERS: Final = 1 << 16  # of a group
_LAST_NUMBER: Final = _MOST_BUFFERS - 1
_MOST_ENTRIES: Final = 1 << 15  # of a ring of buffers
_FLAG_MMAP: Final = 1
_FLAG_INC: Final = 2
_PAGE_MASK: Final = 4095
_COST: Final = 200  # instructions of one buffer, for `pace`


def group_of(request: Request) -> BufferGroup:
    """The group from which a request takes its buffer. Raises ENOBUFS."""
    group = request.ring.registered.groups.get(request.entry.buffer_index)
    if group is None:
        raise Errno(ENOBUFS)
    return group


def selects(request: Request) -> bool:
    """Whether a request takes a provided buffer."""
    return request.entry.flags & layout.BUFFER_SELECT != 0


def select(request: Request, most: int) -> Chosen:
    """Take a buffer for a request, at most that long unless `most` is 0: `use` or `put_back` follows. Raises ENOBUFS,
    EFAULT.
    """
    group = group_of(request)
    buffer = group.take()
    if buffer is None:
        raise Errno(ENOBUFS)
    if not group.is_ring():
        request.ring.held.group_bytes -= BUFFER_BYTES
    length = buffer.length
    if 0 < most < length:
        length = most
    return Chosen(group, buffer, length)


def select_further(request: Request, group: BufferGroup, most: int) -> Chosen | None:
    """Take one more of a ring of buffers, at most that long; None if there is none. Raises EFAULT, MemoryError."""
    buffer = group.take()
    return None if buffer is None else Chosen(group, buffer, min(most, buffer.length))


def name_buffer(request: Request, chosen: Chosen) -> None:
    """Let a request's completion name the buffer."""
    request.end.flags = layout.CQE_BUFFER | chosen.buffer.number << layout.CQE_BUFFER_SHIFT


def use(request: Request, chosen: Chosen, done: int) -> None:
    """A request has moved `done` bytes there, or from there: its completion names the buffer. The rest may be of use
    to the next one; of what cannot be waited for Linux counts all that the request asked for, and does not say so.
    """
    name_buffer(request, chosen)
    group = chosen.group
    if not group.keeps_rest or request.ring.registered.groups.get(request.entry.buffer_index) is not group:
        return
    file = request.file
    if file is not None and not file.can_be_watched():
        group.keep_rest(chosen.buffer, chosen.head, chosen.length)
    elif group.keep_rest(chosen.buffer, chosen.head, done):
        request.end.flags |= layout.CQE_BUFFER_MORE


def put_back(request: Request, chosen: Chosen) -> None:
    """No data came. Raises MemoryError, and the buffer is lost."""
    group = chosen.group
    if request.ring.registered.groups.get(request.entry.buffer_index) is not group:
        return  # the program has dropped the group in the meantime
    group.put_back(chosen.buffer, chosen.head)
    if not group.is_ring():
        request.ring.held.group_bytes += BUFFER_BYTES


def _prepare_provide(request: Request) -> None:
    refuse_if(request.entry.modifiers != 0 or request.entry.other != 0)
    count = request.entry.descriptor
    if count <= 0 or count > _MOST_BUFFERS:
        raise Errno(E2BIG)
    refuse_if(request.entry.length == 0)
    user.check(request.entry.address, request.entry.length * count)
    first = request.entry.offset
    if first < 0 or first >= _MOST_BUFFERS:
        raise Errno(E2BIG)
    refuse_if(first + count > _MOST_BUFFERS)


def _provide(request: Request) -> int:
    groups = request.ring.registered.groups
    group = groups.get(request.entry.buffer_index)
    if group is None:
        group = BufferGroup(UserAddr(0), 0, None)
        groups[request.entry.buffer_index] = group
        request.ring.held.group_bytes += group.held_bytes()
    refuse_if(group.is_ring())
    for index in range(request.entry.descriptor):
        if len(group.buffers) >= _MOST_BUFFERS:
            if index > 0:
                break
            raise Errno(E2BIG)
        address = user.within(request.memory(), index * request.entry.length)
        number = ((request.entry.offset & _LAST_NUMBER) + index) & _LAST_NUMBER
        group.buffers.append(ProvidedBuffer(address, request.entry.length, number))
        request.ring.held.group_bytes += BUFFER_BYTES
        pace(_COST)
        if groups.get(request.entry.buffer_index) is not group:
            break  # others took its buffers, and registered a ring with its number
    return 0


def _prepare_remove(request: Request) -> None:
    refuse_if(request.entry.modifiers != 0 or request.entry.address != 0 or request.entry.length != 0)
    refuse_if(request.entry.offset != 0 or request.entry.other != 0)
    refuse_if(request.entry.descriptor <= 0 or request.entry.descriptor > _MOST_BUFFERS)


def _remove(request: Request) -> int:
    group = request.ring.registered.groups.get(request.entry.buffer_index)
    if group is None:
        raise Errno(ENOENT)
    refuse_if(group.is_ring())
    done = 0
    while done < request.entry.descriptor and len(group.buffers) > 0:
        group.buffers.popleft()
        request.ring.held.group_bytes -= BUFFER_BYTES
        done += 1
        pace(_COST)
    return done


def register_group(ring: Ring, argument: UserAddr, count: int) -> int:
    """IORING_REGISTER_PBUF_RING. Raises EINVAL, EFAULT, EEXIST, MemoryError."""
    refuse_if(argument == 0 or count != 1)
    address = UserAddr(user.read_i64(argument))
    entry_count = user.read_u32(user.at(argument, 8))
    number = user.read_u16(user.at(argument, 12))
    flags = user.read_u16(user.at(argument, 14))
    _check_reserved(argument)
    refuse_if(flags & ~(_FLAG_MMAP | _FLAG_INC) != 0)
    if flags & _FLAG_MMAP != 0:
        refuse_if(address != 0)
    elif address == 0:
        raise Errno(EFAULT)
    refuse_if(address & _PAGE_MASK != 0)
    refuse_if(entry_count == 0 or entry_count > _MOST_ENTRIES or entry_count & entry_count - 1 != 0)
    _replaceable(ring, number)
    size = (entry_count * ENTRY_SIZE + _PAGE_MASK) & ~_PAGE_MASK
    memory = None
    if flags & _FLAG_MMAP != 0:
        memory = RingMemory(size)
    else:
        user.read_u8(user.at(address, size - 1))
    group = BufferGroup(address, entry_count, memory)
    group.keeps_rest = flags & _FLAG_INC != 0
    done = False
    try:
        old = _replaceable(ring, number)  # reading slept, and requests may have provided buffers
        ring.registered.groups[number] = group
        ring.held.group_bytes += group.held_bytes() - (0 if old is None else old.held_bytes())
        done = True
    finally:
        if not done:
            group.give_back()
    return 0


def _replaceable(ring: Ring, number: int) -> BufferGroup | None:
    """The group that a new one may replace, if there is one. Raises EEXIST."""
    old = ring.registered.groups.get(number)
    if old is not None and (old.is_ring() or len(old.buffers) > 0):
        raise Errno(EEXIST)
    return old


def drop_group(ring: Ring, argument: UserAddr, count: int) -> int:
    """IORING_UNREGISTER_PBUF_RING. Raises EINVAL, EFAULT, ENOENT."""
    refuse_if(argument == 0 or count != 1)
    number = user.read_u16(user.at(argument, 12))
    flags = user.read_u16(user.at(argument, 14))
    _check_reserved(argument)
    refuse_if(flags != 0)
    group = ring.registered.groups.get(number)
    if group is None:
        raise Errno(ENOENT)
    refuse_if(not group.is_ring())
    ring.registered.groups.pop(number)
    ring.held.group_bytes -= group.held_bytes()
    group.give_back()
    return 0


def group_status(ring: Ring, argument: UserAddr, count: int) -> int:
    """IORING_REGISTER_PBUF_STATUS: the head of a ring of buffers. Raises EINVAL, EFAULT, ENOENT."""
    refuse_if(argument == 0 or count != 1)
    storage: Array[u8, Literal[40]] = Array()
    fields = storage.span()
    user.read_into(fields, argument)
    for offset in range(8, len(fields), 4):
        refuse_if(fields.load_u32(offset) != 0)
    group = ring.registered.groups.get(fields.load_u32(0))
    if group is None:
        raise Errno(ENOENT)
    refuse_if(not group.is_ring())
    fields.store_u32(4, group.head)
    user.write_from(argument, fields)
    return 0


def _check_reserved(argument: UserAddr) -> None:
    for offset in range(16, 40, 8):
        refuse_if(user.read_i64(user.at(argument, offset)) != 0)


Operation(31, _prepare_provide, _provide)
Operation(32, _prepare_remove, _remove)
