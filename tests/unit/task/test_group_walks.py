"""Walks through the members of control groups, while others come and go."""

from types import SimpleNamespace
from typing import Any

import pytest

from kernel.cgroup.group import TOP, ControlGroup
from kernel.cgroup.members import MEMBERSHIPS, MemberWalk
from kernel.cgroup.tree import enter_member, leave_member
from kernel.lib.pace import PACE, PACE_BUDGET, STRETCH_LIMIT, Rest
from kernel.sched.thread import Thread
from kernel.task import group_walks
from kernel.task.group_walks import ProcessWalk, ThreadWalk
from kernel.task.task import Task
from tests.unit.meanwhile import meanwhile


class Steps(Rest):
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
    steps = Steps()
    monkeypatch.setattr(PACE, "rest", steps)
    monkeypatch.setattr(PACE, "left", PACE_BUDGET)
    walk = ProcessWalk(group)
    found = 0
    while walk.next() is not None:
        found += 1
        steps.now += 1
    assert found == 20_000
    assert 0 < max(steps.most, steps.now) * 300 < STRETCH_LIMIT


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


def below(parent: ControlGroup, name: bytes, number: int, is_threaded: bool) -> object:
    """A group with one thread. Returns that thread's process."""
    group = ControlGroup(parent, name, number)
    group.is_threaded = is_threaded
    parent.children[name] = group
    task = object.__new__(Task)
    task.cgroup = group
    task.process = object()  # type: ignore[assignment]  # only who it is counts
    enter_member(group, task)
    return task.process


def test_processes_of_a_domain_may_have_their_threads_in_threaded_groups() -> None:
    domain = ControlGroup(TOP, b"domain", 65)
    threaded = below(domain, b"threaded", 66, is_threaded=True)
    below(domain, b"other", 67, is_threaded=False)
    deep = below(domain.children[b"threaded"], b"deep", 68, is_threaded=True)
    below(domain.children[b"other"], b"hidden", 69, is_threaded=True)
    walk = ProcessWalk(domain)
    found = [walk.next() for _ in range(3)]
    assert set(map(id, found)) == {id(threaded), id(deep), id(None)}


def test_a_process_with_several_threads_is_met_once() -> None:
    group = group_of(3)
    walk = ThreadWalk(group)
    first, second = walk.next(), walk.next()
    assert first is not None and second is not None
    second.process = first.process
    processes = ProcessWalk(group)
    assert [processes.next() is None for _ in range(3)] == [False, False, True]
