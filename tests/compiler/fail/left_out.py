"""What would not be computed, or not when Python computes it, or another method than Python calls."""

from typing import ClassVar, Literal

from kernel.lang import Array, Errno, u8


class Box:
    LIMIT: ClassVar[int] = 7
    cells: Array[u8, Literal[4]]

    def __init__(self) -> None:
        self.made = 0

    @staticmethod
    def twice(number: int) -> int:
        return number * 2

    def size(self) -> int:
        return 1


class Large(Box):
    @staticmethod
    def twice(number: int) -> int:
        return number * 4

    def size(self) -> int:
        return super().size() + 1


class Huge(Large):
    def size(self) -> int:
        return super(Large, self).size() + 1

    def all(self, numbers: list[int]) -> int:
        return sum(super().size() + number for number in numbers)


def make() -> Box:
    box = Box()
    box.made += 1
    return box


def numbers() -> list[int]:
    return [make().made]


def through_object() -> int:
    return make().LIMIT


def static_through_object(box: Large) -> int:
    return numbers()[0] + Large().twice(3) + box.twice(3)


def static_of_some_class(box: Box) -> int:
    return box.twice(3)


def last() -> int:
    return make().cells[-1]


def cause() -> None:
    raise Errno(1) from Errno(make().made)


def start() -> int:
    total = 0
    for place, number in enumerate(numbers(), make().made):
        total += place * number
    return total


def documented() -> str | None:
    return Box.__doc__


def text(number: int) -> str:
    return "number {:{}}".format(number, "5")
