"""Several processors share the threads: nothing is lost or runs twice, nobody waits while a processor idles, each gets
its share, and the most urgent run.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.sched import balance, runqueue, scheduler
from kernel.sched.balance import SOON_NS
from kernel.sched.bandwidth import TimeShare
from kernel.sched.pressure import MACHINE
from kernel.sched.processor import PROCESSORS, bit_of, running_on
from kernel.sched.runqueue import SLICES_NS, RunQueue, due_on, slice_of
from kernel.sched.thread import LONG_NS, SCHED_FIFO, SCHED_IDLE, SCHED_OTHER, SCHED_RR, Thread, ThreadState
from tests.unit.sched.several import STEP_NS, TICK_NS, Machine, Worker, machine_of, threads_of

COUNTS = (1, 2, 4, 64)
MS = 1_000_000


def hog(name: str, nice: int = 0, allowed: int = -1) -> Worker:
    worker = Worker(name)
    worker.wishes.nice = nice
    worker.allowed = allowed
    return worker


def fifo(name: str, priority: int, computes_ns: int = 0, sleeps_ns: int = 0) -> Worker:
    worker = Worker(name, computes_ns, sleeps_ns)
    worker.wishes.policy, worker.wishes.realtime_priority = SCHED_FIFO, priority
    return worker


# Waking ---------------------------------------------------------------------------------------------------------------


def test_a_thread_goes_where_it_was_if_nobody_runs_there() -> None:
    with machine_of(4) as machine:
        machine.start(hog("runs"), 0)
        first, second = machine.start(hog("first"), 3), machine.start(hog("second"), 3)
        machine.settle()
        assert first.processor == 3 and second.processor in (1, 2)


def test_one_that_finds_no_room_stays_where_it_was() -> None:
    with machine_of(2) as machine:
        hogs = [machine.start(hog(str(number)), number) for number in (0, 1)]
        machine.settle()
        waiter = Worker("waiter", computes_ns=50 * MS, sleeps_ns=1000 * MS)
        machine.start(waiter, 1)
        machine.settle()
        assert waiter.processor == 1 and all(each.accounts.migrations == 0 for each in hogs)


def test_a_child_stays_until_somebody_idles() -> None:
    with machine_of(2) as machine:
        machine.start(hog("parent"), 0)
        other = machine.start(hog("other"), 1)
        machine.settle()
        machine.on(0)
        child = Thread(b"child")
        child.state = ThreadState.READY
        balance.start_somewhere(PROCESSORS[0], child)
        assert not machine.asked
        assert child.processor == 0
        other.sleeps_ns = 1000 * MS
        machine.sleep(1)
        assert running_on(PROCESSORS[1]) is child
        assert (child.processor, child.accounts.migrations) == (1, 1)


def test_who_leaves_soon_asks_nobody() -> None:
    """Two threads that wake each other in turns stay on one processor, and no interrupt is sent."""
    with machine_of(2) as machine:
        ball = [Worker("ping", computes_ns=1), Worker("pong", computes_ns=1)]
        ball[0].wakes, ball[1].wakes = ball[1], ball[0]
        ball[1].state = ThreadState.SLEEPING
        machine.workers.append(ball[1])
        machine.start(ball[0])
        for turn in range(100):
            machine.settle()
            machine.now_ns += 10_000
            playing = next(each for each in PROCESSORS if running_on(each) in ball)
            machine.sleep(playing.number)
            if turn == 50:
                before = machine.interrupts
        assert machine.interrupts == before
        assert ball[0].processor == ball[1].processor
        machine.settle()


def test_who_wakes_another_and_goes_on_is_not_taken_for_one_that_leaves_soon() -> None:
    with machine_of(2) as machine:
        waker = machine.start(hog("waker"), 0)
        machine.settle()
        machine.on(0)
        waker.overlap.woke_at_ns = machine.now_ns - 1
        before = waker.overlap.usual_ns
        scheduler.schedule()
        assert running_on(PROCESSORS[0]) is waker and waker.overlap.usual_ns == before


def test_an_idle_class_thread_that_leaves_soon_gives_way_at_once() -> None:
    with machine_of(2) as machine:
        waker, sleeper = hog("waker"), Worker("sleeper", computes_ns=1)
        waker.wishes.policy = SCHED_IDLE
        machine.start(waker, 0)
        machine.workers.append(sleeper)
        sleeper.state = ThreadState.SLEEPING
        machine.settle()
        waker.overlap.usual_ns = SOON_NS // 2
        machine.on(0)
        scheduler.wake(sleeper)
        assert machine.asked
        machine.settle()
        assert sleeper.state == ThreadState.RUNNING


def test_who_was_expected_to_leave_and_computes_keeps_nobody_waiting() -> None:
    with machine_of(2) as machine:
        waker, sleeper = machine.start(hog("waker"), 0), Worker("sleeper", computes_ns=1)
        machine.workers.append(sleeper)
        sleeper.state = ThreadState.SLEEPING
        machine.settle()
        waker.overlap.usual_ns = SOON_NS // 2
        machine.on(0)
        scheduler.wake(sleeper)
        assert not machine.asked
        machine.run(2 * TICK_NS)
        assert (sleeper.processor, waker.overlap.usual_ns) == (1, LONG_NS)
        assert machine.most_starved_ns <= TICK_NS + STEP_NS


# All together ---------------------------------------------------------------------------------------------------------


@st.composite
def workers(draw: st.DrawFn, count: int) -> Worker:
    kind = draw(st.integers(0, 9))
    worker = Worker(f"w{draw(st.integers(0, 999))}", draw(st.sampled_from((0, 1, 3, 20))) * MS)
    worker.sleeps_ns = draw(st.sampled_from((1, 4, 30))) * MS if worker.computes_ns > 0 else 0
    worker.wishes.nice = draw(st.integers(-20, 19))
    if kind <= 1:
        worker.wishes.policy = draw(st.sampled_from((SCHED_FIFO, SCHED_RR)))
        worker.wishes.realtime_priority = draw(st.integers(1, 99))
        worker.computes_ns = worker.left_ns = MS
        worker.sleeps_ns = 5 * MS
    elif kind == 2:
        worker.wishes.policy = SCHED_IDLE
    worker.yields = kind == 3 and worker.computes_ns == 0
    if kind in (1, 4):
        worker.allowed = bit_of(draw(st.integers(0, count - 1)))
    elif kind == 5:
        worker.allowed = bit_of(draw(st.integers(0, count - 1))) | bit_of(draw(st.integers(0, count - 1)))
    return worker


def disturb(machine: Machine, choice: int) -> None:
    """Somebody changes what a thread may do."""
    if not machine.workers:
        return
    worker = machine.chance.choice(machine.workers)
    machine.on(machine.chance.randrange(len(PROCESSORS)))
    if choice == 0:
        scheduler.allow_processors(worker, bit_of(machine.chance.randrange(len(PROCESSORS))))
    elif choice == 1:
        scheduler.allow_processors(worker, -1)
    elif choice == 2:
        scheduler.change_priority(worker, SCHED_OTHER, 0, machine.chance.randrange(-20, 20))
    elif choice == 3 and worker.computes_ns > 0:
        scheduler.change_priority(worker, SCHED_RR, machine.chance.randrange(1, 99), worker.wishes.nice)
    elif choice == 4 and worker.computes_ns > 0:
        scheduler.lend_priority(worker, machine.chance.randrange(100))


@settings(max_examples=40, deadline=None)
@given(st.data(), st.sampled_from(COUNTS), st.integers(0, 1 << 20))
def test_nothing_is_lost_and_nobody_waits_beside_an_idle_processor(data: st.DataObject, count: int, seed: int) -> None:
    """`Machine.check` says what holds, after each step."""
    with machine_of(count, seed) as machine:
        for worker in data.draw(st.lists(workers(count), max_size=3 * min(count, 4) + 2)):
            machine.start(worker, machine.chance.randrange(count) if worker.allowed == -1 else 0)
        for choice in data.draw(st.lists(st.integers(0, 4), max_size=12)):
            machine.run(machine.chance.randrange(1, 12) * STEP_NS)
            disturb(machine, choice)
        machine.run(30 * MS)
        for worker in machine.workers:
            assert worker.accounts.runtime_ns > 0 or worker.state != ThreadState.RUNNING


# Shares ---------------------------------------------------------------------------------------------------------------


def ideal(nices: list[int], count: int) -> list[float]:
    """What each should have of a second of `count` processors: in proportion, but nobody more than one processor."""
    weights = {number: float(SLICES_NS[nice + 20]) for number, nice in enumerate(nices)}
    found = [0.0] * len(nices)
    left = float(count)
    while weights:
        total = sum(weights.values())
        full = [number for number, weight in weights.items() if weight * left >= total]
        for number in full or list(weights):
            found[number] = 1.0 if full else weights[number] * left / total
            del weights[number]
            left -= 1.0 if full else 0.0
        if not full:
            break
    return found


@settings(max_examples=12, deadline=None)
@given(st.sampled_from((2, 3, 4)), st.lists(st.integers(-5, 10), min_size=3, max_size=9), st.integers(0, 1 << 20))
def test_shares_are_proportional_over_the_machine(count: int, nices: list[int], seed: int) -> None:
    """Off by a tenth of the machine's time for one processor, and by five of the longest slices, at most."""
    seconds = 2.0
    with machine_of(count, seed) as machine:
        threads = [machine.start(hog(str(number), nice)) for number, nice in enumerate(nices)]
        machine.run(int(seconds * 1e9))
        for thread, wanted in zip(threads, ideal(nices, count), strict=True):
            longest = max(SLICES_NS[nice + 20] for nice in nices)
            assert abs(thread.accounts.runtime_ns - wanted * seconds * 1e9) <= 0.1 * seconds * 1e9 + 5 * longest


