"""io_uring_register(2): a ring's resources besides its requests."""

from typing import Final, Literal

from kernel.doors.table import syscall
from kernel.lang import (
    EACCES,
    EBADFD,
    EBUSY,
    EEXIST,
    EINVAL,
    Array,
    Errno,
    UserAddr,
    u8,
    u32,
)
from kernel.lib import user
from kernel.syscalls.io_uring_enter import uring_at
from kernel.syscalls.uring_arguments import read_plain_replacement, read_registration, read_replacement, refuse_if
from kernel.syscalls.uring_buffers import drop_group, group_status, register_group
from kernel.syscalls.uring_files import register_files, registered_files, set_file_range, update_files
from kernel.syscalls.uring_fixed_buffers import (
    clone_buffers,
    register_buffers,
    registered_buffers,
    update_buffers,
)
from kernel.syscalls.uring_indices import RING_FDS, register_rings
from kernel.syscalls.uring_settings import (
    drop_bell,
    drop_personality,
    drop_polling,
    drop_worker_processors,
    limit_workers,
    register_bell,
    register_personality,
    set_clock,
    set_polling,
    set_worker_processors,
)
from kernel.syscalls.uring_unregistering import unregister_buffers, unregister_files
from kernel.syscalls.uring_waits import cancel_at_once
from kernel.task import current
from kernel.task.task import Task
from kernel.uring import layout
from kernel.uring.operation import OPCODES, OPERATIONS
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
_PERSONALITY: Final = 9
_UNREGISTER_PERSONALITY: Final = 10
_RESTRICTIONS: Final = 11
_ENABLE_RINGS: Final = 12
_FILES2: Final = 13
_FILES_UPDATE2: Final = 14
_BUFFERS2: Final = 15
_BUFFERS_UPDATE: Final = 16
_IOWQ_AFF: Final = 17
_UNREGISTER_IOWQ_AFF: Final = 18
_IOWQ_MAX_WORKERS: Final = 19
_UNREGISTER_RING_FDS: Final = 21
_GROUP: Final = 22
_UNREGISTER_GROUP: Final = 23
_SYNC_CANCEL: Final = 24
_FILE_ALLOC_RANGE: Final = 25
_GROUP_STATUS: Final = 26
_NAPI: Final = 27
_UNREGISTER_NAPI: Final = 28
_CLOCK: Final = 29
_CLONE_BUFFERS: Final = 30
_CODES: Final = 31  # that Linux 6.12 knows
_ABOUT_TABLES: Final = (
    _BUFFERS, _FILES, _FILES_UPDATE, _FILES2, _FILES_UPDATE2, _BUFFERS2, _BUFFERS_UPDATE, _FILE_ALLOC_RANGE,
    _CLONE_BUFFERS,
)  # fmt: skip
_ABOUT_SETTINGS: Final = (
    _EVENTFD, _UNREGISTER_EVENTFD, _EVENTFD_ASYNC, _PERSONALITY, _UNREGISTER_PERSONALITY, _IOWQ_AFF,
    _UNREGISTER_IOWQ_AFF, _IOWQ_MAX_WORKERS, _NAPI, _UNREGISTER_NAPI, _CLOCK,
)  # fmt: skip
_USE_REGISTERED_RING: Final = 1 << 31
_SRC_REGISTERED: Final = 1 << 0  # IORING_REGISTER_SRC_REGISTERED

_MOST_PROBED: Final = 256
_PROBE_HEADER: Final = 16
_RESTRICTION_SIZE: Final = 16
_MOST_RESTRICTIONS: Final = 4 + _CODES + OPCODES


