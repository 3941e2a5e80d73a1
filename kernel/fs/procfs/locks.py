"""Locks as people read them: /proc/locks, and the lines of /proc/PID/fdinfo (proc_locks(5)).

The newest come first, and under each lock the requests that wait for it. Processes have their numbers in the namespace
that the mount of /proc shows. Locks of processes outside it are left out of /proc/locks; elsewhere such a process is 0.
"""

from enum import IntEnum
from typing import Final

from kernel.fs.constants import F_RDLCK, F_WRLCK, MAX_FILE_SIZE, S_IFREG, device_major, device_minor
from kernel.fs.descriptors import FileTable
from kernel.fs.file import File, Listing
from kernel.fs.filesystem import FileSystem
from kernel.fs.leases import Lease, LeaseBreaker
from kernel.fs.locks import LOCKED, WAITING, LockList, WholeLock
from kernel.fs.path import Path
from kernel.fs.procfs.entries import PiecesFile, TextInode, check_mode
from kernel.fs.procfs.view import View
from kernel.fs.record_locks import Lock, OwnedLocks, RecordLock
from kernel.lang import final
from kernel.lib.order import Order, Walk
from kernel.lib.pace import pace
from kernel.lib.pid import NOBODY
from kernel.task.pid_namespace import PidNamespace

_OF_DESCRIPTION: Final = -1  # shown for a lock that belongs to no process
_NONE: Final[list[Lock]] = []
# Instructions, for `pace`
_LOOK_COST: Final = 900
_LEASE_COST: Final = 30
_LINE_COST: Final = 4000


@final
class LocksInode(TextInode):
    """/proc/locks."""

    def __init__(self, file_system: FileSystem, ino: int, view: View) -> None:
        super().__init__(file_system, ino, S_IFREG | 0o444)
        self.view: View = view

    def open(self, path: Path, flags: int) -> File:
        self.check_reader()
        if self.file_system.heeds_modes():
            check_mode(self.mode, flags)
        return _LocksText(path, flags, self.view.pids)


@final
class _LocksText(PiecesFile):
    """It, open."""

    def __init__(self, path: Path, flags: int, pids: PidNamespace) -> None:
        super().__init__(path, flags)
        self.pids: PidNamespace = pids
        self.lines: LockLines | None = None

    def can_be_watched(self) -> bool:
        return True

    def begin(self) -> None:
        self.lines = None

    def next_piece(self) -> bytes | None:
        lines = self.lines
        if lines is None:
            lines = LockLines(self.pids)
            self.lines = lines
        return lines.next_piece()


@final
class LockLines(Listing):
    """The lines about all locks there are now that a namespace sees, the latest first. There may be very many: others
    run meanwhile.
    """

    def __init__(self, pids: PidNamespace) -> None:
        """Raises MemoryError."""
        self._pids: PidNamespace = pids
        self._locks: Order[Lock] = Order()  # those that are still to be shown, by serial
        self._number: int = 0
        walk = Walk(LOCKED)
        locks = walk.next()
        while locks is not None:
            self._take_all(locks)
            pace(_LOOK_COST)
            locks = walk.next()
        self._waiting: dict[Lock, list[Lock]] = _waiting_requests()

    def _take_all(self, locks: LockList) -> None:
        """Those on one file. They come and go at the safe points: walks by number meet those that stay. A lease may
        move to a place that was passed.
        """
        owners = Walk(locks.owners)
        owned = owners.next()
        while owned is not None:
            ranges = Walk(owned.ranges)
            record = ranges.next()
            while record is not None:
                self._take(record)
                record = ranges.next()
            owned = owners.next()
        holders = Walk(locks.holders)
        holder = holders.next()
        while holder is not None:
            self._take(holder)
            holder = holders.next()
        index = 0
        while index < len(locks.leases):
            self._take(locks.leases[index])
            index += 1

    def _take(self, lock: Lock) -> None:
        self._locks.put(lock.serial, lock)
        pace(_LOOK_COST)

    def next_piece(self) -> bytes | None:
        lock = self._locks.take_last()
        if lock is None:
            return None
        self._number += 1
        pace(_LINE_COST)
        if _holder(lock, self._pids) == 0:
            return b""
        text = bytearray(f"{self._number}: {_describe(lock, self._pids)}".encode())
        for request in self._waiting.get(lock, _NONE):
            text.extend(f"{self._number}: -> {_describe(request, self._pids)}".encode())
            pace(_LINE_COST)
        return bytes(text)