@pytest.mark.parametrize(("count", "threads"), [(2, 3), (2, 5), (4, 5), (4, 7), (64, 65)])
def test_equal_threads_get_equal_shares(count: int, threads: int) -> None:
    """However their number divides: by placing alone, one would have half of what others have."""
    with machine_of(count) as machine:
        hogs = [machine.start(hog(str(number))) for number in range(threads)]
        machine.run(1000 * MS if count < 64 else 300 * MS)
        times = [each.accounts.runtime_ns for each in hogs]
        assert min(times) > 0.8 * max(times)


@pytest.mark.parametrize(("count", "threads"), [(2, 3), (2, 9), (4, 5)])
@pytest.mark.parametrize(("policy", "nice"), [(SCHED_OTHER, 9), (SCHED_OTHER, 10), (SCHED_OTHER, 19), (SCHED_IDLE, 0)])
def test_equal_threads_with_slices_below_a_tick_get_equal_shares(
    count: int, threads: int, policy: int, nice: int
) -> None:
    """All are in debt nearly always: what counts is the round in which each is due."""
    with machine_of(count) as machine:
        hogs = [hog(str(number), nice) for number in range(threads)]
        for each in hogs:
            each.wishes.policy = policy
            machine.start(each)
        machine.run(600 * MS)
        times = [each.accounts.runtime_ns for each in hogs]
        assert min(times) > 0.9 * max(times)