@syscall(
    "io_uring_register",
    status="Full",
    args="fd:io_uring one:io_uring_register any one:0|1|1|2|4|16|32|32",
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
        if which == _UNREGISTER_FILES or which == _UNREGISTER_BUFFERS:
            refuse_if(argument != 0 or count != 0)
            return unregister_files(ring, task) if which == _UNREGISTER_FILES else unregister_buffers(ring, task)
        ring.lock()
        try:
            return _register(ring, task, which, argument, count)
        finally:
            ring.submitting.release()
    finally:
        file.release()


def _register(ring: Ring, task: Task, code: int, argument: UserAddr, count: int) -> int:
    if code == _UNREGISTER_EVENTFD or code == _ENABLE_RINGS:
        refuse_if(argument != 0 or count != 0)
    if code in _ABOUT_TABLES:
        return _register_resources(ring, task, code, argument, count)
    if code in _ABOUT_SETTINGS:
        return _change_settings(ring, task, code, argument, count)
    if code == _PROBE:
        return _probe(argument, count)
    if code == _RESTRICTIONS:
        return _restrict(ring, argument, count)
    if code == _ENABLE_RINGS:
        return _enable(ring, task)
    if code == RING_FDS or code == _UNREGISTER_RING_FDS:
        return register_rings(task, code, argument, count)
    if code == _GROUP:
        return register_group(ring, argument, count)
    if code == _UNREGISTER_GROUP:
        return drop_group(ring, argument, count)
    if code == _GROUP_STATUS:
        return group_status(ring, argument, count)
    if code == _SYNC_CANCEL:
        refuse_if(argument == 0 or count != 1)
        return cancel_at_once(ring, argument)
    raise Errno(EINVAL)


# ---- Files and buffers -----------------------------------------------------------------------------------------------


def _register_resources(ring: Ring, task: Task, code: int, argument: UserAddr, count: int) -> int:
    if code == _BUFFERS:
        return registered_buffers(ring, task, argument, count)
    if code == _BUFFERS2:
        return register_buffers(ring, task, read_registration(argument, count))
    if code == _BUFFERS_UPDATE:
        return update_buffers(ring, task, read_replacement(argument, count))
    if code == _CLONE_BUFFERS:
        refuse_if(argument == 0 or count != 1)
        return _clone(ring, task, argument)
    if code == _FILES:
        return registered_files(ring, task, argument, count)
    if code == _FILES2:
        return register_files(ring, task, read_registration(argument, count))
    if code == _FILES_UPDATE:
        return update_files(ring, read_plain_replacement(argument, count))
    if code == _FILES_UPDATE2:
        return update_files(ring, read_replacement(argument, count))
    refuse_if(argument == 0 or count != 0)
    return set_file_range(ring, argument)


def _clone(ring: Ring, task: Task, argument: UserAddr) -> int:
    """IORING_REGISTER_CLONE_BUFFERS: `argument` is a struct io_uring_clone_buffers."""
    storage: Array[u8, Literal[32]] = Array()
    fields = storage.span()
    user.read_into(fields, argument)
    flags = fields.load_u32(4)
    refuse_if(flags & ~_SRC_REGISTERED != 0)
    if ring.registered.buffers.exists:
        raise Errno(EBUSY)
    for offset in range(8, len(fields), 4):
        refuse_if(fields.load_u32(offset) != 0)
    source = uring_at(fields.load_u32(0), task, is_registered=flags & _SRC_REGISTERED != 0)
    return clone_buffers(ring, source.ring, task)


# ---- Settings --------------------------------------------------------------------------------------------------------


def _change_settings(ring: Ring, task: Task, code: int, argument: UserAddr, count: int) -> int:
    if code == _EVENTFD or code == _EVENTFD_ASYNC:
        return register_bell(ring, argument, count, is_for_late=code == _EVENTFD_ASYNC)
    if code == _UNREGISTER_EVENTFD:
        return drop_bell(ring)
    if code == _PERSONALITY:
        return register_personality(ring, task, argument, count)
    if code == _UNREGISTER_PERSONALITY:
        return drop_personality(ring, argument, count)
    if code == _IOWQ_AFF:
        return set_worker_processors(ring, task, argument, count)
    if code == _UNREGISTER_IOWQ_AFF:
        return drop_worker_processors(ring, task, argument, count)
    if code == _IOWQ_MAX_WORKERS:
        return limit_workers(ring, task, argument, count)
    if code == _NAPI:
        return set_polling(ring, argument, count)
    if code == _UNREGISTER_NAPI:
        return drop_polling(ring, argument, count)
    return set_clock(argument, count)


# ---- Capabilities ----------------------------------------------------------------------------------------------------


def _probe(argument: UserAddr, count: int) -> int:
    if argument == 0 or count > _MOST_PROBED:
        raise Errno(EINVAL)
    count = min(count, OPCODES)
    given = user.read_bytes(argument, _PROBE_HEADER + count * 8)
    for byte in given:
        if byte != 0:
            raise Errno(EINVAL)
    answer = bytearray(len(given))
    answer[0] = OPCODES - 1
    answer[1] = count
    for opcode in range(count):
        answer[_PROBE_HEADER + opcode * 8] = opcode
        if OPERATIONS[opcode] is not None:
            answer[_PROBE_HEADER + opcode * 8 + 2] = 1  # IO_URING_OP_SUPPORTED
    user.write_bytes(argument, bytes(answer))
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
    served = ring.served
    taker = None if served is None else served.taker
    if taker is not None:
        taker.call()
    return 0