def _waiting_requests() -> dict[Lock, list[Lock]]:
    """The requests that wait, by the lock that each waits for."""
    found: dict[Lock, list[Lock]] = {}
    walk = Walk(WAITING)
    waiting = walk.next()
    while waiting is not None:
        found.setdefault(waiting.blocker, []).append(waiting.request)
        pace(_LOOK_COST)
        waiting = walk.next()
    return found


class _Part(IntEnum):
    """What comes next among the lines about a description."""

    FLOCK = 0
    OF_PROCESS = 1  # record locks
    OF_DESCRIPTION = 2
    LEASE = 3
    END = 4


@final
class LocksThrough(Listing):
    """The lines about what a process holds through one of its descriptions. There may be very many: others come and go
    between two of them.
    """

    def __init__(self, file: File, table: FileTable | None, pids: PidNamespace) -> None:
        self._file: File = file
        self._table: FileTable | None = table
        self._pids: PidNamespace = pids
        self._part: _Part = _Part.FLOCK
        self._records: Walk[RecordLock] | None = None  # of the present part
        self._number: int = 0  # of the last line

    def next_piece(self) -> bytes | None:
        pace(_LOOK_COST)
        locks = self._file.inode.locks
        if locks is None:
            return None
        records = self._records
        if records is not None:
            record = records.next()
            if record is None:
                self._records = None
                return b""
            return self._line(record) if record.file is self._file else b""
        match self._part:
            case _Part.FLOCK:
                self._part = _Part.OF_PROCESS
                return self._line(locks.flock_of(self._file))
            case _Part.OF_PROCESS:
                self._part = _Part.OF_DESCRIPTION
                if self._table is not None:
                    self._begin(locks.owned_by(self._table, self._file))
                return b""
            case _Part.OF_DESCRIPTION:
                self._part = _Part.LEASE
                self._begin(locks.owned_by(None, self._file))
                return b""
            case _Part.LEASE:
                self._part = _Part.END
                return self._line(self._lease(locks))
            case _Part.END:
                return None

    def _begin(self, owned: OwnedLocks | None) -> None:
        if owned is not None:
            self._records = Walk(owned.ranges)

    def _lease(self, locks: LockList) -> Lease | None:
        """The only one of the description."""
        index = 0
        while index < len(locks.leases):
            lease = locks.leases[index]
            if lease.file is self._file:
                return lease
            pace(_LEASE_COST)
            index += 1
        return None

    def _line(self, lock: Lock | None) -> bytes:
        if lock is None:
            return b""
        self._number += 1
        pace(_LINE_COST)
        return f"lock:\t{self._number}: {_describe(lock, self._pids)}".encode()


def _holder(lock: Lock, pids: PidNamespace) -> int:
    """The number in a namespace of the process that owns a lock; 0 if it is not visible there."""
    return _OF_DESCRIPTION if lock.pid == NOBODY else pids.shown(lock.pid)


def _describe(lock: Lock, pids: PidNamespace) -> str:
    """A line without its number."""
    kind = lock.kind
    extent = "0 EOF"
    if isinstance(lock, RecordLock):
        name = "OFDLCK ADVISORY " if lock.table is None else "POSIX  ADVISORY "
        extent = f"{lock.start} EOF" if lock.end == MAX_FILE_SIZE else f"{lock.start} {lock.end}"
    elif isinstance(lock, WholeLock):
        name = "FLOCK  ADVISORY "
    elif isinstance(lock, Lease):
        name = "LEASE  BREAKING " if lock.is_breaking() else "LEASE  ACTIVE   "
        kind = lock.coming_kind()
    else:
        assert isinstance(lock, LeaseBreaker)
        name = "LEASE  BREAKER  "
    shown = "WRITE" if kind == F_WRLCK else "READ" if kind == F_RDLCK else "UNLCK"
    pid = _holder(lock, pids)
    file = lock.file
    if file is None:
        return f"{name} {shown} {pid} <none>:0 {extent}\n"
    inode = file.inode
    device = inode.file_system.device
    place = f"{device_major(device):02x}:{device_minor(device):02x}:{inode.ino}"
    return f"{name} {shown} {pid} {place} {extent}\n"
