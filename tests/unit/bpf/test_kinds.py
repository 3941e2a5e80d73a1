"""Kinds of maps beside arrays and hash tables, against simple models."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

import pytest

from kernel.bpf.code import CGROUP_DEVICE, Code
from kernel.bpf.held import Held
from kernel.bpf.kept_maps import MAPS, HeldMap, keep_map, release_map
from kernel.bpf.kinds import make_map
from kernel.bpf.maps import (
    ARRAY,
    ARRAY_OF_MAPS,
    BLOOM,
    EXIST,
    HASH,
    HASH_OF_MAPS,
    INNER_MAP,
    LRU_HASH,
    LRU_PERCPU_HASH,
    NO_EXIST,
    PERCPU_ARRAY,
    PERCPU_HASH,
    PREFIXES,
    PROGRAM_ARRAY,
    QUEUE,
    STACK,
    Map,
)
from kernel.bpf.objects import MOST_OBJECTS, fits
from kernel.bpf.prefixes import PrefixMap
from kernel.bpf.program import KEPT, Program
from kernel.lang import E2BIG, EEXIST, EINVAL, ENOENT, ENOSPC, Errno, span_of
from kernel.sched.later import _THREAD
from tests.unit.bpf.assembler import LEAVE, new_map


def work_later() -> None:
    """What the thread "async" does."""
    job = _THREAD.take()
    while job is not None:
        job.run()
        job = _THREAD.take()


def keep_chain(length: int) -> Map:
    """An array of programs with one that has another such array, and so on."""
    inner: Map | None = None
    for _ in range(length):
        outer = make_map(PROGRAM_ARRAY, 4, 4, 1, 0)
        keep_map(outer)
        if inner is not None:
            outer.put(key(0), Program(CGROUP_DEVICE, b"", Code(LEAVE), [inner]), 0)
            release_map(inner)
        inner = outer
    assert inner is not None
    return inner


def key(number: int) -> bytes:
    return struct.pack("<I", number)


def code_of(attempt: Callable[..., object], *arguments: object) -> int:
    try:
        attempt(*arguments)
    except Errno as error:
        return error.code
    return 0


def keys_of(map_: Map) -> list[bytes]:
    found: list[bytes] = []
    last: bytes | None = None
    while True:
        try:
            last = map_.next_key(last)
        except Errno as error:
            assert error.code == ENOENT
            return found
        found.append(last)


def per_processor(kind: int, processors: int, most: int = 3) -> Map:
    made = make_map(kind, 4, 5, most, 0, 0, processors)
    while made.grow():
        pass
    return made


@pytest.mark.parametrize("kind", [PERCPU_ARRAY, PERCPU_HASH, LRU_PERCPU_HASH])
def test_each_processor_has_its_value(kind: int) -> None:
    map_ = per_processor(kind, 3)
    assert map_.outer_size() == 24
    map_.update(key(1), span_of(b"aaaaa---bbbbb---ccccc---"), 0)
    assert map_.look_up(key(1)) == b"aaaaa---bbbbb---ccccc---"  # the bytes between them included
    map_.update(key(1), span_of(b"xxxxx"), 0, 1)
    assert map_.look_up(key(1)) == b"aaaaa---xxxxx---ccccc---"
    assert map_.slot_of(1, 2) - map_.slot_of(1, 0) == 2


def test_a_new_key_of_a_program_is_zero_elsewhere() -> None:
    map_ = per_processor(PERCPU_HASH, 2, most=1)
    map_.update(key(1), span_of(b"aaaaa---bbbbb---"), 0)
    map_.remove(key(1))
    map_.update(key(2), span_of(b"ccccc"), 0, 1)
    assert map_.look_up(key(2)) == bytes(8) + b"ccccc\0\0\0"


def test_the_least_recent_key_makes_room() -> None:
    map_ = new_map(LRU_HASH, 4, 4, 4)
    for number in range(4):
        map_.update(key(number), span_of(key(number)), 0)
    map_.touch(map_.find(key(0)))
    map_.update(key(4), span_of(key(4)), 0)
    assert {struct.unpack("<I", each)[0] for each in keys_of(map_)} == {0, 2, 3, 4}
    assert code_of(lambda: map_.update(key(4), span_of(key(4)), NO_EXIST)) == EEXIST
    assert code_of(lambda: map_.update(key(5), span_of(key(5)), EXIST)) == ENOENT


def test_any_number_of_keys_in_a_map_that_drops_them() -> None:
    map_ = new_map(LRU_HASH, 4, 4, 100)
    chance = random.Random(3)
    for number in range(3000):
        map_.update(key(number), span_of(key(number)), 0)
        assert map_.look_up(key(number)) == key(number)
        element = map_.find(key(chance.randrange(number + 1)))
        if element >= 0:
            map_.touch(element)
        if chance.random() < 0.1:
            map_.remove(key(number))
    assert len(keys_of(map_)) <= 100
    for each in keys_of(map_):
        assert map_.look_up(each) == each


class Prefixes:
    """The same as `PrefixMap`, the slow way."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.values: dict[tuple[int, str], tuple[bytes, bytes]] = {}

    @staticmethod
    def bits(key: bytes) -> str:
        length = struct.unpack("<I", key[:4])[0]
        return "".join(f"{octet:08b}" for octet in key[4:])[:length]

    def find(self, key: bytes) -> bytes | None:
        wanted = self.bits(key)
        fitting = [text for _, text in self.values if wanted.startswith(text)]
        return self.values[len(max(fitting, key=len)), max(fitting, key=len)][1] if fitting else None

    def update(self, key: bytes, value: bytes, flags: int) -> int:
        text = self.bits(key)
        place = len(text), text
        if place in self.values:
            if flags == NO_EXIST:
                return EEXIST
        elif flags == EXIST:
            return ENOENT
        elif len(self.values) >= self.most:
            return ENOSPC
        self.values[place] = key, value
        return 0

    def remove(self, key: bytes) -> int:
        text = self.bits(key)
        return 0 if self.values.pop((len(text), text), None) else ENOENT

    def keys(self) -> list[bytes]:
        """Longer prefixes come before those that they begin with."""
        return [self.values[place][0] for place in sorted(self.values, key=lambda place: place[1] + "2")]


