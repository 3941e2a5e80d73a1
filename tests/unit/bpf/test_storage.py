"""Values of owners: against a model, and who forgets whom when an owner or a map goes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from kernel.bpf import storage
from kernel.bpf.kinds import make_map
from kernel.bpf.maps import EXIST, NO_EXIST, NOT_SUPPORTED, SOCKET_STORAGE, TASK_STORAGE
from kernel.bpf.storage import CLONED, NO_LIMIT, SOCKET_OWNERS, TASK_OWNERS, StorageMap
from kernel.lang import E2BIG, EEXIST, EINVAL, ENOENT, Errno, span_of

NO_PREALLOCATION = 1


@contextmanager
def raises(code: int) -> Iterator[None]:
    with pytest.raises(Errno) as raised:
        yield
    assert raised.value.code == code


def a_map(size: int = 8, kind: int = SOCKET_STORAGE, flags: int = NO_PREALLOCATION) -> StorageMap:
    made = make_map(kind, 4, size, 0, flags)
    assert isinstance(made, StorageMap)
    return made


def set_of(map_: StorageMap, number: int, text: bytes, flags: int = 0, most: int = NO_LIMIT) -> int:
    return map_.set_of(number, span_of(text.ljust(map_.value_size, b"\0")), flags, most)


def value_of(map_: StorageMap, number: int) -> bytes:
    slot = map_.slot_for(number)
    return b"" if slot < 0 else map_.value(slot).rstrip(b"\0")


def leave(map_: StorageMap) -> None:
    """As if the thread "async" had run."""
    map_._departure.map = map_
    map_._departure.run()


@pytest.fixture(autouse=True)
def nobody_has_values() -> None:
    SOCKET_OWNERS.by_number.clear()
    TASK_OWNERS.by_number.clear()


@pytest.mark.parametrize(
    "key, size, most, flags",
    [(8, 8, 0, 1), (4, 0, 0, 1), (4, 8, 1, 1), (4, 8, 0, 0), (4, 8, 0, 9), (4, 8, 0, CLONED)],
)
def test_forms(key: int, size: int, most: int, flags: int) -> None:
    with raises(EINVAL):
        make_map(SOCKET_STORAGE, key, size, most, flags)
    with raises(E2BIG):
        make_map(SOCKET_STORAGE, 4, 65408, 0, NO_PREALLOCATION)
    assert make_map(SOCKET_STORAGE, 4, 65407, 0, NO_PREALLOCATION | CLONED).value_size == 65407


def test_flags() -> None:
    map_ = a_map()
    with raises(ENOENT):
        set_of(map_, 1, b"a", EXIST)
    with raises(ENOENT):
        map_.drop_of(1)
    for flags in (-1, 3, 1 << 62):
        with raises(EINVAL):
            set_of(map_, 1, b"a", flags)
    set_of(map_, 1, b"a", NO_EXIST)
    with raises(EEXIST):
        set_of(map_, 1, b"b", NO_EXIST)
    set_of(map_, 1, b"b", EXIST)
    assert value_of(map_, 1) == b"b" and value_of(map_, 2) == b""
    for call in (map_.next_key, map_.take_out):
        with raises(NOT_SUPPORTED):
            call(bytes(4))


def test_kinds_have_owners_of_their_own() -> None:
    sockets, tasks = a_map(), a_map(kind=TASK_STORAGE)
    set_of(sockets, 7, b"socket")
    set_of(tasks, 7, b"task")
    SOCKET_OWNERS.end(7)
    assert value_of(sockets, 7) == b"" and value_of(tasks, 7) == b"task"


def test_a_limit_counts_values_of_all_maps() -> None:
    one, other = a_map(100), a_map(100)
    most = 176 + 2 * 172
    set_of(one, 1, b"a", most=most)
    with pytest.raises(MemoryError):
        set_of(other, 1, b"b", most=most)
    set_of(other, 1, b"b", most=most + 1)
    with pytest.raises(MemoryError):
        set_of(one, 1, b"c", most=most + 1)  # the old value counts, too
    other.drop_of(1)
    set_of(one, 1, b"c", most=most + 1)
    one.drop_of(1)
    assert SOCKET_OWNERS.by_number == {}


def test_an_owner_is_in_few_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "MOST_MAPS", 3)
    maps = [a_map() for _ in range(4)]
    for map_ in maps[:3]:
        set_of(map_, 1, b"a")
    with pytest.raises(MemoryError):
        set_of(maps[3], 1, b"a")
    assert maps[3].owners == {} and set_of(maps[3], 2, b"a") >= 0


def test_a_map_has_few_owners(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "MOST_OWNERS", 3)
    map_ = a_map()
    for number in range(3):
        set_of(map_, number, b"a")
    with pytest.raises(MemoryError):
        set_of(map_, 3, b"a")
    map_.drop_of(1)
    set_of(map_, 3, b"a")


def test_an_accepted_socket_gets_copies() -> None:
    cloned, other = a_map(flags=NO_PREALLOCATION | CLONED), a_map()
    cloned.users = other.users = 1
    set_of(cloned, 1, b"a")
    set_of(other, 1, b"b")
    SOCKET_OWNERS.clone(1, 2, 10_000)
    SOCKET_OWNERS.clone(3, 4, 10_000)
    set_of(cloned, 1, b"c")
    assert value_of(cloned, 2) == b"a" and value_of(other, 2) == b"" and value_of(cloned, 4) == b""
    with pytest.raises(MemoryError):
        SOCKET_OWNERS.clone(1, 5, 100)
    cloned.users = 0
    SOCKET_OWNERS.clone(1, 6, 10_000)
    assert value_of(cloned, 6) == b""


def test_a_new_number() -> None:
    map_ = a_map(kind=TASK_STORAGE)
    set_of(map_, 1, b"first")
    set_of(map_, 5, b"fifth")
    TASK_OWNERS.rename(5, 1)
    assert value_of(map_, 1) == b"fifth" and value_of(map_, 5) == b"" and len(map_.owners) == 1
    TASK_OWNERS.rename(9, 1)
    assert value_of(map_, 1) == b"" and TASK_OWNERS.by_number == {}


def test_random_changes_against_a_model() -> None:
    chance = random.Random(3)
    maps = [a_map(chance.choice([1, 8, 3000])) for _ in range(6)]
    gone: list[StorageMap] = []
    model: dict[tuple[int, int], bytes] = {}
    for turn in range(20_000):
        place, number = chance.randrange(len(maps)), chance.randrange(30)
        what = chance.random()
        if what < 0.6:
            flags = chance.randrange(3)
            text = bytes([1 + turn % 255])
            try:
                set_of(maps[place], number, text, flags)
                assert flags == 0 or (flags == EXIST) == ((place, number) in model)
                model[place, number] = text
            except Errno as error:
                assert error.code == (EEXIST if (place, number) in model else ENOENT)
        elif what < 0.9:
            try:
                maps[place].drop_of(number)
                model.pop((place, number))
            except Errno:
                assert (place, number) not in model
        elif what < 0.98:
            SOCKET_OWNERS.end(number)
            model = {where: text for where, text in model.items() if where[1] != number}
        else:
            maps[place].end()
            leave(maps[place])
            gone.append(maps[place])
            maps[place] = a_map(8)
            model = {where: text for where, text in model.items() if where[0] != place}
        for each in range(30):
            assert value_of(maps[place], each) == model.get((place, each), b"")
    assert all(map_.owners == {} for map_ in gone)
    assert set(SOCKET_OWNERS.by_number) == {number for _, number in model}
    for map_ in maps:
        assert len(map_.owners) + len(map_._free) == map_.slots
        assert map_.held_bytes() >= map_.slots * map_.value_size
        map_.end()
        leave(map_)
    assert SOCKET_OWNERS.by_number == {}
