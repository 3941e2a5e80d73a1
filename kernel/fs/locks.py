"""Advisory locks: flock(2), and record locks of fcntl(2), owned by a process or (F_OFD_*) by an open file description.

Each inode that was ever locked has a `LockList`. Record locks are byte ranges [start, end], end inclusive and
MAX_FILE_SIZE for "to the end of the file". Locks of one owner do not overlap: a new one replaces, splits and joins what
it covers.

Context: `set_record` and `set_flock` with waiting sleep.
"""

from typing import TYPE_CHECKING

from kernel.fs.constants import F_RDLCK, F_UNLCK, F_WRLCK, LOCK_EX, LOCK_SH, LOCK_UN, MAX_FILE_SIZE
from kernel.lang import EAGAIN, EDEADLK, Errno
from kernel.sched import WaitQueue

if TYPE_CHECKING:
    from kernel.fs.descriptors import FileTable
    from kernel.fs.file import File


class RecordLock:
    """A byte range held by a descriptor table (process) or a description."""

    def __init__(
        self, table: "FileTable | None", file: "File | None", pid: int, kind: int, start: int, end: int
    ) -> None:
        self.table: FileTable | None = table
        self.file: File | None = file
        self.pid: int = pid  # -1 for locks of descriptions
        self.kind: int = kind
        self.start: int = start
        self.end: int = end

    def same_owner(self, other: "RecordLock") -> bool:
        return self.table is other.table and self.file is other.file

    def conflicts_with(self, other: "RecordLock") -> bool:
        if self.start > other.end or other.start > self.end or self.same_owner(other):
            return False
        return self.kind == F_WRLCK or other.kind == F_WRLCK

    def part(self, start: int, end: int) -> "RecordLock":
        return RecordLock(self.table, self.file, self.pid, self.kind, start, end)


# Requests that wait, for the search for deadlocks: waiting[i] waits for blocker[i].
_WAITING: list[RecordLock] = []
_BLOCKERS: list[RecordLock] = []


class LockList:
    """All locks on one inode."""

    def __init__(self) -> None:
        self.records: list[RecordLock] = []
        self.holders: list[File] = []  # flock
        self.queue: WaitQueue = WaitQueue()

    # ---- Record locks -----------------------------------------------------------------------------------------

    def find_conflict(self, request: RecordLock) -> RecordLock | None:
        for lock in self.records:
            if lock.conflicts_with(request):
                return lock
        return None

    def set_record(self, request: RecordLock, wait: bool) -> None:
        """Acquire, change or (F_UNLCK) release a range; EAGAIN, or sleep until nobody is in the way."""
        if request.kind != F_UNLCK:
            while True:
                conflict = self.find_conflict(request)
                if conflict is None:
                    break
                if not wait:
                    raise Errno(EAGAIN)
                if request.file is None and _would_deadlock(request, conflict):
                    raise Errno(EDEADLK)
                _WAITING.append(request)
                _BLOCKERS.append(conflict)
                try:
                    self.queue.sleep(True)
                finally:
                    _forget_waiting(request)
        self._replace(request)
        self.queue.wake_all()

    def _replace(self, request: RecordLock) -> None:
        kept: list[RecordLock] = []
        start = request.start
        end = request.end
        for lock in self.records:
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
        """A process closed a descriptor of the file: its record locks go."""
        if not self.records:
            return
        before = len(self.records)
        for index in reversed(range(before)):
            if self.records[index].table is table:
                del self.records[index]
        if len(self.records) != before:
            self.queue.wake_all()

    def drop_description(self, file: "File") -> None:
        """The last reference to a description went: its flock and its record locks go."""
        self.unlock_flock(file)
        for index in reversed(range(len(self.records))):
            if self.records[index].file is file:
                del self.records[index]
        self.queue.wake_all()

    # ---- flock ------------------------------------------------------------------------------------------------

    def set_flock(self, file: "File", kind: int, wait: bool) -> None:
        """LOCK_SH, LOCK_EX or LOCK_UN. Changing the kind is not atomic: the old lock goes first (flock(2))."""
        if kind == LOCK_UN:
            self.unlock_flock(file)
            return
        if file.lock_kind == kind:
            return
        self.unlock_flock(file)
        while self._flock_conflict(kind):
            if not wait:
                raise Errno(EAGAIN)
            self.queue.sleep(True)
        file.lock_kind = kind
        file.has_locks = True
        self.holders.append(file)

    def _flock_conflict(self, kind: int) -> bool:
        for holder in self.holders:
            if kind == LOCK_EX or holder.lock_kind == LOCK_EX:
                return True
        return False

    def unlock_flock(self, file: "File") -> None:
        if file.lock_kind == LOCK_SH or file.lock_kind == LOCK_EX:
            file.lock_kind = 0
            self.holders.remove(file)
            self.queue.wake_all()


def _forget_waiting(request: RecordLock) -> None:
    for index in range(len(_WAITING)):
        if _WAITING[index] is request:
            del _WAITING[index]
            del _BLOCKERS[index]
            return


def _would_deadlock(request: RecordLock, conflict: RecordLock) -> bool:
    """Whether the owner of `conflict` waits, perhaps through others, for the owner of `request`."""
    blocker = conflict
    for _ in range(10):
        found = False
        for index in range(len(_WAITING)):
            if _WAITING[index].same_owner(blocker):
                blocker = _BLOCKERS[index]
                found = True
                break
        if not found:
            return False
        if blocker.same_owner(request):
            return True
    return False


def lock_kind_is_known(kind: int) -> bool:
    return kind == F_RDLCK or kind == F_WRLCK or kind == F_UNLCK
