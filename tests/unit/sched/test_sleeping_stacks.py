"""Which stacks a pass of the reclaimer looks at: those that ran since the last one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kernel.lang.simulation import memory
from kernel.lang.unsafe import store_i64
from kernel.mm import reclaim
from kernel.sched import switch, thread
from kernel.sched.stacks import STACK_SIZE, KernelStack
from kernel.sched.thread import AWAKE, Thread, enter_list, leave_list
from tests.unit.mm.heap_world import HeapWorld

DEPTH = 800  # bytes in use of each stack


@pytest.fixture
def world() -> Iterator[HeapWorld]:
    world = HeapWorld()
    reclaim.RECLAIMER.words_left = reclaim.NO_LIMIT
    yield world
    while thread.take_awake() is not None:
        pass
    world.end()


def sleeper(slot: int) -> Thread:
    """A thread that sleeps."""
    stack = KernelStack(slot)
    stack.base -= STACK_SIZE
    memory.map(stack.base, STACK_SIZE)
    one = Thread(b"sleeper")
    one.stack = stack
    one.context.stack_pointer = stack.top - DEPTH
    enter_list(one)
    return one


def refer(one: Thread, place: int, address: int) -> None:
    """Put a word into a thread's stack."""
    assert one.stack is not None
    store_i64(one.stack.top - DEPTH + 8 * place, address)


def test_a_thread_that_sleeps_on_is_looked_at_once(world: HeapWorld) -> None:
    kind = world.type(reclaim.KIND_INSTANCE, 16)
    current, one, other = (sleeper(slot) for slot in range(3))
    address = world.new(kind, 16)
    refer(one, 5, address)
    assert switch.scan_sleeping_stacks(current)
    assert current.context.links == AWAKE and one.context.links == 1 and other.context.links == 0
    before = reclaim.RECLAIMER.words_scanned
    assert switch.scan_sleeping_stacks(current)
    assert reclaim.RECLAIMER.words_scanned == before
    reclaim.reclaim_now()
    assert world.alive(address)
    switch.wake_stack(one)
    assert one.context.links == AWAKE
    refer(one, 5, 0)
    before = reclaim.RECLAIMER.words_scanned
    assert switch.scan_sleeping_stacks(current)
    assert reclaim.RECLAIMER.words_scanned == before + DEPTH // 8
    reclaim.reclaim_now()
    assert not world.alive(address)
    for each in (current, one, other):
        leave_list(each)


def test_many_stacks_are_looked_at_in_several_passes(world: HeapWorld) -> None:
    threads = [sleeper(slot) for slot in range(20)]
    rounds = 0
    complete = False
    while not complete:
        before = reclaim.RECLAIMER.words_scanned
        reclaim.RECLAIMER.words_left = 5 * DEPTH // 8
        complete = switch.scan_sleeping_stacks(threads[0])
        assert reclaim.RECLAIMER.words_scanned - before <= 5 * DEPTH // 8
        rounds += 1
    assert rounds == 4
    assert [one.context.links for one in threads] == [AWAKE] + 19 * [0]
    for each in threads:
        leave_list(each)


def test_a_thread_that_has_ended_is_forgotten(world: HeapWorld) -> None:
    current, one = sleeper(0), sleeper(1)
    one.stack = None
    leave_list(one)
    assert switch.scan_sleeping_stacks(current)
    assert thread.take_awake() is current and thread.take_awake() is None
    leave_list(current)


def test_a_stack_without_room_for_its_links_stays_awake(world: HeapWorld) -> None:
    kind = world.type(reclaim.KIND_INSTANCE, 16)
    current, one = sleeper(0), sleeper(1)
    address = world.new(kind, 16)
    assert one.stack is not None
    one.context.stack_pointer = one.stack.base + 64
    for place in range(64, STACK_SIZE, 8):
        store_i64(one.stack.base + place, address)
    for _ in range(2):
        assert switch.scan_sleeping_stacks(current)
        assert one.context.links == AWAKE and world.count(address) == 0
    for each in (current, one):
        leave_list(each)


def test_calls_without_the_lock_are_waited_for_first(world: HeapWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    current, one = sleeper(0), sleeper(1)
    links_then: list[int] = []
    monkeypatch.setattr(switch, "wait_for_sections", lambda: links_then.append(one.context.links))
    assert switch.scan_sleeping_stacks(current)
    assert links_then == [AWAKE] and one.context.links != AWAKE