@pytest.mark.parametrize(("count", "threads"), [(2, 3), (2, 9), (4, 13)])
@pytest.mark.parametrize("weight", [100, 10])
def test_equal_threads_of_a_group_get_equal_shares(count: int, threads: int, weight: int) -> None:
    """They divide one slice, so each has a short one."""
    with machine_of(count) as machine:
        group = TimeShare(TimeShare(None))
        group.weight = weight
        hogs = [hog(str(number)) for number in range(threads)]
        for each in hogs:
            each.share = group
            machine.start(each)
            each.turn.slice_ns = MS  # what it has as the only one of its group would be left
        machine.run(1000 * MS)
        times = [each.accounts.runtime_ns for each in hogs]
        assert min(times) > 0.85 * max(times)


@pytest.mark.parametrize("is_own", [True, False])
def test_a_switch_passes_over_few_of_many_that_owe(is_own: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the lock held, so not over all who wait, here or elsewhere."""
    asked: list[Thread] = []

    def count(thread: Thread) -> int:
        asked.append(thread)
        return slice_of(thread)

    def count_due(queue: RunQueue, thread: Thread) -> int:
        asked.append(thread)
        return due_on(queue, thread)

    with machine_of(2) as machine:
        keeper = machine.start(hog("keeper", allowed=1), 0)
        machine.start(hog("other", allowed=2), 1)
        for number in range(3000):
            worker = machine.start(hog(str(number)), 0 if is_own else 1)
            worker.wishes.policy = SCHED_IDLE
            worker.turn.slice_ns, worker.turn.length_ns = -40 * MS, slice_of(worker)
        machine.settle()
        for processor in PROCESSORS:
            for thread in threads_of(processor.queue):
                processor.queue.remove(thread)
                processor.queue.active.push_tail(thread)
        machine.on(0)
        keeper.turn.slice_ns = -MS
        monkeypatch.setattr(runqueue, "slice_of", count)
        monkeypatch.setattr(balance, "due_on", count_due)
        scheduler.schedule()
        assert len(asked) < 1500


def test_a_thousand_that_yield_and_one_that_computes() -> None:
    """They take turns on both processors."""
    with machine_of(2) as machine:
        for number in range(1000):
            machine.start(hog(str(number))).yields = True
        machine.run(20 * MS)
        lengths = sorted(len(threads_of(each.queue)) for each in PROCESSORS)
        assert sum(lengths) == 998 and not any(each.idle for each in PROCESSORS)


# Real-time ------------------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.sampled_from((1, 2, 4)), st.lists(st.integers(1, 99), min_size=1, max_size=10), st.integers(0, 1 << 20))
def test_the_most_urgent_run(count: int, priorities: list[int], seed: int) -> None:
    with machine_of(count, seed) as machine:
        for number in range(count):
            machine.start(hog(f"hog {number}"), number)
        threads = [
            machine.start(fifo(str(number), priority, 3 * MS, (number % 4 + 1) * MS), machine.chance.randrange(count))
            for number, priority in enumerate(priorities)
        ]
        for _ in range(100):
            machine.step()
            machine.settle()
            ready = sorted((each.urgency for each in threads if each.state != ThreadState.SLEEPING), reverse=True)
            running = sorted((running_on(each).urgency for each in PROCESSORS), reverse=True)
            assert running == (ready + [0] * count)[:count]


def test_a_bound_thread_hides_no_free_one_behind_it() -> None:
    with machine_of(2) as machine:
        low = fifo("low", 10)
        low.allowed = 2
        machine.start(low, 1)
        machine.settle()
        free = machine.start(fifo("free", 50), 0)
        machine.settle()
        machine.on(0)
        for priority in (99, 90):
            bound = fifo(str(priority), priority)
            bound.allowed = 1
            machine.workers.append(bound)
            bound.state = ThreadState.WAITING
            scheduler.wake(bound)
        machine.settle()
        assert running_on(PROCESSORS[1]) is free


def queue_behind(machine: Machine, worker: Worker, number: int) -> None:
    machine.workers.append(worker)
    worker.processor = number
    worker.state = ThreadState.READY
    PROCESSORS[number].queue.add_yielded(worker)


@pytest.mark.parametrize("bound_ones", [40, 300])
def test_many_bound_threads_hide_no_free_one_behind_them(bound_ones: int) -> None:
    """Two threads that wake each other keep the list in front of them where it is."""
    with machine_of(2) as machine:
        other = machine.start(Worker("other"), 1)
        pair = [Worker(name, computes_ns=3 * MS) for name in ("one", "two")]
        for worker, wakes in (pair, pair[::-1]):
            worker.allowed = 1
            worker.wakes = wakes
        pair[1].state = ThreadState.SLEEPING
        machine.workers.append(pair[1])
        machine.start(pair[0], 0)
        machine.settle()
        for number in range(bound_ones):
            bound = Worker(str(number))
            bound.allowed = 1
            queue_behind(machine, bound, 0)
        free = Worker("free")
        queue_behind(machine, free, 0)
        machine.check = lambda: None  # type: ignore[method-assign]  # what it looks for takes minutes with that many
        machine.run(1000 * MS)
        assert abs(free.accounts.runtime_ns - other.accounts.runtime_ns) < 100 * MS


def test_processors_do_not_ask_each_other_for_ever() -> None:
    with machine_of(4) as machine:
        for number in (1, 2):
            ordinary = Worker(str(number))
            ordinary.allowed = 1 << number
            machine.start(ordinary, number)
        for number, urgency in ((3, 60), (0, 50)):
            running = fifo(f"runs {number}", urgency)
            running.allowed = 1 << number
            machine.start(running, number)
        machine.settle()
        for number in range(300):
            bound = fifo(str(number), 50)
            bound.allowed = 9 if number == 150 else 1
            queue_behind(machine, bound, 0)
        free = fifo("free", 50)
        queue_behind(machine, free, 0)
        machine.on(1)
        machine.schedule()
        machine.settle()
        assert any(running_on(each) is free for each in PROCESSORS)


def test_a_realtime_child_takes_the_place_of_a_less_urgent_thread() -> None:
    with machine_of(2) as machine:
        machine.start(fifo("low", 10), 1)
        machine.settle()
        machine.start(fifo("parent", 50), 0)
        machine.settle()
        machine.on(0)
        child = fifo("child", 50)
        machine.workers.append(child)
        child.state = ThreadState.READY
        balance.start_somewhere(PROCESSORS[0], child)
        machine.settle()
        assert running_on(PROCESSORS[1]) is child


def test_pressure_counts_who_waits_on_any_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MACHINE, "is_on", True)
    monkeypatch.setattr(MACHINE, "is_noted", True)
    with machine_of(2) as machine:
        machine.start(Worker("sleeper", computes_ns=MS, sleeps_ns=MS))
        for number in range(2):
            machine.start(hog(str(number), allowed=2), 1)
        for _ in range(100):
            machine.step()
            machine.settle()
            assert MACHINE.waiting_since_ns != 0
    MACHINE.waiting_since_ns = 0


@pytest.mark.parametrize("policy", [SCHED_FIFO, SCHED_RR])
@pytest.mark.parametrize("count", [1, 2])
def test_a_realtime_thread_goes_on_after_its_slice(policy: int, count: int) -> None:
    with machine_of(count) as machine:
        urgent = fifo("urgent", 10)
        urgent.wishes.policy = policy
        urgent.allowed = 1
        machine.start(urgent)
        other = machine.start(hog("other", allowed=1))
        machine.run(500 * MS)
        assert other.accounts.runtime_ns == 0
        scheduler.change_priority(other, SCHED_RR, 10, 0)
        machine.run(400 * MS)
        assert (other.accounts.runtime_ns > 0) == (policy == SCHED_RR)


def test_realtime_threads_leave_a_share() -> None:
    """On each processor, though they could move."""
    with machine_of(2) as machine:
        for number in range(3):
            machine.start(fifo(str(number), 50))
        hogs = [machine.start(hog(str(number))) for number in range(2)]
        machine.run(2100 * MS)
        assert all(each.accounts.runtime_ns > 30 * MS for each in hogs)
