"""poll(2), ppoll(2)."""

from typing import Final, Literal

from kernel.doors.table import syscall
from kernel.fs.readiness import (
    NO_PARTS,
    PART_SIZE,
    POLL_ALWAYS,
    RECORD_FOUND,
    RECORD_SIZE,
    part,
    parts_of,
    wait_ready,
)
from kernel.lang import (
    EINVAL,
    ERESTART_RESTARTBLOCK,
    ERESTARTNOHAND,
    Array,
    Errno,
    Span,
    UserAddr,
    i32,
    span_of,
    u8,
    u32,
)
from kernel.lib import user
from kernel.lib.pace import pace
from kernel.syscalls.timeouts import deadline_after, temporary_mask, timespec_ns, write_remaining
from kernel.task import current
from kernel.task.limits import RLIMIT_NOFILE
from kernel.task.task import RestartBlock
from kernel.time.timers import FOREVER_NS

_REQUEST_COST: Final = 100  # instructions to read or write one


class PollRestart(RestartBlock):
    """The rest of a poll that a signal without a handler interrupted: the same until the same deadline."""

    def __init__(self, address: UserAddr, count: int, deadline_ns: int) -> None:
        self.address: UserAddr = address
        self.count: int = count
        self.deadline_ns: int = deadline_ns

    def resume(self) -> int:
        return _poll_until(self.address, self.count, self.deadline_ns)


def _poll(address: UserAddr, count: int, deadline_ns: int) -> int:
    if count < 0 or count > current().process.limits.soft[RLIMIT_NOFILE]:
        raise Errno(EINVAL)
    size = count * RECORD_SIZE
    short: Array[u8, Literal[512]] = Array()  # most programs pass few
    if size <= len(short):
        return _poll_records(address, short.span()[0:size], NO_PARTS, deadline_ns)
    storage = bytearray(min(size, PART_SIZE))
    return _poll_records(address, span_of(storage), parts_of(size), deadline_ns)


def _poll_records(address: UserAddr, first: Span[u8], others: list[bytearray], deadline_ns: int) -> int:
    for number in range(len(others) + 1):
        records = part(first, others, number)
        user.read_into(records, user.at(address, number * PART_SIZE))
        for offset in range(RECORD_FOUND, len(records), RECORD_SIZE):
            records.store_u16(offset, 0)
        pace(len(records))  # about as many instructions as there are bytes
    try:
        return wait_ready(current().files, first, others, POLL_ALWAYS, deadline_ns)
    finally:
        # Also when a signal ended the wait: then nothing was ready.
        for number in range(len(others) + 1):
            records = part(first, others, number)
            start = user.at(address, number * PART_SIZE)
            for offset in range(RECORD_FOUND, len(records), RECORD_SIZE):
                user.write_u16(user.at(start, offset), records.load_u16(offset))
                pace(_REQUEST_COST)


def _poll_until(address: UserAddr, count: int, deadline_ns: int) -> int:
    code = 0
    try:
        return _poll(address, count, deadline_ns)
    except Errno as error:
        code = error.code
    if code == ERESTARTNOHAND:
        current().restart = PollRestart(address, count, deadline_ns)
        code = ERESTART_RESTARTBLOCK
    raise Errno(code)


@syscall("poll", status="Full", args="=pollfd[count] count ms")
def poll(address: UserAddr, count: u32, timeout_ms: i32) -> int:
    return _poll_until(address, count, deadline_after(timeout_ms * 1_000_000 if timeout_ms >= 0 else -1))


@syscall("ppoll", status="Full", args="=pollfd[count] count =timespec? <sigset? one:8")
def ppoll(address: UserAddr, count: u32, timeout: UserAddr, mask: UserAddr, mask_size: int) -> int:
    deadline_ns = FOREVER_NS if timeout == 0 else deadline_after(timespec_ns(timeout))
    if mask != 0:
        temporary_mask(mask, mask_size)
    ready = _poll(address, count, deadline_ns)
    write_remaining(timeout, deadline_ns)
    return ready
