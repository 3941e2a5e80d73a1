"""The timer queue keeps order, whatever is started, moved and cancelled."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.sched.wait import Waiter, WaitQueue
from kernel.time import timers
from kernel.time.timers import Timer


class Recorder(Timer):
    def __init__(self, log: list[int], name: int, interval_ns: int = 0) -> None:
        super().__init__()
        self.log = log
        self.name = name
        self.interval_ns = interval_ns

    def expire(self, now_ns: int) -> int:
        self.log.append(self.name)
        return self.deadline_ns + self.interval_ns if self.interval_ns else 0


def clear() -> None:
    while timers.ARMED.entries:
        timers.ARMED.entries[0].cancel()


@settings(max_examples=100)
@given(st.lists(st.tuples(st.sampled_from("smc"), st.integers(0, 9), st.integers(1, 50)), max_size=40))
def test_expiry_in_order_of_deadlines(steps: list[tuple[str, int, int]]) -> None:
    clear()
    log: list[int] = []
    all_timers = [Recorder(log, i) for i in range(10)]
    armed: dict[int, int] = {}
    for kind, which, deadline in steps:
        if kind == "c":
            all_timers[which].cancel()
            armed.pop(which, None)
        else:
            all_timers[which].start(deadline)
            armed[which] = deadline
        for position, timer in enumerate(timers.ARMED.entries):
            assert timer.position == position
    assert timers.next_deadline_ns() == min(armed.values(), default=timers.FOREVER_NS)
    timers.run_timers(25)
    assert [armed[i] for i in log] == sorted(d for d in armed.values() if d <= 25)
    assert timers.armed_count() == sum(d > 25 for d in armed.values())
    clear()


def test_periodic_timer_stays_armed() -> None:
    clear()
    log: list[int] = []
    timer = Recorder(log, 7, interval_ns=10)
    timer.start(10)
    timers.run_timers(10)
    assert timer.is_armed() and timer.deadline_ns == 20
    timers.run_timers(19)
    timers.run_timers(20)
    assert log == [7, 7]
    assert timer.remaining_ns(25) == 5
    timer.cancel()
    assert timer.remaining_ns(25) == 0


class Own(timers.ProcessorTimer):
    """The timer of the processor that runs this."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []

    def set(self, at_ns: int) -> None:
        self.asked.append(at_ns)
        super().set(at_ns)


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Iterator[Own]:
    clear()
    own = Own()
    monkeypatch.setattr(timers.PROCESSOR_TIMERS, "own", own)
    monkeypatch.setattr(timers.PROCESSOR_TIMERS, "all", [own])
    yield own
    clear()


def test_the_processor_is_interrupted_at_the_first_deadline(own: Own) -> None:
    late, early, between = (Recorder([], i) for i in range(3))
    late.start(9000)
    early.start(3000)
    between.start(5000)
    early.start(2500)  # it moves
    assert own.asked == [9000, 3000, 2500]
    early.cancel()
    between.cancel()  # an interrupt for nothing
    assert timers.own_deadline_ns() == 9000
    clear()
    assert timers.own_deadline_ns() == timers.FOREVER_NS


def test_one_processor_waits_for_a_deadline(own: Own) -> None:
    """Whoever else is interrupted earlier will run what is due, or wait for it in turn."""
    other = timers.ProcessorTimer()
    other.set_to_ns = 4000
    timers.PROCESSOR_TIMERS.all.append(other)
    timer = Recorder([], 0)
    timer.start(5000)
    assert own.asked == []
    assert timers.own_deadline_ns() == timers.FOREVER_NS
    timer.start(3000)
    assert own.asked == [3000]
    assert timers.own_deadline_ns() == 3000


def test_of_very_many_some_wait_for_the_next_interrupt(own: Own) -> None:
    log: list[int] = []
    for number in range(1000):
        Recorder(log, number, interval_ns=100).start(5000 + number % 7)
    timers.run_timers(6000)
    first = len(log)
    assert 200 < first < 400 and timers.own_deadline_ns() <= 6000
    for _ in range(4):
        timers.run_timers(6000)
    assert sorted(set(log)) == list(range(1000))


class Waking(timers.Timer):
    """Wakes a queue that has many waiters."""

    def __init__(self, log: list[int], queue: WaitQueue) -> None:
        super().__init__()
        self.log = log
        self.queue = queue

    def expire(self, now_ns: int) -> int:
        self.log.append(now_ns)
        self.queue.wake_all()
        return 0


def test_what_they_wake_counts(own: Own) -> None:
    log: list[int] = []
    queue = WaitQueue()
    for _ in range(400):
        queue.add(Waiter())
    for _ in range(20):
        Waking(log, queue).start(5000)
    timers.run_timers(6000)
    assert len(log) == 2
