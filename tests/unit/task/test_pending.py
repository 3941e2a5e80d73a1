"""Pending signals: standard ones once, real-time ones in order, never more than the limit."""

from hypothesis import given
from hypothesis import strategies as st

from kernel.lib.ids import ROOT_USER, KernelUid
from kernel.task.pending import PendingSignals, queued_count
from kernel.task.siginfo import SignalInfo, anonymous, from_kernel
from kernel.task.signals import SIGKILL, SIGSEGV, SIGUSR1, bit, contains, lowest


def info(signo: int, value: int = 0) -> SignalInfo:
    fresh = SignalInfo(signo, -1)
    fresh.third = value
    return fresh

USER = KernelUid(1000)


@given(st.integers(1, 64))
def test_sets(signo: int) -> None:
    assert contains(bit(signo), signo) and lowest(bit(signo)) == signo
    assert not contains(~bit(signo), signo)


def test_standard_signals_do_not_queue() -> None:
    pending = PendingSignals()
    for value in range(3):
        assert pending.add(info(SIGUSR1, value), USER, 10)
    assert queued_count(USER) == 1
    assert pending.take(SIGUSR1).third == 0
    assert pending.mask == 0 and queued_count(USER) == 0


def test_a_timers_signal_is_pending_beside_others() -> None:
    pending = PendingSignals()
    timers = [info(SIGUSR1, value) for value in (1, 2)]
    for expired in timers:
        expired.is_paid = True
    assert pending.add(from_kernel(SIGUSR1), USER, 10)
    assert all(pending.add(expired, USER, 10) and expired.is_queued for expired in timers)
    assert pending.add(info(SIGUSR1, 3), USER, 10) and queued_count(USER) == 0
    assert [pending.take(SIGUSR1).third for _ in timers] == [1, 2]
    assert not any(expired.is_queued for expired in timers)
    assert pending.mask == bit(SIGUSR1)
    assert pending.take(SIGUSR1) is from_kernel(SIGUSR1)
    assert pending.mask == 0 and pending.from_kernel == 0


def test_realtime_signals_queue_in_order() -> None:
    pending = PendingSignals()
    for value in range(3):
        assert pending.add(info(40, value), USER, 3)
    assert not pending.add(info(40, 9), USER, 3)
    assert [pending.take(40).third for _ in range(3)] == [0, 1, 2]
    assert pending.mask == 0


def test_faults_come_first() -> None:
    pending = PendingSignals()
    pending.add(info(1), ROOT_USER, 10)
    pending.add(info(SIGSEGV), ROOT_USER, 10)
    assert pending.choose(0) == SIGSEGV
    assert pending.choose(bit(SIGSEGV)) == 1
    assert pending.choose(-1) == 0
    pending.clear()


@given(st.lists(st.tuples(st.integers(1, 64), st.booleans()), max_size=200))
def test_queue_is_bounded_and_counted(steps: list[tuple[int, bool]]) -> None:
    pending = PendingSignals()
    for signo, taking in steps:
        if taking and contains(pending.mask, signo):
            assert pending.take(signo).signo == signo
        elif not taking:
            pending.add(info(signo), KernelUid(7), 20)
        assert len(pending.queue) == queued_count(KernelUid(7)) <= 20
        for queued in pending.queue:
            assert contains(pending.mask, queued.signo)
    pending.discard(bit(3) | bit(40))
    assert all(queued.signo not in (3, 40) for queued in pending.queue)
    pending.clear()
    assert queued_count(KernelUid(7)) == 0 and pending.mask == 0


def test_kill_keeps_no_information() -> None:
    pending = PendingSignals()
    assert pending.add(info(SIGKILL, 1), USER, 10) and queued_count(USER) == 0
    assert pending.take(SIGKILL) is anonymous(SIGKILL) and pending.mask == 0


def test_one_signal_to_many_is_counted_down_for_each() -> None:
    before = queued_count(USER)
    info = SignalInfo(SIGUSR1, 0)
    members = [PendingSignals() for _ in range(5)]
    assert all(each.add(info, USER, 100) for each in members)
    assert queued_count(USER) == before + 5
    assert members[0].take(SIGUSR1).signo == SIGUSR1
    for each in members[1:]:
        each.clear()
    assert queued_count(USER) == before
