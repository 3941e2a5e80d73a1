"""The heap of children that wait to be reaped, against a sorted list."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from kernel.lib.pid import Pid
from kernel.task import zombies
from kernel.task.actions import default_actions
from kernel.task.limits import Limits
from kernel.task.pid_namespace import FIRST_PID
from kernel.task.process import Process
from kernel.task.zombies import BIRTHS, enter_zombie, leave_zombies


def family(count: int) -> tuple[Process, list[Process]]:
    """A parent and its children, oldest first."""
    parent = Process(Pid(1), FIRST_PID, Limits(), default_actions())
    children = [Process(Pid(2 + index), FIRST_PID, Limits(), default_actions()) for index in range(count)]
    for child in children:
        child.origin.order = BIRTHS.next()
    return parent, children


def test_the_oldest_comes_first_whatever_the_order_of_their_ends() -> None:
    parent, children = family(50)
    for child in reversed(children):
        enter_zombie(parent, child)
    for child in children:
        assert parent.family.oldest_zombie is child
        leave_zombies(parent, child)
    assert parent.family.oldest_zombie is None


def test_any_child_can_leave() -> None:
    choice = random.Random(11)
    parent, children = family(200)
    inside: list[Process] = []
    for _ in range(5000):
        child = choice.choice(children)
        if child in inside and choice.random() < 0.6:
            leave_zombies(parent, child)
            inside.remove(child)
            place = child.family
            assert place.heap_left is None and place.heap_right is None and place.heap_above is None
        elif child not in inside:
            enter_zombie(parent, child)
            inside.append(child)
        oldest = min(inside, key=lambda each: each.origin.order, default=None)
        assert parent.family.oldest_zombie is oldest


def test_entering_and_leaving_twice_change_nothing() -> None:
    parent, (one, other) = family(2)
    enter_zombie(parent, other)
    enter_zombie(parent, other)
    leave_zombies(parent, one)
    assert parent.family.oldest_zombie is other and other.family.heap_left is None
    leave_zombies(parent, other)
    leave_zombies(parent, other)
    assert parent.family.oldest_zombie is None


ORDERS: dict[str, Callable[[list[Process]], list[Process]]] = {
    "oldest first": lambda children: children,
    "youngest first": lambda children: children[::-1],
    "in any order": lambda children: random.Random(5).sample(children, len(children)),
}


@pytest.mark.parametrize("ends", ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize("leaves", ORDERS.values(), ids=ORDERS)
def test_no_call_looks_at_many_of_4000(
    ends: Callable[[list[Process]], list[Process]],
    leaves: Callable[[list[Process]], list[Process]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parent, children = family(4000)
    most = 0
    looked = 0
    mend = zombies._mend

    def counting(place: Process) -> bool:
        nonlocal looked
        looked += 1
        return mend(place)

    monkeypatch.setattr(zombies, "_mend", counting)
    for call, order in ((enter_zombie, ends), (leave_zombies, leaves)):
        for child in order(children):
            looked = 0
            call(parent, child)
            most = max(most, looked)
    assert most <= 3 * 12
