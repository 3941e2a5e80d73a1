"""Waiting for many files: poll(2), ppoll(2), select(2), pselect6(2)."""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.constants import (
    POLLERR,
    POLLHUP,
    POLLIN,
    POLLNVAL,
    POLLOUT,
    POLLPRI,
    POLLRDBAND,
    POLLRDNORM,
    POLLWRBAND,
    POLLWRNORM,
)
from kernel.fs.readiness import POLL_ALWAYS, PollRequest, wait_ready
from kernel.lang import EBADF, EINVAL, ERESTART_RESTARTBLOCK, ERESTARTNOHAND, Errno, i32, span_of, u32
from kernel.lib import user
from kernel.lib.pace import pace
from kernel.lib.saturation import LARGEST, sum_of
from kernel.syscalls.waiting import deadline_after, temporary_mask, timespec_ns, write_remaining
from kernel.task import current
from kernel.task.limits import RLIMIT_NOFILE
from kernel.task.task import RestartBlock
from kernel.time import monotonic_ns
from kernel.time.timers import FOREVER_NS

_SMALLEST_TABLE: Final = 64  # what Linux gives every process: bits behind the table do not count
_FD_SETSIZE_LIMIT: Final = 1 << 20
_REQUEST_COST: Final = 100  # instructions to read or write one
_READ_EVENTS: Final = POLLIN | POLLRDNORM | POLLRDBAND | POLLHUP | POLLERR
_WRITE_EVENTS: Final = POLLOUT | POLLWRNORM | POLLWRBAND | POLLERR
_EXCEPT_EVENTS: Final = POLLPRI


class PollRestart(RestartBlock):
    """The rest of a poll that a signal without a handler interrupted: the same until the same deadline."""

    def __init__(self, address: int, count: int, deadline_ns: int) -> None:
        self.address: int = address
        self.count: int = count
        self.deadline_ns: int = deadline_ns

    def resume(self) -> int:
        return _poll_until(self.address, self.count, self.deadline_ns)


def _read_requests(address: int, count: int) -> list[PollRequest]:
    """The array of struct pollfd: i32 descriptor, i16 events, i16 found."""
    if count < 0 or count > current().process.limits.soft[RLIMIT_NOFILE]:
        raise Errno(EINVAL)
    raw = bytearray(count * 8)
    span = span_of(raw)
    user.read_into(span, address)
    requests: list[PollRequest] = []
    for index in range(count):
        descriptor = span.load_u32(index * 8)
        if descriptor >= 1 << 31:
            descriptor -= 1 << 32
        requests.append(PollRequest(descriptor, span.load_u16(index * 8 + 4) | POLL_ALWAYS))
        pace(_REQUEST_COST)
    return requests


def _poll(address: int, count: int, deadline_ns: int) -> int:
    requests = _read_requests(address, count)
    try:
        return wait_ready(current().files, requests, deadline_ns)
    finally:
        # Also when a signal ended the wait: then nothing was ready.
        for index in range(count):
            user.write_u16(address + index * 8 + 6, requests[index].found)
            pace(_REQUEST_COST)


def _poll_until(address: int, count: int, deadline_ns: int) -> int:
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
def poll(address: int, count: u32, timeout_ms: i32) -> int:
    return _poll_until(address, count, deadline_after(timeout_ms * 1_000_000 if timeout_ms >= 0 else -1))


@syscall("ppoll", status="Full", args="=pollfd[count] count =timespec? <sigset? one:8")
def ppoll(address: int, count: u32, timeout: int, mask: int, mask_size: int) -> int:
    deadline_ns = FOREVER_NS if timeout == 0 else deadline_after(timespec_ns(timeout))
    if mask != 0:
        temporary_mask(mask, mask_size)
    ready = _poll(address, count, deadline_ns)
    write_remaining(timeout, deadline_ns)
    return ready


# ---- select ---------------------------------------------------------------------------------------------------------


