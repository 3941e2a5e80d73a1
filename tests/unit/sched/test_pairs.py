"""Threads that compute for less than a slice and wake each other in turns: others there get their share."""

from __future__ import annotations

import pytest

from kernel.sched import scheduler
from kernel.sched.bandwidth import TimeShare
from kernel.sched.processor import RUNNING
from kernel.sched.runqueue import RunQueue, begin_in, leave_slice
from kernel.sched.thread import SCHED_BATCH, SCHED_FIFO, SCHED_IDLE, SCHED_OTHER, Thread, ThreadState
from tests.unit.sched.several import STEP_NS, TICK_NS, Machine, Worker, machine_of

MS = 1_000_000
ALONE = 1  # the set of processor 0


def ring(machine: Machine, count: int, computes_ns: int = MS, allowed: int = ALONE) -> list[Worker]:
    """Threads of which one runs at a time, and wakes the next before it sleeps. They begin asleep."""
    threads = [Worker(f"of the ring {number}", computes_ns) for number in range(count)]
    for number, each in enumerate(threads):
        each.wakes = threads[(number + 1) % count]
        each.allowed = allowed
        each.state = ThreadState.SLEEPING
    machine.workers += threads[1:]
    return threads


def loop(name: str = "loop", nice: int = 0, allowed: int = ALONE) -> Worker:
    worker = Worker(name)
    worker.wishes.nice = nice
    worker.allowed = allowed
    return worker


def part(worker: Worker, duration_ns: int) -> float:
    return worker.accounts.runtime_ns / duration_ns


