"""Threads of control groups that end or are moved while others count or move them."""

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


def test_a_thread_that_others_have_moved_on_is_not_moved_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Moving a process fails, and its threads go back to where they were: but only those that are still there."""
    groups: list[Any] = [SimpleNamespace(name=name, is_removed=False) for name in ("source", "target", "third")]
    source, target, third = groups
    threads: list[Any] = [SimpleNamespace(cgroup=source, is_exiting=False) for _ in range(3)]
    process: Any = SimpleNamespace(threads=dict(enumerate(threads)))

    def move(thread: SimpleNamespace, group: SimpleNamespace) -> None:
        if thread is threads[2] and group is target:
            threads[0].cgroup = third
            raise MemoryError
        thread.cgroup = group

    monkeypatch.setattr(control_groups, "move", move)
    with pytest.raises(MemoryError):
        control_groups.move_process(process, target)
    assert [thread.cgroup for thread in threads] == [third, source, source]
