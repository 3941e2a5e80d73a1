"""Threads of control groups that end or are moved while others count or move them."""

from types import SimpleNamespace
from typing import Any

import pytest

from kernel.cgroup.members import MEMBERSHIPS
from kernel.lib.order import Order
from kernel.lib.pace import PACE, PACE_BUDGET, STRETCH_LIMIT
from kernel.task import control_groups
from kernel.task.task import Task
from tests.unit.task.test_group_walks import Steps, group_of


def test_a_thread_that_has_ended_counts_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """It left the group at a safe point, and was reaped: nobody would take back what counts for it."""
    group: Any = SimpleNamespace(members=Order())
    threads = [object.__new__(Task) for _ in range(3)]
    for number, thread in enumerate(threads):
        thread.cgroup = group
        group.members.put(number + 1, thread)
    monkeypatch.setattr(MEMBERSHIPS, "last", 3)
    seen: list[Task] = []
    placed: list[Task] = []
    monkeypatch.setattr(control_groups, "recount", seen.append)
    monkeypatch.setattr(control_groups, "place", placed.append)
    monkeypatch.setattr(control_groups, "pace", lambda _: group.members.remove(2))
    control_groups.place_members(group)
    assert seen == placed == [threads[0], threads[2]]


def test_a_thread_that_others_have_moved_on_is_not_moved_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Moving a process fails, and its threads go back to where they were: but only those that are still there."""
    groups: list[Any] = [SimpleNamespace(name=name, is_removed=False) for name in ("source", "target", "third")]
    source, target, third = groups
    threads: list[Any] = [SimpleNamespace(tid=tid, cgroup=source, is_exiting=False) for tid in range(1, 4)]
    process: Any = SimpleNamespace()

    def move(thread: SimpleNamespace, group: SimpleNamespace) -> None:
        if thread is threads[2] and group is target:
            threads[0].cgroup = third
            raise MemoryError
        thread.cgroup = group

    monkeypatch.setattr(control_groups, "move", move)
    monkeypatch.setattr(control_groups, "next_thread", lambda _, tid: threads[tid - 1] if tid <= 3 else None)
    with pytest.raises(MemoryError):
        control_groups.move_process(process, target)
    assert [thread.cgroup for thread in threads] == [third, source, source]


def test_killing_a_group_that_is_dying_lets_others_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads on which it has no effect count, too."""
    group = group_of(20_000)
    steps = Steps()

    def kill(_task: Task) -> bool:
        steps.now += 1
        return False

    monkeypatch.setattr(control_groups, "_kill", kill)
    monkeypatch.setattr(PACE, "rest", steps)
    monkeypatch.setattr(PACE, "left", PACE_BUDGET)
    assert not control_groups.kill_members(group)
    assert 0 < max(steps.most, steps.now) * 100 < STRETCH_LIMIT
