"""The times of all threads are divided in a walk that rests: threads end meanwhile, and others walk."""

from collections.abc import Iterator

import pytest

from kernel.sched import scheduler, thread
from kernel.sched.thread import WALK, Thread, enter_list, leave_list


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Thread]]:
    monkeypatch.setattr(thread, "_ALL", thread._All())
    monkeypatch.setattr(thread, "_count", 0)
    monkeypatch.setattr(thread, "_awake", None)
    monkeypatch.setattr(scheduler, "charge_running", lambda: None)
    made = [Thread(b"%d" % number) for number in range(6)]
    for each in reversed(made):
        enter_list(each)
    yield made
    WALK.next = None


def divided(monkeypatch: pytest.MonkeyPatch) -> list[Thread]:
    seen: list[Thread] = []
    monkeypatch.setattr(scheduler, "divide_time", seen.append)
    return seen


def test_one_that_ends_is_passed_over(threads: list[Thread], monkeypatch: pytest.MonkeyPatch) -> None:
    seen = divided(monkeypatch)

    def rest(_cost: int) -> None:
        if len(seen) == 2:
            leave_list(threads[1])
            leave_list(threads[2])
            leave_list(threads[4])

    monkeypatch.setattr(scheduler, "pace", rest)
    scheduler.divide_all()
    assert seen == [threads[0], threads[1], threads[3], threads[5]]


def test_two_walks_share_the_way(threads: list[Thread], monkeypatch: pytest.MonkeyPatch) -> None:
    seen = divided(monkeypatch)

    def rest(_cost: int) -> None:
        if len(seen) == 3:
            scheduler.divide_all()

    monkeypatch.setattr(scheduler, "pace", rest)
    scheduler.divide_all()
    assert seen == threads[:3] + threads
    assert WALK.next is None
