"""Operations of io_uring that wait, and those that change or end what waits: NOP, POLL_ADD, POLL_REMOVE, TIMEOUT,
TIMEOUT_REMOVE, LINK_TIMEOUT, ASYNC_CANCEL, MSG_RING.

The order of checks is Linux's. Source: io_uring_enter(2).
"""

from typing import Final

from kernel.fs.constants import POLLERR, POLLHUP, POLLNVAL, POLLRDHUP
from kernel.lang import (
    EAGAIN,
    EBADF,
    EBADFD,
    ECANCELED,
    EINVAL,
    ENOENT,
    EOVERFLOW,
    ETIME,
    Errno,
    UserAddr,
)
from kernel.lib import user
from kernel.syscalls.descriptor_arguments import file_at
from kernel.task.words import signed_32
from kernel.time import monotonic_ns, realtime_ns
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
from kernel.uring.perform import limit_is_up
from kernel.uring.request import OP_LINK_TIMEOUT, OP_TIMEOUT, WAITS, Counted, Request, RequestTimer

_OP_POLL_ADD: Final = 6

_NOP_INJECT_RESULT: Final = 1

_POLL_ADD_MULTI: Final = 1 << 0
_POLL_UPDATE_EVENTS: Final = 1 << 1
_POLL_UPDATE_USER_DATA: Final = 1 << 2
_POLL_ALWAYS: Final = POLLERR | POLLHUP | POLLNVAL | POLLRDHUP
_POLL_EVENTS: Final = 0xFFFF

_TIMEOUT_ABS: Final = 1 << 0
_TIMEOUT_UPDATE: Final = 1 << 1
_TIMEOUT_BOOTTIME: Final = 1 << 2
_TIMEOUT_REALTIME: Final = 1 << 3
_LINK_TIMEOUT_UPDATE: Final = 1 << 4
_TIMEOUT_ETIME_SUCCESS: Final = 1 << 5
_TIMEOUT_MULTISHOT: Final = 1 << 6
_CLOCKS: Final = _TIMEOUT_BOOTTIME | _TIMEOUT_REALTIME
_UPDATES: Final = _TIMEOUT_UPDATE | _LINK_TIMEOUT_UPDATE
_TIMEOUT_FLAGS: Final = _TIMEOUT_ABS | _CLOCKS | _TIMEOUT_ETIME_SUCCESS | _TIMEOUT_MULTISHOT
_NS: Final = 1_000_000_000
_LONGEST_S: Final = 1 << 32
_WORD: Final = 0xFFFF_FFFF

_MSG_DATA: Final = 0
_MSG_CQE_SKIP: Final = 1
_MSG_FLAGS_PASS: Final = 2


def refuse_if(is_wrong: bool) -> None:
    """Raise EINVAL where a field says something that it must not."""
    if is_wrong:
        raise Errno(EINVAL)


# ---- NOP -------------------------------------------------------------------------------------------------------------


def _prepare_nop(request: Request) -> None:
    refuse_if(request.modifiers & ~_NOP_INJECT_RESULT != 0)


def _nop(request: Request) -> int:
    return signed_32(request.length) if request.modifiers & _NOP_INJECT_RESULT != 0 else 0


# ---- Polling ---------------------------------------------------------------------------------------------------------


def _prepare_poll(request: Request) -> None:
    refuse_if(request.buffer_index != 0 or request.offset != 0 or request.address != 0)
    refuse_if(request.length & ~_POLL_ADD_MULTI != 0)
    is_multiple = request.length & _POLL_ADD_MULTI != 0
    refuse_if(is_multiple and request.flags & layout.CQE_SKIP_SUCCESS != 0)
    request.events = request.modifiers & _POLL_EVENTS
    request.hears_wakes_only = is_multiple


def _poll(request: Request) -> int:
    file = request.file
    assert file is not None
    found = file.poll(None) & (request.events | _POLL_ALWAYS)
    if request.length & _POLL_ADD_MULTI == 0:
        if found == 0:
            raise Errno(EAGAIN)
        return found
    if request.waiter is None or found == 0:
        raise Errno(EAGAIN)  # first it stands on the queues
    if request.ring.post_more(request.user_data, found, layout.CQE_MORE):
        raise Errno(EAGAIN)
    return found