@pytest.mark.parametrize("octets", [1, 2])
def test_prefixes_like_a_model(octets: int) -> None:
    chance = random.Random(octets)
    for _ in range(60):
        most = chance.choice([3, 8, 1000])
        map_, model = new_map(PREFIXES, 4 + octets, 4, most, 1), Prefixes(most)
        for step in range(80):
            length = chance.randrange(8 * octets + 1)
            made = struct.pack("<I", length) + bytes(chance.choice([0, 1, 0x80, 0xA0, 0xFF]) for _ in range(octets))
            what = chance.random()
            if what < 0.5:
                value, flags = struct.pack("<I", step), chance.choice([0, 0, NO_EXIST, EXIST])
                expected = model.update(made, value, flags)
                assert code_of(map_.update, made, span_of(value), flags) == expected
            elif what < 0.7:
                assert code_of(map_.remove, made) == model.remove(made)
            else:
                element = map_.find(made)
                assert (map_.value(element) if element >= 0 else None) == model.find(made)
        assert keys_of(map_) == model.keys()
        for each in keys_of(map_):
            map_.remove(each)
        assert isinstance(map_, PrefixMap) and map_._root is None and map_._count == 0


def test_prefixes_that_are_too_long() -> None:
    map_ = new_map(PREFIXES, 5, 4, 4, 1)
    long = struct.pack("<I", 9) + b"a"
    assert map_.find(long) == -1
    assert code_of(lambda: map_.update(long, span_of(bytes(4)), 0)) == EINVAL
    assert code_of(lambda: map_.remove(long)) == EINVAL
    assert code_of(lambda: map_.next_key(long)) == ENOENT
    map_.update(struct.pack("<I", 3) + b"a", span_of(bytes(4)), 0)
    assert map_.next_key(long) == struct.pack("<I", 3) + b"a"


