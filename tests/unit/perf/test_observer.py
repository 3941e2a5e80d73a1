"""Reports of a change to very many areas take safe points, whether anybody listens or not."""

from types import SimpleNamespace
from typing import cast

import pytest

from kernel.perf import observer
from kernel.perf.observer import PerfTasks
from kernel.task.task import Task
from tests.unit.effort import FEW, longest_stretch

AREAS = 20_000
PAGE = 4096


def test_areas_that_nobody_listens_to_are_passed_with_safe_points(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    space = SimpleNamespace(area_at=lambda at: SimpleNamespace(end=at + PAGE))
    task = cast(Task, SimpleNamespace(memory=space))
    monkeypatch.setattr(observer, "tell_area", lambda _task, area: told.append(area.end))
    assert longest_stretch(lambda: PerfTasks().mapped(task, 0, AREAS * PAGE)) < FEW
    assert len(told) == AREAS
