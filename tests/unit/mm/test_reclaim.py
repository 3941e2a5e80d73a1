"""Deferred reference counting over simulated memory: what is freed, and what a stack keeps alive."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import pytest

from kernel.lang.simulation import memory
from kernel.lang.unsafe import atomic_add_u32, load_i64, load_u32, store_i64, store_u32
from kernel.mm import heap, reclaim, slabs
from tests.unit.mm.heap_world import STACK, HeapWorld

MOST_AT_ONCE = reclaim.FREEING_AT_ONCE // reclaim.OBJECT_COST


@pytest.fixture
def world() -> Iterator[HeapWorld]:
    world = HeapWorld()
    yield world
    world.end()


def test_fresh_objects_are_zero_and_in_the_table(world: HeapWorld) -> None:
    kind = world.type(reclaim.KIND_INSTANCE, 40)
    for size in (8, 16, 24, 40, 100, 5000, 50_000):
        address = world.new(kind, size)
        assert load_u32(address) == heap.IN_TABLE
        assert load_u32(address + 4) == kind
        assert all(load_i64(address + offset) == 0 for offset in range(8, size, 8))
    # A used slot comes back clean.
    dirty = world.new(kind, 40)
    for offset in range(8, 40, 8):
        store_i64(dirty + offset, -1)
    reclaim.reclaim_now()
    clean = world.new(kind, 40)
    assert all(load_i64(clean + offset) == 0 for offset in range(8, 40, 8))


def test_what_nothing_holds_is_freed(world: HeapWorld) -> None:
    kind = world.type(reclaim.KIND_INSTANCE, 24)
    objects = [world.new(kind, 24) for _ in range(100)]
    assert all(world.alive(address) for address in objects)
    reclaim.reclaim_now()
    assert not any(world.alive(address) for address in objects)
    assert slabs.slots_in_use() == 0
    assert heap.TABLE.count == 0


def test_a_stack_keeps_objects_alive_even_by_an_interior_pointer(world: HeapWorld) -> None:
    kind = world.type(reclaim.KIND_BYTES, 16)
    objects = [world.new(kind, 200) for _ in range(5)]
    large = world.new(kind, 60_000)
    world.hold(3, objects[1])
    world.hold(7, objects[3] + 199)
    world.hold(9, large + 59_999)
    reclaim.reclaim_now()
    assert [world.alive(address) for address in objects] == [False, True, False, True, False]
    assert world.alive(large)
    assert heap.TABLE.count == 3
    for place in (3, 7, 9):
        world.hold(place, 0)
    reclaim.reclaim_now()
    assert slabs.slots_in_use() == 0


def test_counted_objects_leave_the_table_and_come_back(world: HeapWorld) -> None:
    kind = world.type(reclaim.KIND_INSTANCE, 24, pointers=(8, 16))
    root, child = world.new(kind, 24), world.new(kind, 24)
    world.hold(0, root)
    world.set(root, 8, child)
    reclaim.reclaim_now()
    assert world.alive(child) and heap.TABLE.count == 1
    assert load_u32(child) == 1
    world.set(root, 8, 0)
    assert load_u32(child) == heap.IN_TABLE and heap.TABLE.count == 2
    # Up and down again while it is in the table: no second entry.
    world.set(root, 16, child)
    world.set(root, 16, 0)
    assert heap.TABLE.count == 2
    reclaim.reclaim_now()
    assert not world.alive(child) and world.alive(root)


def test_a_long_chain_dies_without_recursion(world: HeapWorld) -> None:
    kind = world.type(reclaim.KIND_INSTANCE, 16, pointers=(8,))
    head = 0
    for _ in range(20_000):
        node = world.new(kind, 16)
        world.set(node, 8, head)
        head = node
        world.hold(0, head)
        if heap.TABLE.count > 500:
            reclaim.reclaim_now()
    assert slabs.slots_in_use() == 20_000
    world.hold(0, 0)
    reclaim.reclaim_now()
    assert slabs.slots_in_use() == 0


def test_a_bounded_pass_leaves_the_rest_for_the_next(world: HeapWorld) -> None:
    kind = world.type(reclaim.KIND_INSTANCE, 16, pointers=(8,))
    weak_kind = world.type(reclaim.KIND_WEAK, 24)
    head = 0
    for _ in range(3 * MOST_AT_ONCE):
        node = world.new(kind, 16)
        world.set(node, 8, head)
        head = node
        world.hold(0, head)
        if heap.TABLE.count > 500:
            reclaim.reclaim_now()
    weak = reclaim.new_weak(weak_kind, head)
    world.hold(1, weak)
    world.hold(0, 0)
    left = slabs.slots_in_use()
    while left > 1:
        reclaim.reclaim_some()
        assert load_i64(weak + 8) == 0  # nobody comes to an object that has died, freed or not
        assert left - slabs.slots_in_use() <= MOST_AT_ONCE
        left = slabs.slots_in_use()
        assert left == 1 or heap.TABLE.next >= heap.TABLE.due  # the next pass is due at once


def test_parts_end_where_one_pass_would_have(world: HeapWorld) -> None:
    """Although others leave something between them each time."""
    kind = world.type(reclaim.KIND_INSTANCE, 16, pointers=(8,))
    head = 0
    for _ in range(3 * MOST_AT_ONCE):
        node = world.new(kind, 16)
        world.set(node, 8, head)
        head = node
        world.hold(0, head)
        if heap.TABLE.count > 500:
            reclaim.reclaim_now()
    world.hold(0, 0)
    parts = 1
    while reclaim.reclaim_part():
        world.new(kind, 16)
        parts += 1
    assert 3 <= parts <= 5
    assert slabs.slots_in_use() == 0


def test_a_chained_object_gives_its_child_to_a_stack(world: HeapWorld) -> None:
    kind = world.type(reclaim.KIND_INSTANCE, 24, pointers=(8, 16))
    shared = world.new(kind, 24)
    world.hold(0, shared)
    holders = [world.new(kind, 24) for _ in range(100)]
    for holder in holders:
        world.set(holder, 8, shared)
    world.hold(0, 0)
    reclaim.reclaim(reclaim.NO_LIMIT, 50 * reclaim.OBJECT_COST)
    assert world.alive(shared) and any(world.alive(holder) for holder in holders)
    world.hold(0, shared)  # loaded from somewhere after the pass
    reclaim.reclaim_now()
    assert world.alive(shared) and not any(world.alive(holder) for holder in holders)
    world.hold(0, 0)
    reclaim.reclaim_now()
    assert slabs.slots_in_use() == 0


def test_a_pass_frees_less_where_objects_have_many_references(world: HeapWorld) -> None:
    count = 64
    kind = world.type(reclaim.KIND_INSTANCE, 8 + 8 * count, pointers=tuple(range(8, 8 + 8 * count, 8)))
    objects = [world.new(kind, 8 + 8 * count) for _ in range(1000)]
    reclaim.reclaim_some()
    freed = sum(not world.alive(address) for address in objects)
    assert 0 < freed <= reclaim.FREEING_AT_ONCE // (count * reclaim.REFERENCE_COST) + 1


def sleeps_on(world: HeapWorld, words: int) -> int:
    """A thread sleeps with `words` words of the stack in use, and shows it to the reclaimer once. Returns its links."""
    low = STACK + 1024 - 8 * words
    links = reclaim.hold_stack(STACK, low, STACK + 1024)
    world.is_marked = links < 0
    return links


def test_a_stack_that_sleeps_holds_its_objects_until_it_runs(world: HeapWorld) -> None:
    kind = world.type(reclaim.KIND_INSTANCE, 24, pointers=(8,))
    parent, child, other = (world.new(kind, 24) for _ in range(3))
    world.set(parent, 8, child)
    for place, address in ((100, parent), (101, parent + 8), (102, 12345), (103, other)):
        world.hold(place, address)
    links = sleeps_on(world, 30)
    assert links == 3 and world.count(parent) == 2 and world.count(other) == 1
    for _ in range(2):
        reclaim.reclaim_now()
        assert world.alive(parent) and world.alive(child) and world.alive(other)
        assert heap.TABLE.count == 0  # they are counted
    reclaim.let_go(STACK, links)
    assert heap.TABLE.count == 2 and load_u32(parent) == load_u32(other) == heap.IN_TABLE
    reclaim.reclaim_now()
    assert slabs.slots_in_use() == 0


def test_what_was_in_the_table_when_it_was_held_is_entered_once(world: HeapWorld) -> None:
    kind = world.type(reclaim.KIND_INSTANCE, 24)
    address = world.new(kind, 24)
    world.hold(100, address)
    links = sleeps_on(world, 30)
    reclaim.let_go(STACK, links)  # no pass in between
    assert heap.TABLE.count == 1 and load_u32(address) == heap.IN_TABLE


def test_what_another_processor_counts_while_a_stack_lets_go_is_kept(
    world: HeapWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = world.type(reclaim.KIND_INSTANCE, 24)
    address = world.new(kind, 24)
    world.hold(100, address)
    links = sleeps_on(world, 30)
    reclaim.reclaim_now()  # its entry goes, since it is counted
    drop = heap.drop_reference

    def drop_and_look_away(dropped: int) -> bool:
        """Between the zero and its mark, somebody stores the reference."""
        came_to_zero = drop(dropped)
        atomic_add_u32(dropped, 1)
        return came_to_zero

    monkeypatch.setattr(heap, "drop_reference", drop_and_look_away)
    reclaim.let_go(STACK, links)
    assert load_u32(address) == 1 and heap.TABLE.count == 0


def test_a_stack_without_room_for_links_is_marked(world: HeapWorld) -> None:
    kind = world.type(reclaim.KIND_INSTANCE, 24)
    address, other = world.new(kind, 24), world.new(kind, 24)
    for place in range(2, 128):
        world.hold(place, address)
    before = world.count(address)
    assert sleeps_on(world, 126) == -1
    assert world.count(address) == before
    reclaim.reclaim_now()
    assert world.alive(address) and not world.alive(other)


def test_a_buried_object_is_not_held(world: HeapWorld) -> None:
    kind = world.type(reclaim.KIND_INSTANCE, 16)
    objects = [world.new(kind, 16) for _ in range(4)]
    reclaim.reclaim(1, 1)
    buried = [address for address in objects if world.alive(address)]
    assert len(buried) == 3
    world.hold(100, buried[0])  # a number that looks like its address
    assert sleeps_on(world, 30) == 0
    reclaim.reclaim_now()
    assert slabs.slots_in_use() == 0


def test_a_pass_that_did_not_see_all_stacks_frees_nothing(world: HeapWorld) -> None:
    kind = world.type(reclaim.KIND_INSTANCE, 16)
    address = world.new(kind, 16)
    world.is_complete = False
    reclaim.reclaim_some()
    assert world.alive(address) and heap.TABLE.next >= heap.TABLE.due
    world.is_complete = True
    reclaim.reclaim_some()
    assert not world.alive(address) and heap.TABLE.next < heap.TABLE.due


def test_a_large_array_is_freed_in_parts(world: HeapWorld) -> None:
    item = world.type(reclaim.KIND_INSTANCE, 16)
    array = world.type(reclaim.KIND_REFERENCE_ARRAY, 16, 8)
    count = 3 * reclaim.ITEMS_AT_ONCE + 5
    block = world.new(array, 16 + 8 * count)
    store_i64(block + 8, count)
    world.hold(0, block)
    first, last = world.new(item, 16), world.new(item, 16)
    world.set(block, 16, first)
    world.set(block, 16 + 8 * (count - 1), last)
    world.hold(0, 0)
    reclaim.reclaim(1, 1)
    assert load_i64(block + 8) == count - reclaim.ITEMS_AT_ONCE
    reclaim.reclaim_now()
    assert slabs.slots_in_use() == 0


def test_a_child_on_the_stack_survives_its_parent(world: HeapWorld) -> None:
    kind = world.type(reclaim.KIND_INSTANCE, 24, pointers=(8, 16))
    parent, child, grandchild = (world.new(kind, 24) for _ in range(3))
    world.set(parent, 8, child)
    world.set(child, 16, grandchild)
    world.hold(0, parent)
    reclaim.reclaim_now()
    world.hold(0, child + 8)
    reclaim.reclaim_now()
    assert not world.alive(parent)
    assert world.alive(child) and world.alive(grandchild)
    assert load_u32(child) == heap.IN_TABLE
    world.hold(0, 0)
    reclaim.reclaim_now()
    assert slabs.slots_in_use() == 0


def test_arrays_of_references_drop_their_elements(world: HeapWorld) -> None:
    item = world.type(reclaim.KIND_INSTANCE, 16)
    array = world.type(reclaim.KIND_REFERENCE_ARRAY, 16, 8)
    plain = world.type(reclaim.KIND_PLAIN_ARRAY, 16, 8)
    block = world.new(array, 16 + 8 * 10)
    store_i64(block + 8, 10)
    items = [world.new(item, 16) for _ in range(10)]
    for place, address in enumerate(items):
        if place != 4:
            world.set(block, 16 + 8 * place, address)
    world.hold(0, block)
    reclaim.reclaim_now()
    assert [world.alive(address) for address in items].count(True) == 9
    numbers = world.new(plain, 16 + 8)
    store_i64(numbers + 8, 1)
    store_i64(numbers + 16, items[0])  # a number that looks like an address
    world.hold(0, 0)
    reclaim.reclaim_now()
    assert slabs.slots_in_use() == 0


def test_weak_references(world: HeapWorld) -> None:
    kind = world.type(reclaim.KIND_INSTANCE, 16)
    weak_kind = world.type(reclaim.KIND_WEAK, 24)
    target, other = world.new(kind, 16), world.new(kind, 16)
    weak = [reclaim.new_weak(weak_kind, address) for address in (target, target, other)]
    for place, address in enumerate([target, other, weak[0], weak[2]]):
        world.hold(place, address)
    reclaim.reclaim_now()
    assert load_i64(weak[0] + 8) == target and load_i64(weak[2] + 8) == other
    assert not world.alive(weak[1])
    world.hold(0, 0)
    reclaim.reclaim_now()
    assert not world.alive(target)
    assert load_i64(weak[0] + 8) == 0 and load_i64(weak[2] + 8) == other
    for place in range(4):
        world.hold(place, 0)
    reclaim.reclaim_now()
    assert slabs.slots_in_use() == 0 and reclaim.RECLAIMER.weak_list == 0


def test_frozen_objects_never_die(world: HeapWorld) -> None:
    kind = world.type(reclaim.KIND_INSTANCE, 16, pointers=(8,))
    memory.map(0x20_0000, 4096)
    frozen = 0x20_0000
    store_u32(frozen, 1 << 30)
    store_u32(frozen + 4, kind)
    holder = world.new(kind, 16)
    world.set(holder, 8, frozen)
    assert load_u32(frozen) == (1 << 30) + 1
    reclaim.reclaim_now()
    assert load_u32(frozen) == 1 << 30


def test_a_full_table_loses_nothing(world: HeapWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "grow_table", lambda: False)
    kind = world.type(reclaim.KIND_INSTANCE, 16, pointers=(8,))
    heap.TABLE.end = heap.TABLE.entries + (10 << heap.ENTRY_SHIFT)
    heap.TABLE.set_limit(heap.TABLE.limit)
    kept = world.new(kind, 16)
    world.hold(0, kept)
    chain = [world.new(kind, 16) for _ in range(50)]
    for left, right in itertools.pairwise(chain):
        world.set(left, 8, right)
    assert heap.TABLE.incomplete
    reclaim.reclaim_now()
    assert slabs.slots_in_use() == 1 and world.alive(kept)
    assert not heap.TABLE.incomplete


def test_the_heap_is_searched_in_parts(world: HeapWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the full table had no room for is found some units at a time, also what loses its entry meanwhile."""
    monkeypatch.setattr(reclaim, "UNITS_AT_LEAST", 1)
    kind = world.type(reclaim.KIND_INSTANCE, 1000, pointers=(8,))
    lost = [world.new(kind, 1000) for _ in range(300)]
    for place, address in enumerate(lost):
        world.hold(place, address)
    for address in lost:
        store_u32(address, 0)  # as `enter` leaves it
    heap.TABLE.next = heap.TABLE.entries
    heap.TABLE.incomplete = True
    first = lost.pop(0)
    world.hold(0, 0)
    passes = 0
    while reclaim.RECLAIMER.passes == 0 or reclaim.RECLAIMER.next_unit > 0:
        reclaim.reclaim(reclaim.NO_LIMIT, 0)
        passes += 1
        if passes == 3:
            assert reclaim.RECLAIMER.next_unit == 3 and heap.TABLE.due == heap.TABLE.entries
    assert passes == slabs.unit_count() and not heap.TABLE.incomplete
    reclaim.reclaim_now()
    assert not world.alive(first) and all(world.alive(address) for address in lost)
    assert heap.TABLE.count == len(lost)


