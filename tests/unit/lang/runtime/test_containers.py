"""The run-time containers against Python's own: random sequences of operations must leave both the same."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.lang.runtime.containers import LAST, ByteArray, Deque, Dict, List, byte_array_of, sorted_ints, table_of

VALUES = st.integers(-5, 5)
PLACES = st.integers(-12, 12)
OPERATIONS = st.lists(st.tuples(st.integers(0, 13), PLACES, PLACES, VALUES), max_size=60)


def contents(values: List[int]) -> list[int]:
    return [values[i] for i in range(len(values))]


def list_of(values: list[int]) -> List[int]:
    result: List[int] = List()
    for value in values:
        result.append(value)
    return result


def same_error(ours: object, theirs: object) -> None:
    """Both calls work and agree, or both fail."""
    try:
        expected = theirs()  # type: ignore[operator]
    except (IndexError, ValueError, KeyError):
        with pytest.raises((IndexError, ValueError, KeyError, OverflowError)):
            ours()  # type: ignore[operator]
    else:
        assert ours() == expected  # type: ignore[operator]


@settings(max_examples=200, deadline=None)
@given(OPERATIONS)
def test_list(operations: list[tuple[int, int, int, int]]) -> None:
    model: list[int] = []
    ours: List[int] = List()
    for kind, a, b, value in operations:
        match kind:
            case 0 | 1 | 2:
                ours.append(value)
                model.append(value)
            case 3:
                ours.insert(a, value)
                model.insert(a, value)
            case 4:
                same_error(ours.pop_last, model.pop)
            case 5:
                place = abs(a)
                same_error(lambda p=place: ours.pop_at(p), lambda p=place: model.pop(p))
            case 6 if value in model:
                ours.remove(value)
                model.remove(value)
            case 7:
                ours.delete_slice(a, b)
                del model[a:b]
            case 8:
                assert contents(ours.slice(a, b)) == model[a:b]
                assert contents(ours.slice(a, LAST)) == model[a:]
            case 9:
                ours.reverse()
                model.reverse()
            case 10:
                ours.extend(ours.slice(a, b))
                model.extend(model[a:b])
            case 11:
                assert (value in ours, ours.count(value)) == (value in model, model.count(value))
            case 12:
                assert contents(ours.concat(ours.repeat(value))) == model + model * value
                assert contents(sorted_ints(ours)) == sorted(model)
            case 13 if value == 0:
                ours.clear()
                model.clear()
        assert contents(ours) == model


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_sort(values: list[int]) -> None:
    ours = list_of(values)
    ours.sort()
    assert contents(ours) == sorted(values)


def test_list_traps() -> None:
    values = list_of([1, 2, 3])
    for index in (-1, 3, 100, -100):
        with pytest.raises(IndexError):
            values[index]
        with pytest.raises(IndexError):
            values[index] = 0
        with pytest.raises(IndexError):
            del values[index]
    assert values.from_end(1) == 3
    with pytest.raises(IndexError):
        values.from_end(4)
    with pytest.raises(KeyError):
        values.remove(9)


def check_dict(ours: Dict[int, int], model: dict[int, int]) -> None:
    """Same entries in the same order, by iteration and by look-up."""
    entries = []
    entry = ours.entry_first()
    while entry >= 0:
        entries.append((ours.entry_key(entry), ours.entry_value(entry)))
        entry = ours.entry_next(entry)
    assert entries == list(model.items())
    assert len(ours) == len(model)
    for key, value in model.items():
        assert ours[key] == value


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10), st.integers(-40, 40), VALUES), max_size=200))
def test_dict(operations: list[tuple[int, int, int]]) -> None:
    model: dict[int, int] = {}
    ours: Dict[int, int] = Dict()
    for kind, key, value in operations:
        version = ours.version
        before = list(model)
        match kind:
            case 0 | 1 | 2 | 3:
                ours[key] = value
                model[key] = value
            case 4:
                same_error(lambda k=key: ours.pop(k), lambda k=key: model.pop(k))
            case 5 if key in model:
                del ours[key]
                del model[key]
            case 6:
                assert ours.get(key) == model.get(key)
                assert ours.get_default(key, 7) == model.get(key, 7)
                assert (key in ours) == (key in model)
            case 7:
                assert ours.setdefault(key, value) == model.setdefault(key, value)
            case 8:
                assert ours.pop_optional(key) == model.pop(key, None)
                assert ours.pop_default(key, 3) == model.pop(key, 3)
            case 9 if value == 5:
                ours.clear()
                model.clear()
            case 10:
                first = ours.entry_first()
                assert (ours.entry_key(first) if first >= 0 else None) == next(iter(model), None)
        if list(model) != before:
            assert ours.version != version
    check_dict(ours, model)
    check_dict(ours.copy(), model)
    assert contents(ours.key_list()) == list(model)
    assert contents(ours.value_list()) == list(model.values())


def test_dict_with_colliding_keys() -> None:
    ours: Dict[int, int] = Dict()
    model: dict[int, int] = {}
    for step in range(300):
        ours[step << 20] = step
        model[step << 20] = step
        if step % 3 == 0:
            del ours[(step // 2) << 20]
            del model[(step // 2) << 20]
            ours[(step // 2) << 20] = -step
            model[(step // 2) << 20] = -step
    check_dict(ours, model)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 2**31 - 1), unique=True, max_size=60))
def test_frozen_table_is_what_insertion_makes(hashes: list[int]) -> None:
    """The compiler lays out frozen dictionaries with `table_of`: all entries must be found in it."""
    table = table_of(hashes)
    capacity = 8
    while capacity < len(hashes):
        capacity *= 2
    assert table[: len(hashes)] == hashes
    if capacity > 8:
        cells = table[capacity:]
        assert len(cells) == 2 * capacity
        assert sorted(cell for cell in cells if cell) == list(range(1, len(hashes) + 1))
    else:
        assert len(table) == 8


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 12), VALUES), max_size=100))
def test_deque(operations: list[tuple[int, int, int]]) -> None:
    model: deque[int] = deque()
    ours: Deque[int] = Deque()
    for kind, place, value in operations:
        match kind:
            case 0 | 1 | 2:
                ours.append(value)
                model.append(value)
            case 3 | 4:
                ours.appendleft(value)
                model.appendleft(value)
            case 5:
                same_error(ours.pop, model.pop)
            case 6:
                same_error(ours.popleft, model.popleft)
            case 7 if value in model:
                ours.remove(value)
                model.remove(value)
            case 8 if place < len(model):
                ours[place] = value
                model[place] = value
        assert [ours[i] for i in range(len(ours))] == list(model)
        assert (value in ours) == (value in model)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), PLACES, PLACES, st.binary(max_size=20)), max_size=60))
def test_byte_array(operations: list[tuple[int, int, int, bytes]]) -> None:
    model = bytearray()
    ours = ByteArray()
    for kind, a, b, data in operations:
        match kind:
            case 0 | 1:
                ours.extend_bytes(data)
                model.extend(data)
            case 2:
                ours.append(len(data))
                model.append(len(data))
            case 3:
                count = abs(a)
                ours.delete_slice(0, count)
                del model[:count]
            case 4:
                ours.delete_slice(a, b)
                del model[a:b]
            case 5:
                assert ours.slice(a, b).to_bytes() == bytes(model[a:b])
            case 6:
                ours.extend_array(ours)
                model.extend(bytes(model))
                ours.delete_slice(30, LAST)
                del model[30:]
            case 7 if abs(a) < len(model):
                ours[abs(a)] = 200
                model[abs(a)] = 200
            case 8:
                same_error(ours.pop_last, model.pop)
        assert ours.to_bytes() == bytes(model)
    assert byte_array_of(bytes(model)).to_bytes() == bytes(model)


def test_keys_that_come_and_go_leave_no_trail() -> None:
    """The index of a large dictionary stays as it is, however often a key is taken out and put in again."""
    ours: Dict[int, int] = Dict()
    for key in range(600):
        ours[key] = key
    capacity = ours._capacity
    index = [ours._table[capacity + cell] for cell in range(2 * capacity)]
    for _ in range(200):
        for key in (3000, 3001):
            ours[key] = key
        for key in (3000, 3001):
            assert ours.pop(key) == key
    assert ours._capacity == capacity
    assert [ours._table[capacity + cell] for cell in range(2 * capacity)] == index
    for key in range(0, 600, 2):
        del ours[key]
    assert [key for key in range(600) if key in ours] == list(range(1, 600, 2))
    for key in range(1, 600, 2):
        del ours[key]
    assert len(ours) == 0 and 5 not in ours
