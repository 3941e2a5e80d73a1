"""What a group's memory counts, and who inherits it."""

import pytest

from kernel.cgroup.memory import LOW, MAX, SLACK, GroupReclaimer, MemoryControl, MemoryControls, MemoryHolder
from kernel.lang import Errno
from kernel.sched.processor import RUNNING


@pytest.fixture
def controls() -> MemoryControls:
    return MemoryControls()


def lacks_charge() -> bool:
    return RUNNING.current.charges.is_over_limit


@pytest.fixture(autouse=True)
def nobody_charged() -> object:
    yield
    RUNNING.current.charges.memory = 0
    RUNNING.current.charges.is_over_limit = False


def test_charges_go_up_the_tree_and_come_back(controls: MemoryControls) -> None:
    outer = controls.make(None, MemoryHolder())
    inner = controls.make(outer, MemoryHolder())
    RUNNING.current.charges.memory = inner.number
    numbers = [controls.charge() for _ in range(100)]
    assert set(numbers) == {inner.number}
    assert inner.frames == 100 and inner.usage == outer.usage == 100 + inner.stock
    for number in numbers:
        controls.uncharge(number, is_shared=False)
    inner.drain()
    assert inner.usage == outer.usage == inner.frames == 0


def test_the_limit_of_one_above_counts(controls: MemoryControls) -> None:
    outer = controls.make(None, MemoryHolder())
    inner = controls.make(outer, MemoryHolder())
    outer.limit = 10
    RUNNING.current.charges.memory = inner.number
    for _ in range(10):
        controls.charge()
    assert outer.own_events[MAX] == 0 and not lacks_charge()
    controls.charge()
    assert outer.own_events[MAX] == 1 and inner.events[MAX] == 0 and lacks_charge()
    with pytest.raises(MemoryError):
        for _ in range(2 * SLACK):
            controls.charge()
    assert outer.usage <= outer.limit + SLACK + 1


def test_what_is_dropped_for_a_charge_is_not_lost(controls: MemoryControls) -> None:
    control = controls.make(None, MemoryHolder())
    control.limit = 10
    RUNNING.current.charges.memory = control.number

    class Dropper(GroupReclaimer):
        def drop_some(self, control: MemoryControl, wanted: int) -> int:
            for _ in range(5):
                controls.uncharge(control.number, is_shared=False)
            return 5

    controls.reclaimer = Dropper()
    for _ in range(40):
        controls.charge()
    assert control.usage == control.frames + control.stock <= 10


def test_stocks_below_are_given_back(controls: MemoryControls) -> None:
    outer = controls.make(None, MemoryHolder())
    for _ in range(5):
        inner = controls.make(outer, MemoryHolder())
        RUNNING.current.charges.memory = inner.number
        controls.charge()
    controls.drain_below(outer)
    assert outer.usage == 5


def test_protection_is_bounded_by_those_above(controls: MemoryControls) -> None:
    outer = controls.make(None, MemoryHolder())
    inner = controls.make(outer, MemoryHolder())
    controls.has_protection = True
    inner.add(10)
    inner.low = 20
    assert not controls.protects(inner.number, is_desperate=False)
    outer.low = 20
    assert controls.protects(inner.number, is_desperate=False)
    assert not controls.protects(inner.number, is_desperate=True) and inner.own_events[LOW] == 1
    inner.minimum = outer.minimum = 10
    assert controls.protects(inner.number, is_desperate=True)
    inner.add(1)
    assert not controls.protects(inner.number, is_desperate=True)


def test_heirs_have_what_a_group_leaves(controls: MemoryControls) -> None:
    outer = controls.make(None, MemoryHolder())
    inner = controls.make(outer, MemoryHolder())
    RUNNING.current.charges.memory = inner.number
    controls.charge()
    controls.end(inner)
    assert outer.usage == 1 and controls.living(inner.number) is outer
    assert controls.successor(inner.number, is_shared=False) == outer.number
    assert controls.all[inner.number] is None  # nobody carries the number any more
    again = controls.make(outer, MemoryHolder())
    assert again.number == inner.number
    controls.uncharge(outer.number, is_shared=False)
    outer.drain()
    assert outer.usage == 0


def test_numbers_come_free_with_the_last_frame(controls: MemoryControls) -> None:
    for _ in range(1000):
        control = controls.make(None, MemoryHolder())
        RUNNING.current.charges.memory = control.number
        controls.charge()
        controls.end(control)
        controls.uncharge(control.number, is_shared=False)
    assert len(controls.all) == 2 and controls.ended == 0


def test_what_all_groups_below_have_beyond_their_limits_stays_below_that_above(controls: MemoryControls) -> None:
    outer = controls.make(None, MemoryHolder())
    outer.limit = 10
    refused = 0
    for _ in range(10):
        inner = controls.make(outer, MemoryHolder())
        inner.limit = 0
        RUNNING.current.charges.memory = inner.number
        try:
            for _ in range(SLACK):
                controls.charge()
        except MemoryError:
            refused += 1
    assert refused == 9 and outer.usage <= outer.limit + SLACK + 1


def test_who_still_charges_what_has_ended_charges_the_heir(controls: MemoryControls) -> None:
    outer = controls.make(None, MemoryHolder())
    inner = controls.make(outer, MemoryHolder())
    inner.threads = 1  # carries its number
    RUNNING.current.charges.memory = inner.number
    controls.charge()
    controls.end(inner)
    controls.uncharge(inner.number, is_shared=False)
    assert controls.make(outer, MemoryHolder()).number != inner.number
    number = controls.charge()
    assert number == outer.number == RUNNING.current.charges.memory
    controls.uncharge(number, is_shared=False)
    outer.drain()
    assert outer.usage == 0
    inner.threads = 0
    controls.free_if_done(inner)
    assert controls.all[inner.number] is None


def test_some_numbers_are_left_for_groups_near_the_top(controls: MemoryControls) -> None:
    top = controls.make(None, MemoryHolder())
    unit = controls.make(top, MemoryHolder())
    below = controls.make(unit, MemoryHolder())
    with pytest.raises(Errno):
        while True:
            controls.make(below, MemoryHolder())
    for _ in range(1000):
        controls.make(top, MemoryHolder())


def test_children_together_have_no_more_protection_than_their_parent(controls: MemoryControls) -> None:
    controls.has_protection = True
    outer = controls.make(None, MemoryHolder())
    outer.low = 15
    one = controls.make(outer, MemoryHolder())
    other = controls.make(outer, MemoryHolder())
    one.low = other.low = 20
    one.add(10)
    assert controls.protects(one.number, is_desperate=False)
    other.add(10)
    assert not controls.protects(one.number, is_desperate=False)
    other.take(10)
    one.low = 0
    assert not controls.protects(one.number, is_desperate=False)
    controls.protects_below = True
    assert controls.protects(one.number, is_desperate=False)
    outer.low = 0
    assert not controls.protects(one.number, is_desperate=False)
