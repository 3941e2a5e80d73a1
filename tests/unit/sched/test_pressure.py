"""Pressure: which times run, how averages move, and when triggers tell."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.lang import EINVAL, Errno
from kernel.sched.pressure import (
    ABSENT,
    AT_DISK,
    DISK,
    MEMORY,
    PROCESSOR,
    READY,
    RUNNING_ON,
    MachinePressure,
    Pressure,
    moved,
    power,
)
from kernel.sched.pressure_trigger import parse_trigger

S = 1_000_000_000
FULL = 1


def averages(pressure: Pressure, kind: int) -> list[int]:
    return [pressure.averages[kind * 3 + index] for index in range(3)]


def test_a_thread_that_is_ready_and_none_that_runs_is_full() -> None:
    group = Pressure(None, 0)
    group.change(ABSENT, READY, False, 0)
    group.change(READY, RUNNING_ON, False, 30)
    group.change(ABSENT, READY, False, 50)
    group.change(RUNNING_ON, ABSENT, False, 90)
    group.change(READY, RUNNING_ON, False, 100)
    group.bring_up(500)
    assert group.totals[PROCESSOR] == 30 + 40 + 10
    assert group.totals[PROCESSOR + FULL] == 30 + 10


def test_disks_are_full_while_nobody_is_active() -> None:
    group = Pressure(None, 0)
    group.change(ABSENT, RUNNING_ON, False, 0)
    group.change(ABSENT, AT_DISK, False, 10)
    group.change(RUNNING_ON, AT_DISK, False, 25)
    group.change(AT_DISK, READY, False, 45)
    group.bring_up(50)
    assert group.totals[DISK] == 40 and group.totals[DISK + FULL] == 20


def test_memory_is_full_while_all_that_are_active_look_for_it() -> None:
    group = Pressure(None, 0)
    group.change(ABSENT, RUNNING_ON, False, 0)
    group.change(ABSENT, RUNNING_ON, False, 0)
    group.change_lacking(1, 10)
    group.change(RUNNING_ON, ABSENT, False, 30)  # the other one
    group.change(RUNNING_ON, ABSENT, True, 60)
    group.change(ABSENT, RUNNING_ON, True, 70)
    group.change_lacking(-1, 100)
    group.bring_up(200)
    assert group.totals[MEMORY] == 90 and group.totals[MEMORY + FULL] == 70


def test_averages_move_every_two_seconds() -> None:
    group = Pressure(None, 0)
    group.change(ABSENT, READY, False, 0)
    group.bring_up(2 * S - 1)
    assert averages(group, PROCESSOR) == [0, 0, 0]
    group.bring_up(2 * S)
    # A step of 100 percent, as in Documentation/accounting/psi.rst: exp(-2 s / 10 s), 60 s, 300 s.
    assert averages(group, PROCESSOR) == [moved(0, decay, 100 * 2048) for decay in (1677, 1981, 2034)]
    assert group.text(PROCESSOR, 2 * S).splitlines()[0] == b"some avg10=18.11 avg60=3.27 avg300=0.68 total=2000000"


@given(st.integers(1, 300), st.booleans())
def test_periods_that_nobody_looked_at_count_as_well(periods: int, runs: bool) -> None:
    """A state that lasts gives the same averages, however often somebody looks; but for rounding."""
    seen, unseen = Pressure(None, 0), Pressure(None, 0)
    for group in (seen, unseen):
        group.change(ABSENT, READY, False, 0)
        if not runs:
            group.change(READY, ABSENT, False, 10 * S)
    for period in range(periods + 6):
        seen.bring_up(2 * S * period)
    last = 2 * S * (periods + 5)
    unseen.bring_up(last)
    if last >= 10 * S:
        assert list(seen.totals) == list(unseen.totals)
    for one, other in zip(averages(seen, PROCESSOR), averages(unseen, PROCESSOR), strict=True):
        assert abs(one - other) <= 2048


def test_powers_and_steps_agree() -> None:
    average = stepped = 50 * 2048
    for _ in range(9):
        stepped = moved(stepped, 1981, 0)
    assert abs(moved(average, power(1981, 9), 0) - stepped) < 300
    assert power(1981, 0) == 2048 and power(1677, 10**6) == 0


def test_a_machine_counts_waits_between_two_notes() -> None:
    machine = MachinePressure()
    machine.begin_waiting(100)
    machine.begin_waiting(150)
    machine.end_waiting(400)
    machine.begin_waiting(2 * S - 100)
    machine.end_waiting(4 * S + 300)
    assert machine.totals[PROCESSOR] == 300 + 2 * S + 400 and machine.waiting_since_ns == 0
    machine.begin_waiting(5 * S)
    machine.bring_up(5 * S + 7)
    machine.end_waiting(5 * S + 10)
    assert machine.totals[PROCESSOR] == 300 + 2 * S + 400 + 10
    assert machine.totals[PROCESSOR + FULL] == 0
    machine.bring_up(6 * S)
    # Of the first period little; all of the second; 300 ns and 10 ns of the third.
    assert machine.averages[PROCESSOR * 3] == moved(moved(0, 1677, 100 * 2048), 1677, 0)


def test_what_is_not_kept_does_not_count() -> None:
    group = Pressure(None, 0)
    group.change(ABSENT, READY, False, 0)
    group.bring_up(10)
    group.is_kept = False
    group.forget(10)
    group.change(ABSENT, READY, False, 50)
    group.bring_up(100)
    assert group.totals[PROCESSOR] == 10
    group.is_kept = True
    group.forget(100)
    group.bring_up(130)
    assert group.totals[PROCESSOR] == 40


@pytest.mark.parametrize(
    ("text", "is_privileged", "is_right"),
    [
        (b"some 150000 1000000", True, True),
        (b"full 1 1", True, True),
        (b"some150000 1000000 and more", True, True),
        (b"some 150000 1000000", False, False),
        (b"some 150000 2000000", False, True),
        (b"some 150000 10000000", False, True),
        (b"some 0 1000000", True, False),
        (b"some 2 1", True, False),
        (b"some 1 10000001", True, False),
        (b"some 1", True, False),
        (b"none 1 2", True, False),
        (b" some 1 2", True, False),
        (b"some -1 2", True, False),
        (b"", True, False),
    ],
)
def test_what_a_trigger_may_be(text: bytes, is_privileged: bool, is_right: bool) -> None:
    try:
        parse_trigger(text, Pressure(None, 0), DISK, is_privileged=is_privileged)
    except Errno as error:
        assert not is_right and error.code == EINVAL
    else:
        assert is_right


def test_a_trigger_tells_once_a_window() -> None:
    group = Pressure(None, 0)
    trigger = parse_trigger(b"some 100000 1000000", group, PROCESSOR, is_privileged=True)
    start = group.since_ns
    trigger.look(start + S // 10)
    assert not trigger.take()
    group.change(ABSENT, READY, False, start + S)
    trigger.look(start + S + S // 20)
    assert not trigger.take()  # 50 ms
    trigger.look(start + S + S // 5)
    assert trigger.take() and not trigger.take()
    for tenth in range(3, 12):
        trigger.look(start + S + tenth * S // 10)
        assert not trigger.take()
    trigger.look(start + S + 13 * S // 10)
    assert trigger.take()
