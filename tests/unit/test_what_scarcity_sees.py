"""What tests of scarce memory see of a change, in the whole kernel and in the network: every kind of it."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from types import ModuleType

import pytest

from tests.unit.net.scarcity import State
from tests.unit.scarcity import Holdings


class Example:
    """An object as modules of the kernel have it."""

    def __init__(self) -> None:
        self.number = 1000
        self.is_up = False
        self.text = b"text"
        self.items: list[object] = [1, 2]
        self.names = {1: "one", 2: "two"}
        self.queue = deque([1])
        self.array = bytearray(4)
        self.other: object = Plain()
        self.last = 0
        self.deadline_ns = 0


class Plain:
    """Another one."""

    def __init__(self) -> None:
        self.size = 0


Change = Callable[[Example], None]


def count_twice(example: Example) -> None:
    """The first number's memory may become the second one's."""
    example.number += 1
    example.number += 1


def set_other_value(example: Example) -> None:
    assert isinstance(example.other, Plain)
    example.other.size = 5


IN_BOTH: dict[str, Change] = {
    "a number": count_twice,
    "a bool": lambda example: setattr(example, "is_up", True),
    "a text": lambda example: setattr(example, "text", b"other"),
    "a list that is longer": lambda example: example.items.append(3),
    "a dictionary that is longer": lambda example: example.names.update({3: "three"}),
    "a queue that is shorter": lambda example: example.queue.clear(),
    "a byte of an array": lambda example: example.array.__setitem__(2, 7),
    "a field of another object": set_other_value,
    "another field": lambda example: setattr(example, "more", 1),
    "a field less": lambda example: delattr(example, "text"),
    "nothing instead of an object": lambda example: setattr(example, "other", None),
}
IN_NETWORK: dict[str, Change] = IN_BOTH | {
    "a list's entry": lambda example: example.items.__setitem__(0, 9),
    "a value in a dictionary": lambda example: example.names.update({1: "uno"}),
    "the order of a dictionary": lambda example: example.names.update({1: example.names.pop(1)}),
    "a bool that is a number": lambda example: setattr(example, "is_up", 0),
}
IN_KERNEL: dict[str, Change] = IN_BOTH | {
    "another object": lambda example: setattr(example, "other", Plain()),
    "a list that is another one": lambda example: setattr(example, "items", [1, 2]),
}


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Example:
    name = "kernel.net.example"
    for kind in (Example, Plain):
        monkeypatch.setattr(kind, "__module__", name)
    module = ModuleType(name)
    made = Example()
    vars(module)["EXAMPLE"] = made
    monkeypatch.setitem(sys.modules, name, module)
    return made


@pytest.mark.parametrize("change", IN_NETWORK.values(), ids=IN_NETWORK)
def test_a_change_in_the_network(example: Example, change: Change) -> None:
    before = State()
    assert before.differences() == []
    change(example)
    assert [text for text in before.differences() if text.startswith("kernel.net.example.EXAMPLE.")]


def test_what_may_change_in_the_network(example: Example) -> None:
    before = State()
    example.last = 7
    example.number = int("1000")  # an equal one
    assert before.differences() == []


def test_changes_in_the_kernel(example: Example) -> None:
    """Each in an object of its own, since to look at all objects for the first time takes long. None is seen twice."""
    examples = {name: Example() for name in IN_KERNEL}
    holdings = Holdings()
    assert holdings.changes() == []
    for name, change in IN_KERNEL.items():
        change(examples[name])
        seen = holdings.changes()
        assert len(seen) == 1 and seen[0].startswith(("kernel.net.example.Example.", "kernel.net.example.Plain.")), name
        assert holdings.changes() == [], name


def test_what_may_change_in_the_kernel(example: Example) -> None:
    holdings = Holdings()
    example.last, example.deadline_ns = 7, 8
    example.number = int("1000")
    assert holdings.changes() == []
