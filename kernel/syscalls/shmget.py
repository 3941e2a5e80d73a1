"""System V shared memory: shmget(2), shmat(2), shmdt(2), shmctl(2)."""

from typing import Final

from arch import USER_END
from kernel.doors.table import syscall
from kernel.ipc.shared_memory import LARGEST_SEGMENT, MOST_PAGES, MOST_SEGMENTS, Segment, segment_behind, segment_of
from kernel.ipc.sysv import IPC_INFO, IPC_RMID, IPC_SET, IPC_STAT, READ, WRITE
from kernel.lang import EINVAL, ENOMEM, EPERM, Errno, Span, UserAddr, i32, span_of, u8
from kernel.lib import user
from kernel.lib.capabilities import CAP_IPC_LOCK
from kernel.mm.area import MAP_FIXED, MAP_SHARED, PROT_EXEC, PROT_READ, PROT_WRITE
from kernel.mm.frames import PAGE_MASK
from kernel.mm.space import each_area
from kernel.sched.processor import RUNNING
from kernel.task.limits import RLIMIT_MEMLOCK
from kernel.task.observer import TASKS
from kernel.task.personality import readable_as
from kernel.task.task import current
from kernel.task.words import load_i32, store_i32, store_i64

_SHM_RDONLY: Final = 0o10000
_SHM_RND: Final = 0o20000
_SHM_REMAP: Final = 0o40000
_SHM_EXEC: Final = 0o100000

_SHM_LOCK: Final = 11
_SHM_UNLOCK: Final = 12
_SHM_STAT: Final = 13
_SHM_INFO: Final = 14
_SHM_STAT_ANY: Final = 15

_STATUS_SIZE: Final = 112
_LIMITS_SIZE: Final = 72
_TOTALS_SIZE: Final = 48


@syscall(
    "shmget", status="Full", args="key size flags:shmget -> shmid",
    notes="No segments of pages of 1 GiB (ENOMEM)",
)  # fmt: skip
def shmget(key: i32, size: int, flags: i32) -> int:
    """shmget(2)."""
    task = current()
    return current().namespaces.ipc.segments.open(key, size, flags, task.credentials, task.process.as_bearer())


@syscall("shmat", status="Full", args="shmid address flags:SHM_RND|SHM_RDONLY|SHM_REMAP|SHM_EXEC -> address")
def shmat(identifier: i32, address: int, flags: i32) -> int:
    """shmat(2)."""
    if identifier < 0:
        raise Errno(EINVAL)
    is_fixed = address != 0
    if address & PAGE_MASK != 0:
        if flags & _SHM_RND == 0:
            raise Errno(EINVAL)
        address &= ~PAGE_MASK
    if address == 0 and flags & _SHM_REMAP != 0:
        raise Errno(EINVAL)
    task = current()
    space = task.space
    space.settle()  # first: nothing sleeps from here to the attachment, and nobody frees the segment
    segment = current().namespaces.ipc.segments.get(identifier)
    writes = flags & _SHM_RDONLY == 0
    segment.entry.check_permission(task.credentials, READ | (WRITE if writes else 0))
    prot = PROT_READ | (PROT_WRITE if writes else 0) | (PROT_EXEC if flags & _SHM_EXEC != 0 else 0)
    maximum = PROT_READ | PROT_EXEC | (PROT_WRITE if writes else 0)
    length = segment.mapped_bytes()
    how = MAP_SHARED
    if is_fixed:
        how |= MAP_FIXED
        is_outside = address < 0 or address > USER_END - length  # fits: a segment has a bound (LARGEST_BYTES)
        if flags & _SHM_REMAP == 0:
            wraps = -segment.size <= address < 0  # fits: a size is positive
            if wraps or not (is_outside or space.is_free(address, address + length)):  # fits: it is not outside
                raise Errno(EINVAL)
        if is_outside:
            raise Errno(ENOMEM)
    process = task.process.as_bearer()
    prot = readable_as(task.process, prot)
    start = space.map(address, length, prot, how, segment.memory(), 0, maximum)
    segment.attached(process)
    if RUNNING.is_observed:
        TASKS.observer.mapped(task, start, start + length)  # fits: it has been mapped
    return start


@syscall("shmdt", status="Full", args="address")
def shmdt(address: int) -> int:
    """shmdt(2): unmap all areas that came from one attachment at this address."""
    if address & PAGE_MASK != 0 or address < 0:
        raise Errno(EINVAL)
    task = current()
    process = task.process.as_bearer()
    space = task.space
    found: Segment | None = None
    for area in each_area(space, address):
        segment = segment_behind(area.source)
        begins_there = area.start - address == area.offset_of(area.start)
        if segment is not None and begins_there and (found is None or segment is found):
            found = segment
            space.unmap(area.start, area.end - area.start)
        elif found is not None and area.start >= address + found.mapped_bytes():  # fits: it began there
            break
    if found is None:
        raise Errno(EINVAL)
    found.last_user = process
    return 0


