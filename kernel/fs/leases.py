"""Leases of fcntl(2): a description gets a promise that nobody else opens its file, or opens it for writing.

Opening the file in spite of a lease *breaks* it: the holder is notified, and lowers the lease or gives it up; the
opener waits for that, but not longer than fs/lease-break-time, after which the lease is lowered without the holder.
While an opener waits it counts as a reader or writer, so a lease that it breaks cannot be asked for again.

A mapping whose description was closed counts as long as it can write.

Context: breaking sleeps. Source: fcntl(2), "Leases"; what it leaves open follows Linux.
"""

from typing import Final

from kernel.fs.constants import F_RDLCK, F_UNLCK, F_WRLCK, O_ACCMODE, O_NONBLOCK, O_RDONLY
from kernel.fs.file import OWNER_PROCESS, File
from kernel.fs.inode import Inode
from kernel.fs.locks import Lock, LockList
from kernel.fs.path import Path
from kernel.lang import EAGAIN, EINVAL, Errno, final
from kernel.lib.credentials import caller_process_id
from kernel.lib.pid import UNSET
from kernel.lib.settings import INT_LEAST, INT_MOST, SystemSetting
from kernel.time.clock import NS_PER_SECOND, monotonic_ns
from kernel.time.timers import FOREVER_NS

_ENABLED: Final = SystemSetting(b"fs/leases-enable", [1], INT_LEAST, INT_MOST)
_BREAK_TIME: Final = SystemSetting(b"fs/lease-break-time", [45], INT_LEAST, INT_MOST)  # in seconds; 0 or less: no limit


class Lease(Lock):
    """What a description holds. Base class: see kernel/task/file_events.py."""

    def __init__(self, file: File, kind: int) -> None:
        super().__init__(file, caller_process_id(), kind)
        self.must_end: bool = False
        self.must_lower: bool = False
        self.ends_ns: int = FOREVER_NS  # when it ends by itself, by the monotonic clock
        self.lowers_ns: int = FOREVER_NS

    def broken(self) -> None:
        """Notify the holder that somebody waits. Never raises."""

    def coming_kind(self) -> int:
        """The lease's kind once the holder has complied."""
        return F_UNLCK if self.must_end else F_RDLCK if self.must_lower else self.kind

    def is_breaking(self) -> bool:
        return self.must_end or self.must_lower

    def conflicts_with(self, kind: int) -> bool:
        return self.kind == F_WRLCK or kind == F_WRLCK

    def deadline_ns(self) -> int:
        """When it ends or is lowered without the holder."""
        return min(self.ends_ns, self.lowers_ns)


@final
class LeaseBreaker(Lock):
    """A thread that waits for a lease."""


# ---- Holding --------------------------------------------------------------------------------------------------------


def set_lease(file: File, fresh: Lease) -> None:
    """Take a lease or change the one that the description has to the new one's kind. Raises EAGAIN, EINVAL,
    MemoryError.
    """
    inode = file.inode
    locks = inode.locks
    if locks is None:
        locks = LockList()
        inode.locks = locks
    _end_overdue(locks)
    _check_others_open(file, fresh.kind)
    mine: Lease | None = None
    for lease in locks.leases:
        if lease.file is file:
            mine = lease
        elif fresh.kind == F_WRLCK or lease.must_end:
            raise Errno(EAGAIN)
    if mine is not None:
        _change(locks, mine, fresh.kind)
        return
    if _ENABLED.value == 0:
        raise Errno(EINVAL)
    locks.lock_comes()
    try:
        locks.leases.append(fresh)
    except MemoryError:
        locks.lock_went()
        raise
    file.has_locks = True


def _check_others_open(file: File, kind: int) -> None:
    """EAGAIN if the lease would conflict with a present open of the file."""
    inode = file.inode
    if kind == F_RDLCK:
        conflict = inode.writers > 0
    else:
        own_writers = 1 if file.writable else 0
        own_readers = 1 if file.readable and not file.writable else 0
        conflict = inode.writers != own_writers or inode.readers != own_readers
    if conflict or (not file.writable and inode.is_mapped_for_writing()):
        raise Errno(EAGAIN)


