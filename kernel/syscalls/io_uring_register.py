"""io_uring_register(2): a ring's resources besides its requests."""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.file import File
from kernel.lang import (
    EACCES,
    EBADFD,
    EBUSY,
    EEXIST,
    EINVAL,
    ENXIO,
    EOPNOTSUPP,
    Errno,
    UserAddr,
    u32,
)
from kernel.lib import user
from kernel.syscalls.descriptor_arguments import file_at
from kernel.syscalls.io_uring_enter import MOST_RINGS, uring_at
from kernel.syscalls.uring_buffers import drop_group, register_group
from kernel.syscalls.uring_resources import (
    drop_buffers,
    register_bell,
    register_buffers,
    register_files,
    update_files_by,
)
from kernel.task import current
from kernel.task.task import Task
from kernel.uring import layout
from kernel.uring.file import UringFile
from kernel.uring.operation import OPCODES, OPERATIONS
from kernel.uring.perform import work_of
from kernel.uring.ring import Restrictions, Ring

_BUFFERS: Final = 0
_UNREGISTER_BUFFERS: Final = 1
_FILES: Final = 2
_UNREGISTER_FILES: Final = 3
_EVENTFD: Final = 4
_UNREGISTER_EVENTFD: Final = 5
_FILES_UPDATE: Final = 6
_EVENTFD_ASYNC: Final = 7
_PROBE: Final = 8
_RESTRICTIONS: Final = 11
_ENABLE_RINGS: Final = 12
_RING_FDS: Final = 20
_UNREGISTER_RING_FDS: Final = 21
_GROUP: Final = 22
_UNREGISTER_GROUP: Final = 23
_CODES: Final = 31  # that Linux 6.12 knows
_USE_REGISTERED_RING: Final = 1 << 31

_ANY_SLOT: Final = 0xFFFF_FFFF
_MOST_PROBED: Final = 256
_PROBE_HEADER: Final = 16
_UPDATE_SIZE: Final = 16  # struct io_uring_rsrc_update
_RESTRICTION_SIZE: Final = 16
_MOST_RESTRICTIONS: Final = 4 + _CODES + OPCODES


@syscall(
    "io_uring_register",
    status="Partial",
    args="fd:io_uring one:0|1|2|3|4|5|6|7|8|9|10|11|12|20|21|22|23|31 =bytes[count]? count",
    notes="No personalities, tags, workers, NAPI, clocks, clones, SYNC_CANCEL, FILE_ALLOC_RANGE, PBUF_STATUS",
)
def io_uring_register(descriptor: u32, code: u32, argument: UserAddr, count: u32) -> int:
    """io_uring_register(2)."""
    task = current()
    which = code & ~_USE_REGISTERED_RING
    if which >= _CODES:
        raise Errno(EINVAL)
    file = uring_at(descriptor, task, is_registered=code & _USE_REGISTERED_RING != 0)
    ring = file.ring
    if ring.submitter is not None and ring.submitter is not task:
        raise Errno(EEXIST)
    if ring.restrictions is not None and ring.restrictions.register_codes >> which & 1 == 0:
        raise Errno(EACCES)
    file.acquire()
    try:
        ring.lock()
        try:
            return _register(ring, task, which, argument, count)
        finally:
            ring.submitting.release()
    finally:
        file.release()


def _register(ring: Ring, task: Task, code: int, argument: UserAddr, count: int) -> int:
    if code in (_UNREGISTER_BUFFERS, _UNREGISTER_FILES, _UNREGISTER_EVENTFD, _ENABLE_RINGS):
        if argument != 0 or count != 0:
            raise Errno(EINVAL)
    if code == _BUFFERS:
        return register_buffers(ring, task, argument, count)
    if code == _UNREGISTER_BUFFERS:
        return drop_buffers(ring)
    if code == _FILES:
        return register_files(ring, task, argument, count)
    if code == _UNREGISTER_FILES:
        if not ring.has_files:
            raise Errno(ENXIO)
        ring.drop_files()
        return 0
    if code == _FILES_UPDATE:
        return update_files_by(ring, argument, count)
    if code == _EVENTFD or code == _EVENTFD_ASYNC:
        return register_bell(ring, argument, count, is_for_late=code == _EVENTFD_ASYNC)
    if code == _UNREGISTER_EVENTFD:
        bell = ring.bell
        if bell is None:
            raise Errno(ENXIO)
        ring.bell = None
        bell.release()
        return 0
    if code == _PROBE:
        return _probe(argument, count)
    if code == _RESTRICTIONS:
        return _restrict(ring, argument, count)
    if code == _ENABLE_RINGS:
        return _enable(ring, task)
    if code == _RING_FDS or code == _UNREGISTER_RING_FDS:
        return _register_rings(task, code, argument, count)
    if code == _GROUP:
        return register_group(ring, argument, count)
    if code == _UNREGISTER_GROUP:
        return drop_group(ring, argument, count)
    raise Errno(EINVAL)


