"""Locks that a server keeps."""

from __future__ import annotations

import struct

import pytest

from kernel.fs.constants import F_RDLCK, F_UNLCK, F_WRLCK, LOCK_EX, LOCK_SH, LOCK_UN, MAX_FILE_SIZE, O_RDWR
from kernel.fs.descriptors import FileTable
from kernel.fs.file import File
from kernel.fs.record_locks import RecordLock
from kernel.lang import EAGAIN, EINTR, EIO, ENOSYS, ERESTARTSYS
from kernel.lib.pid import NOBODY, Pid
from kernel.sched.wait import WaitQueue
from tests.unit.fs.fuse.daemon import Asked
from tests.unit.fs.fuse.served import Served, code

POSIX_LOCKS, FLOCK_LOCKS = 1 << 1, 1 << 10
READ, WRITE, RELEASE, FLUSH, GETLK, SETLK, SETLKW, INTERRUPT, SETATTR = 15, 16, 18, 25, 31, 32, 33, 36, 4
FLOCK_UNLOCK = 2


def record(table: FileTable | None, file: File, kind: int, start: int, end: int) -> RecordLock:
    return RecordLock(table, file, Pid(7) if table is not None else NOBODY, kind, start, end)


def opened(served: Served, flags: int = POSIX_LOCKS | FLOCK_LOCKS) -> File:
    served.daemon.flags |= flags
    served.mount()
    served.world.write(b"/s/file", b"1234")
    return served.open(b"/s/file", O_RDWR)


def test_ranges(served: Served) -> None:
    file = opened(served)
    mine, other = FileTable(), FileTable()
    file.set_record_lock(record(mine, file, F_WRLCK, 10, 19), waits=False)
    assert code(lambda: file.set_record_lock(record(other, file, F_RDLCK, 19, MAX_FILE_SIZE), waits=False)) == EAGAIN
    found = file.find_conflict(record(other, file, F_RDLCK, 0, MAX_FILE_SIZE))
    assert found is not None and (found.start, found.end, found.kind) == (10, 19, F_WRLCK)
    assert file.find_conflict(record(mine, file, F_WRLCK, 0, MAX_FILE_SIZE)) is None
    assert file.find_conflict(record(other, file, F_WRLCK, 20, 20)) is None
    assert file.inode.locks is None, "the kernel keeps nothing"
    file.set_record_lock(record(mine, file, F_UNLCK, 10, 19), waits=False)
    assert served.daemon.locks == []
    owners = {struct.unpack_from("<QQ", asked.body)[1] for asked in served.daemon.seen if asked.kind == SETLK}
    assert owners == {mine.owner, other.owner}
    file.release()


def test_a_description_owns_its_locks(served: Served) -> None:
    file = opened(served)
    other = served.open(b"/s/file", O_RDWR)
    file.set_record_lock(record(None, file, F_WRLCK, 0, 9), waits=False)
    found = other.find_conflict(record(None, other, F_WRLCK, 0, 9))
    assert found is not None and found.pid == NOBODY
    file.set_record_lock(record(None, file, F_WRLCK, 5, 9), waits=False)
    file.release()
    other.release()


def test_whole_files(served: Served) -> None:
    file = opened(served)
    other = served.open(b"/s/file", O_RDWR)
    file.set_whole_lock(LOCK_EX, waits=True)
    assert code(lambda: other.set_whole_lock(LOCK_SH, waits=False)) == EAGAIN
    file.set_whole_lock(LOCK_UN, waits=False)
    other.set_whole_lock(LOCK_SH, waits=False)
    assert [(held.kind, held.is_whole, held.start, held.end) for held in served.daemon.locks] == [
        (F_RDLCK, True, 0, MAX_FILE_SIZE)
    ]
    other.release()
    file.release()
    released = [struct.unpack("<QIIQ", asked.body) for asked in served.daemon.seen if asked.kind == RELEASE]
    assert [flags for _, _, flags, _ in released] == [0, FLOCK_UNLOCK, FLOCK_UNLOCK]
    assert released[0][3] == 0 and released[1][3] == served.daemon.locks[0].owner != released[2][3] != 0


