"""Safe points are counted out over all loops together."""

from collections.abc import Iterator

import pytest

from kernel.lib.pace import PACE, PACE_BUDGET, Rest, is_dying, is_interrupted, pace
from kernel.sched import SafePoint
from kernel.sched.processor import RUNNING
from kernel.sched.thread import Thread


class Counting(Rest):
    def __init__(self) -> None:
        self.taken = 0

    def take(self) -> None:
        self.taken += 1


@pytest.fixture
def rest() -> Iterator[Counting]:
    before = PACE.rest
    counting = Counting()
    PACE.rest = counting
    PACE.left = PACE_BUDGET
    yield counting
    PACE.rest = before


def test_a_safe_point_comes_when_the_turns_add_up(rest: Counting) -> None:
    for _ in range(PACE_BUDGET // 1000):
        pace(1000)
    assert rest.taken == 0
    pace(1)
    assert rest.taken == 1
    pace(3 * PACE_BUDGET)  # one turn, one safe point
    assert rest.taken == 2


def test_the_scheduler_tells_of_the_running_thread() -> None:
    class Dying(Thread):
        def is_dying(self) -> bool:
            return True

    before = RUNNING.current
    PACE.rest = SafePoint()
    try:
        RUNNING.current = Thread(b"fine")
        assert not is_interrupted() and not is_dying()
        RUNNING.current = Dying(b"dying")
        RUNNING.current.interrupted = True
        assert is_interrupted() and is_dying()
    finally:
        RUNNING.current = before
