"""Futexes and related calls for thread libraries (futex(2), get_robust_list(2))."""

from typing import Final

from kernel.doors.quick import TAKE_LOCK, quick
from kernel.doors.table import syscall
from kernel.lang import EAGAIN, EINVAL, ENOSYS, EPERM, ESRCH, Errno, UserAddr, i32, u32, unlocked
from kernel.lib import user
from kernel.syscalls.timespec import read_timespec
from kernel.task import futex, futex_pi
from kernel.task.clocks import CLOCK_MONOTONIC, kernel_ns
from kernel.task.inspection import may_ask_about
from kernel.task.pids import find_task
from kernel.task.task import Task, current
from kernel.task.wall_clock import monotonic_deadline
from kernel.time.clock import monotonic_ns
from kernel.time.timers import FOREVER_NS

_WAIT: Final = 0
_WAKE: Final = 1
_REQUEUE: Final = 3
_CMP_REQUEUE: Final = 4
_WAKE_OP: Final = 5
_LOCK_PI: Final = 6
_UNLOCK_PI: Final = 7
_TRYLOCK_PI: Final = 8
_WAIT_BITSET: Final = 9
_WAKE_BITSET: Final = 10
_WAIT_REQUEUE_PI: Final = 11
_CMP_REQUEUE_PI: Final = 12
_LOCK_PI2: Final = 13
_WITH_CLOCK: Final = (_WAIT_BITSET, _WAIT_REQUEUE_PI, _LOCK_PI2)
_PRIVATE: Final = 128
_REALTIME: Final = 256
_COMMAND_MASK: Final = ~(_PRIVATE | _REALTIME)

_ROBUST_HEAD_SIZE: Final = 24


@syscall("futex", status="Full", args="=futex one:futex int any =futex int")
def futex_call(address: UserAddr, operation: i32, value: u32, timeout: UserAddr, second: UserAddr, third: u32) -> int:
    """futex(2). `timeout` is a number in the operations that wake two futexes."""
    task = current()
    command = operation & _COMMAND_MASK
    shared = operation & _PRIVATE == 0
    if operation & _REALTIME != 0 and command not in _WITH_CLOCK:
        if timeout != 0 and (command == _WAIT or command == _LOCK_PI):
            read_timespec(timeout)  # its errors come first
        raise Errno(ENOSYS)
    if command == _LOCK_PI or command == _LOCK_PI2:
        # The older of the two has only ever known the wall clock.
        deadline_ns = _deadline(timeout, absolute=True, wall_clock=command == _LOCK_PI or operation & _REALTIME != 0)
        futex_pi.lock(task, address, shared, deadline_ns, waits=True)
        return 0
    if command == _TRYLOCK_PI:
        futex_pi.lock(task, address, shared, FOREVER_NS, waits=False)
        return 0
    if command == _UNLOCK_PI:
        futex_pi.unlock(task, address, shared)
        return 0
    if command == _WAIT_REQUEUE_PI:
        deadline_ns = _deadline(timeout, absolute=True, wall_clock=operation & _REALTIME != 0)
        futex_pi.wait_and_lock(task, address, shared, value, deadline_ns, second)
        return 0
    if command == _CMP_REQUEUE_PI:
        limit = timeout & 0xFFFF_FFFF
        if value != 1 or limit >= 1 << 31:
            raise Errno(EINVAL)
        return futex_pi.move_to_lock(task, address, shared, third, second, limit)
    if command == _WAIT:
        deadline_ns = _deadline(timeout, absolute=False, wall_clock=False)
        return futex.wait_restartable(address, shared, value, futex.BITSET_ANY, deadline_ns)
    if command == _WAIT_BITSET:
        deadline_ns = _deadline(timeout, absolute=True, wall_clock=operation & _REALTIME != 0)
        futex.wait(task, address, shared, value, third, deadline_ns)
        return 0
    if command == _WAKE:
        return futex.wake_word(task, address, shared, _limit(value), futex.BITSET_ANY)
    if command == _WAKE_BITSET:
        if third == 0:
            raise Errno(EINVAL)
        return futex.wake_word(task, address, shared, _limit(value), third)
    if command == _REQUEUE or command == _CMP_REQUEUE:
        return _requeue(task, address, second, shared, value, timeout, command == _CMP_REQUEUE, third)
    if command == _WAKE_OP:
        source = futex.key_of(task, address, shared)
        target = futex.key_of(task, second, shared)
        passes = futex.apply_operation(second, third)
        woken = futex.wake(source, _limit(value), futex.BITSET_ANY)
        if passes:
            woken += futex.wake(target, _limit(timeout & 0xFFFF_FFFF), futex.BITSET_ANY)
        return woken
    raise Errno(ENOSYS)


def _limit(count: int) -> int:
    """A number of waiters. Linux wakes one if zero or a negative number is given."""
    return 1 if count == 0 or count >= 1 << 31 else count


def _deadline(timeout: UserAddr, absolute: bool, wall_clock: bool) -> int:
    task = current()
    task.calls.waits_by_wall_clock = False
    if timeout == 0:
        return FOREVER_NS
    time_ns = read_timespec(timeout)
    if not absolute:
        return monotonic_ns() + time_ns
    return monotonic_deadline(task, time_ns) if wall_clock else kernel_ns(task, CLOCK_MONOTONIC, time_ns)


def _requeue(
    task: Task,
    address: UserAddr,
    second: int,
    shared: bool,
    wake_limit: int,
    move_limit: int,
    compare: bool,
    expected: int,
) -> int:
    moves = move_limit & 0xFFFF_FFFF
    if wake_limit >= 1 << 31 or moves >= 1 << 31:
        raise Errno(EINVAL)
    source = futex.key_of(task, address, shared)
    target = futex.key_of(task, second, shared)
    if compare and user.read_u32(address) != expected:
        raise Errno(EAGAIN)
    return futex.requeue(source, target, wake_limit, moves)


@syscall("set_robust_list", status="Full", args="=robust_list one:24")
@unlocked
def set_robust_list(head: int, size: int) -> int:
    """set_robust_list(2)."""
    if size != _ROBUST_HEAD_SIZE:
        raise Errno(EINVAL)
    current().library.robust_list = head
    return 0


@syscall("get_robust_list", status="Full", args="tid >address >size")
def get_robust_list(tid: i32, head: UserAddr, size: UserAddr) -> int:
    """get_robust_list(2)."""
    task = current()
    target = task if tid == 0 else find_task(task.pids.resolve(tid))
    if target is None:
        raise Errno(ESRCH)
    if not may_ask_about(task, target.process, target):
        raise Errno(EPERM)
    user.write_i64(size, _ROBUST_HEAD_SIZE)
    user.write_i64(head, target.library.robust_list)
    return 0


@quick("get_robust_list")
@unlocked
def _quick_get_robust_list(tid: i32, head: UserAddr, size: UserAddr) -> int:
    if tid != 0:
        return TAKE_LOCK
    user.write_i64(size, _ROBUST_HEAD_SIZE)
    user.write_i64(head, current().library.robust_list)
    return 0
