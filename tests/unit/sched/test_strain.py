"""What the scheduler tells of threads in groups, and what groups count of it."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.sched import strain
from kernel.sched.pressure import (
    ABSENT,
    LACKS_MEMORY,
    MACHINE,
    PROCESSOR,
    READY,
    RUNNING_ON,
    WAITS_FOR_DISK,
    WOKEN,
    Pressure,
    Woken,
)
from kernel.sched.strain import join_pressure, note_idling, note_sleep, note_switch, note_wake
from kernel.sched.thread import Thread, ThreadState

FULL = 1


@pytest.fixture(autouse=True)
def machine() -> Iterator[None]:
    before = MACHINE.is_on, MACHINE.is_noted
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strain, "monotonic_ns", lambda: Simulated.latest.now_ns)
        yield
    MACHINE.is_on, MACHINE.is_noted = before
    MACHINE.is_strained = False
    for standing in range(len(MACHINE.counts)):
        MACHINE.counts[standing] = 0
    MACHINE.lacking = MACHINE.lacking_active = 0
    WOKEN.since_ns = 0
    WOKEN.pressure = None


class Simulated:
    """One processor, and threads of groups. The latest one's time is the kernel's."""

    latest: Simulated

    def __init__(self, groups: list[Pressure]) -> None:
        self.groups = groups
        self.idle = Thread(b"idle")
        self.idle.state = ThreadState.RUNNING
        self.running = self.idle
        self.threads: list[Thread] = []
        self.ready: list[Thread] = []
        self.now_ns = 1000
        Simulated.latest = self

    def add(self, pressure: Pressure | None) -> Thread:
        thread = Thread(b"member")
        join_pressure(thread, pressure)
        self.threads.append(thread)
        return thread

    def wake(self, thread: Thread) -> None:
        thread.state = ThreadState.READY
        self.ready.append(thread)
        note_wake(thread, self.now_ns)

    def leave(self, state: ThreadState) -> None:
        """The running thread gives up its processor to whoever was ready first."""
        previous = self.running
        previous.state = state
        if state is ThreadState.READY:
            self.ready.append(previous)
        else:
            note_sleep(previous, self.now_ns)
        if not self.ready:
            note_idling(previous, self.now_ns)
            self.running = self.idle
            return
        self.running = self.ready.pop(0)
        self.running.state = ThreadState.RUNNING
        note_switch(previous, self.running, self.now_ns)

    def step(self, chance: Random) -> None:
        self.now_ns += chance.choice((0, 1, 30, 5000, 3_000_000_000))
        asleep = [thread for thread in self.threads if thread.state is ThreadState.WAITING]
        what = chance.randrange(12)
        if what < 5 and asleep:
            self.wake(chance.choice(asleep))
        elif what < 9 and self.running is not self.idle:
            if chance.randrange(6) == 0:
                self.running.charges.strain |= WAITS_FOR_DISK
            self.leave(ThreadState.WAITING)
        elif what == 9 and (self.ready or self.running is not self.idle):
            self.leave(ThreadState.READY if self.running is not self.idle else ThreadState.WAITING)
        elif what == 10:
            chance.choice(self.groups).bring_up(self.now_ns)
        elif what == 11 and asleep:
            join_pressure(chance.choice(asleep), chance.choice(self.groups))


def groups() -> list[Pressure]:
    """Two deep, and another one beside the lower."""
    above = Pressure(None, 0)
    return [above, Pressure(above, 0), Pressure(above, 0)]


def play(seed: int) -> list[list[int]]:
    simulated = Simulated(groups())
    for group in (simulated.groups[1], simulated.groups[1], simulated.groups[2], None):
        simulated.add(group)
    chance = Random(seed)
    for _ in range(60):
        simulated.step(chance)
    found = []
    for group in simulated.groups:
        group.bring_up(simulated.now_ns)
        found.append(list(group.totals) + list(group.averages) + list(group.counts))
    return found


@settings(max_examples=200)
@given(st.integers(0, 1 << 60))
def test_what_is_put_off_counts_as_if_it_were_not(seed: int) -> None:
    found = play(seed)
    with pytest.MonkeyPatch.context() as patch:

        def note(self: Woken, pressure: Pressure, now_ns: int) -> None:
            self.since_ns, self.pressure = now_ns, pressure
            self.count()

        patch.setattr(Woken, "note", note)
        assert play(seed) == found


def test_two_that_wake_each_other_take_one_step_for_each_level(monkeypatch: pytest.MonkeyPatch) -> None:
    simulated = Simulated(groups())
    first, second = simulated.add(simulated.groups[1]), simulated.add(simulated.groups[1])
    simulated.wake(first)
    simulated.leave(ThreadState.WAITING)
    assert simulated.running is first
    monkeypatch.setattr(Pressure, "judge", lambda pressure, now_ns: pytest.fail("a step too many"))
    for one, other in ((first, second), (second, first)) * 3:
        simulated.now_ns += 100
        simulated.wake(other)
        simulated.now_ns += 7
        simulated.leave(ThreadState.WAITING)
        assert one.charges.standing == ABSENT and other.charges.standing == RUNNING_ON
    for group in simulated.groups[:2]:
        assert group.totals[PROCESSOR] == 6 * 7 and group.totals[PROCESSOR + FULL] == 0
        assert group.counts[RUNNING_ON] == 1 and group.counts[READY] == 0


def test_a_thread_that_preempts_takes_no_step_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """As threads do that wake each other: whoever was woken runs at once, and sleeps before the other one does."""
    simulated = Simulated(groups())
    first, second = simulated.add(simulated.groups[1]), simulated.add(simulated.groups[1])
    simulated.wake(first)
    simulated.leave(ThreadState.WAITING)
    monkeypatch.setattr(Pressure, "judge", lambda pressure, now_ns: pytest.fail("a step too many"))
    for _ in range(5):
        simulated.wake(second)
        simulated.leave(ThreadState.READY)
        assert simulated.running is second and first.charges.standing == READY
        simulated.now_ns += 7
        simulated.leave(ThreadState.WAITING)
        assert simulated.running is first and first.charges.standing == RUNNING_ON and second.charges.standing == ABSENT
    for group in simulated.groups[:2]:
        assert group.totals[PROCESSOR] == 5 * 7 and group.totals[PROCESSOR + FULL] == 0


def test_a_thread_that_looks_for_memory_counts_at_once() -> None:
    simulated = Simulated(groups())
    thread = simulated.add(simulated.groups[1])
    thread.charges.strain |= LACKS_MEMORY
    MACHINE.lacking += 1
    simulated.wake(thread)
    assert WOKEN.since_ns == 0 and simulated.groups[0].counts[READY] == 1
