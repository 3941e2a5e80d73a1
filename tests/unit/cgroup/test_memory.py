"""What a group's memory counts, and who inherits it."""

import pytest

from kernel.cgroup.memory import LOW, MAX, SLACK, GroupReclaimer, MemoryControl, MemoryControls, MemoryHolder
from kernel.sched.processor import RUNNING


@pytest.fixture
def controls() -> MemoryControls:
    return MemoryControls()


def lacks_charge() -> bool:
    return RUNNING.current.lacks_charge


@pytest.fixture(autouse=True)
def nobody_charged() -> object:
    yield
    RUNNING.current.charged = 0
    RUNNING.current.lacks_charge = False


def test_charges_go_up_the_tree_and_come_back(controls: MemoryControls) -> None:
    outer = controls.make(None, MemoryHolder())
    inner = controls.make(outer, MemoryHolder())
    RUNNING.current.charged = inner.number
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
    RUNNING.current.charged = inner.number
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
    RUNNING.current.charged = control.number

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
        RUNNING.current.charged = inner.number
        controls.charge()
    controls.drain_below(outer)
    assert outer.usage == 5


def test_protection_is_bounded_by_those_above(controls: MemoryControls) -> None:
    outer = controls.make(None, MemoryHolder())
    inner = controls.make(outer, MemoryHolder())
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
    RUNNING.current.charged = inner.number
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
        RUNNING.current.charged = control.number
        controls.charge()
        controls.end(control)
        controls.uncharge(control.number, is_shared=False)
    assert len(controls.all) == 2 and controls.ended == 0