def _prepare_poll_remove(request: Request) -> None:
    refuse_if(request.buffer_index != 0 or request.other != 0)
    how = request.length
    refuse_if(how & ~(_POLL_UPDATE_EVENTS | _POLL_UPDATE_USER_DATA | _POLL_ADD_MULTI) != 0)
    refuse_if(how == _POLL_ADD_MULTI)
    refuse_if(how & _POLL_UPDATE_USER_DATA == 0 and request.offset != 0)
    refuse_if(how & _POLL_UPDATE_EVENTS == 0 and request.modifiers != 0)


def _poll_remove(request: Request) -> int:
    ring = request.ring
    found = find(ring, request.address, _OP_POLL_ADD, _OP_POLL_ADD)
    if found is None:
        raise Errno(ENOENT)
    how = request.length
    if how & (_POLL_UPDATE_EVENTS | _POLL_UPDATE_USER_DATA) == 0:
        found.settle(-ECANCELED)
        return 0
    if how & _POLL_UPDATE_USER_DATA != 0:
        ring.drop(found)
        found.user_data = request.offset
        ring.keep(found)
    if how & _POLL_UPDATE_EVENTS != 0:
        found.events = request.modifiers & _POLL_EVENTS
    found.note_due()
    return 0


# ---- Timeouts --------------------------------------------------------------------------------------------------------


def _time_ns(address: UserAddr) -> int:
    """A struct __kernel_timespec. Raises EFAULT, EINVAL for negative times."""
    user.check(address, 16)
    seconds = user.read_i64(address)
    nanoseconds = user.read_i64(user.at(address, 8))
    refuse_if(seconds < 0 or nanoseconds < 0)
    return min(seconds, _LONGEST_S) * _NS + min(nanoseconds, _LONGEST_S)


def _deadline_ns(time_ns: int, flags: int) -> int:
    """When a time of a timeout's clock comes on the monotonic clock."""
    if flags & _TIMEOUT_ABS == 0:
        return monotonic_ns() + time_ns
    if flags & _TIMEOUT_REALTIME != 0:
        return max(1, monotonic_ns() + time_ns - realtime_ns())
    return max(1, time_ns)


def _prepare_timeout(request: Request) -> None:
    _judge_timeout(request, is_link=False)


def _prepare_link_timeout(request: Request) -> None:
    _judge_timeout(request, is_link=True)
    last = request.ring.chain_last
    refuse_if(last is None)
    if last is not None:
        refuse_if(last.opcode == OP_LINK_TIMEOUT)


def _judge_timeout(request: Request, *, is_link: bool) -> None:
    refuse_if(request.address3 != 0 or request.last != 0)
    refuse_if(request.buffer_index != 0 or request.length != 1 or request.other != 0)
    refuse_if(request.offset & _WORD != 0 and is_link)
    flags = request.modifiers
    refuse_if(flags & ~_TIMEOUT_FLAGS != 0 or flags & _CLOCKS == _CLOCKS)
    refuse_if(flags & _TIMEOUT_MULTISHOT != 0 and flags & _TIMEOUT_ABS != 0)
    extra = request.more()
    extra.time_ns = _time_ns(request.memory())
    extra.repeats = request.offset & _WORD if flags & _TIMEOUT_MULTISHOT != 0 else 0


def _start_timer(request: Request) -> int:
    ring = request.ring
    extra = request.more()
    ring.keep(request)
    timer = RequestTimer(request)
    request.timer = timer
    if not request.is_limit() and request.modifiers & _TIMEOUT_MULTISHOT == 0:
        count = request.offset & _WORD
        if count != 0:
            counted = Counted(request)
            ring.counted.insert(counted, ring.posted - ring.timed_out + count)
            extra.counted = counted
    timer.start(_deadline_ns(extra.time_ns, request.modifiers))
    return WAITS


def _timeout(request: Request) -> int:
    timer = request.timer
    if timer is None:
        return _start_timer(request)
    if not timer.is_up:
        return WAITS
    timer.is_up = False
    if request.is_limit():
        return limit_is_up(request)
    ring = request.ring
    ring.timed_out += 1
    flags = request.modifiers
    request.keeps_chain = flags & _TIMEOUT_ETIME_SUCCESS != 0
    if flags & _TIMEOUT_MULTISHOT != 0 and not _is_last(request):
        if ring.post_more(request.user_data, -ETIME, layout.CQE_MORE):
            timer.start(_deadline_ns(request.more().time_ns, flags))
            return WAITS
    return -ETIME


