"""Locks as people read them: /proc/locks, and the lines of /proc/PID/fdinfo (proc_locks(5)).

Newest first, and under each lock those who wait for it.
"""

from kernel.fs.constants import F_RDLCK, F_WRLCK, MAX_FILE_SIZE, device_major, device_minor
from kernel.fs.descriptors import FileTable
from kernel.fs.file import File
from kernel.fs.leases import Lease, LeaseBreaker
from kernel.fs.locks import LOCKED, WAITING, Lock, RecordLock, WholeLock
from kernel.lib.proc_files import proc_file


@proc_file("locks")
def list_locks() -> bytes:
    """All locks of the machine."""
    by_serial: dict[int, Lock] = {}
    serials: list[int] = []
    for locks in LOCKED.keys():
        for record in locks.records:
            by_serial[record.serial] = record
            serials.append(record.serial)
        for holder in locks.holders:
            by_serial[holder.serial] = holder
            serials.append(holder.serial)
        for lease in locks.leases:
            by_serial[lease.serial] = lease
            serials.append(lease.serial)
    text = bytearray()
    number = 0
    for serial in reversed(sorted(serials)):
        number += 1
        lock = by_serial[serial]
        text.extend(f"{number}: {_describe(lock)}".encode())
        _list_waiting(text, lock, number)
    return bytes(text)


def _list_waiting(text: bytearray, lock: Lock, number: int) -> None:
    for waiting in WAITING:
        if waiting.blocker is lock:
            text.extend(f"{number}: -> {_describe(waiting.request)}".encode())


def locks_through(file: File, table: FileTable | None) -> bytes:
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
        text.extend(f"lock:\t{index + 1}: {_describe(held[index])}".encode())
    return bytes(text)


def _describe(lock: Lock) -> str:
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
    file = lock.file
    if file is None:
        return f"{name} {shown} {lock.pid} <none>:0 {extent}\n"
    inode = file.inode
    device = inode.file_system.device
    place = f"{device_major(device):02x}:{device_minor(device):02x}:{inode.ino}"
    return f"{name} {shown} {lock.pid} {place} {extent}\n"
