"""Locks on files: fcntl_locking(2), flock(2)."""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.constants import (
    F_GETLK,
    F_OFD_GETLK,
    F_OFD_SETLKW,
    F_RDLCK,
    F_SETLKW,
    F_UNLCK,
    F_WRLCK,
    LOCK_EX,
    LOCK_NB,
    LOCK_SH,
    LOCK_UN,
    MAX_FILE_SIZE,
)
from kernel.fs.file import File
from kernel.fs.locks import lock_kind_is_known
from kernel.fs.record_locks import RecordLock
from kernel.lang import EBADF, EINVAL, EOVERFLOW, Errno, UserAddr, i32
from kernel.lib import user
from kernel.lib.pid import NOBODY
from kernel.syscalls.descriptor_arguments import file_at
from kernel.task import current
from kernel.task.pids import find_process

_LOCK_MANDATORY: Final = 32  # LOCK_MAND


def record_lock(file: File, descriptor: int, command: int, address: UserAddr) -> int:
    """struct flock: i16 type, i16 whence, i64 start at 8, i64 length at 16, i32 pid at 24."""
    kind = user.read_u16(address)
    whence = user.read_u16(user.at(address, 2))
    start = user.read_i64(user.at(address, 8))
    length = user.read_i64(user.at(address, 16))
    pid = user.read_i32(user.at(address, 24))
    by_description = command >= F_OFD_GETLK
    asks = command == F_GETLK or command == F_OFD_GETLK
    if asks and kind == F_UNLCK:
        raise Errno(EINVAL)
    request = _lock_request(file, kind, whence, start, length, by_description)
    if not lock_kind_is_known(kind):
        raise Errno(EINVAL)
    if asks:
        if by_description and pid != 0:
            raise Errno(EINVAL)
        file.acquire()
        try:
            conflict = file.find_conflict(request)
        finally:
            file.release()
        _write_lock(address, conflict)
        return 0
    if (kind == F_RDLCK and not file.readable) or (kind == F_WRLCK and not file.writable):
        raise Errno(EBADF)
    if by_description and pid != 0:
        raise Errno(EINVAL)
    file.acquire()
    try:
        file.set_record_lock(request, waits=command == F_SETLKW or command == F_OFD_SETLKW)
        if kind != F_UNLCK and not by_description:
            _require_still_open(file, descriptor)
    finally:
        file.release()
    return 0


def _require_still_open(file: File, descriptor: int) -> None:
    """Give up the process's locks on a file, as closing does, if another thread has closed the descriptor before the
    lock was there. Raises EBADF then.
    """
    task = current()
    if task.files.find(descriptor) is file:
        return
    if file.inode.locks is not None:
        file.inode.locks.drop_owner(task.files)
    else:
        released = RecordLock(task.files, file, task.pid, F_UNLCK, 0, MAX_FILE_SIZE)
        file.set_record_lock(released, waits=False)  # a server has them
    raise Errno(EBADF)


def _lock_request(file: File, kind: int, whence: int, start: int, length: int, by_description: bool) -> RecordLock:
    if whence == 0:
        base = 0
    elif whence == 1:
        base = file.position
    elif whence == 2:
        base = file.inode.size
    else:
        raise Errno(EINVAL)
    if start > MAX_FILE_SIZE - base:
        raise Errno(EOVERFLOW)
    start += base
    if start < 0:
        raise Errno(EINVAL)
    end = MAX_FILE_SIZE
    if length > 0:
        rest = length - 1
        if rest > MAX_FILE_SIZE - start:
            raise Errno(EOVERFLOW)
        end = start + rest
    elif length < 0:
        end = start - 1
        start += length if length > -MAX_FILE_SIZE else -MAX_FILE_SIZE
        if start < 0:
            raise Errno(EINVAL)
    task = current()
    if by_description:
        return RecordLock(None, file, NOBODY, kind, start, end)
    return RecordLock(task.files, file, task.pid, kind, start, end)


def _write_lock(address: UserAddr, lock: RecordLock | None) -> None:
    if lock is None:
        user.write_u16(address, F_UNLCK)
        return
    user.write_u16(address, lock.kind)
    user.write_u16(user.at(address, 2), 0)
    user.write_i64(user.at(address, 8), lock.start)
    length = 0 if lock.end == MAX_FILE_SIZE else lock.end - lock.start + 1  # fits: 0 <= start <= end < MAX_FILE_SIZE
    user.write_i64(user.at(address, 16), length)
    user.write_i32(user.at(address, 24), _shown_holder(lock))


def _shown_holder(lock: RecordLock) -> int:
    """The number of the process that holds a lock; a server of files may name one that does not exist."""
    if lock.pid == NOBODY:
        return -1
    if lock.file is None and find_process(lock.pid) is None:
        return 0
    return current().pids.shown(lock.pid)


@syscall("flock", status="Full", args="fd flags:LOCK_SH|LOCK_EX|LOCK_UN|LOCK_NB")
def flock(descriptor: i32, operation: i32) -> int:
    if operation & _LOCK_MANDATORY != 0:
        return 0  # Linux once had such locks
    kind = operation & ~LOCK_NB
    if kind != LOCK_SH and kind != LOCK_EX and kind != LOCK_UN:
        raise Errno(EINVAL)
    file = file_at(descriptor)
    file.acquire()
    try:
        file.set_whole_lock(kind, waits=operation & LOCK_NB == 0)
    finally:
        file.release()
    return 0
