"""Advisory locks: flock(2), and record locks of fcntl(2), owned by a process or (F_OFD_*) by an open file description.

Each inode that was ever locked has a `LockList`, which also holds the leases on it (leases.py). Record locks are byte
ranges (record_locks.py). There may be very many of all: flock(2) looks at two at most, and what looks at one range of
each owner, or at all ranges of one, takes safe points.

Invariants: `LOCKED` holds all lists with a lock in them; `WAITING` the requests that sleep. While a list `is_busy`,
only the thread that made it so changes its locks and leases, or decides by them. A description that holds an exclusive
lock of flock(2) is the only one that holds any.

Context: all but `lock_comes` and `lock_went` sleeps.
"""

from typing import TYPE_CHECKING, Final

from kernel.fs.constants import F_RDLCK, F_UNLCK, F_WRLCK, LOCK_EX, LOCK_UN
from kernel.fs.record_locks import Lock, LockCounter, OwnedLocks, RecordLock
from kernel.lang import EAGAIN, EDEADLK, Errno, final, noraise
from kernel.lib.credentials import caller_process_id
from kernel.lib.order import CHUNK, Order, Walk
from kernel.lib.pace import pace, spend
from kernel.sched import WaitQueue
from kernel.time.timers import FOREVER_NS

if TYPE_CHECKING:
    from kernel.fs.descriptors import FileTable
    from kernel.fs.file import File
    from kernel.fs.leases import Lease


_LOOK_COST: Final = 20  # instructions for a lease, for `pace`
_OWNER_COST: Final = 200  # and for an owner of record locks
_DROP_COST: Final = 150  # and for one of them that goes
_END_COST: Final = 1500  # and for an owner, or a lock of flock(2), that goes
_MOST_STEPS: Final = 10  # from owner to owner, in search of a circle
_RANGE_BYTES: Final = 88  # of a range, with its place in a chunk
_LISTS: Final = LockCounter()
_WAITS: Final = LockCounter()
OWNERS: Final = LockCounter()
"""Numbers what may own locks, descriptor tables and descriptions, for servers that keep the locks of their files."""


@final
class WholeLock(Lock):
    """flock(2): on a whole file, held by a description."""


@final
class Waiting:
    """A request that waits for the holder of another lock."""

    def __init__(self, request: Lock, blocker: Lock) -> None:
        self.request: Lock = request
        self.blocker: Lock = blocker
        self.number: int = _WAITS.next()

    def enter(self) -> None:
        """Put it where others look for it. Raises MemoryError, with nothing changed."""
        WAITING.put(self.number, self)
        request = self.request
        table = request.table if isinstance(request, RecordLock) else None
        if table is None:
            return
        try:
            waits = _OF_TABLES.get(table)
            if waits is None:
                _OF_TABLES[table] = [self]
            else:
                waits.append(self)
        except MemoryError:
            WAITING.remove(self.number)
            raise

    def leave(self) -> None:
        """Take it out again."""
        WAITING.remove(self.number)
        request = self.request
        table = request.table if isinstance(request, RecordLock) else None
        if table is None:
            return
        waits = _OF_TABLES.get(table)
        if waits is not None:
            spend(len(waits))
            waits.remove(self)
            if len(waits) == 0:
                del _OF_TABLES[table]


WAITING: Final[Order[Waiting]] = Order()
_OF_TABLES: Final[dict["FileTable", list[Waiting]]] = {}  # those of processes that wait for record locks
_QUIET: Final = WaitQueue()  # for lists that are busy


