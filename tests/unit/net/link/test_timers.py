"""The network's timers: kernel/net/link/timers.py."""

from __future__ import annotations

import pytest

from kernel.net.link.timers import NEVER_NS, TIMERS, NetworkTimer

SECOND = 1_000_000_000


class Recorder(NetworkTimer):
    def __init__(self, failures: int = 0, again_ns: int = 0, leaves: bool = False) -> None:
        super().__init__()
        self.failures = failures
        self.again_ns = again_ns
        self.leaves = leaves
        self.times: list[int] = []

    def expire(self, now_ns: int) -> None:
        self.times.append(now_ns)
        if self.leaves:
            self.remove()
        if self.failures > 0:
            self.failures -= 1
            raise MemoryError
        if self.again_ns != 0:
            self.start(now_ns + self.again_ns)


def run(until_ns: int) -> None:
    now_ns = TIMERS.run_due(0)
    while now_ns <= until_ns:
        now_ns = TIMERS.run_due(now_ns)


@pytest.fixture(autouse=True)
def no_timers() -> None:
    while TIMERS.heap.entries:
        TIMERS.heap.entries[0].remove()
    TIMERS.announced_ns = NEVER_NS


def test_without_memory_a_timer_is_tried_again() -> None:
    timer, other = Recorder(failures=3), Recorder()
    timer.start(SECOND)
    other.start(SECOND + 1)
    run(2 * SECOND)
    assert len(timer.times) == 4 and timer.times[0] == SECOND
    assert other.times == [SECOND + 1]
    assert not timer.is_armed() and TIMERS.heap.entries == []


def test_a_timer_starts_itself_again() -> None:
    timer = Recorder(again_ns=SECOND // 4)
    timer.start(SECOND)
    run(2 * SECOND)
    assert timer.times == [SECOND + n * SECOND // 4 for n in range(5)]
    timer.cancel()
    run(4 * SECOND)
    assert len(timer.times) == 5 and TIMERS.heap.entries == []


def test_a_timer_that_leaves_is_not_tried_again() -> None:
    timer = Recorder(failures=1, leaves=True)
    timer.start(SECOND)
    run(2 * SECOND)
    assert timer.times == [SECOND] and TIMERS.heap.entries == []
