"""A list of very many locks lets others run while it is looked through, but nobody changes it meanwhile."""

from typing import cast

from kernel.fs.constants import F_RDLCK, F_UNLCK, F_WRLCK
from kernel.fs.descriptors import FileTable
from kernel.fs.file import File
from kernel.fs.locks import LOCKED, LockList
from kernel.fs.record_locks import RecordLock
from kernel.lang import EAGAIN, Errno
from kernel.lib.order import Walk
from kernel.lib.pid import Pid
from tests.unit.fs.conftest import World, world
from tests.unit.meanwhile import meanwhile

__all__ = ["world"]


def lock(table: FileTable, start: int, kind: int = F_WRLCK) -> RecordLock:
    return RecordLock(table, None, Pid(1), kind, start, start)


def ranges(locks: LockList) -> list[int]:
    owners = iter(Walk(locks.owners).next, None)
    return [each.start for owned in owners for each in iter(Walk(owned.ranges).next, None)]


def test_a_lock_is_entered_into_a_list_that_nobody_else_changes(world: World) -> None:
    locks, one, other = LockList(), FileTable(), FileTable()
    for start in (0, 10, 20):
        locks.set_record(lock(one if start == 10 else other, start), wait=False)
    seen: list[bool] = []
    with meanwhile(lambda: seen.append(locks.is_busy), 2):
        locks.set_record(lock(one, 30), wait=False)
    try:
        locks.set_record(lock(one, 20), wait=False)
    except Errno as error:
        assert error.code == EAGAIN
    with meanwhile(lambda: seen.append(locks.is_busy), 2):
        for kind in (F_RDLCK, F_WRLCK):
            request = RecordLock(other, None, Pid(1), kind, 0, 40)
            found = locks.find_conflict(request)
            assert found is not None and found.start == 10
    assert seen == [True, True] and not locks.is_busy
    assert sorted(ranges(locks)) == [0, 10, 20, 30]


def test_locks_of_one_owner_go_with_safe_points(world: World) -> None:
    locks, one, other = LockList(), FileTable(), FileTable()
    for start in range(0, 60, 10):
        locks.set_record(lock(one if start % 20 else other, start), wait=False)
    seen: list[bool] = []
    with meanwhile(lambda: seen.append(locks.is_busy), 3):
        locks.drop_owner(one)
    assert ranges(locks) == [0, 20, 40] and LOCKED.has(locks.number)
    locks.drop_owner(one)
    locks.set_record(lock(other, 20, F_UNLCK), wait=False)
    locks.drop_owner(other)
    assert ranges(locks) == [] and not LOCKED.has(locks.number)
    assert seen == [True] and not locks.is_busy


def test_locks_of_descriptions(world: World) -> None:
    class Open:
        has_locks = False

    locks = LockList()
    files = [cast("File", Open()) for _ in range(3)]
    for file in files[:2]:
        locks.set_flock(file, 1, wait=False)
    locks.set_record(RecordLock(None, files[0], Pid(-1), F_WRLCK, 5, 5), wait=False)
    locks.set_record(RecordLock(None, files[1], Pid(-1), F_WRLCK, 6, 6), wait=False)
    seen: list[bool] = []
    try:
        locks.set_flock(files[2], 2, wait=False)
    except Errno as error:
        assert error.code == EAGAIN
    with meanwhile(lambda: seen.append(locks.is_busy)):
        locks.drop_description(files[1])
    held = iter(Walk(locks.holders).next, None)
    assert [each.file for each in held] == [files[0]] and ranges(locks) == [5]
    assert locks.flock_of(files[0]) is not None and locks.flock_of(files[1]) is None
    locks.drop_description(files[0])
    assert not LOCKED.has(locks.number) and seen == [True]