# ---- Capabilities ----------------------------------------------------------------------------------------------------


def _probe(argument: UserAddr, count: int) -> int:
    if argument == 0 or count > _MOST_PROBED:
        raise Errno(EINVAL)
    count = min(count, OPCODES)
    given = user.read_bytes(argument, _PROBE_HEADER + count * 8)
    for byte in given:
        if byte != 0:
            raise Errno(EINVAL)
    told = bytearray(len(given))
    told[0] = OPCODES - 1
    told[1] = count
    for opcode in range(count):
        told[_PROBE_HEADER + opcode * 8] = opcode
        if OPERATIONS[opcode] is not None:
            told[_PROBE_HEADER + opcode * 8 + 2] = 1  # IO_URING_OP_SUPPORTED
    user.write_bytes(argument, bytes(told))
    return 0


# ---- Restrictions ----------------------------------------------------------------------------------------------------


def _restrict(ring: Ring, argument: UserAddr, count: int) -> int:
    if not ring.is_disabled:
        raise Errno(EBADFD)
    if ring.restrictions_to_be is not None:
        raise Errno(EBUSY)
    if argument == 0 or count > _MOST_RESTRICTIONS:
        raise Errno(EINVAL)
    made = Restrictions()
    for index in range(count):
        word = user.read_u32(user.at(argument, index * _RESTRICTION_SIZE))
        value = word >> 16 & 0xFF
        kind = word & 0xFFFF
        if kind == 0 and value < _CODES:
            made.register_codes |= 1 << value
        elif kind == 1 and value < OPCODES:
            made.opcodes |= 1 << value
        elif kind == 2:
            made.flags_allowed = value
        elif kind == 3:
            made.flags_required = value
        else:
            raise Errno(EINVAL)
    ring.restrictions_to_be = made
    return 0


def _enable(ring: Ring, task: Task) -> int:
    if not ring.is_disabled:
        raise Errno(EBADFD)
    if ring.setup & layout.SETUP_SINGLE_ISSUER != 0:
        ring.submitter = task
    ring.restrictions = ring.restrictions_to_be
    ring.is_disabled = False
    return 0


# ---- Rings by index --------------------------------------------------------------------------------------------------


def _register_rings(task: Task, code: int, argument: UserAddr, count: int) -> int:
    if count == 0 or count > MOST_RINGS:
        raise Errno(EINVAL)
    work = work_of(task)
    while len(work.registered) < MOST_RINGS:
        work.registered.append(None)
    done = 0
    try:
        while done < count:
            place = user.at(argument, done * _UPDATE_SIZE)
            offset = user.read_u32(place)
            reserved = user.read_u32(user.at(place, 4))
            data = user.read_i64(user.at(place, 8))
            if reserved != 0:
                raise Errno(EINVAL)
            if code == _RING_FDS:
                slot = _add_ring(work.registered, offset, data)
                try:
                    user.write_u32(place, slot)
                except Errno:
                    _drop_ring(work.registered, slot)
                    raise
            else:
                if data != 0 or offset >= MOST_RINGS:
                    raise Errno(EINVAL)
                _drop_ring(work.registered, offset)
            done += 1
    except Errno:
        if done == 0:
            raise
    return done


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
    for slot in range(MOST_RINGS):
        if (offset == _ANY_SLOT or slot == offset) and registered[slot] is None:
            registered[slot] = file.acquire()
            return slot
    raise Errno(EBUSY)
