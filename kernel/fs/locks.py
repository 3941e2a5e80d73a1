"""Advisory locks: flock(2), and record locks of fcntl(2), owned by a process or (F_OFD_*) by an open file description.

Each inode that was ever locked has a `LockList`, which also holds the leases on it (leases.py). Record locks are byte
ranges [start, end], end inclusive and MAX_FILE_SIZE for "to the end of the file". Locks of one owner do not overlap: a
new one replaces, splits and joins what it covers.

Invariants: `LOCKED` holds all lists with a lock in them; `WAITING` the requests that sleep. While a list `is_busy`,
only the thread that made it so changes its locks and leases, or decides by them.

Context: all but `lock_comes` and `lock_went` sleeps: a list may be long, and looking through it takes safe points.
"""

from typing import TYPE_CHECKING, Final

from kernel.fs.constants import F_RDLCK, F_UNLCK, F_WRLCK, LOCK_EX, LOCK_UN, MAX_FILE_SIZE
from kernel.lang import EAGAIN, EDEADLK, Errno, final, noraise
from kernel.lib.credentials import caller_process_id
from kernel.lib.order import Order
from kernel.lib.pace import pace, spend
from kernel.lib.pid import Pid
from kernel.sched import WaitQueue
from kernel.time.timers import FOREVER_NS

if TYPE_CHECKING:
    from kernel.fs.descriptors import FileTable
    from kernel.fs.file import File
    from kernel.fs.leases import Lease


class LockCounter:
    """Numbers locks in the order of their creation."""

    def __init__(self) -> None:
        self.last: int = 0

    def next(self) -> int:
        self.last += 1
        return self.last


# Instructions for a lock, for `pace`
_LOOK_COST: Final = 20
_KEEP_COST: Final = 40
_COUNTER: Final = LockCounter()
_LISTS: Final = LockCounter()
OWNERS: Final = LockCounter()
"""Numbers what may own locks, descriptor tables and descriptions, for servers that keep the locks of their files."""


class Lock:
    """Base of all that /proc/locks shows. It keeps no file open: it ends with the description at the latest."""

    def __init__(self, file: "File | None", pid: Pid, kind: int) -> None:
        self.file: File | None = file  # through which it was requested; None for waits for a lease
        self.pid: Pid = pid
        self.kind: int = kind  # F_RDLCK, F_WRLCK or F_UNLCK
        self.serial: int = _COUNTER.next()


@final
class RecordLock(Lock):
    """A byte range held by a descriptor table (process), or by a description if `table` is None."""

    def __init__(
        self, table: "FileTable | None", file: "File | None", pid: Pid, kind: int, start: int, end: int
    ) -> None:
        super().__init__(file, pid, kind)  # the pid is -1 for locks of descriptions
        self.table: FileTable | None = table
        self.start: int = start
        self.end: int = end

    def same_owner(self, other: "RecordLock") -> bool:
        if self.table is None and other.table is None:
            return self.file is other.file
        return self.table is other.table

    def conflicts_with(self, other: "RecordLock") -> bool:
        if self.start > other.end or other.start > self.end or self.same_owner(other):
            return False
        return self.kind == F_WRLCK or other.kind == F_WRLCK

    def part(self, start: int, end: int) -> "RecordLock":
        return RecordLock(self.table, self.file, self.pid, self.kind, start, end)


@final
class WholeLock(Lock):
    """flock(2): on a whole file, held by a description."""


@final
class Waiting:
    """A request that waits for the holder of another lock."""

    def __init__(self, request: Lock, blocker: Lock) -> None:
        self.request: Lock = request
        self.blocker: Lock = blocker


WAITING: Final[list[Waiting]] = []
_QUIET: Final = WaitQueue()  # for lists that are busy


