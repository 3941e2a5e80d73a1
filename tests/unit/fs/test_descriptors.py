"""Great tables of descriptors, while other threads close and open."""

from __future__ import annotations

import pytest

from kernel.fs.descriptors import FileTable
from kernel.fs.far_descriptors import NEAR, PIECE
from kernel.ipc.eventfd import EventFile
from kernel.lang import EBUSY, EMFILE, Errno
from tests.unit.meanwhile import meanwhile

MANY = 20000


def full_table() -> FileTable:
    """All of its descriptors are one file's; the search for the lowest starts at 1."""
    table = FileTable()
    file = EventFile(0, 0, False)
    table.limit = MANY
    for _ in range(MANY):
        table.install(file.acquire(), cloexec=False)
    table.close(0)
    assert table.install(file, cloexec=False) == 0
    return table


def opened(table: FileTable, lowest: int = 0) -> int:
    return table.install(table.get(1).acquire(), False, lowest)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_one_that_is_closed_meanwhile_is_found(number: int) -> None:
    table = full_table()
    table.close(19000)
    table.close(19500)
    table.close(0)
    assert opened(table) == 0
    with meanwhile(lambda: table.close(5), number):
        assert opened(table) == 5
    assert [opened(table), opened(table)] == [19000, 19500]
    with pytest.raises(Errno) as caught:
        opened(table)
    assert caught.value.code == EMFILE


def test_none_is_forgotten_below_the_next() -> None:
    """Others open what was free below the lowest of a search, and close one that it has passed."""
    table = full_table()
    table.close(50)
    table.close(19000)

    def act() -> None:
        assert opened(table) == 50
        assert table.lowest_free(0) == 19000
        table.close(200)

    with meanwhile(act):
        assert opened(table, 100) == 200
    assert opened(table) == 19000


def test_a_reserved_one_is_neither_free_nor_open() -> None:
    table = FileTable()
    file = EventFile(0, 0, False)
    table.limit = 3
    assert table.install(file, cloexec=False) == 0
    assert table.reserve() == 1
    assert table.install(file.acquire(), cloexec=False) == 2
    assert table.find(1) is None
    with pytest.raises(Errno) as caught:
        table.reserve()
    assert caught.value.code == EMFILE
    with pytest.raises(Errno) as caught:
        table.replace(1, file, cloexec=False)
    assert caught.value.code == EBUSY
    copy = table.copy()
    assert copy.install(file.acquire(), cloexec=False) == 1  # in another table it is free
    table.close_on_exec()
    table.close_range(0, 2)
    assert table.lowest_free(1) == 2
    assert table.fill(1, EventFile(0, 0, False), cloexec=True) == 1 and table.closes_on_exec(1)
    copy.release()
    assert file.users == 0


def test_one_that_is_given_back_is_free() -> None:
    table = FileTable()
    file = EventFile(0, 0, False)
    assert table.reserve() == 0 and table.install(file, cloexec=False) == 1
    table.give_back(0)
    assert table.reserve() == 0
    table.give_back(0)
    table.replace(0, file, cloexec=False)
    table.release()
    assert file.users == 0


def scattered() -> tuple[FileTable, EventFile, list[int]]:
    """A table with one file at a few descriptors, far from each other."""
    table = FileTable()
    table.limit = 1 << 20
    file = EventFile(0, 0, False)
    places = [0, 5, NEAR - 1, NEAR, NEAR + 1, 5 * PIECE - 1, 9 * PIECE, (1 << 20) - 1]
    for place in places:
        table.replace(place, file, cloexec=place % 2 == 0)
    file.release()
    return table, file, places


def open_ones(table: FileTable) -> list[int]:
    return [descriptor for descriptor in range(table.size()) if table.find(descriptor) is not None]


def test_one_far_away_takes_no_room_for_those_between() -> None:
    table, file, places = scattered()
    assert open_ones(table) == places and file.users == len(places)
    assert table.size() == 1 << 20 and table.find(1 << 20) is None and table.find(-1) is None
    far = table._far
    assert far is not None and sum(piece is not None for piece in far.pieces) == 4
    assert [table.closes_on_exec(place) for place in places] == [place % 2 == 0 for place in places]
    assert table.lowest_free(NEAR - 1) == NEAR + 2 and table.lowest_free(5 * PIECE - 1) == 5 * PIECE
    with pytest.raises(Errno) as caught:
        table.lowest_free((1 << 20) - 1)
    assert caught.value.code == EMFILE


def test_a_copy_has_what_is_far_away_and_keeps_it_alone() -> None:
    table, file, places = scattered()
    copy = table.copy()
    assert open_ones(copy) == places and file.users == 2 * len(places)
    assert [copy.closes_on_exec(place) for place in places] == [place % 2 == 0 for place in places]
    copy.close_on_exec()
    assert open_ones(copy) == [place for place in places if place % 2 == 1]
    assert copy.lowest_free(0) == 0
    table.close_range(6, 9 * PIECE)
    assert open_ones(table) == [0, 5, (1 << 20) - 1]
    table.release()
    copy.release()
    assert file.users == 0


def test_a_copy_is_right_where_others_open_and_close_meanwhile() -> None:
    table, file, places = scattered()

    def act() -> None:
        table.close(9 * PIECE)
        table.replace(7 * PIECE, file, cloexec=False)  # nobody had one near there

    for number in (1, 3, 5):
        with meanwhile(act, number):
            copy = table.copy()
        found = open_ones(copy)
        assert set(found) - {7 * PIECE, 9 * PIECE} == set(places) - {9 * PIECE}
        copy.release()
        table.replace(9 * PIECE, file, cloexec=True)
    table.release()
    assert file.users == 0


def test_a_table_that_goes_is_closed_though_files_end_with_others_at_work() -> None:
    table, file, _ = scattered()
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    with meanwhile(count, 100):
        table.release()
    assert steps == 1 and file.users == 0


def test_a_reserved_one_far_away_is_neither_free_nor_open() -> None:
    table = full_table()
    table.limit = MANY + 2
    assert table.reserve() == MANY and table.find(MANY) is None
    assert opened(table) == MANY + 1
    table.give_back(MANY)
    assert opened(table) == MANY