@pytest.mark.parametrize(("kind", "popped"), [(QUEUE, [2, 3, 4]), (STACK, [4, 3, 2])])
def test_lines(kind: int, popped: list[int]) -> None:
    map_ = make_map(kind, 0, 4, 3, 0)
    while map_.grow():
        pass
    assert code_of(lambda: map_.look_up(b"")) == ENOENT
    for number in range(1, 4):
        map_.push(span_of(key(number)), 0)
    assert code_of(lambda: map_.push(span_of(key(4)), 0)) == E2BIG
    assert code_of(lambda: map_.push(span_of(key(4)), NO_EXIST)) == EINVAL
    map_.push(span_of(key(4)), EXIST)
    assert [struct.unpack("<I", map_.take_out(b""))[0] for _ in popped] == popped
    assert code_of(lambda: map_.take_out(b"")) == ENOENT


def test_a_filter_never_denies_what_it_has() -> None:
    map_ = make_map(BLOOM, 0, 4, 500, 0)
    while map_.grow():
        pass
    for number in range(500):
        map_.push(span_of(key(number)), 0)
    assert [code_of(map_.peek, span_of(bytearray(key(number)))) for number in range(500)] == [0] * 500
    wrong = sum(code_of(map_.peek, span_of(bytearray(key(number)))) == 0 for number in range(1000, 2000))
    assert wrong < 150


class Counted(Held):
    """An object that knows who holds it."""

    def __init__(self, number: int) -> None:
        self.held = 0
        self.own = number

    def keep(self) -> None:
        self.held += 1

    def release(self) -> None:
        self.held -= 1

    def number(self) -> int:
        return self.own


@pytest.mark.parametrize("kind", [PROGRAM_ARRAY, HASH_OF_MAPS])
def test_objects_are_kept_while_a_map_leads_to_them(kind: int) -> None:
    map_ = make_map(kind, 4, 4, 10, 0)
    one, two = Counted(1), Counted(2)
    map_.put(key(1), one, 0)
    map_.put(key(2), one, 0)
    map_.put(key(2), two, 0)
    assert (one.held, two.held) == (1, 1)
    assert map_.look_up(key(2)) == key(2) and map_.held(map_.find(key(1))) is one
    assert code_of(lambda: map_.look_up(key(3))) == ENOENT
    map_.remove(key(1))
    assert code_of(lambda: map_.remove(key(1))) == ENOENT
    assert (one.held, two.held) == (0, 1)
    map_.clear()
    work_later()
    assert two.held == 0


def test_objects_are_bounded() -> None:
    map_ = make_map(PROGRAM_ARRAY, 4, 4, MOST_OBJECTS + 1, 0)
    one = Counted(1)
    for number in range(MOST_OBJECTS):
        map_.put(key(number), one, 0)
    assert code_of(lambda: map_.put(key(MOST_OBJECTS), one, 0)) == E2BIG
    map_.put(key(0), one, 0)
    assert one.held == MOST_OBJECTS
    map_.abandon()  # the last descriptor is gone
    work_later()
    assert one.held == 0


def test_a_map_in_a_map_stays_numbered() -> None:
    outer, inner = make_map(ARRAY_OF_MAPS, 4, 4, 2, 0), new_map()
    keep_map(outer)
    keep_map(inner)
    outer.put(key(1), HeldMap(inner), 0)
    release_map(inner)
    assert inner.users == 1 and outer.look_up(key(1)) == key(inner.identifier)
    release_map(outer)
    work_later()
    assert inner.users == 0


def test_programs_that_hold_each_other_go_one_after_the_other() -> None:
    before = len(KEPT.programs), len(MAPS.by_number)
    first = keep_chain(5000)  # deeper than a stack
    assert len(KEPT.programs) == before[0] + 4999
    release_map(first)
    work_later()
    assert (len(KEPT.programs), len(MAPS.by_number)) == before


def test_what_fits_in_a_map_of_maps() -> None:
    assert fits(make_map(HASH, 4, 8, 3, 0), make_map(HASH, 4, 8, 9, 0))
    assert not fits(make_map(HASH, 4, 8, 3, 0), make_map(HASH, 4, 12, 3, 0))
    assert not fits(make_map(ARRAY, 4, 8, 3, 0), make_map(ARRAY, 4, 8, 9, 0))
    assert fits(make_map(ARRAY, 4, 8, 3, INNER_MAP), make_map(ARRAY, 4, 8, 9, INNER_MAP))
    assert not fits(make_map(ARRAY, 4, 8, 3, INNER_MAP), make_map(ARRAY, 4, 8, 3, 0))
