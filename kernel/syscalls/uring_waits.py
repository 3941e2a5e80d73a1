"""Operations of io_uring that wait, and those that change or end waiting ones: NOP, POLL_ADD, POLL_REMOVE,
ASYNC_CANCEL, MSG_RING.

The order of checks is Linux's. Source: io_uring_enter(2).
"""

from typing import Final, Literal

from kernel.fs.constants import POLLERR, POLLHUP, POLLNVAL, POLLRDHUP
from kernel.lang import (
    EAGAIN,
    EBADF,
    EBADFD,
    ECANCELED,
    ENOENT,
    EOVERFLOW,
    Array,
    Errno,
    UserAddr,
    u8,
)
from kernel.lib import user
from kernel.lib.pace import pace
from kernel.syscalls.descriptor_arguments import file_at
from kernel.syscalls.uring_arguments import refuse_if
from kernel.syscalls.uring_names import place_for, slot_of
from kernel.task.words import load_i32, load_i64, signed_32
from kernel.uring import layout
from kernel.uring.cancel import (
    CANCEL_ALL,
    CANCEL_ANY,
    CANCEL_FD,
    CANCEL_FD_FIXED,
    CANCEL_FLAGS,
    CANCEL_OP,
    Wanted,
    cancel,
    find,
)
from kernel.uring.file import UringFile
from kernel.uring.operation import Operation
from kernel.uring.request import Request
from kernel.uring.retirement import replace_file
from kernel.uring.ring import Ring

_OP_POLL_ADD: Final = 6

_NOP_INJECT_RESULT: Final = 1

_POLL_ADD_MULTI: Final = 1 << 0
_POLL_UPDATE_EVENTS: Final = 1 << 1
_POLL_UPDATE_USER_DATA: Final = 1 << 2
_POLL_ALWAYS: Final = POLLERR | POLLHUP | POLLNVAL | POLLRDHUP
_POLL_EVENTS: Final = 0xFFFF

_WORD: Final = 0xFFFF_FFFF
_COST: Final = 300  # instructions, for `pace`

_CANCEL_OPCODE: Final = 32  # in struct io_uring_sync_cancel_reg; reserved bytes follow it

_MSG_DATA: Final = 0
_MSG_SEND_FD: Final = 1
_ANY_SLOT: Final = 0xFFFF_FFFF
_MSG_CQE_SKIP: Final = 1
_MSG_FLAGS_PASS: Final = 2


# ---- NOP -------------------------------------------------------------------------------------------------------------


def _prepare_nop(request: Request) -> None:
    refuse_if(request.entry.modifiers & ~_NOP_INJECT_RESULT != 0)


def _nop(request: Request) -> int:
    return signed_32(request.entry.length) if request.entry.modifiers & _NOP_INJECT_RESULT != 0 else 0


# ---- Polling ---------------------------------------------------------------------------------------------------------


def _prepare_poll(request: Request) -> None:
    refuse_if(request.entry.buffer_index != 0 or request.entry.offset != 0 or request.entry.address != 0)
    refuse_if(request.entry.length & ~_POLL_ADD_MULTI != 0)
    is_multiple = request.entry.length & _POLL_ADD_MULTI != 0
    refuse_if(is_multiple and request.entry.flags & layout.CQE_SKIP_SUCCESS != 0)
    request.events = request.entry.modifiers & _POLL_EVENTS
    request.hears_wakes_only = is_multiple


def _poll(request: Request) -> int:
    file = request.file
    assert file is not None
    found = file.poll(None) & (request.events | _POLL_ALWAYS)
    if request.entry.length & _POLL_ADD_MULTI == 0:
        if found == 0:
            raise Errno(EAGAIN)
        return found
    if request.waiter is None or found == 0:
        raise Errno(EAGAIN)  # it waits on the queues first
    if isinstance(file, UringFile) or file is request.ring.listeners.bell:
        return found  # its completions may be what wakes it: it is not multishot
    if request.ring.post_more(request.entry.user_data, found, layout.CQE_MORE):
        raise Errno(EAGAIN)
    return found


def _prepare_poll_remove(request: Request) -> None:
    refuse_if(request.entry.buffer_index != 0 or request.entry.other != 0)
    how = request.entry.length
    refuse_if(how & ~(_POLL_UPDATE_EVENTS | _POLL_UPDATE_USER_DATA | _POLL_ADD_MULTI) != 0)
    refuse_if(how == _POLL_ADD_MULTI)
    refuse_if(how & _POLL_UPDATE_USER_DATA == 0 and request.entry.offset != 0)
    refuse_if(how & _POLL_UPDATE_EVENTS == 0 and request.entry.modifiers != 0)


def _poll_remove(request: Request) -> int:
    ring = request.ring
    found = find(ring, request.entry.address, _OP_POLL_ADD, _OP_POLL_ADD)
    if found is None:
        raise Errno(ENOENT)
    how = request.entry.length
    if how & (_POLL_UPDATE_EVENTS | _POLL_UPDATE_USER_DATA) == 0:
        found.settle(-ECANCELED)
        return 0
    if how & _POLL_UPDATE_USER_DATA != 0:
        ring.rename(found, request.entry.offset)
    if how & _POLL_UPDATE_EVENTS != 0:
        found.events = request.entry.modifiers & _POLL_EVENTS
    found.note_due()
    return 0