@pytest.mark.parametrize(("flags", "minor", "records", "whole"), [
    (0, 31, False, False), (POSIX_LOCKS, 31, True, False), (FLOCK_LOCKS, 31, False, True),
    (POSIX_LOCKS, 16, True, True), (FLOCK_LOCKS, 16, False, False),
])  # fmt: skip
def test_who_keeps_them(served: Served, flags: int, minor: int, *, records: bool, whole: bool) -> None:
    served.daemon.minor = minor
    file = opened(served, flags)
    table = FileTable()
    file.set_record_lock(record(table, file, F_WRLCK, 0, 9), waits=False)
    file.set_whole_lock(LOCK_EX, waits=False)
    kept = file.inode.locks
    assert (kept is None or kept.owners.is_empty()) == records
    assert (kept is None or kept.holders.is_empty()) == whole
    assert served.count(SETLK) == int(records) + int(whole)
    if kept is not None:
        kept.drop_owner(table)
    file.release()


def test_who_closes_and_who_reads_is_told(served: Served) -> None:
    file = opened(served)
    file.flush(1234)
    file.truncate(3)
    assert struct.unpack("<QIIQ", served.daemon.seen[-2].body)[3] == 1234
    assert served.daemon.seen[-1].kind == SETATTR
    valid, lock_owner = struct.unpack_from("<I", served.daemon.seen[-1].body)[0], served.daemon.seen[-1].body[24:32]
    assert valid & 1 << 9 != 0 and lock_owner == bytes(8), "the kernel has no table"
    file.release()


def test_a_wait_ends_by_the_server_s_word(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal ends no wait; the server sees it, and may end the wait."""
    file = opened(served)
    mine, other = FileTable(), FileTable()
    file.set_record_lock(record(mine, file, F_WRLCK, 0, 9), waits=False)
    served.daemon.sleeps_on = {SETLKW}

    def unlock(queue: WaitQueue, interruptible: bool = True) -> None:
        (asked,) = served.daemon.unanswered
        served.daemon.unanswered.clear()
        served.daemon.waiting.append((asked, served.daemon.lock_of(asked)))
        served.daemon.set_lock(served.daemon.locks[0].__class__(asked.node, mine.owner, 0, 9, F_UNLCK, 0, False))

    monkeypatch.setattr(WaitQueue, "sleep", unlock)
    file.set_record_lock(record(other, file, F_WRLCK, 5, 9), waits=True)
    assert [held.owner for held in served.daemon.locks] == [other.owner]

    def interrupt(queue: WaitQueue, interruptible: bool = True) -> None:
        (asked,) = served.daemon.unanswered
        served.daemon.unanswered.clear()
        served.daemon.reply(asked, EINTR)

    monkeypatch.setattr(WaitQueue, "sleep", interrupt)
    assert code(lambda: file.set_record_lock(record(mine, file, F_WRLCK, 5, 9), waits=True)) == ERESTARTSYS
    file.release()


@pytest.mark.parametrize("answer", [
    struct.pack("<qqII", 0, 9, 3, 1), struct.pack("<qqII", 0, 9, 0xFFFF_FFFF, 1), struct.pack("<qqII", 9, 8, 1, 1),
    struct.pack("<qqII", -1, 8, 1, 1), struct.pack("<qqII", 0, -1, 0, 1), struct.pack("<qqI", 0, 9, 1), b"",
    struct.pack("<qqIII", 0, 9, 1, 1, 1),
])  # fmt: skip
def test_servers_that_lie(served: Served, answer: bytes) -> None:
    file = opened(served)

    def lie(asked: Asked, error: int, body: bytes) -> tuple[int, bytes]:
        return (0, answer) if asked.kind == GETLK else (0, b"x" * 8) if asked.kind == SETLK else (error, body)

    served.daemon.spoil = lie
    table = FileTable()
    assert code(file.find_conflict, record(table, file, F_WRLCK, 0, 9)) == EIO
    assert code(lambda: file.set_record_lock(record(table, file, F_WRLCK, 0, 9), waits=False)) == EIO
    assert code(lambda: file.set_whole_lock(LOCK_SH, waits=False)) == EIO
    served.daemon.spoil = None
    file.release()


def test_what_it_does_not_know_is_its_error(served: Served) -> None:
    file = opened(served)
    served.daemon.lacks = {GETLK, SETLK}
    for _ in range(2):
        assert code(file.find_conflict, record(FileTable(), file, F_WRLCK, 0, 9)) == ENOSYS
        assert code(lambda: file.set_whole_lock(LOCK_SH, waits=False)) == ENOSYS
    assert served.count(SETLK) == 2, "it is asked again"
    file.release()
