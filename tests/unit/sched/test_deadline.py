"""Threads with deadlines: budgets, who goes first, and how much of the machine is given away."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.lang import EBUSY, EINVAL, Errno
from kernel.sched import deadline, realtime, scheduler
from kernel.sched.deadline import FLAG_OVERRUN, FLAG_RECLAIM, DeadlineServer
from kernel.sched.processor import PROCESSORS, RUNNING
from kernel.sched.realtime import BANDWIDTH, ratio
from kernel.sched.runqueue import RunQueue
from kernel.sched.thread import DEADLINE_URGENCY, SCHED_DEADLINE, SCHED_FIFO, SCHED_OTHER, Thread, ThreadState
from kernel.time import timers
from tests.unit.sched.several import STEP_NS, Machine, Worker, machine_of

MS = 1_000_000
NOW = 5_000 * MS


@pytest.fixture(autouse=True)
def nothing_is_admitted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(timers.PROCESSOR_TIMERS, "own", timers.ProcessorTimer())
    BANDWIDTH.admitted = BANDWIDTH.active = 0
    yield
    for timer in [timer for timer in timers.ARMED.entries if isinstance(timer, DeadlineServer)]:
        timer.cancel()
    BANDWIDTH.admitted = BANDWIDTH.active = 0


def thread_with(
    runtime_ns: int, relative_ns: int, period_ns: int = 0, flags: int = 0, now_ns: int = NOW
) -> tuple[Thread, DeadlineServer]:
    thread = Thread(b"thread")
    thread.state = ThreadState.RUNNING
    server = deadline.admit(thread, runtime_ns, relative_ns, period_ns or relative_ns, flags)
    deadline.begin(thread, server, now_ns)
    return thread, server


# Budgets --------------------------------------------------------------------------------------------------------------


def test_a_new_server_has_its_budget_at_once() -> None:
    thread, server = thread_with(10 * MS, 40 * MS, 100 * MS)
    assert thread.turn.slice_ns == 10 * MS and thread.precedence.deadline_ns == server.absolute_ns == NOW + 40 * MS
    assert server.next_period_ns() == NOW + 100 * MS
    assert thread.urgency == 100 and thread.wishes.realtime_priority == 0 and thread.is_realtime()


def test_without_budget_a_thread_waits_for_its_next_period() -> None:
    thread, server = thread_with(10 * MS, 100 * MS)
    deadline.charge(thread, 13 * MS)
    assert thread.turn.slice_ns == -3 * MS
    assert deadline.throttle(thread, NOW + 13 * MS) and server.deadline_ns == NOW + 100 * MS
    assert deadline.is_throttled(thread)
    RUNNING.current.state = ThreadState.RUNNING
    thread.state = ThreadState.READY
    timers.run_timers(NOW + 99 * MS)
    assert deadline.is_throttled(thread)
    queue = PROCESSORS[0].queue
    timers.run_timers(NOW + 100 * MS)
    assert not deadline.is_throttled(thread) and queue.realtime.first() is thread
    assert thread.turn.slice_ns == 7 * MS and thread.precedence.deadline_ns == NOW + 200 * MS
    queue.remove(thread)


def test_a_debt_of_several_budgets_costs_as_many_periods() -> None:
    thread, server = thread_with(2 * MS, 20 * MS)
    deadline.charge(thread, 2 * MS + 5 * MS)
    assert not deadline.throttle(thread, NOW + 20 * MS)
    assert thread.turn.slice_ns == MS and server.absolute_ns == NOW + 20 * MS + 3 * 20 * MS


def test_one_that_is_far_behind_starts_anew() -> None:
    thread, server = thread_with(10 * MS, 20 * MS)
    deadline.charge(thread, 11 * MS)
    assert not deadline.throttle(thread, NOW + 900 * MS)
    assert thread.turn.slice_ns == 10 * MS and server.absolute_ns == NOW + 920 * MS


def test_a_yield_gives_the_rest_of_the_budget_away() -> None:
    thread, server = thread_with(10 * MS, 100 * MS)
    assert deadline.give_away(thread, NOW + MS) and server.deadline_ns == NOW + 100 * MS
    assert server.expire(NOW + 100 * MS) == timers.FOREVER_NS
    assert thread.turn.slice_ns == 10 * MS and thread.precedence.deadline_ns == NOW + 200 * MS
    PROCESSORS[0].queue.remove(thread)


def test_a_wake_keeps_a_budget_that_is_no_more_than_its_part() -> None:
    thread, server = thread_with(10 * MS, 100 * MS)
    deadline.charge(thread, 6 * MS)
    deadline.fall_asleep(thread, NOW + 6 * MS)
    assert deadline.wake_up(thread, NOW + 50 * MS)  # 4 of 10 for 50 of 100
    assert thread.turn.slice_ns == 4 * MS and thread.precedence.deadline_ns == NOW + 100 * MS
    deadline.fall_asleep(thread, NOW + 50 * MS)
    assert deadline.wake_up(thread, NOW + 70 * MS)  # 4 of 10 for 30 of 100 would be too much
    assert thread.turn.slice_ns == 10 * MS and thread.precedence.deadline_ns == NOW + 170 * MS
    assert server.is_active


def test_a_wake_after_an_early_deadline_waits_for_the_next_period() -> None:
    thread, server = thread_with(10 * MS, 20 * MS, 100 * MS)
    deadline.charge(thread, 2 * MS)
    deadline.fall_asleep(thread, NOW + 2 * MS)
    assert not deadline.wake_up(thread, NOW + 30 * MS)
    assert deadline.is_throttled(thread) and thread.turn.slice_ns == 0 and server.deadline_ns == NOW + 100 * MS
    assert server.expire(NOW + 100 * MS) == timers.FOREVER_NS
    assert thread.turn.slice_ns == 10 * MS and thread.precedence.deadline_ns == NOW + 120 * MS
    PROCESSORS[0].queue.remove(thread)


def test_a_wake_before_an_early_deadline_has_its_part_of_the_rest() -> None:
    thread, _ = thread_with(10 * MS, 20 * MS, 100 * MS)
    deadline.charge(thread, 2 * MS)
    deadline.fall_asleep(thread, NOW + 2 * MS)
    assert deadline.wake_up(thread, NOW + 12 * MS)
    assert abs(thread.turn.slice_ns - 4 * MS) < 100 and thread.precedence.deadline_ns == NOW + 20 * MS


def test_one_that_slept_without_budget_has_it_from_its_next_period_on() -> None:
    thread, _ = thread_with(10 * MS, 100 * MS)
    deadline.charge(thread, 12 * MS)
    deadline.fall_asleep(thread, NOW + 12 * MS)
    assert not deadline.wake_up(thread, NOW + 40 * MS)
    thread, _ = thread_with(10 * MS, 100 * MS)
    deadline.charge(thread, 12 * MS)
    deadline.fall_asleep(thread, NOW + 12 * MS)
    assert deadline.wake_up(thread, NOW + 110 * MS)
    assert thread.turn.slice_ns == 8 * MS and thread.precedence.deadline_ns == NOW + 200 * MS
    thread, _ = thread_with(10 * MS, 100 * MS)
    deadline.charge(thread, 12 * MS)
    deadline.fall_asleep(thread, NOW + 12 * MS)
    assert deadline.wake_up(thread, NOW + 140 * MS)  # 8 of 10 for 60 of 100 would be too much
    assert thread.turn.slice_ns == 10 * MS and thread.precedence.deadline_ns == NOW + 240 * MS
    thread, server = thread_with(10 * MS, 20 * MS, 100 * MS)
    deadline.charge(thread, 12 * MS)
    deadline.fall_asleep(thread, NOW + 12 * MS)
    assert not deadline.wake_up(thread, NOW + 150 * MS)  # the deadline of its second period is past
    assert deadline.is_throttled(thread) and server.deadline_ns == NOW + 200 * MS


def test_who_wants_to_hears_of_an_overrun_once() -> None:
    thread, _ = thread_with(10 * MS, 100 * MS, flags=FLAG_OVERRUN)
    deadline.charge(thread, 9 * MS)
    assert deadline.give_away(thread, NOW + 9 * MS) and not deadline.take_overrun(thread)
    thread, _ = thread_with(10 * MS, 100 * MS, flags=FLAG_OVERRUN)
    deadline.charge(thread, 11 * MS)
    assert deadline.throttle(thread, NOW + 11 * MS)
    assert deadline.take_overrun(thread) and not deadline.take_overrun(thread)
    thread, _ = thread_with(10 * MS, 100 * MS)
    deadline.charge(thread, 11 * MS)
    assert deadline.throttle(thread, NOW + 11 * MS) and not deadline.take_overrun(thread)


@given(
    st.integers(1024, 1 << 42),
    st.integers(0, 1 << 42),
    st.integers(0, 1 << 42),
    st.integers(0, 1 << 50),
    st.integers(0, 1 << 45),
)
def test_no_number_is_too_large(runtime_ns: int, more_ns: int, rest_ns: int, ran_ns: int, passed_ns: int) -> None:
    relative_ns = min(runtime_ns + more_ns, 1 << 42)
    period_ns = min(relative_ns + rest_ns, 1 << 42)
    server = DeadlineServer(runtime_ns, relative_ns, period_ns, FLAG_RECLAIM)
    server.suspend()
    thread = Thread(b"thread")
    thread.state = ThreadState.RUNNING
    deadline.begin(thread, server, NOW)
    most = (1 << 63) - 1
    for now_ns in (NOW + passed_ns, NOW + 2 * passed_ns, NOW + 4 * passed_ns):
        for _ in range(3):
            deadline.charge(thread, ran_ns)
            thread.precedence.lent_deadline_ns = NOW  # so that it does not wait
            assert not deadline.throttle(thread, now_ns) and thread.turn.slice_ns > 0
            assert now_ns <= server.absolute_ns < most and abs(server.next_period_ns()) < most
            assert (runtime_ns << 20) < most and abs(server.zero_lag_ns(thread.turn.slice_ns)) < most
            assert min(server.absolute_ns - now_ns, 1 << 42) * min(runtime_ns, 1 << 20) < most
            thread.precedence.lent_deadline_ns = 0
            deadline.fall_asleep(thread, now_ns)
            deadline.wake_up(thread, now_ns)
            server.is_throttled = False
    server.cancel()


# Order ----------------------------------------------------------------------------------------------------------------


def test_the_earliest_deadline_goes_first_and_all_before_real_time() -> None:
    queue = RunQueue()
    late, _ = thread_with(MS, 300 * MS)
    early, _ = thread_with(MS, 100 * MS)
    middle, _ = thread_with(MS, 200 * MS)
    urgent = Thread(b"urgent")
    urgent.wishes.policy, urgent.wishes.realtime_priority = SCHED_FIFO, 99
    fair = Thread(b"fair")
    for each in (urgent, fair, late, early, middle):
        queue.add_woken(each)
    assert queue.outranks(early, middle) and not queue.outranks(late, middle)
    assert queue.outranks(late, urgent) and not queue.outranks(urgent, late) and not queue.outranks(fair, late)
    queue.pauses_realtime = True  # which is about others
    assert queue.outranks(late, fair) and not queue.outranks(fair, late)
    assert [queue.take() for _ in range(5)] == [early, middle, late, fair, urgent]


def test_a_lent_deadline_counts_if_it_is_earlier() -> None:
    holder = Thread(b"holder")
    scheduler.lend_priority(holder, DEADLINE_URGENCY, NOW + MS)
    assert holder.urgency == DEADLINE_URGENCY and holder.precedence.deadline_ns == NOW + MS
    scheduler.lend_priority(holder, 0)
    assert holder.urgency == 0 and holder.precedence.deadline_ns == 0 and not holder.is_realtime()
    owner, server = thread_with(MS, 100 * MS)
    owner.state = ThreadState.WAITING
    scheduler.lend_priority(owner, DEADLINE_URGENCY, NOW + MS)
    assert owner.precedence.deadline_ns == NOW + MS
    scheduler.lend_priority(owner, DEADLINE_URGENCY, NOW + 500 * MS)
    assert owner.precedence.deadline_ns == server.absolute_ns
    scheduler.lend_priority(owner, 20)
    assert owner.urgency == DEADLINE_URGENCY and owner.precedence.deadline_ns == server.absolute_ns
    scheduler.change_priority(owner, SCHED_OTHER, 0, 0)
    assert owner.urgency == 20


# How much is given away -----------------------------------------------------------------------------------------------


def refuses(runtime_ns: int, period_ns: int) -> bool:
    try:
        thread_with(runtime_ns, period_ns)
    except Errno as error:
        assert error.code == EBUSY
        return True
    return False


def test_no_more_is_admitted_than_the_share_of_all_processors() -> None:
    for _ in range(8):
        assert not refuses(10 * MS, 100 * MS)
    assert refuses(11 * MS, 100 * MS) and not refuses(9 * MS, 100 * MS)
    assert BANDWIDTH.admitted <= BANDWIDTH.limit()


def test_a_changed_server_gives_back_what_it_had() -> None:
    thread, server = thread_with(85 * MS, 100 * MS)
    assert deadline.admit(thread, 89 * MS, 100 * MS, 100 * MS, 0) is server
    with pytest.raises(Errno) as error:
        deadline.admit(thread, 91 * MS, 100 * MS, 100 * MS, 0)
    assert error.value.code == EBUSY and server.runtime_ns == 89 * MS
    deadline.admit(thread, 10 * MS, 100 * MS, 100 * MS, 0)
    assert BANDWIDTH.admitted == BANDWIDTH.active == ratio(10, 100)


def test_the_part_of_one_that_ends_is_kept_until_it_would_have_been_used() -> None:
    thread, server = thread_with(50 * MS, 100 * MS)
    deadline.charge(thread, 20 * MS)
    deadline.end(thread, NOW + 20 * MS)
    assert BANDWIDTH.admitted == ratio(50, 100) and thread.turn.slice_ns == 0 and thread.precedence.deadline_ns == 0
    assert abs(server.deadline_ns - (NOW + 40 * MS)) < 1000  # 30 of 50 are left: they last for 60 of 100
    timers.run_timers(NOW + 41 * MS)
    assert BANDWIDTH.admitted == BANDWIDTH.active == 0 and not server.is_armed()


def test_one_that_asks_again_has_only_one_part() -> None:
    thread, first = thread_with(50 * MS, 100 * MS)
    deadline.end(thread, NOW)
    thread.wishes.policy = SCHED_OTHER
    second = deadline.admit(thread, 40 * MS, 100 * MS, 100 * MS, 0)
    assert second is not first and not first.is_armed() and BANDWIDTH.admitted == ratio(40, 100)


def test_the_part_of_a_sleeper_counts_until_it_would_have_been_used() -> None:
    thread, server = thread_with(50 * MS, 100 * MS)
    deadline.charge(thread, 10 * MS)
    deadline.fall_asleep(thread, NOW + 10 * MS)
    assert server.is_active
    timers.run_timers(NOW + 21 * MS)
    assert BANDWIDTH.active == 0 and BANDWIDTH.admitted == ratio(50, 100)
    deadline.wake_up(thread, NOW + 30 * MS)
    assert BANDWIDTH.active == ratio(50, 100)


def test_reclaimed_time_costs_little_while_nobody_else_uses_his() -> None:
    thread, _ = thread_with(10 * MS, 100 * MS, flags=FLAG_RECLAIM)
    deadline.charge(thread, 19 * MS)
    assert abs(thread.turn.slice_ns - 7 * MS) < 1000  # 10 and 5 of 95
    thread_with(61 * MS, 100 * MS)
    deadline.charge(thread, 5 * MS)
    assert abs(thread.turn.slice_ns - 3 * MS) < 1000  # 71 and 5 of 95


def test_the_share_stays_as_large_as_what_was_admitted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(realtime.RUNTIME, "values", [950_000])
    monkeypatch.setattr(realtime.PERIOD, "values", [1_000_000])
    thread_with(80 * MS, 100 * MS)
    with pytest.raises(Errno) as error:
        realtime.RUNTIME.store([700_000])
    assert error.value.code == EBUSY
    with pytest.raises(Errno) as error:
        realtime.PERIOD.store([2_000_000])
    assert error.value.code == EBUSY
    realtime.RUNTIME.store([850_000])
    realtime.RUNTIME.store([-1])
    assert not refuses(90 * MS, 100 * MS)


def test_the_bounds_of_periods_do_not_cross(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(realtime.SHORTEST_PERIOD, "values", [100])
    monkeypatch.setattr(realtime.LONGEST_PERIOD, "values", [200])
    for setting, value in ((realtime.SHORTEST_PERIOD, 201), (realtime.LONGEST_PERIOD, 99)):
        with pytest.raises(Errno) as error:
            setting.store([value])
        assert error.value.code == EINVAL
    realtime.SHORTEST_PERIOD.store([200])
    realtime.LONGEST_PERIOD.store([1000])


# While threads run ----------------------------------------------------------------------------------------------------


def run(machine: Machine, duration_ns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let time pass, with timers, and with threads that wait for a period on no queue."""
    monkeypatch.setattr(machine, "check", lambda: None)
    end_ns = machine.now_ns + duration_ns
    while machine.now_ns < end_ns:
        machine.step()
        machine.on(machine.chance.randrange(len(PROCESSORS)))
        timers.run_timers(machine.now_ns)
        machine.serve(RUNNING.processor.number)
        machine.settle()