def test_stress_reclaims_at_every_allocation(world: HeapWorld) -> None:
    kind = world.type(reclaim.KIND_INSTANCE, 16)
    reclaim.set_stress(True)
    for _ in range(50):
        world.new(kind, 16)
        assert slabs.slots_in_use() == 1


def test_memory_comes_back_before_allocation_fails() -> None:
    world = HeapWorld(256 << 10)
    kind = world.type(reclaim.KIND_BYTES, 16)
    reclaim.set_threshold(1 << 20)
    for _ in range(500):
        world.new(kind, 4000)
    world.end()


def test_random_graphs_match_a_model(world: HeapWorld) -> None:
    """Objects with four fields, random stores, a few stack words: exactly what the model reaches from counts and stack
    is alive."""
    choice = random.Random(7)
    kind = world.type(reclaim.KIND_INSTANCE, 40, pointers=(8, 16, 24, 32))
    fields: dict[int, list[int]] = {}
    stack = [0] * 8
    for step in range(4000):
        place = choice.randrange(8)
        if choice.random() < 0.5 or not any(stack):
            address = world.new(kind, 40)
            fields[address] = [0, 0, 0, 0]
            stack[place] = address
        else:
            holder = choice.choice([address for address in stack if address])
            target = choice.choice([0, *stack])
            # Only younger objects are stored into older ones: no cycles.
            number = choice.randrange(4)
            ages = list(fields)
            if target == 0 or ages.index(target) > ages.index(holder):
                world.set(holder, 8 + 8 * number, target)
                fields[holder][number] = target
        world.hold(place, stack[place])
        if step % 50 == 0:
            reclaim.reclaim_now()
            reached: set[int] = set()
            todo = [address for address in stack if address]
            while todo:
                address = todo.pop()
                if address not in reached:
                    reached.add(address)
                    todo.extend(target for target in fields[address] if target)
            assert {address for address in fields if world.alive(address)} == reached
            fields = {address: targets for address, targets in fields.items() if address in reached}
            assert slabs.slots_in_use() == len(reached)


def test_a_pass_inside_a_pass_does_nothing(world: HeapWorld) -> None:
    reclaim.RECLAIMER.running = True
    kind = world.type(reclaim.KIND_INSTANCE, 16)
    address = world.new(kind, 16)
    reclaim.reclaim_now()
    assert world.alive(address)
