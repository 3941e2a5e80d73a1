"""The timer queue keeps order, whatever is started, moved and cancelled."""

from hypothesis import given, settings
from hypothesis import strategies as st

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
