"""The order of a directory's entries against a plain list."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.fs.tmpfs import order
from kernel.fs.tmpfs.base import Tmpfs, TmpfsInode
from kernel.fs.tmpfs.filesystem import new_tmpfs
from kernel.fs.tmpfs.order import EntryOrder, TmpfsEntry, find_position


@pytest.fixture(scope="module")
def inode() -> TmpfsInode:
    return some_inode()


def some_inode() -> TmpfsInode:
    tmpfs: Tmpfs = new_tmpfs(b"tmpfs", b"none", b"")
    top = tmpfs.root()
    assert isinstance(top, TmpfsInode)
    return top


def listed(entries: EntryOrder, position: int = 0) -> Iterator[TmpfsEntry]:
    """As readdir goes through them."""
    number = entries.chunk_at(position)
    index = find_position(entries.chunk(number), position)
    while number < entries.chunk_count():
        yield from entries.chunk(number)[index:]
        number += 1
        index = 0


def check(entries: EntryOrder, model: list[TmpfsEntry]) -> None:
    assert list(listed(entries)) == model
    chunks = [entries.chunk(number) for number in range(entries.chunk_count())]
    assert all(len(chunk) <= order.CHUNK for chunk in chunks)
    assert all(chunks) or chunks == [[]]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 500)), max_size=200))
def test_order(operations: list[tuple[int, int]]) -> None:
    inode = some_inode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(order, "CHUNK", 4)
        entries = EntryOrder()
        model: list[TmpfsEntry] = []
        position = 2
        for kind, value in operations:
            if kind < 6:
                entry = TmpfsEntry(b"name", inode, position)
                position += 1 + value % 3
                entries.append(entry)
                model.append(entry)
            elif kind == 6:
                assert entries.pop() is (model.pop() if model else None)
            elif kind == 7:
                later = [entry for entry in model if entry.position >= value]
                assert entries.next_from(value) is (later[0] if later else None)
                assert list(listed(entries, value)) == later
            elif model:
                entries.remove(model.pop(value % len(model)))
            check(entries, model)


def test_a_hundred_thousand_entries(inode: TmpfsInode) -> None:
    """However many there are, chunks are short, and few where few are left."""
    entries = EntryOrder()
    model = [TmpfsEntry(b"name", inode, position) for position in range(100_000)]
    for entry in model:
        entries.append(entry)
    check(entries, model)
    generator = random.Random(3)
    generator.shuffle(model)
    for entry in model[1000:]:
        entries.remove(entry)
    check(entries, sorted(model[:1000], key=lambda entry: entry.position))
    assert entries.chunk_count() <= 1000 * 4 // order.CHUNK + 2
    for entry in model[:1000]:
        entries.remove(entry)
    check(entries, [])


def test_no_memory_changes_nothing(inode: TmpfsInode) -> None:
    class ShortList(list[list[TmpfsEntry]]):
        def append(self, value: list[TmpfsEntry]) -> None:
            raise MemoryError

    entries = EntryOrder()
    model = [TmpfsEntry(b"name", inode, position) for position in range(2 * order.CHUNK)]
    for entry in model:
        entries.append(entry)
    entries._full = ShortList(entries._full or [])
    with pytest.raises(MemoryError):
        entries.append(TmpfsEntry(b"name", inode, 1000))
    check(entries, model)
