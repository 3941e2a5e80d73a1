"""Threads that rest between attempts go on without memory for the time limit."""

from types import SimpleNamespace

import pytest

from kernel.fs.overlay import leaving
from kernel.mm.merging import SETTINGS
from kernel.sched import wait
from kernel.task.page_merging import THREAD


class Ended(Exception):
    """It has gone on for long enough."""


@pytest.fixture(autouse=True)
def yields(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """There is no memory for time limits; how often others were let run instead."""

    def fail(*_: object) -> None:
        raise MemoryError

    times: list[int] = []
    monkeypatch.setattr(wait, "arm_timer", fail)
    monkeypatch.setattr(wait, "monotonic_ns", lambda: 0)
    monkeypatch.setattr(wait, "current_thread", lambda: SimpleNamespace(waiter=object()))
    monkeypatch.setattr(wait, "safe_point", lambda: None)
    monkeypatch.setattr(wait, "yield_now", lambda: times.append(1))
    return times


def test_the_search_for_equal_pages(monkeypatch: pytest.MonkeyPatch, yields: list[int]) -> None:
    monkeypatch.setattr(SETTINGS, "sleep_ms", 20)
    THREAD.rest()
    assert yields == [1]


def test_what_leaves_overlays(monkeypatch: pytest.MonkeyPatch, yields: list[int]) -> None:
    answers = [False, False]

    def let_all_go(_: object) -> bool:
        if not answers:
            raise Ended
        return answers.pop()

    monkeypatch.setattr(leaving.Leaving, "let_all_go", let_all_go)
    with pytest.raises(Ended):
        leaving._let_all_go(0)
    assert yields == [1, 1]
