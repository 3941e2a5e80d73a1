"""Large dictionaries against Python's own: the same entries in the same order, whatever comes and goes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.lang.runtime import containers, large_dict
from kernel.lang.runtime.containers import Dict
from kernel.lang.runtime.hashing import MASK
from kernel.lang.runtime.large_dict import CHUNK, SPARE_CHUNKS, EntryIndex, LargeTable

OPERATIONS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 60), st.integers()), max_size=300)


T = TypeVar("T")


class ShortList(list[T]):
    """A list that finds no memory to grow."""

    def append(self, value: T) -> None:
        raise MemoryError


def hash_of(key: int) -> int:
    """Few hashes, so that buckets have several entries and entries have equal hashes."""
    return key % 23 * 0x01010101 & 0x7FFF_FFFF


def check_index(index: EntryIndex, hashes: list[int]) -> None:
    """Each entry once in its bucket and in the order; `hashes` by number."""
    assert index.count == len(hashes) and index.buckets == max(1, len(hashes))
    assert index.mask & (index.mask + 1) == 0 and index.mask >> 1 < index.buckets <= index.mask + 1
    seen = []
    for hash_value in set(hashes):
        number = index.first_with(hash_value)
        while number >= 0:
            assert index.hash_of(number) == hash_value
            seen.append(number)
            number = index.next_with(number, hash_value)
    assert sorted(seen) == list(range(len(hashes)))
    ordered = []
    number = index.newer_than(-1)
    while number >= 0:
        ordered.append(number)
        number = index.newer_than(number)
    assert sorted(ordered) == list(range(len(hashes)))
    assert all(hashes[number] == index.hash_of(number) for number in ordered)


@settings(max_examples=200, deadline=None)
@given(OPERATIONS)
def test_index(operations: list[tuple[int, int, int]]) -> None:
    index = EntryIndex()
    hashes: list[int] = []
    for kind, key, _ in operations:
        if kind < 6 or not hashes:
            index.reserve()
            index.add(hash_of(key))
            hashes.append(hash_of(key))
        else:
            place = key % len(hashes)
            index.remove(place)
            hashes[place] = hashes[-1]
            hashes.pop()
        check_index(index, hashes)


@pytest.mark.parametrize("count", [1, 2, 5, 8, 9, CHUNK, CHUNK + 1, 700])
def test_index_with_buckets_made_before(count: int) -> None:
    index = EntryIndex()
    index.begin(count)
    hashes: list[int] = []
    for key in range(count):
        index.reserve()
        index.add(hash_of(key))
        hashes.append(hash_of(key))
    check_index(index, hashes)
    index.reserve()
    index.add(1)
    check_index(index, [*hashes, 1])
    index.remove(count)
    check_index(index, hashes)


def entries_of(ours: Dict[int, int]) -> Iterator[tuple[int, int]]:
    entry = ours.entry_first()
    while entry >= 0:
        yield ours.entry_key(entry), ours.entry_value(entry)
        entry = ours.entry_next(entry)


@settings(max_examples=200, deadline=None)
@given(OPERATIONS)
def test_small_dictionary_as_a_large_one(operations: list[tuple[int, int, int]]) -> None:
    """With a lower limit, short runs of operations cross it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(containers, "LARGE", 8)
        ours: Dict[int, int] = Dict()
        model: dict[int, int] = {}
        for kind, key, value in operations:
            version, before = ours.version, list(model)
            match kind:
                case 0 | 1 | 2 | 3:
                    ours[key] = value
                    model[key] = value
                case 4 if key in model:
                    del ours[key]
                    del model[key]
                case 5:
                    assert ours.pop_optional(key) == model.pop(key, None)
                case 6:
                    assert ours.pop_default(key, 7) == model.pop(key, 7)
                case 7:
                    assert ours.setdefault(key, value) == model.setdefault(key, value)
                    assert (ours.get(key), ours.get_default(key, 1)) == (model.get(key), model.get(key, 1))
                    assert (key in ours, key + 1 in ours) == (key in model, key + 1 in model)
                case 8:
                    assert next(entries_of(ours), None) == next(iter(model.items()), None)
                case 9 if value % 16 == 0:
                    ours.clear()
                    model.clear()
            assert (list(model) == before) or ours.version != version
            assert len(ours) == len(model)
        assert list(entries_of(ours)) == list(model.items())
        assert list(entries_of(ours.copy())) == list(model.items())
        assert [ours.key_list()[i] for i in range(len(model))] == list(model)
        assert [ours.value_list()[i] for i in range(len(model))] == list(model.values())


def test_twenty_thousand_names() -> None:
    ours: Dict[bytes, int] = Dict()
    names = [b"name %d" % number for number in range(20_000)]
    for number, name in enumerate(names):
        ours[name] = number
    large = ours._large
    assert large is not None and ours._capacity == 0
    assert all(ours[name] == number for number, name in enumerate(names))
    random.Random(1).shuffle(names)
    for left in range(len(names) - 1, -1, -1):
        del ours[names[left]]
        assert large.index.count == left
        assert max(len(large.index.chunks), len(large.keys), len(large.values)) <= left // CHUNK + SPARE_CHUNKS
    assert len(ours) == 0 and ours._large is None
    ours[b"again"] = 1
    assert ours[b"again"] == 1 and ours._capacity > 0


