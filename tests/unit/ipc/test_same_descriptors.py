"""Members of an epoll set that were added under one descriptor, which was used again and again."""

from types import SimpleNamespace
from typing import Any

from kernel.ipc.epoll import _SameNumber
from tests.unit.effort import lines_of


class _File:
    """What a member is found by."""


def members(count: int) -> list[Any]:
    return [SimpleNamespace(file=_File()) for _ in range(count)]


def test_one_and_several() -> None:
    same: Any = _SameNumber()
    one, two, three = members(3)
    same.add(one)
    assert same.find(one.file) is one and same.find(two.file) is None and same.at(0) is one and same.at(1) is None
    same.add(two)
    same.add(three)
    assert [same.at(index) for index in range(4)] == [one, two, three, None]
    same.remove(two)
    same.remove(two)
    assert same.find(two.file) is None and same.at(1) is three
    same.remove(one)
    same.remove(three)
    assert same.is_empty() and same.at(0) is None
    same.add(one)
    assert same.find(one.file) is one


def test_the_last_to_come_leaves() -> None:
    same = _SameNumber()
    one, two = members(2)
    same.add(one)
    same.remove(two)
    assert not same.is_empty()
    same.remove(one)
    assert same.is_empty()


def test_one_of_very_many_is_found_at_once() -> None:
    same = _SameNumber()
    crowd = members(10_000)
    for each in crowd:
        same.add(each)
    assert lines_of(lambda: same.find(crowd[-1].file)) < 20
    assert lines_of(lambda: same.remove(crowd[-1])) < 20
