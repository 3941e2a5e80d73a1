"""A list of very many locks lets others run while it is looked through, but nobody changes it meanwhile."""

import random
from typing import cast

import pytest

from kernel.fs.constants import F_RDLCK, F_UNLCK, F_WRLCK
from kernel.fs.descriptors import FileTable
from kernel.fs.file import File
from kernel.fs.locks import LOCKED, LockList
from kernel.fs.record_locks import RecordLock
from kernel.lang import EAGAIN, Errno
from kernel.lib.order import Walk
from kernel.lib.pace import PACE
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


def test_what_several_owners_hold_is_what_a_map_of_bytes_says(world: World) -> None:
    source = random.Random(3)
    for _ in range(40):
        locks, tables = LockList(), [FileTable() for _ in range(3)]
        models = [[F_UNLCK] * 20 for _ in tables]
        for _ in range(60):
            one, start = source.randrange(3), source.randrange(20)
            end = source.randrange(start, 20)
            kind = source.choice((F_RDLCK, F_RDLCK, F_WRLCK, F_UNLCK))
            others = [kept for model in models if model is not models[one] for kept in model[start : end + 1]]
            in_the_way = F_WRLCK in others or (kind == F_WRLCK and F_RDLCK in others)
            if source.randrange(10) == 0:
                locks.drop_owner(tables[one])
                models[one] = [F_UNLCK] * 20
            elif kind != F_UNLCK and in_the_way:
                with pytest.raises(Errno):
                    locks.set_record(RecordLock(tables[one], None, Pid(1), kind, start, end), wait=False)
            else:
                locks.set_record(RecordLock(tables[one], None, Pid(1), kind, start, end), wait=False)
                models[one][start : end + 1] = [kind] * (end - start + 1)


def test_readers_cost_the_same_among_few_and_many(world: World) -> None:
    costs = []
    for count in (20, 2_000):
        locks = LockList()
        for start in range(count):
            locks.set_record(lock(FileTable(), start, F_RDLCK), wait=False)
        before = PACE.left
        locks.set_record(lock(FileTable(), 5, F_RDLCK), wait=False)
        costs.append(before - PACE.left)
    assert costs[0] == costs[1]


def test_locks_count_for_who_holds_them(world: World) -> None:
    """Once in a count of memory, through however many descriptors it is asked; those of a description as well."""

    class Open:
        has_locks = False

    locks, mine, other, file = LockList(), FileTable(), FileTable(), cast("File", Open())
    for start in range(0, 20_000, 2):
        locks.set_record(lock(mine, start), wait=False)
        locks.set_record(RecordLock(None, file, Pid(-1), F_WRLCK, start + 1, start + 1), wait=False)
    assert locks.held_by(other, cast("File", Open()), 1) == 0
    assert 64 * 10_000 < locks.held_by(mine, cast("File", Open()), 1) < 512 * 10_000
    assert 64 * 10_000 < locks.held_by(mine, file, 1) < 512 * 10_000
    assert locks.held_by(mine, file, 1) == 0 and locks.held_by(mine, file, 2) > 128 * 10_000