def test_an_entry_more_moves_few() -> None:
    """Of a million entries: the words of the index that one more or one less writes."""
    index = EntryIndex()
    written = 0
    plain = EntryIndex._set_word

    def counted(self: EntryIndex, kind: int, number: int, value: int) -> None:
        nonlocal written
        written += 1
        plain(self, kind, number, value)

    generator = random.Random(2)
    for _ in range(100_000):
        value = generator.getrandbits(31)
        index.reserve()
        index.add(value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EntryIndex, "_set_word", counted)
        for _ in range(2000):
            written = 0
            value = generator.getrandbits(31)
            index.reserve()
            index.add(value)
            assert written < 30
        for _ in range(2000):
            written = 0
            index.remove(generator.randrange(index.count))
            assert written < 30


def test_no_memory_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    table: LargeTable[int, int] = LargeTable()
    hashes = []
    for key in range(CHUNK + 10):
        table.add(key, key, -key)
        hashes.append(key)
    for key in range(CHUNK + 10, 2 * CHUNK):
        table.add(key, key, -key)
        hashes.append(key)
    for name in ("keys", "values"):
        usual_lists: list[list[int]] = getattr(table, name)
        setattr(table, name, ShortList(usual_lists))
        with pytest.raises(MemoryError):
            table.add(9999, 9999, 1)
        setattr(table, name, usual_lists)
        assert table.find(9999, 9999) == -1
        check_index(table.index, hashes)

    def no_chunk() -> large_dict.IndexChunk:
        raise MemoryError

    monkeypatch.setattr(large_dict, "IndexChunk", no_chunk)
    with pytest.raises(MemoryError):
        EntryIndex().reserve()


@pytest.mark.parametrize("count", [1, CHUNK, 3 * CHUNK])
@pytest.mark.parametrize("removed", [1, CHUNK, 3 * CHUNK])
@pytest.mark.parametrize("place", range(1, 6))
def test_entries_are_removed_while_one_is_added(
    monkeypatch: pytest.MonkeyPatch, count: int, removed: int, place: int
) -> None:
    """A cache in this very dictionary is asked for memory."""
    monkeypatch.setattr(containers, "LARGE", 1)
    ours: Dict[int, int] = Dict()
    model: dict[int, int] = {}
    asked = 0

    def ask() -> None:
        nonlocal asked
        asked += 1
        if asked == place:
            for key in list(model)[:removed]:
                del ours[key]
                del model[key]

    def asking_chunk() -> large_dict.IndexChunk:
        ask()
        return usual_chunk()

    class AskingList(list[T]):
        def append(self, value: T) -> None:
            if len(self) & (len(self) - 1) == 0:
                ask()  # it grows
            super().append(value)

    for key in range(count):
        ours[key] = key
        model[key] = key
    large = ours._large
    if large is not None:
        large.keys = AskingList(large.keys)
        large.values = AskingList(large.values)
    usual_chunk = large_dict.IndexChunk
    usual = large_dict._with_room

    def with_room(value: int) -> list[int]:
        ask()
        return usual(value)

    monkeypatch.setattr(large_dict, "IndexChunk", asking_chunk)
    monkeypatch.setattr(large_dict, "_with_room", with_room)
    for key in range(10_000, 10_000 + 2 * CHUNK):
        ours[key] = -key
        model[key] = -key
        assert ours[key] == -key and len(ours) == len(model)
    assert asked >= place
    assert list(entries_of(ours)) == list(model.items())
    assert ours._large is not None
    hashes = [hash(ours._large.key(number)) & MASK for number in range(len(model))]
    check_index(ours._large.index, hashes)
    for key in list(model):
        del ours[key]
    assert len(ours) == 0


def test_becoming_large_without_memory_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    ours: Dict[int, int] = Dict()
    for key in range(containers.LARGE):
        ours[key] = key
    fewer = containers.LARGE // CHUNK - 1
    allowed = fewer

    def few_chunks() -> large_dict.IndexChunk:
        nonlocal allowed
        if allowed == 0:
            raise MemoryError
        allowed -= 1
        return usual()

    usual = large_dict.IndexChunk
    monkeypatch.setattr(large_dict, "IndexChunk", few_chunks)
    for _ in range(2):
        allowed = fewer
        with pytest.raises(MemoryError):
            ours[5000] = 1
        assert list(entries_of(ours)) == [(key, key) for key in range(containers.LARGE)]
        assert 5000 not in ours and ours._large is None
    monkeypatch.undo()
    ours[5000] = 1
    assert ours[5000] == 1 and ours._large is not None


def test_equal_hashes_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that were chosen to collide find no room before a look-up of one would take long."""
    monkeypatch.setattr(large_dict, "MOST_IN_BUCKET", 100)
    index = EntryIndex()
    for _ in range(100):
        index.reserve()
        index.add(77)
    number = index.first_with(77)
    while number >= 0:
        number = index.next_with(number, 77)
    with pytest.raises(MemoryError):
        index.reserve()
    for value in range(1000):
        assert index.first_with(value * 4) == -1
        index.reserve()
        index.add(value * 4)
    assert index.first_with(78) == -1
    index.reserve()  # beside the full bucket
    table: LargeTable[int, int] = LargeTable()
    for key in range(100):
        table.add(key, 77, key)
    with pytest.raises(MemoryError):
        assert table.find(100, 77) == -1
        table.add(100, 77, 0)
