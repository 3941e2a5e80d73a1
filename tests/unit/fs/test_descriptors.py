"""A long search for a free descriptor, while other threads close and open."""

from __future__ import annotations

import pytest

from kernel.fs.descriptors import FileTable
from kernel.ipc.eventfd import EventFile
from kernel.lang import EBUSY, EMFILE, Errno
from tests.unit.meanwhile import meanwhile

MANY = 10000


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


@pytest.mark.parametrize("number", [1, 2])
def test_one_that_is_closed_meanwhile_is_found(number: int) -> None:
    table = full_table()
    table.close(9000)
    table.close(9500)
    table.close(0)
    assert opened(table) == 0
    with meanwhile(lambda: table.close(5), number):
        assert opened(table) == 5
    assert [opened(table), opened(table)] == [9000, 9500]
    with pytest.raises(Errno) as caught:
        opened(table)
    assert caught.value.code == EMFILE


def test_none_is_forgotten_below_the_next() -> None:
    """Others open what was free below the lowest of a search, and close one that it has passed."""
    table = full_table()
    table.close(50)
    table.close(9000)

    def act() -> None:
        assert opened(table) == 50
        assert table.lowest_free(0) == 9000
        table.close(200)

    with meanwhile(act):
        assert opened(table, 100) == 200
    assert opened(table) == 9000


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
