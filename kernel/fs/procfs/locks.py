"""Locks as people read them: /proc/locks, and the lines of /proc/PID/fdinfo (proc_locks(5)).

The newest come first, and under each lock the requests that wait for it. Processes have their numbers in the namespace
that the mount of /proc shows. Locks of processes outside it are left out of /proc/locks; elsewhere such a process is 0.
"""

from typing import Final

from kernel.fs.constants import F_RDLCK, F_WRLCK, MAX_FILE_SIZE, S_IFREG, device_major, device_minor
from kernel.fs.descriptors import FileTable
from kernel.fs.file import File, Listing
from kernel.fs.filesystem import FileSystem
from kernel.fs.leases import Lease, LeaseBreaker
from kernel.fs.locks import LOCKED, WAITING, Lock, RecordLock, WholeLock
from kernel.fs.path import Path
from kernel.fs.procfs.entries import PiecesFile, TextInode, check_mode
from kernel.fs.procfs.view import View
from kernel.lang import final
from kernel.lib.order import Walk
from kernel.lib.pace import pace
from kernel.lib.pid import NOBODY
from kernel.lib.sorting import sort_paced
from kernel.task.pid_namespace import PidNamespace

_OF_DESCRIPTION: Final = -1  # shown for a lock that belongs to no process
_NONE: Final[list[Lock]] = []
# Instructions, for `pace`
_LOOK_COST: Final = 900
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
        self._locks: dict[int, Lock] = {}  # by serial
        self._serials: list[int] = []  # those that are still to be shown
        self._number: int = 0
        walk = Walk(LOCKED)
        locks = walk.next()
        while locks is not None:
            for record in list(locks.records):
                self._take(record)
            for holder in list(locks.holders):
                self._take(holder)
            for lease in list(locks.leases):
                self._take(lease)
            pace(_LOOK_COST)  # most have one
            locks = walk.next()
        self._waiting: dict[Lock, list[Lock]] = _waiting_requests()
        sort_paced(self._serials)

    def _take(self, lock: Lock) -> None:
        self._locks[lock.serial] = lock
        self._serials.append(lock.serial)
        pace(_LOOK_COST)

    def next_piece(self) -> bytes | None:
        if len(self._serials) == 0:
            return None
        lock = self._locks[self._serials.pop()]
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
    for waiting in list(WAITING):
        found.setdefault(waiting.blocker, []).append(waiting.request)
        pace(_LOOK_COST)
    return found


def locks_through(file: File, table: FileTable | None, pids: PidNamespace) -> bytes:
    """What a process holds through one of its descriptions."""
    locks = file.inode.locks
    if locks is None:
        return b""
    held: list[Lock] = []
    for holder in locks.holders:
        if holder.file is file:
            held.append(holder)
    for record in locks.records:
        if record.file is file and (record.table is None or record.table is table):
            held.append(record)
    for lease in locks.leases:
        if lease.file is file:
            held.append(lease)
    text = bytearray()
    for index in range(len(held)):
        text.extend(f"lock:\t{index + 1}: {_describe(held[index], pids)}".encode())
        pace(_LINE_COST)  # then locks may have been released
    return bytes(text)


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