class DescriptorSet:
    """One fd_set: what is asked, or what is found."""

    def __init__(self, address: int, count: int) -> None:
        self.address: int = address
        self.storage: bytearray = bytearray((count + 63) // 64 * 8)
        if address != 0:
            user.read_into(span_of(self.storage), address)

    def has(self, descriptor: int) -> bool:
        return self.address != 0 and self.storage[descriptor >> 3] >> (descriptor & 7) & 1 != 0

    def clear(self) -> None:
        span_of(self.storage).fill(0)

    def put(self, descriptor: int) -> None:
        self.storage[descriptor >> 3] |= 1 << (descriptor & 7)

    def write_back(self) -> None:
        if self.address != 0:
            user.write_from(self.address, span_of(self.storage))


def _select(count: int, readable: int, writable: int, exceptional: int, deadline_ns: int) -> int:
    files = current().files
    if count < 0:
        raise Errno(EINVAL)
    count = min(count, max(files.size(), _SMALLEST_TABLE), _FD_SETSIZE_LIMIT)
    reads = DescriptorSet(readable, count)
    writes = DescriptorSet(writable, count)
    excepts = DescriptorSet(exceptional, count)
    requests: list[PollRequest] = []
    for descriptor in range(count):
        events = 0
        if reads.has(descriptor):
            events |= _READ_EVENTS
        if writes.has(descriptor):
            events |= _WRITE_EVENTS
        if excepts.has(descriptor):
            events |= _EXCEPT_EVENTS
        if events != 0:
            if files.find(descriptor) is None:
                raise Errno(EBADF)
            requests.append(PollRequest(descriptor, events))
        pace(_REQUEST_COST)
    wait_ready(files, requests, deadline_ns)
    found = 0
    reads_found = DescriptorSet(0, count)
    writes_found = DescriptorSet(0, count)
    excepts_found = DescriptorSet(0, count)
    for request in requests:
        descriptor = request.descriptor
        if request.found & POLLNVAL != 0:
            raise Errno(EBADF)
        if reads.has(descriptor) and request.found & _READ_EVENTS != 0:
            reads_found.put(descriptor)
            found += 1
        if writes.has(descriptor) and request.found & _WRITE_EVENTS != 0:
            writes_found.put(descriptor)
            found += 1
        if excepts.has(descriptor) and request.found & _EXCEPT_EVENTS != 0:
            excepts_found.put(descriptor)
            found += 1
        pace(_REQUEST_COST)
    reads_found.address = readable
    writes_found.address = writable
    excepts_found.address = exceptional
    reads_found.write_back()
    writes_found.write_back()
    excepts_found.write_back()
    return found


@syscall("select", status="Full", args="count =fdset? =fdset? =fdset? =timeval?")
def select(count: i32, readable: int, writable: int, exceptional: int, timeout: int) -> int:
    deadline_ns = FOREVER_NS
    if timeout != 0:
        deadline_ns = deadline_after(_select_timeout_ns(timeout))
    try:
        return _select(count, readable, writable, exceptional, deadline_ns)
    finally:
        if timeout != 0:
            _write_timeval(timeout, deadline_ns)


def _select_timeout_ns(address: int) -> int:
    """A struct timeval as nanoseconds, cut off beyond any uptime. Whole seconds may stand among the microseconds, and
    may be negative there. Raises EFAULT, EINVAL.
    """
    seconds = user.read_i64(address)
    microseconds = user.read_i64(address + 8)
    whole = microseconds // 1_000_000
    rest = microseconds % 1_000_000
    total = sum_of(seconds, whole)
    if (rest != 0 and microseconds < 0) or seconds > LARGEST - max(0, whole) or total < 0:
        raise Errno(EINVAL)
    return min(total, 1 << 33) * 1_000_000_000 + rest * 1000


def _write_timeval(address: int, deadline_ns: int) -> None:
    """Linux's select tells the time that was left."""
    left_ns = remaining(deadline_ns)
    try:
        user.write_i64(address, left_ns // 1_000_000_000)
        user.write_i64(address + 8, left_ns % 1_000_000_000 // 1000)
    except Errno:
        return


def remaining(deadline_ns: int) -> int:
    """Nanoseconds until a deadline."""
    return max(0, deadline_ns - monotonic_ns())


@syscall("pselect6", status="Full", args="count =fdset? =fdset? =fdset? =timespec? <sigmask_argument?")
def pselect6(count: i32, readable: int, writable: int, exceptional: int, timeout: int, mask_pair: int) -> int:
    deadline_ns = FOREVER_NS if timeout == 0 else deadline_after(timespec_ns(timeout))
    if mask_pair != 0:
        mask = user.read_i64(mask_pair)
        mask_size = user.read_i64(mask_pair + 8)
        if mask != 0:
            temporary_mask(mask, mask_size)
    found = _select(count, readable, writable, exceptional, deadline_ns)
    write_remaining(timeout, deadline_ns)
    return found
