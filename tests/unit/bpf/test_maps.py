"""Maps at their edges."""

from __future__ import annotations

import random
import struct
from types import SimpleNamespace
from typing import Any, cast

import pytest

from kernel.bpf.hash_map import HashMap
from kernel.bpf.key_hash import KeyHash
from kernel.bpf.kinds import make_map
from kernel.bpf.maps import ARRAY, EXIST, HASH, NO_EXIST, Map
from kernel.bpf.program import bind
from kernel.lang import E2BIG, EEXIST, EINVAL, ENOENT, Errno, span_of
from kernel.lang.runtime.hashing import hash_bytes
from kernel.lib.pace import PACE, PACE_BUDGET
from tests.unit.bpf.assembler import new_map


def key(number: int) -> bytes:
    return struct.pack("<I", number)


def put(map_: Map, number: int, value: bytes, flags: int = 0) -> int:
    try:
        map_.update(key(number), span_of(value), flags)
    except Errno as error:
        return error.code
    return 0


def keys_of(map_: Map) -> list[int]:
    found: list[int] = []
    last: bytes | None = None
    while True:
        try:
            last = map_.next_key(last)
        except Errno as error:
            assert error.code == ENOENT
            return found
        found.append(struct.unpack("<I", last)[0])


def test_an_array_is_whole_from_the_beginning() -> None:
    array = new_map(ARRAY, 4, 5, 3)
    assert keys_of(array) == [0, 1, 2]
    assert put(array, 2, b"abcde") == 0
    assert array.value(2) == b"abcde" and array.value(1) == bytes(5)
    assert put(array, 3, b"abcde") == E2BIG
    assert put(array, 1, b"abcde", NO_EXIST) == EEXIST
    assert put(array, 1, b"abcde", EXIST) == 0
    assert put(array, 1, b"abcde", 3) == EINVAL
    with pytest.raises(Errno) as raised:
        array.remove(key(0))
    assert raised.value.code == EINVAL


def test_a_hash_takes_as_many_as_it_may() -> None:
    table = new_map(HASH, 4, 2, 3)
    assert put(table, 7, b"aa", EXIST) == ENOENT
    assert [put(table, each, b"aa") for each in (7, 8, 9, 10)] == [0, 0, 0, E2BIG]
    assert put(table, 7, b"bb", NO_EXIST) == EEXIST
    assert put(table, 7, b"bb") == 0
    assert sorted(keys_of(table)) == [7, 8, 9]
    table.remove(key(8))
    with pytest.raises(Errno) as raised:
        table.remove(key(8))
    assert raised.value.code == ENOENT
    assert put(table, 10, b"cc") == 0
    assert {each: table.value(table.find(key(each))) for each in keys_of(table)} == {7: b"bb", 9: b"aa", 10: b"cc"}


def test_keys_that_were_made_to_collide() -> None:
    """They have one hash in dictionaries, whose seed is known; each map has a secret of its own."""
    made = [struct.pack("<Q", (upper << 32) | folding(upper)) for upper in range(300)]
    assert len({hash_bytes(each) for each in made}) == 1
    table, other = (new_map(HASH, 8, 2, 300) for _ in range(2))
    for each in made:
        table.update(each, span_of(b"aa"), 0)
        other.update(each, span_of(b"aa"), 0)
    assert isinstance(table, HashMap) and isinstance(other, HashMap)
    assert len(table._first) > 295
    assert set(table._first) != set(other._first)


def folding(upper: int) -> int:
    """The lower word with which `word ^ word >> 29` has the same lower 32 bits for all upper ones."""
    low = 0
    for bit in range(31, -1, -1):
        low |= ((upper << 32 | low) >> 29 + bit & 1) << bit
    return low


def test_chains_of_equal_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KeyHash, "of", lambda self, key: key[0] & 1)
    table = new_map(HASH, 4, 2, 64)
    chance = random.Random(3)
    model: dict[int, bytes] = {}
    for _ in range(2000):
        number = chance.randrange(40)
        if chance.random() < 0.5:
            value = chance.randbytes(2)
            assert put(table, number, value) == 0
            model[number] = value
        elif number in model:
            table.remove(key(number))
            model.pop(number)
        assert sorted(keys_of(table)) == sorted(model)
    assert {each: table.value(table.find(key(each))) for each in keys_of(table)} == model
    assert PACE.left < PACE_BUDGET


def test_a_large_map_lies_in_pieces() -> None:
    array = new_map(ARRAY, 4, 3000, 40)
    for each in range(40):
        assert put(array, each, bytes([each]) * 3000) == 0
    assert all(array.value(each) == bytes([each]) * 3000 for each in range(40))


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((ARRAY, 8, 4, 1, 0), EINVAL),
        ((ARRAY, 4, 0, 1, 0), EINVAL),
        ((ARRAY, 4, 4, 0, 0), EINVAL),
        ((ARRAY, 4, 4, 1, 1), EINVAL),
        ((ARRAY, 4, 4, 1, 24), EINVAL),
        ((ARRAY, 4, 4, 1, 384), EINVAL),
        ((HASH, 0, 4, 1, 0), EINVAL),
        ((HASH, 4097, 4, 1, 0), E2BIG),
        ((ARRAY, 4, 0xFFFF_FFFF, 0xFFFF_FFFF, 0), E2BIG),
        ((99, 4, 4, 1, 0), EINVAL),
    ],
)
def test_what_cannot_be_created(arguments: tuple[int, int, int, int, int], code: int) -> None:
    with pytest.raises(Errno) as raised:
        make_map(*arguments)
    assert raised.value.code == code


def test_a_large_hash_table_uses_slots_again() -> None:
    count = 10_000
    map_ = make_map(HASH, 4, 4, count, 1)
    while map_.grow():
        pass

    def key(number: int) -> bytes:
        return number.to_bytes(4, "little")

    for number in range(count):
        map_.update(key(number), span_of(key(number)), 0)
    for number in range(0, count, 2):
        map_.remove(key(number))
    for number in range(count, count + count // 2):
        map_.update(key(number), span_of(key(number)), 1)
    with pytest.raises(Errno) as raised:
        map_.update(key(0), span_of(key(0)), 0)
    assert raised.value.code == E2BIG
    found = set()
    last: bytes | None = None
    for _ in range(count):
        last = map_.next_key(last)
        found.add(last)
    assert found == {key(number) for number in [*range(1, count, 2), *range(count, count + count // 2)]}
    assert all(map_.value(map_.find(each)) == each for each in found)


def test_a_program_keeps_a_bounded_number_of_maps_that_it_does_not_use() -> None:
    """All of them go with it, in one step."""
    program: Any = SimpleNamespace(maps=[], bound=[])
    for _ in range(1024):
        bind(program, cast(Map, SimpleNamespace(users=1)))
    with pytest.raises(MemoryError):
        bind(program, cast(Map, SimpleNamespace(users=1)))
