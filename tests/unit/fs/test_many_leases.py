"""Leases on one file: looking through them takes safe points, at which others wait for their turn with the list."""

import pytest

from kernel.fs.constants import F_RDLCK, F_UNLCK, F_WRLCK, O_CREAT, O_NONBLOCK, O_RDONLY, O_WRONLY
from kernel.fs.file import File
from kernel.fs.leases import Lease, end_lease, lease_kind, set_lease
from kernel.fs.locks import LockList
from kernel.fs.open import open_file
from kernel.lang import EAGAIN, Errno
from kernel.lib.pace import PACE, Rest
from tests.unit.fs.conftest import World

COUNT = 20


class Held(Lease):
    breaks = 0

    def broken(self) -> None:
        self.breaks += 1


class Looking(Rest):
    """Every turn ends at a safe point, at which the list is busy."""

    def __init__(self, locks: LockList) -> None:
        self.locks = locks
        self.times = 0

    def take(self) -> None:
        assert self.locks.is_busy
        self.times += 1
        PACE.left = 0


def opened(world: World, flags: int = O_RDONLY) -> File:
    return open_file(world.root, None, b"/f", flags, 0o644)


@pytest.fixture
def files(world: World) -> list[File]:
    """Twenty descriptions with a lease each."""
    opened(world, O_WRONLY | O_CREAT).release()
    found = [opened(world) for _ in range(COUNT)]
    for file in found:
        set_lease(file, Held(file, F_RDLCK))
    return found


@pytest.fixture
def looking(files: list[File], monkeypatch: pytest.MonkeyPatch) -> Looking:
    locks = files[0].inode.locks
    assert locks is not None
    found = Looking(locks)
    monkeypatch.setattr(PACE, "rest", found)
    monkeypatch.setattr(PACE, "left", 0)
    return found


def test_all_holders_are_notified_once(world: World, files: list[File], looking: Looking) -> None:
    for _ in range(2):
        with pytest.raises(Errno) as caught:
            opened(world, O_WRONLY | O_NONBLOCK)
        assert caught.value.code == EAGAIN
    assert [lease.breaks for lease in looking.locks.leases if isinstance(lease, Held)] == [1] * COUNT
    assert looking.times >= 2 * COUNT and looking.locks.ending_leases == COUNT
    assert lease_kind(files[7]) == F_UNLCK


def test_nobody_gets_one_while_another_must_end(world: World, files: list[File], looking: Looking) -> None:
    with pytest.raises(Errno):
        opened(world, O_WRONLY | O_NONBLOCK)
    late = opened(world)
    with pytest.raises(Errno):
        set_lease(late, Held(late, F_RDLCK))
    for file in files[:-1]:
        end_lease(file)
    with pytest.raises(Errno):
        set_lease(late, Held(late, F_RDLCK))
    set_lease(files[-1], Held(files[-1], F_RDLCK))  # its own does not stand in its way
    files[-1].release()
    assert looking.locks.ending_leases == 0
    set_lease(late, Held(late, F_RDLCK))
    late.release()
    assert looking.locks.leases == []


def test_a_fresh_description_looks_at_no_other(world: World, files: list[File], looking: Looking) -> None:
    fresh = opened(world)
    before = looking.times
    set_lease(fresh, Held(fresh, F_RDLCK))
    assert looking.times == before
    with pytest.raises(Errno):
        set_lease(fresh, Held(fresh, F_WRLCK))
    assert lease_kind(fresh) == F_RDLCK
    for file in (*files, fresh):
        file.release()
    assert looking.locks.leases == []


def test_what_is_overdue_ends(world: World, looking: Looking, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Errno):
        opened(world, O_WRONLY | O_NONBLOCK)
    ends_ns = looking.locks.lease_deadline_ns
    monkeypatch.setattr("kernel.fs.leases.monotonic_ns", lambda: ends_ns)
    opened(world, O_WRONLY | O_NONBLOCK).release()
    assert looking.locks.leases == [] and looking.locks.ending_leases == 0