def end_lease(file: File) -> None:
    """Give up the description's lease, and with it the owner and the signal. EAGAIN if it has none."""
    locks = file.inode.locks
    if locks is not None:
        for lease in locks.leases:
            if lease.file is file:
                _change(locks, lease, F_UNLCK)
                return
    raise Errno(EAGAIN)


def lease_kind(file: File) -> int:
    """F_GETLEASE."""
    locks = file.inode.locks
    if locks is not None and len(locks.leases) > 0:
        _end_overdue(locks)
        for lease in locks.leases:
            if lease.file is file:
                return lease.coming_kind()
    return F_UNLCK


def _change(locks: LockList, lease: Lease, kind: int) -> None:
    """Another kind, or none. A demand to end the lease stays until it ends."""
    lease.kind = kind
    if kind != F_WRLCK:
        lease.must_lower = False
        lease.lowers_ns = FOREVER_NS
    if kind == F_UNLCK:
        locks.leases.remove(lease)
        file = lease.file
        if file is not None:
            file.owner = UNSET
            file.owner_kind = OWNER_PROCESS
            file.owner_signal = 0
    locks.lock_went()


def _end_overdue(locks: LockList) -> None:
    """Lower and end the leases whose holders did not respond in time."""
    now = monotonic_ns()
    for index in reversed(range(len(locks.leases))):
        lease = locks.leases[index]
        if lease.lowers_ns <= now:
            _change(locks, lease, F_RDLCK)
        if lease.ends_ns <= now:
            _change(locks, lease, F_UNLCK)


# ---- Breaking -------------------------------------------------------------------------------------------------------


def break_leases_for_opening(path: Path, inode: Inode, flags: int) -> None:
    """The file is about to be opened, or truncated. EAGAIN with O_NONBLOCK if that has to wait; ERESTARTSYS."""
    locks = inode.locks
    if locks is None or len(locks.leases) == 0:
        return
    path.pin()
    inode.acquire()
    reads = flags & O_ACCMODE == O_RDONLY
    if reads:
        inode.readers += 1
    else:
        inode.writers += 1
    try:
        _break(locks, F_RDLCK if reads else F_WRLCK, flags & O_NONBLOCK == 0)
    finally:
        if reads:
            inode.readers -= 1
        else:
            inode.writers -= 1
        inode.release()
        path.unpin()


def _break(locks: LockList, kind: int, waits: bool) -> None:
    """End the leases that forbid opening for reading (F_RDLCK) or writing."""
    _end_overdue(locks)
    if _first_conflict(locks, kind) is None:
        return
    _demand(locks, kind)
    if not waits:
        raise Errno(EAGAIN)
    breaker = LeaseBreaker(None, caller_process_id(), kind)
    while (lease := _first_conflict(locks, kind)) is not None:
        locks.wait_for(breaker, lease, lease.deadline_ns())
        _end_overdue(locks)


def _first_conflict(locks: LockList, kind: int) -> Lease | None:
    for lease in locks.leases:
        if lease.conflicts_with(kind):
            return lease
    return None


def _demand(locks: LockList, kind: int) -> None:
    """Notify the holders of conflicting leases, unless that was done."""
    deadline_ns = FOREVER_NS
    if _BREAK_TIME.value > 0:
        deadline_ns = monotonic_ns() + _BREAK_TIME.value * NS_PER_SECOND
    for lease in locks.leases:
        if not lease.conflicts_with(kind):
            continue
        if kind == F_WRLCK:
            if lease.must_end:
                continue
            lease.must_end = True
            lease.ends_ns = deadline_ns
        else:
            if lease.is_breaking():
                continue
            lease.must_lower = True
            lease.lowers_ns = deadline_ns
        lease.broken()
