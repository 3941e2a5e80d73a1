"""Handling signals, blocking them, waiting for them: sigaction(2), sigprocmask(2), sigreturn(2), sigaltstack(2),
sigpending(2), pause(2), sigsuspend(2), sigwaitinfo(2).
"""

from typing import Final

from arch import user_stack_pointer
from kernel.doors.quick import FINISH, TAKE_LOCK, quick
from kernel.doors.table import syscall
from kernel.lang import EAGAIN, EINTR, EINVAL, Errno, UserAddr, bytes_of, i32, span_of, struct, unlocked
from kernel.lib import user
from kernel.lib.fences import fence
from kernel.sched import sleep_for_signal, sleep_until
from kernel.sched.scheduler import announce_work
from kernel.syscalls.timespec import read_timespec
from kernel.task import signal_stack
from kernel.task.actions import SIG_DFL, SIG_IGN
from kernel.task.blocking import block_during, set_blocked
from kernel.task.deliver import take_pending
from kernel.task.send import discard_ignored, update_interrupted
from kernel.task.siginfo import SIGINFO_SIZE, SignalInfo
from kernel.task.signals import UNBLOCKABLE, contains, is_valid
from kernel.task.task import Task, current
from kernel.task.words import load_i64, store_i32, store_i64
from kernel.time.clock import monotonic_ns
from kernel.time.timers import FOREVER_NS

_SET_SIZE: Final = 8
_STACK_SIZE: Final = 24
_SIG_BLOCK: Final = 0
_SIG_UNBLOCK: Final = 1
_SIG_SETMASK: Final = 2


def read_mask(address: UserAddr, size: int) -> int:
    """A signal set of a program; SIGKILL and SIGSTOP are never in it. Raises EINVAL for another size, EFAULT."""
    if size != _SET_SIZE:
        raise Errno(EINVAL)
    return user.read_i64(address) & ~UNBLOCKABLE


@struct
class KernelSigaction:
    """struct kernel_sigaction of x86-64."""

    handler: int
    flags: int  # above 32 bits: nothing
    restorer: int
    mask: int


@syscall("rt_sigaction", status="Full", args="signal <sigaction? >sigaction? one:8")
def rt_sigaction(signo: i32, action: UserAddr, old: UserAddr, size: int) -> int:
    """sigaction(2)."""
    if size != _SET_SIZE:
        raise Errno(EINVAL)
    new = KernelSigaction()
    if action != 0:
        user.read_struct(action, bytes_of(new))
    if not is_valid(signo) or (action != 0 and contains(UNBLOCKABLE, signo)):
        raise Errno(EINVAL)
    process = current().process
    present = process.actions.action(signo)
    if action != 0:
        process.actions.set(signo, new.handler, new.flags & 0xFFFF_FFFF, new.restorer, new.mask)
        if process.actions.ignores(signo) and (new.handler == SIG_IGN or new.handler == SIG_DFL):
            discard_ignored(process, signo)
    if old != 0:
        shown = KernelSigaction()
        shown.handler = present.handler
        shown.flags = present.flags
        shown.restorer = present.restorer
        shown.mask = present.mask
        user.write_from(old, bytes_of(shown))
    return 0


@syscall("rt_sigprocmask", status="Full", args="one:SIG_BLOCK|SIG_UNBLOCK|SIG_SETMASK <sigset? >sigset? one:8")
def rt_sigprocmask(how: i32, new: UserAddr, old: UserAddr, size: int) -> int:
    """sigprocmask(2)."""
    if size != _SET_SIZE:
        raise Errno(EINVAL)
    task = current()
    before = task.signals.blocked
    if new != 0:
        mask = read_mask(new, size)
        if how == _SIG_BLOCK:
            set_blocked(task, before | mask)
        elif how == _SIG_UNBLOCK:
            set_blocked(task, before & ~mask)
        elif how == _SIG_SETMASK:
            set_blocked(task, mask)
        else:
            raise Errno(EINVAL)
    if old != 0:
        user.write_i64(old, before)
    return 0


@quick("rt_sigprocmask")
@unlocked
def _quick_rt_sigprocmask(how: i32, new: UserAddr, old: UserAddr, size: int) -> int:
    if size != _SET_SIZE or old < 0 or old > user.USER_LIMIT - _SET_SIZE:
        return TAKE_LOCK
    before = current().signals.blocked
    mask = before
    if new != 0:
        mask = user.read_i64(new) & ~UNBLOCKABLE
        if how == _SIG_BLOCK:
            mask |= before
        elif how == _SIG_UNBLOCK:
            mask = before & ~mask
        elif how != _SIG_SETMASK:
            return TAKE_LOCK
    if old != 0:
        user.write_i64(old, before)
    if mask == before:
        return 0
    current().signals.blocked = mask
    fence()  # see kernel/task/blocking.py
    if (current().pending.mask | current().process.pending.mask) & (before ^ mask) != 0:
        return FINISH
    return 0


