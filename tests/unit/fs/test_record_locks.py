"""The ranges that one owner locks: what a new one replaces, splits and joins; few of very many are looked at."""

import random
from typing import cast

import pytest

from kernel.fs.constants import F_RDLCK, F_UNLCK, F_WRLCK, MAX_FILE_SIZE
from kernel.fs.descriptors import FileTable
from kernel.fs.locks import WAITING, LockList, Waiting, _would_deadlock
from kernel.fs.record_locks import OwnedLocks, RecordLock
from kernel.lang import Errno
from kernel.lib.order import Order, Walk
from kernel.lib.pace import PACE
from kernel.lib.pid import Pid
from tests.unit.fs.conftest import World, world

__all__ = ["world"]

ME = cast("FileTable", object())
OTHER = cast("FileTable", object())
KINDS = {F_RDLCK: "r", F_WRLCK: "w", F_UNLCK: "."}


def lock(kind: int, start: int, end: int, table: FileTable = ME) -> RecordLock:
    return RecordLock(table, None, Pid(1), kind, start, end)


def ranges(owned: OwnedLocks) -> list[tuple[int, int, int]]:
    return [(each.kind, each.start, each.end) for each in iter(Walk(owned.ranges).next, None)]


def test_ranges_are_what_a_map_of_bytes_says() -> None:
    source = random.Random(7)
    for _ in range(60):
        owned = OwnedLocks(ME, None)
        model = ["."] * 40
        for _ in range(40):
            start = source.randrange(40)
            end = source.randrange(start, 40)
            kind = source.choice(list(KINDS))
            owned.replace(lock(kind, start, end))
            model[start : end + 1] = KINDS[kind] * (end - start + 1)
            shown = ["."] * 40
            last: tuple[int, int, int] | None = None
            for each in ranges(owned):
                assert last is None or (last[2] < each[1] and (last[2] + 1 < each[1] or last[0] != each[0]))
                shown[each[1] : each[2] + 1] = KINDS[each[0]] * (each[2] - each[1] + 1)
                last = each
            assert shown == model
            wanted = source.randrange(40)
            found = owned.conflict_with(lock(F_RDLCK, wanted, min(wanted + 3, 39), OTHER))
            assert (found is None) == ("w" not in model[wanted : wanted + 4])


def test_the_ends_of_a_file() -> None:
    owned = OwnedLocks(ME, None)
    owned.replace(lock(F_WRLCK, 0, MAX_FILE_SIZE))
    owned.replace(lock(F_RDLCK, MAX_FILE_SIZE, MAX_FILE_SIZE))
    owned.replace(lock(F_UNLCK, 0, 0))
    last = MAX_FILE_SIZE - 1
    assert ranges(owned) == [(F_WRLCK, 1, last), (F_RDLCK, MAX_FILE_SIZE, MAX_FILE_SIZE)]
    owned.replace(lock(F_WRLCK, MAX_FILE_SIZE, MAX_FILE_SIZE))
    assert ranges(owned) == [(F_WRLCK, 1, MAX_FILE_SIZE)]
    owned.replace(lock(F_UNLCK, 0, MAX_FILE_SIZE))
    assert owned.ranges.is_empty()


def test_few_of_very_many_ranges_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call costs the same budget among 20,000 as among 20."""
    costs = []
    for count in (20, 20_000):
        owned = OwnedLocks(ME, None)
        for number in range(count):
            owned.replace(lock(F_WRLCK, 10 * number, 10 * number + 3))
        monkeypatch.setattr(PACE, "left", 1_000_000)
        owned.replace(lock(F_UNLCK, 101, 102))
        owned.replace(lock(F_RDLCK, 55, 62))
        assert owned.conflict_with(lock(F_RDLCK, 56, 59, OTHER)) is None
        assert owned.conflict_with(lock(F_RDLCK, 63, 63, OTHER)) is not None
        costs.append(1_000_000 - PACE.left)
    assert costs[0] == costs[1]


@pytest.mark.parametrize("number", [1, 2])
def test_without_memory_nothing_is_changed(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """A lock in the middle of another of another kind needs two new ranges."""
    owned = OwnedLocks(ME, None)
    owned.replace(lock(F_WRLCK, 0, 99))
    before = ranges(owned)
    real = Order.put
    left = [number]

    def put(order: Order[RecordLock], at: int, value: RecordLock) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise MemoryError
        real(order, at, value)

    monkeypatch.setattr(Order, "put", put)
    with pytest.raises(MemoryError):
        owned.replace(lock(F_RDLCK, 40, 49))
    assert ranges(owned) == before
    owned.replace(lock(F_RDLCK, 40, 49))
    assert ranges(owned) == [(F_WRLCK, 0, 39), (F_RDLCK, 40, 49), (F_WRLCK, 50, 99)]


def test_a_circle_is_found_among_very_many_that_wait(world: World) -> None:
    """However many threads wait, those of one process are found at once."""
    tables = [FileTable() for _ in range(4)]
    held = [lock(F_WRLCK, 0, 0, table) for table in tables]
    crowd = [Waiting(lock(F_WRLCK, 0, 0, FileTable()), held[0]) for _ in range(500)]
    chain = [Waiting(lock(F_WRLCK, 0, 0, tables[at]), held[at + 1]) for at in range(3)]
    for waiting in [*crowd, *chain, *crowd[:0]]:
        waiting.enter()
    before = PACE.left
    assert _would_deadlock(lock(F_WRLCK, 0, 0, tables[3]), held[0])
    assert not _would_deadlock(lock(F_WRLCK, 0, 0, FileTable()), held[0])
    assert before - PACE.left < 1000
    for waiting in [*crowd, *chain]:
        waiting.leave()
    assert WAITING.is_empty()


def test_flock_looks_at_two_of_very_many(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    class Open:
        has_locks = False

    locked = Order[LockList]()
    monkeypatch.setattr("kernel.fs.locks.LOCKED", locked)
    locks = LockList()
    files = [cast("object", Open()) for _ in range(2000)]
    for file in files:
        locks.set_flock(file, 1, wait=False)  # type: ignore[arg-type]  # all that it uses
    before = PACE.left
    with pytest.raises(Errno):
        locks.set_flock(files[0], 2, wait=False)  # type: ignore[arg-type]  # all that it uses
    locks.set_flock(files[0], 1, wait=False)  # type: ignore[arg-type]  # all that it uses
    assert before - PACE.left < 5000
    for file in files:
        locks.unlock_flock(file)  # type: ignore[arg-type]  # all that it uses
    assert locks.holders.is_empty() and locked.is_empty()