class LockList:
    """All locks on one inode."""

    def __init__(self) -> None:
        self.records: list[RecordLock] = []
        self.holders: list[WholeLock] = []  # flock
        self.leases: list[Lease] = []  # a description has one at most
        self.ending_leases: int = 0  # of those, how many must end
        self.lease_deadline_ns: int = FOREVER_NS  # none of them ends or is lowered by itself before that
        self.queue: WaitQueue = WaitQueue()  # for threads that wait for any of them
        self.is_busy: bool = False
        self.number: int = 0  # in `LOCKED`, once it was there

    @noraise
    def begin(self) -> None:
        """Keep others from changing record locks, those of flock(2) and leases until `end`."""
        while self.is_busy:
            _QUIET.wait()
        self.is_busy = True

    @noraise
    def end(self) -> None:
        """Undo `begin`."""
        self.is_busy = False
        _QUIET.wake_all()

    def lock_comes(self) -> None:
        """Called before a lock is entered. Raises MemoryError."""
        if self.number == 0:
            self.number = _LISTS.next()
        LOCKED.put(self.number, self)

    def lock_went(self) -> None:
        """Called after a lock was removed: wakes waiting threads."""
        if len(self.records) + len(self.holders) + len(self.leases) == 0:
            LOCKED.remove(self.number)
        self.queue.wake_all()

    def wait_for(self, request: Lock, blocker: Lock, deadline_ns: int) -> None:
        """Sleep until something changes or the deadline. Raises ERESTARTSYS. The caller does not keep the list busy."""
        waiting = Waiting(request, blocker)
        WAITING.append(waiting)
        try:
            self.queue.sleep_until(deadline_ns)
        finally:
            WAITING.remove(waiting)

    # ---- Record locks -----------------------------------------------------------------------------------------

    def find_conflict(self, request: RecordLock) -> RecordLock | None:
        """A lock that is in the way of a request."""
        self.begin()
        try:
            return self._conflict_of(request)
        finally:
            self.end()

    def _conflict_of(self, request: RecordLock) -> RecordLock | None:
        for lock in self.records:
            if lock.conflicts_with(request):
                return lock
            pace(_LOOK_COST)
        return None

    def set_record(self, request: RecordLock, wait: bool) -> None:
        """Acquire, change or (F_UNLCK) release a range; EAGAIN, or sleep until nobody is in the way."""
        while True:
            conflict = self._try_record(request)
            if conflict is None:
                return
            if not wait:
                raise Errno(EAGAIN)
            if request.table is not None and _would_deadlock(request, conflict):
                raise Errno(EDEADLK)
            self.wait_for(request, conflict, FOREVER_NS)

    def _try_record(self, request: RecordLock) -> RecordLock | None:
        """Acquire, change or release a range, unless something is in the way, which is returned. Raises MemoryError."""
        self.begin()
        try:
            if request.kind != F_UNLCK:
                conflict = self._conflict_of(request)
                if conflict is not None:
                    return conflict
                self.lock_comes()
            try:
                self._replace(request)
            finally:
                self.lock_went()
            return None
        finally:
            self.end()

    def _replace(self, request: RecordLock) -> None:
        kept: list[RecordLock] = []
        start = request.start
        end = request.end
        for lock in self.records:
            pace(_KEEP_COST)
            if not lock.same_owner(request):
                kept.append(lock)
                continue
            adjoins = lock.kind == request.kind and (
                (lock.end < MAX_FILE_SIZE and lock.end + 1 == start) or (end < MAX_FILE_SIZE and end + 1 == lock.start)
            )
            if lock.end < start or lock.start > end:
                if adjoins:
                    start = min(start, lock.start)
                    end = max(end, lock.end)
                else:
                    kept.append(lock)
                continue
            if lock.kind == request.kind:
                start = min(start, lock.start)
                end = max(end, lock.end)
                continue
            if lock.start < start:
                kept.append(lock.part(lock.start, start - 1))
            if lock.end > end:
                kept.append(lock.part(end + 1, lock.end))
        if request.kind != F_UNLCK:
            kept.append(request.part(start, end))
        self.records = kept

    def drop_owner(self, table: "FileTable") -> None:
        """A process closed a descriptor of the file: drop its record locks."""
        if len(self.records) > 0 or self.is_busy:
            self._drop_records(table, None)

    @noraise
    def _drop_records(self, table: "FileTable | None", file: "File | None") -> None:
        """Drop the record locks of a table, or else those of a description. Needs no memory."""
        self.begin()
        try:
            records = self.records
            kept = 0
            for index in range(len(records)):
                lock = records[index]
                if lock.table is not table or (table is None and lock.file is not file):
                    records[kept] = lock
                    kept += 1
                pace(_LOOK_COST)
            is_less = kept < len(records)
            while len(records) > kept:
                records.pop()
                pace(_LOOK_COST)
            if is_less:
                self.lock_went()
        finally:
            self.end()

    def drop_description(self, file: "File") -> None:
        """The last reference to a description is gone: drop all its locks."""
        self.unlock_flock(file)
        self._drop_records(None, file)
        if len(self.leases) > 0 or self.is_busy:
            self._drop_lease(file)
        self.lock_went()

    @noraise
    def _drop_lease(self, file: "File") -> None:
        self.begin()
        try:
            for index in range(len(self.leases)):
                lease = self.leases[index]
                if lease.file is file:
                    self.remove_lease(index)
                    break
                pace(_LOOK_COST)
        finally:
            self.end()

    @noraise
    def remove_lease(self, index: int) -> None:
        """It is given up. The caller keeps the list busy, and reports it (`lock_went`)."""
        lease = self.leases.pop(index)
        if lease.must_end:
            self.ending_leases -= 1
        spend(len(self.leases) - index)

    # ---- flock ------------------------------------------------------------------------------------------------

    def set_flock(self, file: "File", kind: int, wait: bool) -> None:
        """LOCK_SH, LOCK_EX or LOCK_UN. Changing the kind is not atomic where another lock is in the way: the old one is
        released first (flock(2)). A description has one lock at most: after each wait it may have one from another
        thread. Raises EAGAIN, ERESTARTSYS, MemoryError.
        """
        if kind == LOCK_UN:
            self.unlock_flock(file)
            return
        request = WholeLock(file, caller_process_id(), F_WRLCK if kind == LOCK_EX else F_RDLCK)
        while True:
            conflict = self._try_flock(file, request)
            if conflict is None:
                return
            if not wait:
                raise Errno(EAGAIN)
            self.wait_for(request, conflict, FOREVER_NS)

    def _try_flock(self, file: "File", request: WholeLock) -> WholeLock | None:
        """Acquire or change a description's lock, unless another is in the way, which is returned: then it has none.
        Raises MemoryError.
        """
        self.begin()
        try:
            held = self._flock_of(file)
            if held is not None and held.kind == request.kind:
                return None
            if held is not None and self._flock_conflict(request, held) is None:
                held.kind = request.kind
                held.pid = request.pid
                self.lock_went()
                return None
            self._drop_flock(held)
            conflict = self._flock_conflict(request, None)
            if conflict is not None:
                return conflict
            self.lock_comes()
            try:
                self.holders.append(request)
            except MemoryError:
                self.lock_went()
                raise
            file.has_locks = True
            return None
        finally:
            self.end()

    @noraise
    def _flock_of(self, file: "File") -> WholeLock | None:
        for holder in self.holders:
            if holder.file is file:
                return holder
            pace(_LOOK_COST)
        return None

    def _flock_conflict(self, request: WholeLock, own: WholeLock | None) -> WholeLock | None:
        """A lock in the way of a request, other than the one that its description has."""
        for holder in self.holders:
            if holder is not own and (request.kind == F_WRLCK or holder.kind == F_WRLCK):
                return holder
            pace(_LOOK_COST)
        return None

    @noraise
    def unlock_flock(self, file: "File") -> None:
        """Drop a description's lock, if it has one."""
        self.begin()
        try:
            self._drop_flock(self._flock_of(file))
        finally:
            self.end()

    @noraise
    def _drop_flock(self, held: WholeLock | None) -> None:
        if held is not None:
            spend(len(self.holders) * _LOOK_COST)
            self.holders.remove(held)
            self.lock_went()


LOCKED: Final[Order[LockList]] = Order()


def _would_deadlock(request: RecordLock, conflict: RecordLock) -> bool:
    """Whether the owner of `conflict` waits, perhaps through others, for the owner of `request`."""
    blocker = conflict
    for _ in range(10):
        following = _awaited_by_owner(blocker)
        if following is None:
            return False
        if following.same_owner(request):
            return True
        blocker = following
    return False


def _awaited_by_owner(lock: RecordLock) -> RecordLock | None:
    """The lock that the owner of `lock` waits for."""
    spend(len(WAITING) * _LOOK_COST)
    for waiting in WAITING:
        request = waiting.request
        blocker = waiting.blocker
        if isinstance(request, RecordLock) and isinstance(blocker, RecordLock) and request.same_owner(lock):
            return blocker
    return None


def lock_kind_is_known(kind: int) -> bool:
    return kind == F_RDLCK or kind == F_WRLCK or kind == F_UNLCK