# ---- Cancelling ------------------------------------------------------------------------------------------------------


def _prepare_cancel(request: Request) -> None:
    refuse_if(request.entry.flags & layout.BUFFER_SELECT != 0)
    refuse_if(request.entry.offset != 0 or request.entry.other != 0)
    flags = request.entry.modifiers
    refuse_if(flags & ~CANCEL_FLAGS != 0)
    refuse_if(flags & CANCEL_ANY != 0 and flags & (CANCEL_FD | CANCEL_OP) != 0)


def _cancel(request: Request) -> int:
    flags = request.entry.modifiers
    ring = request.ring
    file = None
    if flags & CANCEL_FD != 0:
        if request.entry.flags & layout.FIXED_FILE != 0 or flags & CANCEL_FD_FIXED != 0:
            file = ring.registered.files.file(request.entry.descriptor)
        else:
            file = file_at(request.entry.descriptor)
    wanted = Wanted(flags, request.entry.address, request.entry.length & 0xFF, file)
    found = cancel(ring, wanted)
    if flags & (CANCEL_ALL | CANCEL_ANY) != 0:
        return found
    if found == 0:
        raise Errno(ENOENT)
    return wanted.result


def cancel_at_once(ring: Ring, argument: UserAddr) -> int:
    """IORING_REGISTER_SYNC_CANCEL: `argument` is a struct io_uring_sync_cancel_reg. Its time limits how long Linux
    waits for requests that a worker performs. Here a request waits, and is cancelled at once; or a call performs it,
    and Linux does not cancel that either. Raises EFAULT, EINVAL, EBADF, ENOENT.
    """
    storage: Array[u8, Literal[64]] = Array()
    fields = storage.span()
    user.read_into(fields, argument)
    flags = fields.load_u32(12)
    refuse_if(flags & ~CANCEL_FLAGS != 0)
    for offset in range(_CANCEL_OPCODE, len(fields)):
        refuse_if(offset != _CANCEL_OPCODE and fields[offset] != 0)
    file = None
    if flags & CANCEL_FD != 0:
        descriptor = load_i32(fields, 8)
        file = ring.registered.files.file(descriptor) if flags & CANCEL_FD_FIXED != 0 else file_at(descriptor)
    wanted = Wanted(flags, load_i64(fields, 0), fields[_CANCEL_OPCODE], file)
    found = cancel(ring, wanted)
    if flags & (CANCEL_ALL | CANCEL_ANY) != 0:
        return found
    if found == 0:
        raise Errno(ENOENT)
    return max(0, wanted.result)  # Linux waits for its workers


# ---- Messages to other rings -----------------------------------------------------------------------------------------


def _prepare_message(request: Request) -> None:
    refuse_if(request.entry.buffer_index != 0 or request.entry.personality != 0)
    refuse_if(request.entry.modifiers & ~(_MSG_CQE_SKIP | _MSG_FLAGS_PASS) != 0)


def _message(request: Request) -> int:
    file = request.file
    if not isinstance(file, UringFile):
        raise Errno(EBADFD)
    if request.entry.address == _MSG_SEND_FD:
        return _send_file(request, file.ring)
    refuse_if(request.entry.address != _MSG_DATA)
    refuse_if(request.entry.address3 != 0 or request.entry.modifiers & ~_MSG_FLAGS_PASS != 0)
    passes = request.entry.modifiers & _MSG_FLAGS_PASS != 0
    refuse_if(not passes and request.entry.other != 0)
    target = file.ring
    if target.is_disabled:
        raise Errno(EBADFD)
    if target.is_ended:
        raise Errno(EBADF)
    flags = request.entry.other & _WORD if passes else 0
    _post_to(target, request.entry.offset, signed_32(request.entry.length), flags)
    return 0


def _post_to(target: Ring, user_data: int, result: int, flags: int) -> None:
    """Raises EOVERFLOW if no one takes them: the overflow of a ring is bounded."""
    if target.overflow.count >= target.shape.completion_count:
        raise Errno(EOVERFLOW)
    target.post(user_data, result, flags)
    while target.end_counted():
        pace(_COST)


def _send_file(request: Request, target: Ring) -> int:
    """Register one of this ring's files with another one, and post a completion there. If that fails, it stays."""
    refuse_if(request.entry.length != 0 or target is request.ring)
    if target.is_disabled:
        raise Errno(EBADFD)
    if target.is_ended:
        raise Errno(EBADF)
    file = request.ring.registered.files.file(request.entry.address3 & _WORD).acquire()
    done = False
    try:
        slot = slot_of(request)
        place = place_for(target, slot)
        replace_file(target, place, file)
        done = True
    finally:
        if not done:
            file.release()
    result = place if slot == _ANY_SLOT else 0
    if request.entry.modifiers & _MSG_CQE_SKIP == 0:
        _post_to(target, request.entry.offset, result, 0)
    return result


Operation(0, _prepare_nop, _nop)
Operation(_OP_POLL_ADD, _prepare_poll, _poll, needs_file=True)
Operation(7, _prepare_poll_remove, _poll_remove)
Operation(14, _prepare_cancel, _cancel)
Operation(40, _prepare_message, _message, needs_file=True)
