"""Leases of fcntl(2): a description gets a promise that nobody else opens its file, or opens it for writing.

Opening the file in spite of a lease *breaks* it: the holder is notified, and lowers the lease or gives it up; the
opener waits for that, but not longer than fs/lease-break-time, after which the lease is lowered without the holder.
While an opener waits it counts as a reader or writer, so a lease that it breaks cannot be asked for again.

A mapping whose description was closed counts as long as it can write.

Context: all of it sleeps: whoever looks through the leases of a file keeps its list busy (`LockList.begin`) and takes
safe points. Source: fcntl(2), "Leases"; what it leaves open follows Linux.
"""

from typing import Final

from kernel.fs.constants import F_RDLCK, F_UNLCK, F_WRLCK, O_ACCMODE, O_NONBLOCK, O_RDONLY
from kernel.fs.file import OWNER_PROCESS, File
from kernel.fs.inode import Inode
from kernel.fs.locks import LockList
from kernel.fs.path import Path
from kernel.fs.record_locks import Lock
from kernel.lang import EAGAIN, EINVAL, Errno, final
from kernel.lib.credentials import caller_process_id
from kernel.lib.pace import pace
from kernel.lib.pid import UNSET
from kernel.lib.settings import INT_LEAST, INT_MOST, SystemSetting
from kernel.time.clock import NS_PER_SECOND, monotonic_ns
from kernel.time.timers import FOREVER_NS

_ENABLED: Final = SystemSetting(b"fs/leases-enable", [1], INT_LEAST, INT_MOST)
_BREAK_TIME: Final = SystemSetting(b"fs/lease-break-time", [45], INT_LEAST, INT_MOST)  # in seconds; 0 or less: no limit
# Instructions, for `pace`
_LOOK_COST: Final = 20
_BREAK_COST: Final = 2000


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
    locks.begin()
    try:
        _end_overdue(locks)
        _set_lease(locks, file, fresh)
    finally:
        locks.end()


def _set_lease(locks: LockList, file: File, fresh: Lease) -> None:
    index = _index_of(locks, file)
    _check_others_open(file, fresh.kind)  # the last: nothing sleeps from here on
    mine = locks.leases[index] if index >= 0 else None
    others = len(locks.leases) - (1 if mine is not None else 0)
    ending = locks.ending_leases - (1 if mine is not None and mine.must_end else 0)
    if ending > 0 or (fresh.kind == F_WRLCK and others > 0):
        raise Errno(EAGAIN)
    if mine is not None:
        _change(locks, index, fresh.kind)
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


def _index_of(locks: LockList, file: File) -> int:
    """The place of a description's lease; -1 if it has none. The caller keeps the list busy."""
    if file.has_locks:
        for index in range(len(locks.leases)):
            if locks.leases[index].file is file:
                return index
            pace(_LOOK_COST)
    return -1


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
    index = -1
    if locks is not None:
        locks.begin()
        try:
            index = _index_of(locks, file)
            if index >= 0:
                _change(locks, index, F_UNLCK)
        finally:
            locks.end()
    if index < 0:
        raise Errno(EAGAIN)


def lease_kind(file: File) -> int:
    """F_GETLEASE."""
    locks = file.inode.locks
    if locks is None or len(locks.leases) == 0:
        return F_UNLCK
    locks.begin()
    try:
        _end_overdue(locks)
        index = _index_of(locks, file)
        return locks.leases[index].coming_kind() if index >= 0 else F_UNLCK
    finally:
        locks.end()


def _change(locks: LockList, index: int, kind: int) -> None:
    """Another kind, or none. A demand to end the lease stays until it ends."""
    lease = locks.leases[index]
    lease.kind = kind
    if kind != F_WRLCK:
        lease.must_lower = False
        lease.lowers_ns = FOREVER_NS
    if kind == F_UNLCK:
        locks.remove_lease(index)
        file = lease.file
        if file is not None:
            file.owner = UNSET
            file.owner_kind = OWNER_PROCESS
            file.owner_signal = 0
    locks.lock_went()


def _end_overdue(locks: LockList) -> None:
    """Lower and end the leases whose holders did not respond in time. The caller keeps the list busy."""
    now = monotonic_ns()
    if now < locks.lease_deadline_ns:
        return
    next_ns = FOREVER_NS
    for index in range(len(locks.leases) - 1, -1, -1):
        pace(_LOOK_COST)
        lease = locks.leases[index]
        if lease.lowers_ns <= now:
            _change(locks, index, F_RDLCK)
        if lease.ends_ns <= now:
            _change(locks, index, F_UNLCK)
        else:
            next_ns = min(next_ns, lease.deadline_ns())
    locks.lease_deadline_ns = next_ns


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
    lease = _first_conflict(locks, kind, demands=True)
    if lease is None:
        return
    if not waits:
        raise Errno(EAGAIN)
    breaker = LeaseBreaker(None, caller_process_id(), kind)
    while lease is not None:
        locks.wait_for(breaker, lease, lease.deadline_ns())
        lease = _first_conflict(locks, kind, demands=False)


def _first_conflict(locks: LockList, kind: int, *, demands: bool) -> Lease | None:
    """The first lease that forbids opening. If that is asked for, the holders of all such are notified."""
    locks.begin()
    try:
        _end_overdue(locks)
        for lease in locks.leases:
            if lease.conflicts_with(kind):
                if demands:
                    _demand(locks, kind)
                return lease
            pace(_LOOK_COST)
        return None
    finally:
        locks.end()


def _demand(locks: LockList, kind: int) -> None:
    """Notify the holders of conflicting leases, unless that was done."""
    deadline_ns = FOREVER_NS
    if _BREAK_TIME.value > 0:
        deadline_ns = monotonic_ns() + _BREAK_TIME.value * NS_PER_SECOND
    for lease in locks.leases:
        pace(_LOOK_COST)
        if not lease.conflicts_with(kind):
            continue
        if kind == F_WRLCK:
            if lease.must_end:
                continue
            lease.must_end = True
            locks.ending_leases += 1
            lease.ends_ns = deadline_ns
        else:
            if lease.is_breaking():
                continue
            lease.must_lower = True
            lease.lowers_ns = deadline_ns
        locks.lease_deadline_ns = min(locks.lease_deadline_ns, deadline_ns)
        lease.broken()
        pace(_BREAK_COST)
