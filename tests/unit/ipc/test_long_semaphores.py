"""Changes of semaphores that take long let others run, which may stop waiting, but change no counter of the set."""

import pytest

from kernel.ipc.semaphores import Operation, PendingRow, SemaphoreSet, Sets, Undo, UndoList
from kernel.lib.credentials import Credentials
from kernel.lib.namespace import FIRST_USER
from kernel.lib.pid import Bearer, Pid
from tests.unit.fs.conftest import World, world
from tests.unit.meanwhile import meanwhile

__all__ = ["world"]


@pytest.fixture
def semaphores(world: World) -> SemaphoreSet:
    sets = Sets(FIRST_USER)
    made = SemaphoreSet(sets, 0, 0o600, Credentials(), 3)
    sets.table.add(made)
    sets.used += 3
    return made


def waits(semaphores: SemaphoreSet, number: int) -> PendingRow:
    row = PendingRow([Operation(number, -1, 0)], Bearer(Pid(7)), None)
    semaphores.pending.append(row)
    return row


def raise_one(semaphores: SemaphoreSet, number: int) -> None:
    semaphores.operate([Operation(number, 1, 0)], Bearer(Pid(7)), None, 0)


def test_who_stops_waiting_makes_nobody_else_miss_a_turn(semaphores: SemaphoreSet) -> None:
    impatient, following = waits(semaphores, 0), waits(semaphores, 1)
    seen: list[bool] = []

    def leave() -> None:
        semaphores.pending.remove(impatient)
        seen.append(semaphores.is_busy)

    with meanwhile(leave):
        raise_one(semaphores, 1)
    assert following.is_finished and semaphores.values == [0, 0, 0] and semaphores.pending == []
    assert seen == [True] and not semaphores.is_busy


def test_all_are_set_before_others_go_on(semaphores: SemaphoreSet) -> None:
    done = UndoList()
    undo = done.find(semaphores)
    undo.set(1, -5)
    row = waits(semaphores, 2)
    seen: list[bool] = []
    with meanwhile(lambda: seen.append(semaphores.is_busy and not row.is_finished), 5):
        semaphores.set_all([7, 8, 9], Bearer(Pid(7)))
    assert seen == [True] and row.is_finished and not semaphores.is_busy
    assert semaphores.values == [7, 8, 8] and undo.get(1) == 0


def test_a_set_is_removed_while_the_end_of_a_process_waits_for_it(
    semaphores: SemaphoreSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = UndoList()
    done.find(semaphores).set(1, 5)
    monkeypatch.setattr(SemaphoreSet, "_wait_for_quiet", SemaphoreSet.remove)
    done.release(None)
    assert semaphores.values == [0, 0, 0] and semaphores.undos == [] and done.undos == []


def test_what_is_undone_is_no_longer_in_the_set(semaphores: SemaphoreSet) -> None:
    done = UndoList()
    undo: Undo = done.find(semaphores)
    undo.set(1, 5)
    seen: list[bool] = []
    with meanwhile(lambda: seen.append(semaphores.is_busy)):
        done.release(None)
    assert semaphores.values == [0, 5, 0] and undo.target is None and semaphores.undos == []
    assert seen == [True]