@pytest.mark.parametrize("processors", [1, 2, 4, 64])
@pytest.mark.parametrize("computes_ns", [MS // 4, MS, 3 * MS])
def test_a_pair_leaves_a_loop_its_third(processors: int, computes_ns: int) -> None:
    duration_ns = 1000 * MS if processors < 64 else 300 * MS
    with machine_of(processors) as machine:
        busy = machine.start(loop())
        pair = ring(machine, 2, computes_ns)
        machine.start(pair[0])
        machine.run(duration_ns)
        assert 0.25 < part(busy, duration_ns) < 0.5
        assert all(0.2 < part(each, duration_ns) < 0.45 for each in pair)


@pytest.mark.parametrize("processors", [1, 2])
@pytest.mark.parametrize("count", [3, 7])
def test_a_ring_leaves_a_loop_its_part(processors: int, count: int) -> None:
    with machine_of(processors) as machine:
        busy = machine.start(loop())
        machine.start(ring(machine, count)[0])
        machine.run(2000 * MS)
        assert 0.8 / (count + 1) < part(busy, 2000 * MS) < 1.6 / (count + 1)


@pytest.mark.parametrize("processors", [1, 2])
@pytest.mark.parametrize(("nice", "of_loop"), [(5, 0.14), (-5, 0.6), (19, 0.007), (-10, 0.82)])
def test_nice_values_count(processors: int, nice: int, of_loop: float) -> None:
    """The loop has another than the pair."""
    with machine_of(processors) as machine:
        busy = machine.start(loop(nice=nice))
        machine.start(ring(machine, 2)[0])
        machine.run(3000 * MS)
        assert 0.6 * of_loop < part(busy, 3000 * MS) < 1.5 * of_loop


@pytest.mark.parametrize("policy", [SCHED_BATCH, SCHED_IDLE])
def test_other_policies_starve_no_more(policy: int) -> None:
    with machine_of(1) as machine:
        busy = loop()
        busy.wishes.policy = policy
        machine.start(busy)
        machine.start(ring(machine, 2)[0])
        machine.run(6000 * MS)
        assert busy.accounts.runtime_ns >= (4 * MS if policy == SCHED_IDLE else 1500 * MS)


def test_two_pairs_and_two_loops() -> None:
    with machine_of(1) as machine:
        busy = [machine.start(loop(str(number))) for number in range(2)]
        pairs = [ring(machine, 2) for _ in range(2)]
        for each in pairs:
            machine.start(each[0])
        machine.run(3000 * MS)
        for worker in (*busy, *pairs[0], *pairs[1]):
            assert abs(part(worker, 3000 * MS) - 1 / 6) < 0.06


@pytest.mark.parametrize("processors", [2, 4])
def test_pairs_that_move_leave_bound_loops_their_share(processors: int) -> None:
    """As many pairs as processors, each of which has a loop, and may run anywhere."""
    with machine_of(processors) as machine:
        busy = [machine.start(loop(str(number), allowed=1 << number), number) for number in range(processors)]
        for number in range(processors):
            machine.start(ring(machine, 2, allowed=-1)[0], number)
        machine.run(3000 * MS)
        assert all(0.25 < part(each, 3000 * MS) < 0.6 for each in busy)


def test_a_pair_that_hops_between_processors_starves_no_loop() -> None:
    """One of it is on either, so it sees two rounds, of which one lasts long."""
    with machine_of(2) as machine:
        slow = machine.start(loop("slow", nice=-20, allowed=2), 1)
        busy = machine.start(loop("busy", allowed=1), 0)
        pair = ring(machine, 2)
        pair[1].allowed = 2
        machine.start(pair[0])
        for _ in range(400):
            machine.run(5 * MS)
            worker = machine.chance.choice(pair)
            machine.on(worker.processor)
            scheduler.allow_processors(worker, machine.chance.choice((1, 2)))
        assert part(busy, 2000 * MS) > 0.3 and part(slow, 2000 * MS) > 0.3


# Those that sleep -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("processors", [1, 2])
@pytest.mark.parametrize(("computes_ns", "sleeps_ns"), [(MS // 4, 10 * MS), (MS, 20 * MS), (2 * MS, 100 * MS)])
@pytest.mark.parametrize("loops", [1, 4])
def test_one_that_sleeps_long_runs_at_once(processors: int, computes_ns: int, sleeps_ns: int, loops: int) -> None:
    """It asks for less than its share, so it need not wait for those that compute, but for a tick."""
    with machine_of(processors) as machine:
        for number in range(loops):
            machine.start(loop(str(number)))
        sleeper = Worker("sleeper", computes_ns, sleeps_ns)
        sleeper.allowed = ALONE
        machine.start(sleeper)
        waits_ns = 0
        for _ in range(8000):
            machine.step()
            waits_ns = waits_ns + STEP_NS if sleeper.state == ThreadState.READY else 0
            assert waits_ns <= 2 * TICK_NS
        assert sleeper.accounts.runtime_ns >= 0.7 * 2000 * MS * computes_ns / (computes_ns + sleeps_ns)


@pytest.mark.parametrize("processors", [1, 2])
def test_nobody_has_two_slices_of_a_round(processors: int) -> None:
    """However often two take turns in a round that lasts long."""
    with machine_of(processors) as machine:
        slow = machine.start(loop(nice=-20))
        pair = ring(machine, 2)
        machine.start(pair[0])
        machine.run(3000 * MS)
        assert part(slow, 3000 * MS) > 0.9
        assert all(each.accounts.runtime_ns > 12 * MS for each in pair)


# Groups ---------------------------------------------------------------------------------------------------------------


def in_group(machine: Machine, worker: Worker, group: TimeShare) -> Worker:
    worker.share = group
    return machine.start(worker)


@pytest.mark.parametrize("processors", [1, 2])
@pytest.mark.parametrize("count", [2, 5, 10])
@pytest.mark.parametrize(("weight", "of_loop"), [(100, 0.5), (300, 0.25), (25, 0.8)])
def test_a_ring_in_a_group_has_the_slice_of_the_group(processors: int, count: int, weight: int, of_loop: float) -> None:
    """Its threads are never ready together, but share it nevertheless."""
    with machine_of(processors) as machine:
        group, other = TimeShare(None), TimeShare(None)
        group.weight = weight
        busy = in_group(machine, loop(), other)
        threads = ring(machine, count)
        for each in threads[1:]:
            each.share = group
        in_group(machine, threads[0], group)
        machine.run(4000 * MS)
        assert 0.75 * of_loop < part(busy, 4000 * MS) < 1.3 * of_loop


@pytest.mark.parametrize("processors", [1, 2])
def test_a_ring_over_groups_has_the_slice_of_the_group_above(processors: int) -> None:
    with machine_of(processors) as machine:
        above, other = TimeShare(None), TimeShare(None)
        busy = in_group(machine, loop(), other)
        threads = ring(machine, 4)
        for each in threads:
            each.share = TimeShare(above)
        machine.start(threads[0])
        machine.run(4000 * MS)
        assert 0.38 < part(busy, 4000 * MS) < 0.65


def test_groups_side_by_side_have_a_slice_each() -> None:
    with machine_of(1) as machine:
        busy = in_group(machine, loop(), TimeShare(None))
        pair = ring(machine, 2)
        for each in pair:
            each.share = TimeShare(None)
        machine.start(pair[0])
        machine.run(3000 * MS)
        assert all(0.25 < part(each, 3000 * MS) < 0.45 for each in (busy, *pair))


def test_a_loop_beside_a_ring_in_its_group_has_its_part() -> None:
    with machine_of(1) as machine:
        group = TimeShare(None)
        outside = machine.start(loop("outside"))
        inside = in_group(machine, loop("inside"), group)
        threads = ring(machine, 3)
        for each in threads:
            each.share = group
        machine.start(threads[0])
        machine.run(4000 * MS)
        assert 0.38 < part(outside, 4000 * MS) < 0.62
        assert 0.08 < part(inside, 4000 * MS) < 0.2


@pytest.mark.parametrize("processors", [1, 2])
def test_those_that_sleep_nearly_always_take_little_from_their_group(processors: int) -> None:
    with machine_of(processors) as machine:
        group = TimeShare(None)
        outside = machine.start(loop("outside"))
        inside = in_group(machine, loop("inside"), group)
        for number in range(10):
            sleeper = Worker(str(number), computes_ns=STEP_NS, sleeps_ns=100 * MS)
            sleeper.allowed = ALONE
            in_group(machine, sleeper, group)
        machine.run(4000 * MS)
        assert part(inside, 4000 * MS) > 0.35
        assert abs(part(outside, 4000 * MS) - 0.5) < 0.1


def test_a_group_has_all_its_slice_again_after_a_ring_has_ended() -> None:
    with machine_of(1) as machine:
        group = TimeShare(None)
        outside = machine.start(loop("outside"))
        threads = ring(machine, 10)
        for each in threads:
            each.share = group
        machine.start(threads[0])
        machine.run(1000 * MS)
        for each in threads:
            each.wakes = None
        machine.run(100 * MS)
        inside = in_group(machine, loop("inside"), group)
        before = outside.accounts.runtime_ns
        machine.run(1000 * MS)
        assert abs(inside.accounts.runtime_ns - (outside.accounts.runtime_ns - before)) < 150 * MS


# What fork and exit divide --------------------------------------------------------------------------------------------


def test_what_is_left_of_a_slice_goes_to_the_heir() -> None:
    child, parent = Thread(b"child"), Thread(b"parent")
    child.turn.slice_ns, parent.turn.slice_ns = 2 * MS, 3 * MS
    leave_slice(child, parent)
    assert parent.turn.slice_ns == 5 * MS and child.turn.slice_ns == 0
    child.turn.slice_ns = 2 * MS
    leave_slice(child, parent)
    assert parent.turn.slice_ns == parent.turn.length_ns == 6 * MS
    child.turn.slice_ns = -MS
    leave_slice(child, parent)
    assert parent.turn.slice_ns == 6 * MS


def test_one_that_waits_for_a_processor_or_needs_no_slice_inherits_none() -> None:
    child, waiting, urgent = Thread(b"child"), Thread(b"waiting"), Thread(b"urgent")
    child.turn.slice_ns = MS
    RunQueue().add_yielded(waiting)
    urgent.wishes.policy, urgent.turn.slice_ns = SCHED_FIFO, 0
    for heir in (waiting, urgent):
        leave_slice(child, heir)
        assert heir.turn.slice_ns == 0


class Child(Worker):
    """It computes, and leaves the rest of its slice to its parent, which waits for it."""

    def about_to_sleep(self) -> None:
        scheduler.charge_running()
        assert self.wakes is not None
        leave_slice(self, self.wakes)


class Parent(Worker):
    """It gives the one that it wakes half of its slice, as if that were new."""

    def about_to_sleep(self) -> None:
        scheduler.charge_running()
        child = self.wakes
        assert child is not None
        child.turn.slice_ns = max(self.turn.slice_ns, 0) // 2
        self.turn.slice_ns -= child.turn.slice_ns
        child.turn.round = self.turn.round


@pytest.mark.parametrize("processors", [1, 2])
def test_one_that_starts_others_and_waits_gets_its_share(processors: int) -> None:
    """As a shell does."""
    with machine_of(processors) as machine:
        busy = machine.start(loop())
        parent, child = Parent("parent", computes_ns=STEP_NS), Child("child", computes_ns=2 * STEP_NS)
        parent.wakes, child.wakes = child, parent
        parent.allowed = child.allowed = ALONE
        child.state = ThreadState.SLEEPING
        machine.workers.append(child)
        machine.start(parent)
        machine.run(3000 * MS)
        assert abs(part(busy, 3000 * MS) - 0.5) < 0.1


# What it costs --------------------------------------------------------------------------------------------------------


def test_a_search_over_many_processors_asks_no_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """However deep they are: when a thread is due follows from the slice that it had."""
    asked = 0
    real = TimeShare.slice_for

    def count(share: TimeShare, base_ns: int) -> int:
        nonlocal asked
        asked += 1
        return real(share, base_ns)

    with machine_of(64) as machine:
        group = TimeShare(None)
        for _ in range(30):
            group = TimeShare(group)
        for number in range(64 * 8):
            in_group(machine, loop(str(number), allowed=-1), group).turn.slice_ns = -1
        machine.settle()
        for number in range(64):
            machine.on(number)
            running = RUNNING.current
            running.turn.slice_ns = -1
            monkeypatch.setattr(TimeShare, "slice_for", count)
            asked = 0
            scheduler.schedule()
            monkeypatch.setattr(TimeShare, "slice_for", real)
            assert asked <= 12


@pytest.mark.parametrize("processors", [1, 2, 4])
def test_a_round_ends_where_nobody_is_ready(processors: int) -> None:
    """So one that has used up its slice while nobody wanted the processor need not wait when many do."""
    with machine_of(processors) as machine:
        sleeper = Worker("sleeper", computes_ns=7 * MS, sleeps_ns=1000 * MS)
        sleeper.allowed = ALONE
        machine.start(sleeper)
        machine.run(10 * MS)
        assert sleeper.state == ThreadState.SLEEPING and sleeper.turn.slice_ns <= 0
        for number in range(20):
            machine.start(loop(str(number), nice=-20))
        machine.run(3 * MS)
        machine.wake(sleeper, 0)
        before = sleeper.accounts.runtime_ns
        machine.run(600 * MS)
        assert sleeper.accounts.runtime_ns > before


# Changes of a thread that waits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("processors", [1, 2])
@pytest.mark.parametrize("change", ["priority", "processors", "lent priority"])
def test_a_thread_that_is_changed_keeps_its_turn(processors: int, change: str) -> None:
    """However often that happens."""
    with machine_of(processors) as machine:
        threads = [machine.start(loop(str(number))) for number in range(4)]
        changed = threads[0]
        for number in range(500):
            machine.run(4 * MS)
            machine.on(0)
            if changed.state != ThreadState.READY:
                continue
            if change == "priority":
                scheduler.change_priority(changed, SCHED_OTHER, 0, number % 2)
            elif change == "processors":
                scheduler.allow_processors(changed, ALONE)
            else:
                scheduler.lend_priority(changed, 1)
                scheduler.lend_priority(changed, 0)
        assert 0.18 < part(changed, 2000 * MS) < 0.4


# Groups whose threads have slept --------------------------------------------------------------------------------------


def test_the_demand_of_a_group_is_forgotten() -> None:
    group = TimeShare(None)
    for number in range(10):
        for _ in range(10):
            group.count_slice(100, MS, MS, number)
    assert group.divisor() > 900
    group.count_slice(100, MS, MS, 1000)
    assert group.divisor() > 900
    group.count_slice(100, MS, MS, 2001)
    assert group.divisor() == 100


def test_a_slice_that_another_processor_gives_counts() -> None:
    """As any other does, in the demand of the group."""
    group = TimeShare(None)
    thread = Thread(b"thread")
    thread.share, thread.charges.load, thread.turn.slice_ns = group, 100, 0
    begin_in(thread, 3, 5)
    assert thread.turn.round == group.round == 5 and group.demand > 0
    thread.turn.slice_ns, before = 0, group.demand
    begin_in(thread, 7, 5)
    assert thread.turn.round == group.round == 5 and group.demand == before
