"""Process groups and sessions: membership and orphans."""

import pytest

from kernel.lib.pid import UNSET, Pid
from kernel.task.actions import default_actions
from kernel.task.groups import (
    find_group,
    find_session,
    has_stopped_member,
    is_orphaned,
    join,
    leave,
    new_group,
    new_session,
)
from kernel.task.limits import Limits
from kernel.task.pid_namespace import FIRST_PID
from kernel.task.process import Process
from kernel.task.signals import contains
from tests.unit.meanwhile import meanwhile


def process(pid: int, parent: Process | None = None) -> Process:
    fresh = Process(Pid(pid), FIRST_PID, Limits(), default_actions())
    fresh.parent = parent
    return fresh


def test_groups_and_sessions_end_with_their_last_member() -> None:
    session = new_session(Pid(100))
    group = new_group(Pid(100), session)
    a, b = process(100), process(101)
    join(a, group)
    join(b, group)
    assert a.session_id == b.group == Pid(100) and a.is_session_leader() and not b.is_session_leader()
    leave(a)
    assert find_group(Pid(100)) is group
    leave(b)
    assert find_group(Pid(100)) is None and find_session(Pid(100)) is None and b.group == UNSET


def test_orphaned_group() -> None:
    session = new_session(Pid(200))
    shell, job = process(200, process(1)), process(201)
    join(shell, new_group(Pid(200), session))
    job.parent = shell
    group = new_group(Pid(201), session)
    join(job, group)
    assert not is_orphaned(group, None)
    job.parent = process(1)
    assert is_orphaned(group, None)
    leave(job)
    leave(shell)


@pytest.mark.parametrize("gone", range(6))
@pytest.mark.parametrize("number", range(1, 6))
def test_members_leave_a_group_that_is_looked_through(gone: int, number: int) -> None:
    session = new_session(Pid(300))
    shell = process(300, process(1))
    join(shell, new_group(Pid(300), session))
    group = new_group(Pid(301), session)
    members = [process(301 + index, process(1)) for index in range(7)]
    members[6].parent = shell
    members[6].stop.is_complete = True
    for member in members:
        join(member, group)
    with meanwhile(lambda: leave(members[gone]), number):
        assert not is_orphaned(group, None)
    leave(members[6])
    with meanwhile(lambda: leave(members[(gone + 1) % 6]), 1):
        assert is_orphaned(group, None) and not has_stopped_member(group)
    for member in members:
        leave(member)
    leave(shell)


def test_a_stopped_member_is_looked_for_with_safe_points() -> None:
    session = new_session(Pid(400))
    group = new_group(Pid(400), session)
    members = [process(400 + index) for index in range(5)]
    members[4].stop.is_complete = True
    for member in members:
        join(member, group)
    with meanwhile(lambda: leave(members[2]), 3):
        assert has_stopped_member(group)
    for member in members:
        leave(member)


def test_actions() -> None:
    actions = default_actions()
    assert actions.ignores(17) and not actions.ignores(15)
    actions.set(15, 1, 0, 0, 0)
    actions.set(17, 0x4000, 0x10000004, 0x5000, -1)
    assert actions.ignores(15) and not actions.ignores(17)
    assert actions.action(17).mask & (1 << 8) == 0
    copied = actions.copy()
    assert copied.ignored == actions.ignored and copied.action(17).restorer == 0x5000
    copied.reset_for_exec()
    assert copied.ignores(15) and copied.ignores(17) and copied.caught == 0
    assert actions.action(17).handler == 0x4000
    assert copied.action(15).handler == 1 and copied.action(17).handler == 0


def test_copies_of_actions_change_apart() -> None:
    actions = default_actions()
    actions.set(10, 0x4000, 0, 0, 0)
    copied = actions.copy()
    actions.set(12, 0x5000, 0, 0, 0)
    copied.set(10, 0x6000, 0, 0, 0)
    copied.set_default(12)
    assert actions.action(10).handler == 0x4000 and actions.action(12).handler == 0x5000
    assert copied.action(10).handler == 0x6000 and copied.action(12).handler == 0
    actions.set_default(10)
    assert actions.action(10).handler == 0 and not contains(actions.caught, 10)
    actions.set(10, 0x7000, 0, 0, 0)
    assert actions.action(10).handler == 0x7000
    assert default_actions().action(12).handler == 0
