"""The network thread's rounds."""

from __future__ import annotations

from kernel.lib.pace import PACE, PACE_BUDGET
from kernel.net.link.device import NetworkDevice
from kernel.net.link.thread import Work, run_pending, schedule_work
from kernel.net.link.timers import NetworkTimer
from tests.unit.net.conftest import loopback

__all__ = ["loopback"]


class Busy(Work):
    """Finds no memory for some turns; some of its turns schedule it again."""

    def __init__(self, failures: int, turns: int) -> None:
        super().__init__()
        self.failures = failures
        self.turns = turns
        self.runs = 0

    def run(self, now_ns: int) -> None:
        self.runs += 1
        if self.failures > 0:
            self.failures -= 1
            raise MemoryError
        self.turns -= 1
        if self.turns > 0:
            schedule_work(self)


def test_work_that_finds_no_memory_gets_another_turn() -> None:
    poor, rich = Busy(2, 1), Busy(0, 1)
    schedule_work(poor)
    schedule_work(rich)
    assert run_pending(0)
    assert (poor.runs, rich.runs) == (1, 1)
    assert run_pending(1) and run_pending(2)
    assert poor.runs == 3 and not poor.is_scheduled
    assert not run_pending(3)


def test_work_is_run_once_however_often_it_was_scheduled() -> None:
    work = Busy(0, 2)
    schedule_work(work)
    schedule_work(work)
    assert run_pending(0)
    assert work.runs == 1 and work.is_scheduled
    assert run_pending(1) and not run_pending(2)
    assert work.runs == 2


class Sender(NetworkTimer):
    """Notes how much it may spend."""

    left = 0

    def expire(self, now_ns: int) -> None:
        self.left = PACE.left


def test_timers_do_not_run_on_what_others_left(loopback: NetworkDevice) -> None:
    timer = Sender()
    timer.start(5)
    PACE.left = -300_000
    run_pending(6)
    assert PACE_BUDGET - 10_000 < timer.left <= PACE_BUDGET
