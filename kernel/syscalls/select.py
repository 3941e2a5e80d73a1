"""select(2), pselect(2): three sets of bits are converted to an array for poll(2)."""

from typing import Final, Literal

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
from kernel.fs.descriptors import FileTable
from kernel.fs.readiness import (
    NO_PARTS,
    PART_SIZE,
    RECORD_EVENTS,
    RECORD_FOUND,
    RECORD_SIZE,
    part,
    parts_of,
    wait_ready,
)
from kernel.lang import EBADF, EINVAL, Array, Errno, Span, UserAddr, i32, span_of, u8
from kernel.lib import user
from kernel.lib.pace import pace
from kernel.lib.saturation import LARGEST, sum_of
from kernel.syscalls.timeouts import deadline_after, temporary_mask, timespec_ns, write_remaining
from kernel.task import current
from kernel.task.personality import STICKY_TIMEOUTS
from kernel.time import monotonic_ns
from kernel.time.timers import FOREVER_NS

_SMALLEST_TABLE: Final = 64  # what Linux gives every process: bits past the table do not count
_FD_SETSIZE_LIMIT: Final = 1 << 20
_REQUEST_COST: Final = 100  # instructions to read or write one
_BYTE_COST: Final = 15  # to find that there is none
_READ_EVENTS: Final = POLLIN | POLLRDNORM | POLLRDBAND | POLLHUP | POLLERR
_WRITE_EVENTS: Final = POLLOUT | POLLWRNORM | POLLWRBAND | POLLERR
_EXCEPT_EVENTS: Final = POLLPRI
_EVENTS_OF: Final[list[int]] = [_READ_EVENTS, _WRITE_EVENTS, _EXCEPT_EVENTS]  # of the sets, in their order
_SETS: Final = 6  # three requested, three found


def _select(count: int, readable: UserAddr, writable: UserAddr, exceptional: UserAddr, deadline_ns: int) -> int:
    files = current().files
    if count < 0:
        raise Errno(EINVAL)
    count = min(count, _table_size(files), _FD_SETSIZE_LIMIT)
    size = (count + 63) // 64 * 8
    short: Array[u8, Literal[384]] = Array()  # for 512 descriptors
    if _SETS * size <= len(short):
        sets = short.span()[0 : _SETS * size]
        return _select_among(files, count, sets, readable, writable, exceptional, deadline_ns)
    storage = bytearray(_SETS * size)
    return _select_among(files, count, span_of(storage), readable, writable, exceptional, deadline_ns)


def _table_size(files: FileTable) -> int:
    """How many descriptors Linux's table has room for: a power of two."""
    room = _SMALLEST_TABLE
    while room < files.size():
        room *= 2  # fits: a table has a limit (HIGHEST_LIMIT)
    return room


def _select_among(
    files: FileTable,
    count: int,
    sets: Span[u8],
    readable: UserAddr,
    writable: UserAddr,
    exceptional: UserAddr,
    deadline_ns: int,
) -> int:
    """`sets`: room for the three requested fd_sets, and the three results."""
    size = len(sets) // _SETS
    for index in range(3):
        address = _set_address(index, readable, writable, exceptional)
        if address != 0:
            user.read_into(sets[index * size : (index + 1) * size], address)
    asked = _count_asked(files, count, sets, size)
    short: Array[u8, Literal[512]] = Array()
    if asked * RECORD_SIZE <= len(short):
        found = _select_records(files, sets, short.span()[0 : asked * RECORD_SIZE], NO_PARTS, deadline_ns)
    else:
        storage = bytearray(min(asked * RECORD_SIZE, PART_SIZE))
        found = _select_records(files, sets, span_of(storage), parts_of(asked * RECORD_SIZE), deadline_ns)
    for index in range(3):
        address = _set_address(index, readable, writable, exceptional)
        if address != 0:
            user.write_from(address, sets[(3 + index) * size : (4 + index) * size])
    return found


def _set_address(index: int, readable: UserAddr, writable: UserAddr, exceptional: UserAddr) -> UserAddr:
    return readable if index == 0 else writable if index == 1 else exceptional


def _count_asked(files: FileTable, count: int, sets: Span[u8], size: int) -> int:
    """How many descriptors are in at least one of the sets; bits from `count` on are cleared. Raises EBADF."""
    if count & 63 != 0:
        for index in range(3):
            last = index * size + (count >> 3)
            sets[last] = sets[last] & ((1 << (count & 7)) - 1)
            sets[last + 1 : (index + 1) * size].fill(0)
    asked = 0
    for place in range(size):
        bits = sets[place] | sets[size + place] | sets[2 * size + place]
        descriptor = place * 8
        while bits != 0:
            if bits & 1 != 0:
                if files.find(descriptor) is None:
                    raise Errno(EBADF)
                asked += 1
                pace(_REQUEST_COST)
            bits >>= 1
            descriptor += 1
        pace(_BYTE_COST)
    return asked