@syscall("rt_sigreturn", status="Full", args="")
def rt_sigreturn() -> int:
    """sigreturn(2)."""
    current().signals.returns_from_handler = True  # the registers change on the way back (deliver.py)
    announce_work()
    return 0


@syscall("sigaltstack", status="Full", args="<stack? >stack?")
def sigaltstack(new: UserAddr, old: UserAddr) -> int:
    """sigaltstack(2)."""
    task = current()
    sp = user_stack_pointer(task.stack_top)
    fields = bytearray(_STACK_SIZE)
    if new != 0:
        user.read_into(span_of(fields), new)
    before = bytearray(_STACK_SIZE)
    shown = span_of(before)
    store_i64(shown, 0, task.signals.stack.address)
    store_i32(shown, 8, signal_stack.stack_flags(task.signals.stack, sp))
    store_i64(shown, 16, task.signals.stack.size)
    if new != 0:
        taken = span_of(fields)
        signal_stack.set_stack(task, sp, load_i64(taken, 0), taken.load_u32(8), load_i64(taken, 16))
    if old != 0:
        user.write_from(old, shown)
    return 0


@quick("sigaltstack")
@unlocked
def _quick_sigaltstack(new: UserAddr, old: UserAddr) -> int:
    """Installs a stack; does not show the old one, nor turn it off."""
    task = current()
    kernel_stack = task.stack
    if kernel_stack is None:
        return TAKE_LOCK
    sp = user_stack_pointer(kernel_stack.top)
    address = task.signals.stack.address
    flags = task.signals.stack.flags
    size = task.signals.stack.size
    if new == 0 or old != 0 or signal_stack.lies_on(address, flags, size, sp):
        return TAKE_LOCK
    address = user.read_i64(new)
    flags = user.read_u32(user.at(new, 8))
    size = user.read_i64(user.at(new, 16))
    if not signal_stack.is_plain_stack(flags, size):
        return TAKE_LOCK
    kept = signal_stack.kept_flags(flags)
    current().signals.stack.address = address
    current().signals.stack.size = size
    current().signals.stack.flags = kept
    return 0


@syscall("rt_sigpending", status="Full", args=">sigset one:8")
def rt_sigpending(address: UserAddr, size: int) -> int:
    """sigpending(2)."""
    if size < 0 or size > _SET_SIZE:
        raise Errno(EINVAL)
    task = current()
    mask = (task.pending.mask | task.process.pending.mask) & task.signals.blocked
    storage = bytearray(_SET_SIZE)
    store_i64(span_of(storage), 0, mask)
    user.write_from(address, span_of(storage)[0:size])
    return 0


@quick("rt_sigpending")
@unlocked
def _quick_rt_sigpending(address: UserAddr, size: int) -> int:
    if size != _SET_SIZE:
        return TAKE_LOCK
    task = current()
    user.write_i64(address, (task.pending.mask | task.process.pending.mask) & task.signals.blocked)
    return 0


@syscall("pause", status="Full", args="")
def pause() -> int:
    """pause(2)."""
    sleep_for_signal()
    return 0


@syscall("rt_sigsuspend", status="Full", args="<sigset one:8")
def rt_sigsuspend(address: UserAddr, size: int) -> int:
    """sigsuspend(2)."""
    mask = read_mask(address, size)
    block_during(current(), mask)
    sleep_for_signal()
    return 0


@syscall("rt_sigtimedwait", status="Full", args="<sigset >siginfo? <timespec? one:8")
def rt_sigtimedwait(wanted: UserAddr, info: UserAddr, timeout: UserAddr, size: int) -> int:
    """sigtimedwait(2)."""
    mask = read_mask(wanted, size)
    deadline_ns = FOREVER_NS
    if timeout != 0:
        deadline_ns = min(FOREVER_NS - 1, monotonic_ns() + read_timespec(timeout))
    storage = bytearray(SIGINFO_SIZE)  # before a signal is taken, which would be lost
    found = _wait_for(current(), mask, deadline_ns)
    if info != 0:
        found.store(span_of(storage))
        user.write_from(info, span_of(storage))
    return found.signo


def _wait_for(task: Task, mask: int, deadline_ns: int) -> SignalInfo:
    """Take a signal of a set, sleeping until one comes. Raises EAGAIN after the timeout, EINTR for another signal."""
    found = take_pending(task, ~mask)
    if found is not None:
        update_interrupted(task)
        return found
    before = task.signals.blocked
    task.signals.awaited = mask
    set_blocked(task, before & ~mask)  # so that they wake the task
    interrupted = False
    try:
        _sleep(deadline_ns)
        found = take_pending(task, ~mask)
        interrupted = task.interrupted
    finally:
        task.signals.awaited = 0
        set_blocked(task, before)
    if found is not None:
        return found
    raise Errno(EINTR if interrupted else EAGAIN)


def _sleep(deadline_ns: int) -> None:
    """Until a time or a signal; which one, the caller finds out. Raises MemoryError."""
    try:
        sleep_until(deadline_ns)
    except Errno:
        return
