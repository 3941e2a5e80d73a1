"""Record locks of fcntl(2) on one file: byte ranges [start, end], each owner's by itself.

`end` is inclusive, and MAX_FILE_SIZE stands for "to the end of the file". A new lock replaces, splits and joins what it
covers of its owner's.

Invariants: the ranges of one owner do not overlap, and those of one kind do not adjoin. They are in order of `start`,
so few of them are looked at for one range, however many there are.

Context: `conflict_with` and `replace` sleep, where they pass many ranges: the caller keeps the file's locks from
changing (`LockList.begin`). Readers may see a range that is going beside the one that replaces it.
"""

from typing import TYPE_CHECKING, Final

from kernel.fs.constants import F_UNLCK, F_WRLCK, MAX_FILE_SIZE
from kernel.lang import final
from kernel.lib.order import Order, Walk
from kernel.lib.pace import pace
from kernel.lib.pid import Pid

if TYPE_CHECKING:
    from kernel.fs.descriptors import FileTable
    from kernel.fs.file import File

# Instructions for a range, for `pace`
_LOOK_COST: Final = 150
_DROP_COST: Final = 400


@final
class LockCounter:
    """Numbers locks, their lists and owners in the order of their creation."""

    def __init__(self) -> None:
        self.last: int = 0

    def next(self) -> int:
        self.last += 1
        return self.last


_COUNTER: Final = LockCounter()
_OWNERS: Final = LockCounter()


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

    def part(self, start: int, end: int) -> "RecordLock":
        return RecordLock(self.table, self.file, self.pid, self.kind, start, end)


@final
class OwnedLocks:
    """The ranges of one owner."""

    def __init__(self, table: "FileTable | None", file: "File | None") -> None:
        self.table: FileTable | None = table
        self.file: File | None = file  # the owner if `table` is None
        self.number: int = _OWNERS.next()
        self.counted: int = 0  # the last count of memory that has it
        self.is_writer: bool = False  # it locked for writing since it has any ranges
        self.ranges: Order[RecordLock] = Order()  # by `start`

    def owns(self, lock: RecordLock) -> bool:
        """Whether a lock or a request is of this owner."""
        return lock.table is self.table and (self.table is not None or lock.file is self.file)

    def conflict_with(self, request: RecordLock) -> RecordLock | None:
        """The first range that is in the way of another owner's request."""
        if self.owns(request):
            return None
        before = self.ranges.last_to(request.start)
        walk = Walk(self.ranges, request.start if before is None else before.start)
        lock = walk.next()
        while lock is not None and lock.start <= request.end:
            if lock.end >= request.start and (lock.kind == F_WRLCK or request.kind == F_WRLCK):
                return lock
            pace(_LOOK_COST)
            lock = walk.next()
        return None

    def replace(self, request: RecordLock) -> None:
        """Acquire, change or (F_UNLCK) release a range. Raises MemoryError, with nothing changed."""
        ranges = self.ranges
        start = request.start
        end = request.end
        before = ranges.last_to(start - 1) if start > 0 else None
        if before is not None and before.kind == request.kind and before.end >= start - 1:
            start = before.start
            before = None
        last = ranges.last_to(end)
        rest: RecordLock | None = None
        if last is not None and last.end > end:
            if last.kind == request.kind:
                end = last.end
            else:
                rest = last.part(end + 1, last.end)
        elif end < MAX_FILE_SIZE:
            after = ranges.first_from(end + 1)
            if after is not None and after.start == end + 1 and after.kind == request.kind:
                end = after.end
        fresh = None if request.kind == F_UNLCK else request.part(start, end)
        if rest is not None:
            ranges.put(rest.start, rest)
        if fresh is not None:
            try:
                ranges.put(start, fresh)
            except MemoryError:
                if rest is not None:
                    ranges.remove(rest.start)
                raise
        if before is not None and before.end >= start:
            before.end = start - 1
        self._remove_between(start, end, fresh)

    def _remove_between(self, start: int, end: int, fresh: RecordLock | None) -> None:
        """Remove the ranges that begin in [start, end], but not `fresh`, which begins at `start`."""
        ranges = self.ranges
        at = start
        if fresh is not None:
            if start == end:
                return
            at = start + 1
        lock = ranges.first_from(at)
        while lock is not None and lock.start <= end:
            ranges.remove(lock.start)
            pace(_DROP_COST)
            lock = ranges.first_from(at)