def start(machine: Machine, name: str, runtime_ns: int, period_ns: int, flags: int = 0) -> Worker:
    """A thread that computes without end, with deadlines."""
    worker = machine.start(Worker(name))
    machine.settle()
    machine.on(0)
    server = deadline.admit(worker, runtime_ns, period_ns, period_ns, flags)
    scheduler.use_deadlines(worker, server)
    machine.settle()
    return worker


def part_of(worker: Worker, begin_ns: int, duration_ns: int) -> float:
    return (worker.accounts.runtime_ns - begin_ns) / duration_ns


@pytest.mark.parametrize("count", [1, 2, 4])
def test_each_gets_what_it_asked_for_and_no_more(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with machine_of(count, 7) as machine:
        others = [machine.start(Worker(f"other {number}")) for number in range(2 * count)]
        served = [start(machine, f"served {number}", 10 * MS, 50 * MS) for number in range(3 * count)]
        run(machine, 1000 * MS, monkeypatch)
        parts = [worker.accounts.runtime_ns / (1000 * MS) for worker in served]
        assert all(abs(part - 0.2) < 0.03 for part in parts), parts
        assert all(worker.accounts.runtime_ns > 50 * MS for worker in others)


def test_alone_one_that_reclaims_gets_the_share_of_all_such(monkeypatch: pytest.MonkeyPatch) -> None:
    with machine_of(1, 3) as machine:
        other = machine.start(Worker("other"))
        served = start(machine, "served", 10 * MS, 50 * MS, FLAG_RECLAIM)
        run(machine, 1000 * MS, monkeypatch)
        assert 0.7 < part_of(served, 0, 1000 * MS) < 0.8
        assert other.accounts.runtime_ns > 10 * MS


def test_a_thread_that_gives_up_its_deadlines_while_it_waits_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with machine_of(1, 5) as machine:
        served = start(machine, "served", 2 * MS, 1000 * MS)
        while not deadline.is_throttled(served):
            run(machine, STEP_NS, monkeypatch)
        assert served.state == ThreadState.READY and served.turn.queue_index == 0
        machine.on(0)
        scheduler.change_priority(served, SCHED_DEADLINE, 0, 5)
        assert deadline.is_throttled(served) and served.turn.queue_index == 0
        scheduler.change_priority(served, SCHED_OTHER, 0, 0)
        machine.serve(0)
        assert not deadline.is_throttled(served) and RUNNING.current is served
        used = served.accounts.runtime_ns
        run(machine, 100 * MS, monkeypatch)
        assert served.accounts.runtime_ns - used > 90 * MS


def test_who_lends_a_deadline_ends_the_wait_for_a_period(monkeypatch: pytest.MonkeyPatch) -> None:
    with machine_of(1, 6) as machine:
        served = start(machine, "served", 2 * MS, 1000 * MS)
        while not deadline.is_throttled(served):
            run(machine, STEP_NS, monkeypatch)
        machine.on(0)
        scheduler.lend_priority(served, DEADLINE_URGENCY, machine.now_ns + MS)
        machine.serve(0)
        assert RUNNING.current is served
        used = served.accounts.runtime_ns
        run(machine, 100 * MS, monkeypatch)
        assert served.accounts.runtime_ns - used > 90 * MS
