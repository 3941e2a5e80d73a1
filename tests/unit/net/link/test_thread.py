"""The network thread's rounds."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kernel.lang import ENODEV, Errno
from kernel.lib.pace import PACE, PACE_BUDGET, Rest
from kernel.net.link.device import NetworkDevice
from kernel.net.link.thread import WakeTimer, Work, run_pending, schedule_work
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


def test_work_that_finds_no_memory_gets_another_turn(loopback: NetworkDevice) -> None:
    poor, rich = Busy(2, 1), Busy(0, 1)
    schedule_work(poor)
    schedule_work(rich)
    assert run_pending(0)
    assert (poor.runs, rich.runs) == (1, 1)
    assert run_pending(1) and run_pending(2)
    assert poor.runs == 3 and not poor.is_scheduled
    assert not run_pending(3)


class Wrong(Work):
    def run(self, now_ns: int) -> None:
        raise Errno(ENODEV)


def test_work_that_fails_ends_alone(loopback: NetworkDevice) -> None:
    wrong, right = Wrong(), Busy(0, 1)
    schedule_work(wrong)
    schedule_work(right)
    assert run_pending(0)
    assert right.runs == 1 and not wrong.is_scheduled


def test_work_is_run_once_however_often_it_was_scheduled(loopback: NetworkDevice) -> None:
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


class Interrupted(Rest):
    """Safe points, of which one lets an interrupt in."""

    def __init__(self, number: int, interrupt: Callable[[], object]) -> None:
        self.left = number
        self.interrupt = interrupt

    def take(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.interrupt()


class Spender(NetworkTimer):
    """Spends all that there is, so that a safe point follows."""

    def expire(self, now_ns: int) -> None:
        PACE.left = -1


@pytest.mark.parametrize("safe_point", [1, 2], ids=["before the timers", "after them"])
def test_work_that_comes_while_timers_run_is_not_slept_on(
    loopback: NetworkDevice, monkeypatch: pytest.MonkeyPatch, safe_point: int
) -> None:
    """An interrupt of a card says so once: from then on the work counts as scheduled, and nobody wakes the thread."""
    work = Busy(0, 1)
    Spender().start(5)
    PACE.left = -1
    rest = Interrupted(safe_point, lambda: schedule_work(work))
    monkeypatch.setattr(PACE, "rest", rest)
    assert run_pending(6), "the thread would sleep"
    assert rest.left == safe_point - 2, "both safe points were taken"
    assert run_pending(7) and work.runs == 1
    assert not run_pending(8)


@pytest.mark.parametrize("safe_point", [1, 2], ids=["before the timers", "after them"])
def test_timers_that_come_due_while_others_run_are_not_slept_on(
    loopback: NetworkDevice, monkeypatch: pytest.MonkeyPatch, safe_point: int
) -> None:
    """Their interrupt comes once, too, and no later timer asks for another one before they have run."""
    late = Sender()
    late.start(50)
    Spender().start(5)
    PACE.left = -1
    monkeypatch.setattr(PACE, "rest", Interrupted(safe_point, lambda: WakeTimer().expire(60)))
    assert run_pending(6), "the thread would sleep"
    assert run_pending(60) and not late.is_armed()
    assert not run_pending(61)


def test_work_that_a_timer_schedules_is_not_slept_on(loopback: NetworkDevice) -> None:
    work = Busy(0, 1)

    class Scheduler(NetworkTimer):
        def expire(self, now_ns: int) -> None:
            schedule_work(work)

    Scheduler().start(5)
    assert run_pending(6), "the thread would sleep"
    assert run_pending(7) and work.runs == 1
