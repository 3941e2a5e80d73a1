"""Readable signals: signalfd(2).

A signal descriptor has no owner: it shows the pending signals of the task that reads or polls it.
"""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.anonymous import DescriptorFile, anonymous_path
from kernel.fs.constants import O_CLOEXEC, O_NONBLOCK, O_RDWR, READABLE
from kernel.lang import EAGAIN, EINVAL, Errno, Span, UserAddr, i32, span_of, u8
from kernel.lib.pace import pace
from kernel.lib.user import Buffer
from kernel.sched import PollWaiter
from kernel.syscalls.descriptor_arguments import file_at
from kernel.syscalls.sigaction import read_mask
from kernel.task import SIGCHLD, current
from kernel.task.deliver import take_pending
from kernel.task.send import update_interrupted
from kernel.task.siginfo import SignalInfo
from kernel.task.signals import SI_TIMER
from kernel.task.task import current_or_none
from kernel.task.words import store_i32, store_i64

_RECORD_SIZE: Final = 128
_RECORD_COST: Final = 1000  # instructions, for `pace`


class SignalFile(DescriptorFile):
    """A signal descriptor."""

    def __init__(self, mask: int, flags: int) -> None:
        super().__init__(anonymous_path(b"[signalfd]"), O_RDWR | flags)
        self.mask: int = mask

    def can_write(self) -> bool:
        return False

    def read(self, buffer: Buffer) -> int:
        if buffer.remaining < _RECORD_SIZE:
            raise Errno(EINVAL)
        task = current()
        done = 0
        storage = bytearray(_RECORD_SIZE)  # before a signal is taken, which would be lost
        while buffer.remaining >= _RECORD_SIZE and not buffer.faulted:
            info = take_pending(task, ~self.mask)
            if info is not None:
                update_interrupted(task)
                span_of(storage).fill(0)
                fill_record(span_of(storage), info)
                done += buffer.put(span_of(storage))
                pace(_RECORD_COST)
                continue
            if done > 0:
                break
            if self.flags & O_NONBLOCK != 0:
                raise Errno(EAGAIN)
            task.process.signal_waiters.sleep()
        return done

    def poll(self, waiter: PollWaiter | None) -> int:
        task = current_or_none()
        if task is None:
            return 0  # a kernel thread polls for another task, and has no signals
        if waiter is not None:
            waiter.wait_on(task.process.signal_waiters)
        ready = (task.pending.mask | task.process.pending.mask) & self.mask
        return READABLE if ready != 0 else 0

    def describe(self) -> bytes:
        return f"sigmask:\t{self.mask:016x}\n".encode()


def fill_record(record: Span[u8], info: SignalInfo) -> None:
    """struct signalfd_siginfo."""
    store_i32(record, 0, info.signo)
    store_i32(record, 4, info.error)
    store_i32(record, 8, info.code)
    if info.code == SI_TIMER:
        store_i32(record, 24, info.first)
        store_i32(record, 32, info.second)
    else:
        store_i32(record, 12, info.first)
        store_i32(record, 16, info.second)
    if info.signo == SIGCHLD:
        store_i32(record, 40, info.third)
        store_i64(record, 56, info.fourth)
        store_i64(record, 64, info.fifth)
    elif info.code < 0:
        low = info.third & 0xFFFFFFFF
        store_i32(record, 44, low if low < 1 << 31 else low - (1 << 32))
        store_i64(record, 48, info.third)


@syscall("signalfd", status="Full", args="fd:signalfd <sigset one:8 -> fd:signalfd")
def signalfd(descriptor: i32, mask: UserAddr, size: int) -> int:
    return signalfd4(descriptor, mask, size, 0)


@syscall(
    "signalfd4", status="Full", args="fd:signalfd <sigset one:8 flags:SFD_NONBLOCK|SFD_CLOEXEC -> fd:signalfd",
)  # fmt: skip
def signalfd4(descriptor: i32, mask: UserAddr, size: int, flags: i32) -> int:
    wanted = read_mask(mask, size)
    if flags & ~(O_CLOEXEC | O_NONBLOCK) != 0:
        raise Errno(EINVAL)
    files = current().files
    if descriptor == -1:
        return files.install(SignalFile(wanted, flags & O_NONBLOCK), flags & O_CLOEXEC != 0)
    file = file_at(descriptor)
    if not isinstance(file, SignalFile):
        raise Errno(EINVAL)
    file.mask = wanted
    current().process.signal_waiters.wake_all()
    return descriptor