def _select_records(
    files: FileTable, sets: Span[u8], first: Span[u8], others: list[bytearray], deadline_ns: int
) -> int:
    """Poll the descriptors in the sets, and store the results in the other three; returns the number of their bits."""
    _fill_records(sets, first, others)
    wait_ready(files, first, others, 0, deadline_ns)
    found = 0
    for number in range(len(others) + 1):
        found += _store_found(sets, part(first, others, number))
    return found


def _store_found(sets: Span[u8], records: Span[u8]) -> int:
    size = len(sets) // _SETS
    found = 0
    for offset in range(0, len(records), RECORD_SIZE):
        events = records.load_u16(offset + RECORD_FOUND)
        if events == 0:
            pace(_BYTE_COST)
            continue
        if events & POLLNVAL != 0:
            raise Errno(EBADF)
        descriptor = records.load_u32(offset)
        place = descriptor >> 3
        bit = 1 << (descriptor & 7)
        for index in range(3):
            if events & _EVENTS_OF[index] != 0 and sets[index * size + place] & bit != 0:
                sets[(3 + index) * size + place] = sets[(3 + index) * size + place] | bit
                found += 1
        pace(_REQUEST_COST)
    return found


def _fill_records(sets: Span[u8], first: Span[u8], others: list[bytearray]) -> None:
    size = len(sets) // _SETS
    at = 0
    for place in range(size):
        reads = sets[place]
        writes = sets[size + place]
        excepts = sets[2 * size + place]
        descriptor = place * 8
        while reads | writes | excepts != 0:
            events = 0
            if reads & 1 != 0:
                events = _READ_EVENTS
            if writes & 1 != 0:
                events |= _WRITE_EVENTS
            if excepts & 1 != 0:
                events |= _EXCEPT_EVENTS
            if events != 0:
                records = part(first, others, at // PART_SIZE)
                records.store_u32(at % PART_SIZE, descriptor)
                records.store_u16(at % PART_SIZE + RECORD_EVENTS, events)
                at += RECORD_SIZE
                pace(_REQUEST_COST)
            reads >>= 1
            writes >>= 1
            excepts >>= 1
            descriptor += 1
        pace(_BYTE_COST)


@syscall("select", status="Full", args="count =fdset? =fdset? =fdset? =timeval?")
def select(count: i32, readable: UserAddr, writable: UserAddr, exceptional: UserAddr, timeout: UserAddr) -> int:
    deadline_ns = FOREVER_NS
    if timeout != 0:
        deadline_ns = deadline_after(_select_timeout_ns(timeout))
    try:
        return _select(count, readable, writable, exceptional, deadline_ns)
    finally:
        if timeout != 0:
            _write_timeval(timeout, deadline_ns)


def _select_timeout_ns(address: UserAddr) -> int:
    """A struct timeval as nanoseconds, truncated to any uptime. Whole seconds may be among the microseconds, and
    may be negative there. Raises EFAULT, EINVAL.
    """
    seconds = user.read_i64(address)
    microseconds = user.read_i64(user.at(address, 8))
    whole = microseconds // 1_000_000
    rest = microseconds % 1_000_000
    total = sum_of(seconds, whole)
    if (rest != 0 and microseconds < 0) or seconds > LARGEST - max(0, whole) or total < 0:
        raise Errno(EINVAL)
    return min(total, 1 << 33) * 1_000_000_000 + rest * 1000


def _write_timeval(address: UserAddr, deadline_ns: int) -> None:
    """Linux's select returns the time that was left, unless the program's personality says that it does not."""
    if current().process.settings.personality & STICKY_TIMEOUTS != 0:
        return
    left_ns = remaining(deadline_ns)
    try:
        user.write_i64(address, left_ns // 1_000_000_000)
        user.write_i64(user.at(address, 8), left_ns % 1_000_000_000 // 1000)
    except Errno:
        return


def remaining(deadline_ns: int) -> int:
    """Nanoseconds until a deadline."""
    return max(0, deadline_ns - monotonic_ns())


@syscall("pselect6", status="Full", args="count =fdset? =fdset? =fdset? =timespec? <sigmask_argument?")
def pselect6(
    count: i32, readable: UserAddr, writable: UserAddr, exceptional: UserAddr, timeout: UserAddr, mask_pair: UserAddr
) -> int:
    mask = UserAddr(user.read_i64(mask_pair) if mask_pair != 0 else 0)
    mask_size = user.read_i64(user.at(mask_pair, 8)) if mask_pair != 0 else 0
    deadline_ns = FOREVER_NS if timeout == 0 else deadline_after(timespec_ns(timeout))
    if mask != 0:
        temporary_mask(mask, mask_size)
    found = _select(count, readable, writable, exceptional, deadline_ns)
    write_remaining(timeout, deadline_ns)
    return found