def _is_last(request: Request) -> bool:
    """Whether a timeout that goes off several times has done so as often as it should."""
    extra = request.more()
    if extra.repeats == 0:
        return False
    extra.repeats -= 1
    return extra.repeats == 0


def _prepare_timeout_remove(request: Request) -> None:
    refuse_if(request.flags & (layout.FIXED_FILE | layout.BUFFER_SELECT) != 0)
    refuse_if(request.buffer_index != 0 or request.length != 0 or request.other != 0)
    flags = request.modifiers
    if flags & _UPDATES == 0:
        refuse_if(flags != 0)
        return
    refuse_if(flags & _CLOCKS == _CLOCKS)
    refuse_if(flags & ~(_UPDATES | _TIMEOUT_ABS) != 0)
    request.more().time_ns = _time_ns(request.memory2())


def _timeout_remove(request: Request) -> int:
    flags = request.modifiers
    opcode = OP_LINK_TIMEOUT if flags & _LINK_TIMEOUT_UPDATE != 0 else OP_TIMEOUT
    found = find(request.ring, request.address, opcode, opcode)
    timer = None if found is None else found.timer
    if found is None or timer is None:
        raise Errno(ENOENT)
    if flags & _UPDATES == 0:
        found.settle(-ECANCELED)
        return 0
    if timer.is_up:
        raise Errno(ENOENT)
    time_ns = request.more().time_ns
    counted = found.more().counted
    if counted is not None and counted.request is not None:
        counted.request = None
        found.ring.counted.take_out(counted)
    found.more().time_ns = time_ns
    found.modifiers = found.modifiers & ~_TIMEOUT_ABS | flags & _TIMEOUT_ABS
    timer.start(_deadline_ns(time_ns, found.modifiers))
    return 0


# ---- Cancelling ------------------------------------------------------------------------------------------------------


def _prepare_cancel(request: Request) -> None:
    refuse_if(request.flags & layout.BUFFER_SELECT != 0)
    refuse_if(request.offset != 0 or request.other != 0)
    flags = request.modifiers
    refuse_if(flags & ~CANCEL_FLAGS != 0)
    refuse_if(flags & CANCEL_ANY != 0 and flags & (CANCEL_FD | CANCEL_OP) != 0)


def _cancel(request: Request) -> int:
    flags = request.modifiers
    ring = request.ring
    file = None
    if flags & CANCEL_FD != 0:
        if request.flags & layout.FIXED_FILE != 0 or flags & CANCEL_FD_FIXED != 0:
            file = ring.fixed_file(request.descriptor)
        else:
            file = file_at(request.descriptor)
    found = cancel(ring, Wanted(flags, request.address, request.length & 0xFF, file))
    if flags & (CANCEL_ALL | CANCEL_ANY) != 0:
        return found
    if found == 0:
        raise Errno(ENOENT)
    return 0


# ---- Messages to other rings -----------------------------------------------------------------------------------------


def _prepare_message(request: Request) -> None:
    refuse_if(request.buffer_index != 0 or request.personality != 0)
    refuse_if(request.modifiers & ~(_MSG_CQE_SKIP | _MSG_FLAGS_PASS) != 0)


def _message(request: Request) -> int:
    file = request.file
    if not isinstance(file, UringFile):
        raise Errno(EBADFD)
    refuse_if(request.address != _MSG_DATA)
    refuse_if(request.address3 != 0 or request.modifiers & ~_MSG_FLAGS_PASS != 0)
    passes = request.modifiers & _MSG_FLAGS_PASS != 0
    refuse_if(not passes and request.other != 0)
    target = file.ring
    if target.is_disabled:
        raise Errno(EBADFD)
    if target.is_ended:
        raise Errno(EBADF)
    if target.is_full() and target.overflow_count >= target.completion_count:
        raise Errno(EOVERFLOW)  # nobody takes them: what is put aside for a ring is bounded
    target.post(request.offset, signed_32(request.length), request.other & _WORD if passes else 0)
    return 0


Operation(0, _prepare_nop, _nop)
Operation(_OP_POLL_ADD, _prepare_poll, _poll, needs_file=True)
Operation(7, _prepare_poll_remove, _poll_remove)
Operation(OP_TIMEOUT, _prepare_timeout, _timeout)
Operation(12, _prepare_timeout_remove, _timeout_remove)
Operation(14, _prepare_cancel, _cancel)
Operation(OP_LINK_TIMEOUT, _prepare_link_timeout, _timeout)
Operation(40, _prepare_message, _message, needs_file=True)