@syscall("shmctl", status="Full", args="shmid one:shmctl any")
def shmctl(identifier: i32, command: i32, address: UserAddr) -> int:
    """shmctl(2)."""
    if identifier < 0 or command < 0:
        raise Errno(EINVAL)
    if command == IPC_INFO:
        return _write_limits(address)
    if command == _SHM_INFO:
        return _write_totals(address)
    if command == _SHM_STAT or command == _SHM_STAT_ANY:
        found = segment_of(current().namespaces.ipc.segments.table.at(identifier))
        _write_status(found, address, command == _SHM_STAT)
        return found.entry.identifier
    if command not in (IPC_STAT, IPC_SET, IPC_RMID, _SHM_LOCK, _SHM_UNLOCK):
        raise Errno(EINVAL)
    storage = bytearray(_STATUS_SIZE)
    if command == IPC_SET:
        user.read_into(span_of(storage), address)
    segment = current().namespaces.ipc.segments.get(identifier)
    if command == IPC_STAT:
        _write_status(segment, address, needs_permission=True)
    elif command == IPC_SET:
        _change(segment, span_of(storage))
    elif command == IPC_RMID:
        segment.entry.check_owner(current().credentials)
        segment.remove()
    else:
        _lock(segment, command == _SHM_LOCK)
    return 0


def _lock(segment: Segment, on: bool) -> None:
    """SHM_LOCK, SHM_UNLOCK: keep the segment's pages from being swapped out. Owner and creator may do that, if they may
    lock any memory. Raises EPERM.
    """
    task = current()
    if not task.credentials.capable_in(task.namespaces.ipc.owner, CAP_IPC_LOCK):
        is_forbidden = on and task.process.limits.soft[RLIMIT_MEMLOCK] == 0
        if is_forbidden or not segment.entry.is_owned_by(task.credentials):
            raise Errno(EPERM)
    segment.is_locked = on and segment.huge is None  # huge pages stay in memory anyway
    segment.frames.stays = on


def _change(segment: Segment, fields: Span[u8]) -> None:
    """IPC_SET: owner and mode."""
    entry = segment.entry
    entry.check_owner(current().credentials)
    entry.set_owner(load_i32(fields, 4), load_i32(fields, 8), load_i32(fields, 20))


def _write_status(segment: Segment, address: UserAddr, needs_permission: bool) -> None:
    """struct shmid64_ds, which begins with a struct ipc64_perm of 48 bytes."""
    if needs_permission:
        segment.entry.check_permission(current().credentials, READ)
    storage = bytearray(_STATUS_SIZE)
    out = span_of(storage)
    segment.entry.store(out)
    store_i32(out, 20, segment.shown_mode())
    store_i64(out, 48, segment.size)
    store_i64(out, 56, segment.attached_s)
    store_i64(out, 64, segment.detached_s)
    store_i64(out, 72, segment.entry.changed_s)
    pids = current().pids
    store_i32(out, 80, pids.shown_bearer(segment.creator))
    store_i32(out, 84, pids.shown_bearer(segment.last_user))
    store_i64(out, 88, segment.users)
    user.write_from(address, out)


def _write_limits(address: UserAddr) -> int:
    """struct shminfo64."""
    storage = bytearray(_LIMITS_SIZE)
    out = span_of(storage)
    store_i64(out, 0, LARGEST_SEGMENT.value)
    store_i64(out, 8, 1)
    store_i64(out, 16, MOST_SEGMENTS.value)
    store_i64(out, 24, MOST_SEGMENTS.value)
    store_i64(out, 32, MOST_PAGES.value)
    user.write_from(address, out)
    return current().namespaces.ipc.segments.table.highest_index()


def _write_totals(address: UserAddr) -> int:
    """struct shm_info."""
    storage = bytearray(_TOTALS_SIZE)
    out = span_of(storage)
    store_i32(out, 0, len(current().namespaces.ipc.segments.table.objects))
    store_i64(out, 8, current().namespaces.ipc.segments.page_count)
    store_i64(out, 16, current().namespaces.ipc.segments.resident_count())
    store_i64(out, 24, current().namespaces.ipc.segments.swapped_count())
    user.write_from(address, out)
    return current().namespaces.ipc.segments.table.highest_index()
