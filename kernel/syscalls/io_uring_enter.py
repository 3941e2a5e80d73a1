"""io_uring_enter(2): submit requests, and wait for completions."""

from typing import Final, Literal

from kernel.doors.table import syscall
from kernel.lang import EBADF, EBADFD, EEXIST, EFAULT, EINVAL, EOPNOTSUPP, Array, Errno, UserAddr, noinline, u8, u32
from kernel.lib import user
from kernel.syscalls.descriptor_arguments import file_at
from kernel.syscalls.timeouts import temporary_mask
from kernel.syscalls.uring_taking import call_taker
from kernel.task import current
from kernel.task.send import update_interrupted
from kernel.task.task import Task
from kernel.task.words import load_i64, signed_32
from kernel.time import monotonic_ns
from kernel.time.timers import FOREVER_NS
from kernel.uring import layout
from kernel.uring.file import UringFile
from kernel.uring.perform import TaskWork, work_of
from kernel.uring.ring import Ring
from kernel.uring.submission import submit
from kernel.uring.waiting import Patience, look, wait_for_completions

MOST_RINGS: Final = 16  # that a task names by an index
_ARGUMENT_SIZE: Final = 24  # struct io_uring_getevents_arg
_NS_PER_US: Final = 1000
_NS: Final = 1_000_000_000
_LONGEST_S: Final = 1 << 32


def uring_at(descriptor: int, task: Task, is_registered: bool) -> UringFile:
    """The ring behind a descriptor, or behind the index of a registered one. EBADF, EOPNOTSUPP, EINVAL."""
    if is_registered:
        work = work_of(task)
        if descriptor >= MOST_RINGS:
            raise Errno(EINVAL)
        held = work.registered[descriptor] if descriptor < len(work.registered) else None
        if held is None:
            raise Errno(EBADF)
        assert isinstance(held, UringFile)
        task.keep_file(held)
        return held
    file = file_at(descriptor)
    if not isinstance(file, UringFile):
        raise Errno(EOPNOTSUPP)
    return file


@syscall(
    "io_uring_enter",
    status="Full",
    args="fd:io_uring int int flags:1|2|4|8|32 =bytes[size]? size",
)
def io_uring_enter(descriptor: u32, to_submit: u32, least: u32, flags: u32, argument: UserAddr, size: int) -> int:
    """io_uring_enter(2)."""
    if flags & ~layout.ENTER_FLAGS != 0:
        raise Errno(EINVAL)
    task = current()
    file = uring_at(descriptor, task, is_registered=flags & layout.ENTER_REGISTERED_RING != 0)
    ring = file.ring
    if ring.is_disabled:
        raise Errno(EBADFD)
    work = work_of(task)
    file.acquire()  # a request may close its descriptor
    work.is_at_work = True
    try:
        if task.interrupted:
            update_interrupted(task)
        return _enter(ring, task, work, to_submit, least, flags, argument, size)
    finally:
        work.is_at_work = False
        update_interrupted(task)
        file.release()


def _enter(
    ring: Ring, task: Task, work: TaskWork, to_submit: int, least: int, flags: int, argument: UserAddr, size: int
) -> int:
    done = 0
    if ring.setup & layout.SETUP_SQPOLL != 0:
        call_taker(ring, flags)
        done = signed_32(to_submit)  # an int on Linux
    elif to_submit > 0:
        if ring.submitter is not None and ring.submitter is not task:
            raise Errno(EEXIST)
        done = submit(ring, task, to_submit)
        if done != to_submit:
            return done
    if flags & layout.ENTER_GETEVENTS != 0:
        try:
            if ring.setup & (layout.SETUP_IOPOLL | layout.SETUP_SQPOLL) == layout.SETUP_IOPOLL:
                _poll(ring, task, work, flags, argument, size)
            else:
                _wait(ring, task, work, min(least, ring.shape.completion_count), flags, argument, size)
        except (Errno, MemoryError):
            if done == 0:
                raise
    return done


@noinline  # requests go deep: nothing of this should lie on the stack then
def _poll(ring: Ring, task: Task, work: TaskWork, flags: int, argument: UserAddr, size: int) -> None:
    """With IORING_SETUP_IOPOLL: no request ever waits for a device, so nothing is waited for. Raises EINVAL, EFAULT,
    EEXIST, EBADR.
    """
    if flags & layout.ENTER_EXT_ARG != 0:
        if size != _ARGUMENT_SIZE:
            raise Errno(EINVAL)
        storage: Array[u8, Literal[24]] = Array()
        user.read_into(storage.span(), argument)
    if ring.defers and ring.submitter is not task:
        raise Errno(EEXIST)
    look(ring, work)


def _wait(ring: Ring, task: Task, work: TaskWork, least: int, flags: int, argument: UserAddr, size: int) -> None:
    patience = Patience(least, FOREVER_NS, 0)
    mask = argument
    mask_size = size
    if flags & layout.ENTER_EXT_ARG != 0:
        if size != _ARGUMENT_SIZE:
            raise Errno(EINVAL)
        storage: Array[u8, Literal[24]] = Array()
        fields = storage.span()
        user.read_into(fields, argument)
        mask = UserAddr(load_i64(fields, 0))
        mask_size = fields.load_u32(8)
        now_ns = monotonic_ns()
        least_us = fields.load_u32(12)
        if least_us != 0:
            patience.least_ns = now_ns + least_us * _NS_PER_US
        time = UserAddr(load_i64(fields, 16))
        if time != 0:
            patience.deadline_ns = _time_ns(time) + (0 if flags & layout.ENTER_ABS_TIMER != 0 else now_ns)
    if ring.defers and ring.submitter is not task:
        raise Errno(EEXIST)
    if mask != 0 and least > 0:
        temporary_mask(mask, mask_size)
    wait_for_completions(ring, work, patience)


def _time_ns(address: UserAddr) -> int:
    """A struct __kernel_timespec. Raises EFAULT. A negative time is in the past."""
    if address < 0:
        raise Errno(EFAULT)
    seconds = user.read_i64(address)
    nanoseconds = user.read_i64(user.at(address, 8))
    if seconds < 0:
        return 0
    return min(seconds, _LONGEST_S) * _NS + min(max(nanoseconds, 0), _LONGEST_S)
