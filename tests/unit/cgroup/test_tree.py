"""The tree of control groups and its rules."""

import pytest

from kernel.cgroup import tree
from kernel.cgroup.freezing import rest, update_frozen
from kernel.cgroup.group import CPU, GROUP_PAGES, MEMORY, PIDS, TOP, ControlGroup, GroupWalk, common_ancestor
from kernel.cgroup.memory import MEMORY_CONTROLS, SLACK, GroupReclaimer
from kernel.cgroup.numbers import NumberControl
from kernel.cgroup.tree import (
    check_delegation,
    check_target,
    enter_member,
    kind_text,
    leave_member,
    make_group,
    make_threaded,
    remove_group,
)
from kernel.lang import EAGAIN, EBUSY, EEXIST, EINVAL, ENODEV, EOPNOTSUPP, Errno
from kernel.sched.processor import RUNNING
from kernel.sched.thread import Thread


def error_of(call: object, *arguments: object) -> int:
    with pytest.raises(Errno) as caught:
        call(*arguments)  # type: ignore[operator]  # any of the functions above
    return caught.value.code


def below(parent: ControlGroup, name: bytes) -> ControlGroup:
    return make_group(parent, name)


def is_frozen(group: ControlGroup) -> bool:
    return group.is_frozen


def thread() -> Thread:
    return Thread(b"member")


@pytest.fixture
def group() -> ControlGroup:
    """A new group of the top one, alone there."""
    for name in list(TOP.children):
        TOP.children.pop(name)
    TOP.delegated = 0
    TOP.populated_domains = 0
    return make_group(TOP, b"a")


def test_names_and_limits(group: ControlGroup) -> None:
    assert error_of(make_group, TOP, b"a") == EEXIST
    assert error_of(make_group, TOP, b"a\nb") == EINVAL
    group.deepest = 1
    child = below(group, b"b")
    assert error_of(make_group, child, b"c") == EAGAIN
    group.deepest = 1 << 31
    group.most_descendants = 1
    assert error_of(make_group, group, b"d") == EAGAIN
    assert error_of(remove_group, group) == EBUSY
    remove_group(child)
    assert error_of(remove_group, child) == ENODEV
    assert error_of(make_group, child, b"e") == ENODEV


def test_depth_has_an_end(group: ControlGroup) -> None:
    deep = group
    with pytest.raises(Errno):
        for _ in range(1000):
            deep = below(deep, b"x")
    assert deep.level == 32


def test_members_make_it_busy_and_populate_those_above(group: ControlGroup) -> None:
    child = below(group, b"b")
    member = thread()
    number = enter_member(child, member)
    assert child.is_populated() and group.is_populated() and not group.has_members()
    assert error_of(remove_group, child) == EBUSY
    leave_member(child, number)
    leave_member(child, number)
    assert not child.is_populated() and not group.is_populated()
    remove_group(child)


def test_no_internal_processes(group: ControlGroup) -> None:
    TOP.delegated = MEMORY | PIDS
    enter_member(group, thread())
    assert error_of(check_delegation, group, MEMORY, 0) == EBUSY
    check_delegation(group, PIDS, 0)  # threads may compete for these
    group.delegated = PIDS
    assert kind_text(group) == b"domain threaded\n"
    assert error_of(check_delegation, group, MEMORY, 0) == EOPNOTSUPP
    other = below(TOP, b"other")
    other.delegated = MEMORY
    assert error_of(check_target, other) == EBUSY
    child = below(other, b"c")
    child.delegated = MEMORY
    assert error_of(check_delegation, other, 0, MEMORY) == EBUSY


def test_threaded_groups(group: ControlGroup) -> None:
    one = below(group, b"1")
    other = below(group, b"2")
    make_threaded(one)
    assert kind_text(one) == b"threaded\n"
    assert kind_text(group) == b"domain threaded\n"
    assert kind_text(other) == b"domain invalid\n"
    assert error_of(check_target, other) == EOPNOTSUPP
    check_target(one)
    assert one.domain() is group and group.domain() is group
    member = thread()
    number = enter_member(one, member)
    assert group.populated_threads == 1 and group.populated_domains == 0
    leave_member(one, number)
    remove_group(one)
    assert kind_text(group) == b"domain\n"


def test_controllers_come_with_delegation(group: ControlGroup) -> None:
    TOP.delegated = MEMORY | PIDS | CPU
    child = make_group(TOP, b"with")
    assert child.memory is not None and child.numbers is not None and child.share is not None
    assert child.processors is None and child.nearest_processors() is None
    make_threaded(below(child, b"t"))
    remove_group(child.children[b"t"])
    remove_group(child)
    assert child.memory is None


def test_paths(group: ControlGroup) -> None:
    b = below(group, b"b")
    c = below(group, b"c")
    assert b.path_from(TOP) == b"/a/b"
    assert b.path_from(b) == b"/"
    assert c.path_from(b) == b"/../c"
    assert TOP.path_from(b) == b"/../.."
    assert common_ancestor(b, c) is group
    walk = GroupWalk(TOP)
    met = []
    while (each := walk.next()) is not None:
        met.append(each)
    assert set(met) == {TOP, group, b, c}


def test_frozen_when_all_rest(group: ControlGroup) -> None:
    child = below(group, b"b")
    member = thread()
    enter_member(child, member)
    group.freezes = child.freezes = True
    update_frozen(child)
    update_frozen(group)
    assert not is_frozen(child) and not is_frozen(group)
    rest(child)
    assert is_frozen(child) and is_frozen(group)
    fresh = below(group, b"c")
    assert is_frozen(fresh) and is_frozen(group)
    child.freezes = False
    update_frozen(child)
    assert not is_frozen(group)
    remove_group(fresh)


def test_numbers_are_counted_up_the_tree() -> None:
    outer = NumberControl(None)
    inner = NumberControl(outer)
    inner.add(3)
    outer.limit = 3
    assert (outer.count, inner.count, outer.peak) == (3, 3, 3)
    refusing = inner.refusing()
    assert refusing is outer
    refusing.refuse()
    assert (outer.refusals, outer.own_refusals, inner.refusals) == (1, 1, 0)
    inner.add(-1)
    assert inner.refusing() is None


def test_walks_meet_groups_that_are_made_meanwhile(group: ControlGroup) -> None:
    walk = GroupWalk(group)
    assert walk.next() is group
    child = below(group, b"b")
    assert walk.next() is child
    assert walk.next() is None


def test_groups_count_for_those_above(group: ControlGroup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MEMORY_CONTROLS, "reclaimer", GroupReclaimer())  # no pages of other tests
    group.delegated = MEMORY
    group.memory = control = MEMORY_CONTROLS.make(None, group)
    control.limit = 10
    with pytest.raises(MemoryError):
        for number in range(1000):
            below(group, b"%d" % number)
    assert control.usage <= control.limit + SLACK
    assert control.usage == control.kept == GROUP_PAGES * len(group.children)
    for child in list(group.children.values()):
        remove_group(child)
    assert control.usage == control.kept == 0
    RUNNING.current.charges.is_over_limit = RUNNING.current.charges.has_failed = False


def test_a_group_that_cannot_be_made_leaves_no_controllers(
    group: ControlGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(parent: NumberControl | None) -> NumberControl:
        raise MemoryError

    monkeypatch.setattr(tree, "NumberControl", fail)
    group.delegated = MEMORY | PIDS
    living = [control for control in MEMORY_CONTROLS.all if control is not None]
    with pytest.raises(MemoryError):
        below(group, b"b")
    assert [control for control in MEMORY_CONTROLS.all if control is not None] == living
    assert not group.children and group.descendants == 0
