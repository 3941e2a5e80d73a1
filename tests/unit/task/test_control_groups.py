"""Threads of control groups that end or are moved while others count or move them."""

from types import SimpleNamespace
from typing import Any

import pytest

from kernel.cgroup.group import TOP, ControlGroup
from kernel.cgroup.members import MEMBERSHIPS, MemberWalk
from kernel.cgroup.tree import enter_member, leave_member
from kernel.lib.order import Order
from kernel.lib.pace import PACE, PACE_BUDGET, STRETCH_LIMIT, Rest
from kernel.sched.thread import Thread
from kernel.task import control_groups, group_walks
from kernel.task.group_walks import ProcessWalk, ThreadWalk
from kernel.task.task import Task
from tests.unit.meanwhile import meanwhile


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


class _Steps(Rest):
    """The most steps of a walk between two safe points."""

    def __init__(self) -> None:
        self.now = 0
        self.most = 0

    def take(self) -> None:
        self.most = max(self.most, self.now)
        self.now = 0


def group_of(threads: int) -> ControlGroup:
    group = ControlGroup(TOP, b"many", 65)
    for _ in range(threads):
        task = object.__new__(Task)
        task.cgroup = group
        task.process = object()  # type: ignore[assignment]  # one of its own: only who it is counts
        enter_member(group, task)
    return group


def test_the_processes_of_a_large_group_are_met_with_safe_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process takes some 300 instructions."""
    group = group_of(20_000)
    steps = _Steps()
    monkeypatch.setattr(PACE, "rest", steps)
    monkeypatch.setattr(PACE, "left", PACE_BUDGET)
    walk = ProcessWalk(group)
    found = 0
    while walk.next() is not None:
        found += 1
        steps.now += 1
    assert found == 20_000
    assert 0 < max(steps.most, steps.now) * 300 < STRETCH_LIMIT


def test_killing_a_group_that_is_dying_lets_others_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads on which it has no effect count, too."""
    group = group_of(20_000)
    steps = _Steps()

    def kill(_task: Task) -> bool:
        steps.now += 1
        return False

    monkeypatch.setattr(control_groups, "_kill", kill)
    monkeypatch.setattr(PACE, "rest", steps)
    monkeypatch.setattr(PACE, "left", PACE_BUDGET)
    assert not control_groups.kill_members(group)
    assert 0 < max(steps.most, steps.now) * 100 < STRETCH_LIMIT


def test_a_walk_ends_though_members_go_out_and_in() -> None:
    group = ControlGroup(TOP, b"group", 65)
    numbers = [enter_member(group, Thread(b"member")) for _ in range(3)]
    walk = MemberWalk(group)
    met = 0
    while (thread := walk.next()) is not None:
        met += 1
        leave_member(group, numbers.pop(0))
        numbers.append(enter_member(group, thread))
    assert met == 3 and group.member_count == 3


def test_a_walk_meets_those_that_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of a large group leaves at a safe point."""
    group = group_of(1000)
    walk = ThreadWalk(group)
    first = walk.next()
    last = MEMBERSHIPS.last
    for number in range(last - 999, last, 2):
        leave_member(group, number)
    found = [first]
    while (task := walk.next()) is not None:
        found.append(task)
    assert len(found) == 501 and group.member_count == 500 and len(set(map(id, found))) == 501


def test_threads_of_the_top_group_are_looked_up_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks: list[Any] = [SimpleNamespace(tid=tid, cgroup=TOP, is_exiting=tid == 5) for tid in range(1, 9)]

    def next_task(number: int) -> SimpleNamespace | None:
        return next((task for task in tasks if task.tid >= number), None)

    monkeypatch.setattr(group_walks, "next_task", next_task)
    walk = ThreadWalk(TOP)
    found = []
    with meanwhile(lambda: tasks.pop(), 1):
        while (task := walk.next()) is not None:
            found.append(int(task.tid))
    assert found == [1, 2, 3, 4, 6, 7]
