"""Slots by size, over simulated memory."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import pytest

from kernel.lang.unsafe import load_i64, store_i64, store_u32
from kernel.mm import slabs
from tests.unit.mm.heap_world import ARENA, HeapWorld


@pytest.fixture
def world() -> Iterator[HeapWorld]:
    world = HeapWorld()
    yield world
    world.end()


def take(size: int) -> int:
    slot = slabs.take(size)
    if slot:
        assert load_i64(slot) == 0
        store_u32(slot + 4, 77)
    return slot


def test_size_classes_fill_their_units() -> None:
    for size_class in slabs.CLASSES:
        end = size_class.first + size_class.slots * size_class.slot_size
        assert end <= slabs.UNIT_SIZE
        assert slabs.UNIT_SIZE - end < size_class.slot_size + 64
        assert size_class.first % 16 == 0 and size_class.slot_size % 16 == 0
        assert size_class.first >= slabs.HEAD_SIZE + (size_class.slots + 7) // 8


def test_reciprocals_divide_exactly() -> None:
    for size_class in slabs.CLASSES:
        for inside in range(slabs.UNIT_SIZE):
            assert (inside * size_class.reciprocal) >> 32 == inside // size_class.slot_size


def test_any_size_gets_a_class_that_fits_and_wastes_little() -> None:
    for size in range(1, slabs.LARGEST_SMALL + 1):
        size_class = slabs.CLASS_OF_STEPS[(size + 15) >> 4]
        assert size_class.slot_size >= size
        assert size < 64 or size > 5424 or size_class.slot_size <= size * 1.5


def test_random_life_without_overlap(world: HeapWorld) -> None:
    choice = random.Random(1)
    live: dict[int, int] = {}
    for _ in range(3000):
        if live and choice.random() < 0.45:
            slot = choice.choice(list(live))
            del live[slot]
            slabs.release(slot)
            assert slabs.slot_of(slot) == 0
        else:
            size = choice.choice([16, 24, 40, 100, 200, 500, 1000, 3000, 9000, 20000, 70000])
            slot = take(size)
            if slot == 0:
                continue
            assert slot % 16 == 0
            assert slabs.slot_size(slot) >= size
            live[slot] = size
    spans = sorted((slot, slot + size) for slot, size in live.items())
    assert all(left[1] <= right[0] for left, right in itertools.pairwise(spans))
    assert slabs.slots_in_use() == len(live)
    assert slabs.bytes_in_use() == sum(slabs.slot_size(slot) for slot in live)
    for slot, size in live.items():
        for address in (slot, slot + 1, slot + size // 2, slot + size - 1):
            assert slabs.slot_of(address) == slot
    for slot in list(live):
        slabs.release(slot)
    assert slabs.slots_in_use() == 0
    # One spare slab a class stays.
    assert slabs.bytes_held() <= len(slabs.CLASSES) * slabs.UNIT_SIZE


def test_any_word_may_be_asked_about(world: HeapWorld) -> None:
    small = take(48)
    large = take(100_000)
    for word in (0, 1, -1, ARENA - 1, ARENA, ARENA + 5, 2**63 - 1, -(2**63), small - 1, large - 1, large - 80):
        assert slabs.slot_of(word) == 0
    assert slabs.slot_of(small + 47) == small
    for offset in range(0, 100_000, 997):
        assert slabs.slot_of(large + offset) == large
    slabs.release(large)
    assert slabs.slot_of(large + 50_000) == 0


def test_marks_last_one_epoch(world: HeapWorld) -> None:
    slots = [take(16) for _ in range(300)] + [take(40_000)]
    slabs.new_epoch()
    for slot in slots[::2]:
        slabs.mark(slot)
    assert [slabs.is_marked(slot) for slot in slots] == [place % 2 == 0 for place in range(len(slots))]
    slabs.new_epoch()
    assert not any(slabs.is_marked(slot) for slot in slots)


def test_no_memory_is_zero_and_not_a_trap() -> None:
    world = HeapWorld(256 << 10)
    assert world is not None
    taken = []
    while True:
        slot = take(4000)
        if slot == 0:
            break
        taken.append(slot)
    assert len(taken) >= 40
    assert slabs.take(1 << 30) == 0
    assert slabs.take((4 << 20) - slabs.LARGE_FIRST + 1) == 0
    slabs.release(taken.pop())
    assert take(4000) != 0
    world.end()


def test_poison_finds_a_write_to_a_freed_slot(world: HeapWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slabs, "POISON", True)
    slot = take(64)
    slabs.release(slot)
    store_i64(slot + 24, 1)
    with pytest.raises(AssertionError):
        for _ in range(slabs.UNIT_SIZE // 64):  # until the magazine is empty and the slot comes round again
            take(64)