class LockList:
    """All locks on one inode."""

    def __init__(self) -> None:
        self.owners: Order[OwnedLocks] = Order()  # of record locks, in the order of their first one
        self._of_tables: dict[FileTable, OwnedLocks] = {}  # they again
        self._of_files: dict[File, OwnedLocks] = {}
        self._writers: int = 0  # of the owners, how many once locked for writing: without any, all may read
        self.holders: Order[WholeLock] = Order()  # of flock(2), by `serial`
        self._held: dict[File, WholeLock] = {}  # they again
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
        if self.owners.is_empty() and self.holders.is_empty() and len(self.leases) == 0:
            LOCKED.remove(self.number)
        self.queue.wake_all()

    def wait_for(self, request: Lock, blocker: Lock, deadline_ns: int) -> None:
        """Sleep until something changes or the deadline. Raises ERESTARTSYS. The caller does not keep the list busy."""
        waiting = Waiting(request, blocker)
        waiting.enter()
        try:
            self.queue.sleep_until(deadline_ns)
        finally:
            waiting.leave()

    # ---- Record locks -----------------------------------------------------------------------------------------

    def find_conflict(self, request: RecordLock) -> RecordLock | None:
        """A lock that is in the way of a request."""
        self.begin()
        try:
            return self._conflict_of(request)
        finally:
            self.end()

    def _conflict_of(self, request: RecordLock) -> RecordLock | None:
        """The caller keeps the list busy, so no owner comes or goes at the safe points."""
        if request.kind == F_RDLCK and self._writers == 0:
            return None
        walk = Walk(self.owners)
        owned = walk.next()
        while owned is not None:
            conflict = owned.conflict_with(request)
            if conflict is not None:
                return conflict
            pace(_OWNER_COST)
            owned = walk.next()
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
        """Raises MemoryError, with nothing changed."""
        owned = self.owned_by(request.table, request.file)
        if owned is None:
            if request.kind == F_UNLCK:
                return
            owned = self._enter(request)
        if request.kind == F_WRLCK and not owned.is_writer:
            owned.is_writer = True
            self._writers += 1
        try:
            owned.replace(request)
        finally:
            if owned.ranges.is_empty():
                self._forget(owned)

    def owned_by(self, table: "FileTable | None", file: "File | None") -> OwnedLocks | None:
        """The record locks of a table, or else those of a description."""
        if table is not None:
            return self._of_tables.get(table)
        return None if file is None else self._of_files.get(file)

    def _enter(self, request: RecordLock) -> OwnedLocks:
        """Begin the record locks of an owner that has none. Raises MemoryError, with nothing changed."""
        owned = OwnedLocks(request.table, request.file)
        self.owners.put(owned.number, owned)
        try:
            if request.table is not None:
                self._of_tables[request.table] = owned
            elif request.file is not None:
                self._of_files[request.file] = owned
        except MemoryError:
            self.owners.remove(owned.number)
            raise
        return owned

    @noraise
    def _forget(self, owned: OwnedLocks) -> None:
        """An owner has no more record locks."""
        self.owners.remove(owned.number)
        if owned.is_writer:
            self._writers -= 1
        spend(_END_COST)
        table = owned.table
        file = owned.file
        if table is not None:
            self._of_tables.pop(table)
        elif file is not None:
            self._of_files.pop(file)

    def held_by(self, table: "FileTable", file: "File", count: int) -> int:
        """About how many bytes the record locks of a table and of a description take, those that this count of memory
        has not met yet.
        """
        return _uncounted_bytes(self._of_tables.get(table), count) + _uncounted_bytes(self._of_files.get(file), count)

    def drop_owner(self, table: "FileTable") -> None:
        """A process closed a descriptor of the file: drop its record locks."""
        if not self.owners.is_empty() or self.is_busy:
            self._drop_records(table, None)

    @noraise
    def _drop_records(self, table: "FileTable | None", file: "File | None") -> None:
        """Drop the record locks of a table, or else those of a description. Needs no memory."""
        self.begin()
        try:
            owned = self.owned_by(table, file)
            if owned is None:
                return
            while owned.ranges.take_last() is not None:
                pace(_DROP_COST)
            self._forget(owned)
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
            held = self._held.get(file)
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
                self.holders.put(request.serial, request)
                self._held[file] = request
            except MemoryError:
                self.holders.remove(request.serial)
                self.lock_went()
                raise
            file.has_locks = True
            return None
        finally:
            self.end()

    def _flock_conflict(self, request: WholeLock, own: WholeLock | None) -> WholeLock | None:
        """A lock in the way of a request, other than the one that its description has. The first other one tells: where
        there are several, all are shared.
        """
        walk = Walk(self.holders)
        holder = walk.next()
        if holder is own and holder is not None:
            holder = walk.next()
        if holder is None or (request.kind == F_RDLCK and holder.kind == F_RDLCK):
            return None
        return holder

    @noraise
    def unlock_flock(self, file: "File") -> None:
        """Drop a description's lock, if it has one."""
        self.begin()
        try:
            self._drop_flock(self._held.get(file))
        finally:
            self.end()

    @noraise
    def _drop_flock(self, held: WholeLock | None) -> None:
        file = None if held is None else held.file
        if held is not None and file is not None:
            self.holders.remove(held.serial)
            self._held.pop(file)
            spend(_END_COST)
            self.lock_went()

    def flock_of(self, file: "File") -> WholeLock | None:
        """The lock that a description has."""
        return self._held.get(file)


LOCKED: Final[Order[LockList]] = Order()


def _uncounted_bytes(owned: OwnedLocks | None, count: int) -> int:
    if owned is None or owned.counted == count:
        return 0
    owned.counted = count
    return owned.ranges.chunk_count() * CHUNK * _RANGE_BYTES


def _would_deadlock(request: RecordLock, conflict: RecordLock) -> bool:
    """Whether the owner of `conflict` waits, perhaps through others, for the owner of `request`. As on Linux, only
    processes are followed, not descriptions.
    """
    blocker: Lock = conflict
    for _ in range(_MOST_STEPS):
        table = blocker.table if isinstance(blocker, RecordLock) else None
        waits = None if table is None else _OF_TABLES.get(table)
        if waits is None:
            return False
        blocker = waits[0].blocker
        if isinstance(blocker, RecordLock) and blocker.table is request.table:
            return True
    return False


def lock_kind_is_known(kind: int) -> bool:
    return kind == F_RDLCK or kind == F_WRLCK or kind == F_UNLCK
