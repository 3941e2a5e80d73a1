"""Operations of io_uring on time: TIMEOUT, TIMEOUT_REMOVE, LINK_TIMEOUT.

The order of checks is Linux's. Source: io_uring_enter(2).
"""

from typing import Final

from kernel.lang import ECANCELED, EINVAL, ENOENT, ETIME, Errno, UserAddr
from kernel.lib import user
from kernel.lib.saturation import sum_of
from kernel.syscalls.uring_arguments import refuse_if
from kernel.time import monotonic_ns, realtime_ns
from kernel.uring import layout
from kernel.uring.cancel import find
from kernel.uring.operation import Operation
from kernel.uring.perform import limit_is_up
from kernel.uring.request import OP_LINK_TIMEOUT, OP_TIMEOUT, WAITS, Counted, Request, RequestTimer

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


def _time_ns(address: UserAddr) -> int:
    """A struct __kernel_timespec. Raises EFAULT, EINVAL for negative times."""
    user.check(address, 16)
    seconds = user.read_i64(address)
    nanoseconds = user.read_i64(user.at(address, 8))
    if seconds < 0 or nanoseconds < 0:
        raise Errno(EINVAL)
    return min(seconds, _LONGEST_S) * _NS + min(nanoseconds, _LONGEST_S)


def _deadline_ns(time_ns: int, flags: int) -> int:
    """When a time of a timeout's clock comes on the monotonic clock."""
    if flags & _TIMEOUT_ABS == 0:
        return sum_of(monotonic_ns(), time_ns)
    if flags & _TIMEOUT_REALTIME != 0:
        return max(1, sum_of(time_ns, monotonic_ns() - realtime_ns()))
    return max(1, time_ns)


def _prepare_timeout(request: Request) -> None:
    _judge_timeout(request, is_link=False)


def _prepare_link_timeout(request: Request) -> None:
    _judge_timeout(request, is_link=True)
    last = request.ring.chain.last
    refuse_if(last is None)
    if last is not None:
        refuse_if(last.entry.opcode == OP_LINK_TIMEOUT)


def _judge_timeout(request: Request, *, is_link: bool) -> None:
    refuse_if(request.entry.address3 != 0 or request.entry.last != 0)
    refuse_if(request.entry.buffer_index != 0 or request.entry.length != 1 or request.entry.other != 0)
    refuse_if(request.entry.offset & _WORD != 0 and is_link)
    flags = request.entry.modifiers
    refuse_if(flags & ~_TIMEOUT_FLAGS != 0 or flags & _CLOCKS == _CLOCKS)
    refuse_if(flags & _TIMEOUT_MULTISHOT != 0 and flags & _TIMEOUT_ABS != 0)
    extra = request.more()
    extra.time_ns = _time_ns(request.memory())
    extra.repeats = request.entry.offset & _WORD if flags & _TIMEOUT_MULTISHOT != 0 else 0


def _start_timer(request: Request) -> int:
    ring = request.ring
    extra = request.more()
    ring.keep(request)
    timer = RequestTimer(request)
    request.timer = timer
    if not request.is_limit() and request.entry.modifiers & _TIMEOUT_MULTISHOT == 0:
        count = request.entry.offset & _WORD
        if count != 0:
            counted = Counted(request)
            ring.counted.insert(counted, ring.progress.posted - ring.progress.timed_out + count)
            extra.counted = counted
    timer.start(_deadline_ns(extra.time_ns, request.entry.modifiers))
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
    ring.progress.timed_out += 1
    flags = request.entry.modifiers
    request.keeps_chain = flags & _TIMEOUT_ETIME_SUCCESS != 0
    if flags & _TIMEOUT_MULTISHOT != 0 and not _is_last(request):
        if ring.post_more(request.entry.user_data, -ETIME, layout.CQE_MORE):
            # Others may have changed it meanwhile
            timer.start(_deadline_ns(request.more().time_ns, request.entry.modifiers))
            return WAITS
    return -ETIME


def _is_last(request: Request) -> bool:
    """Whether a repeated timeout has expired as often as it should."""
    extra = request.more()
    if extra.repeats == 0:
        return False
    extra.repeats -= 1
    return extra.repeats == 0


def _prepare_timeout_remove(request: Request) -> None:
    refuse_if(request.entry.flags & (layout.FIXED_FILE | layout.BUFFER_SELECT) != 0)
    refuse_if(request.entry.buffer_index != 0 or request.entry.length != 0 or request.entry.other != 0)
    flags = request.entry.modifiers
    if flags & _UPDATES == 0:
        refuse_if(flags != 0)
        return
    refuse_if(flags & _CLOCKS == _CLOCKS)
    refuse_if(flags & ~(_UPDATES | _TIMEOUT_ABS) != 0)
    request.more().time_ns = _time_ns(request.memory2())


def _timeout_remove(request: Request) -> int:
    flags = request.entry.modifiers
    opcode = OP_LINK_TIMEOUT if flags & _LINK_TIMEOUT_UPDATE != 0 else OP_TIMEOUT
    found = find(request.ring, request.entry.address, opcode, opcode)
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
    found.entry.modifiers = found.entry.modifiers & ~_TIMEOUT_ABS | flags & _TIMEOUT_ABS
    timer.start(_deadline_ns(time_ns, found.entry.modifiers))
    return 0


Operation(OP_TIMEOUT, _prepare_timeout, _timeout)
Operation(12, _prepare_timeout_remove, _timeout_remove)
Operation(OP_LINK_TIMEOUT, _prepare_link_timeout, _timeout)
