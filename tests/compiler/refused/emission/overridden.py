"""A method whose body stands in its caller, where the object may be of a class that has another one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")


class Shelf:
    def each(self) -> Iterator[int]:
        yield 1

    def count(self, wanted: Callable[[int], bool]) -> int:
        return int(wanted(1))

    def same(self, value: T) -> T:
        return value


class LongShelf(Shelf):
    def each(self) -> Iterator[int]:
        yield 2

    def count(self, wanted: Callable[[int], bool]) -> int:
        return int(wanted(2))

    def same(self, value: T) -> T:
        print("long")
        return value


def total(shelf: Shelf) -> int:
    return sum(number for number in shelf.each())


def counted(shelf: Shelf) -> int:
    return shelf.count(lambda number: number > 1)


def kept(shelf: Shelf) -> int:
    return shelf.same(3)


def of_one_class(shelf: LongShelf) -> int:
    return shelf.count(lambda number: number > 1) + shelf.same(3)


def use() -> None:
    print(total(LongShelf()), counted(LongShelf()), kept(Shelf()), of_one_class(LongShelf()))
