"""Threads that end while the threads of their group are counted anew."""

from types import SimpleNamespace
from typing import Any

import pytest

from kernel.task import control_groups
from kernel.task.task import Task


def test_a_thread_that_has_ended_counts_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """It left the group at a safe point, and was reaped: nobody would take back what counts for it."""
    group: Any = SimpleNamespace(members={})
    threads = [object.__new__(Task) for _ in range(3)]
    for thread in threads:
        thread.cgroup = group
        group.members[thread] = True
    seen: list[Task] = []
    placed: list[Task] = []
    monkeypatch.setattr(control_groups, "recount", seen.append)
    monkeypatch.setattr(control_groups, "place", placed.append)
    monkeypatch.setattr(control_groups, "pace", lambda _: group.members.pop(threads[1], None))
    control_groups.place_members(group)
    assert seen == placed == [threads[0], threads[2]]
