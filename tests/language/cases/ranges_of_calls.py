"""What is known of the ranges of parameters and results, from all calls of a function: in each of the ways in which a
function may be called, one call passes or returns a number that no other does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import Protocol, TypeVar

from kernel.lang import Errno, noinline, u8, u32, u64

T = TypeVar("T")
LEAST = -(1 << 63)
MOST = (1 << 63) - 1


class Level(IntEnum):
    LOW = -3
    HIGH = 4


def row(numbers: list[int]) -> str:
    return " ".join([str(number) for number in numbers])


@noinline
def sign(number: int) -> str:
    if number < 0:
        return "-"
    return "+" if number > 0 else "0"


@noinline
def of_literals(number: int) -> int:
    return 1 if number < 0 else 2 if number > 9 else 3


@noinline
def by_name(number: int) -> str:
    return "below" if number < 0 else "not below"


@noinline
def by_value(number: int) -> str:
    return "below" if number < 0 else "not below"


@noinline
def apply(function: Callable[[int], str], number: int) -> str:
    return function(number)


@noinline
def with_default(number: int = -5) -> str:
    return "below" if number < 0 else "not below"


@noinline
def counted_down(number: int, turns: int) -> int:
    if number < 0:
        return turns
    return counted_down(number - 3, turns + 1)


@noinline
def from_comprehension(number: int) -> bool:
    return number < 0


@noinline
def from_lambda(number: int) -> bool:
    return number < 0


@noinline
def from_cleanup(number: int) -> bool:
    return number < 0


@noinline
def from_handler(number: int) -> bool:
    return number < 0


@noinline
def from_generator(number: int) -> bool:
    return number < 0


@noinline
def of_level(number: int) -> bool:
    return number < 0


@noinline
def of_wide(number: u64) -> bool:
    return number > u64(MOST)


@noinline
def of_narrow(number: u32) -> bool:
    return number > 255


@noinline
def second_of_three(first: int, second: int, third: int) -> int:
    return (1 if first < 0 else 0) + (10 if second < 0 else 0) + (100 if third < 0 else 0)


def applied(change: Callable[[int], bool], number: int) -> bool:
    return change(number)


def both_ways(number: int) -> Iterator[bool]:
    yield from_generator(number)
    yield from_generator(-number)


class Shape:
    def __init__(self, size: int) -> None:
        self.size = size
        self.below = size < 0

    def scaled(self, by: int) -> int:
        return self.size if by < 0 else self.size * by

    def least(self) -> int:
        return 0

    def __len__(self) -> int:
        return 3

    def __getitem__(self, place: int) -> int:
        if place < 0:
            return -100
        return place

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Shape) and self.size == other.size


class Square(Shape):
    def __init__(self, size: int) -> None:
        super().__init__(size - 10)

    def scaled(self, by: int) -> int:
        return -1 if by < 0 else by

    def least(self) -> int:
        return -7


class Cube(Square):
    def scaled(self, by: int) -> int:
        return -2 if by < 0 else by * 3


class Scaled(Protocol):
    def scaled(self, by: int) -> int: ...


@noinline
def scale_any(thing: Scaled, by: int) -> int:
    return thing.scaled(by)


@noinline
def scale_square(square: Square, by: int) -> int:
    return square.scaled(by)


@noinline
def positive(number: int) -> int:
    if number > 100:
        raise Errno(number)
    return number & 7


@noinline
def sometimes_below(number: int) -> int:
    if number == 3:
        return -3
    return number & 7


@noinline
def at_the_end(number: int) -> int:
    result = 5
    try:
        if number == 1:
            return result
        result = 6
    finally:
        result -= 9 if number == 2 else 0
    return result


@noinline
def of_recursion(number: int) -> int:
    if number == 0:
        return 0
    return of_recursion(number - 1) - 1


@noinline
def through_name(number: int) -> int:
    return number & 3


@noinline
def through_value(number: int) -> int:
    return -1 - (number & 3)


@noinline
def call(function: Callable[[int], int], number: int) -> int:
    result = function(number)
    return result if result < 0 else result + 10


def first_of(items: list[T], place: int, other: T) -> T:
    if place < 0:
        return other
    return items[place]


@noinline
def outer(number: int) -> str:
    return middle(number, 0)


@noinline
def middle(number: int, more: int) -> str:
    return innermost(more, number)


@noinline
def innermost(more: int, number: int) -> str:
    return f"{'below' if number < 0 else 'not below'} {'more' if more < 0 else 'no more'}"


@noinline
def ping(number: int, turns: int) -> str:
    return sign_of_ping(number) if turns == 0 else pong(turns - 1, number)


@noinline
def pong(turns: int, number: int) -> str:
    return sign_of_ping(-1) if turns == 1 and number == 5 else ping(number, turns)


@noinline
def sign_of_ping(number: int) -> str:
    return "below" if number < 0 else "not below"


@noinline
def changed(number: int) -> str:
    if number == 4:
        number = -4
    return from_changed(number)


@noinline
def from_changed(number: int) -> str:
    return "below" if number < 0 else "not below"


@noinline
def tested(number: int) -> str:
    if number < 0:
        return from_tested(0)
    return from_tested(number) + (from_tested(number) if number > 3 else from_either(number))


@noinline
def from_tested(number: int) -> str:
    return "below" if number < 0 else "not below"


@noinline
def from_either(number: int) -> str:
    return "below" if number < 0 else "not below" if number < 4 else "far above"


@noinline
def swapped(first: int, second: int) -> int:
    if first == 3:
        return swapped(second, first + 1)
    return (1 if first < 0 else 0) + (10 if second < 0 else 0)


@noinline
def captured(number: int) -> bool:
    return applied(lambda more: from_captured(number) or from_captured(more), number)


@noinline
def from_captured(number: int) -> bool:
    return number < 0


@noinline
def never_returns(number: int) -> int:
    raise Errno(number)


@noinline
def kept(number: int) -> int:
    before = number
    number -= 8
    while number < 0:
        number += 5
    return before * 100 + number


@noinline
def in_cleanup(number: int) -> bool:
    try:
        return from_cleanup(number)
    finally:
        if from_cleanup(-number - 1):
            print("cleaned up")


@noinline
def in_handler(code: int) -> bool:
    try:
        raise Errno(code)
    except Errno as error:
        return from_handler(3) or from_handler(error.code)


def main() -> None:
    print(sign(3), sign(0), sign(len("abc") - 5), sign(MOST), sign(LEAST))
    print(of_literals(3), of_literals(9), of_literals(0))
    print(by_name(1), by_name(7), by_value(1), apply(by_value, -1), apply(by_value, 0))
    print(with_default(), with_default(3))
    print(counted_down(10, 0), counted_down(0, 0))
    print(row([int(from_comprehension(number)) for number in (3, 0, -1)]))
    print(applied(lambda number: from_lambda(number - 4), 2), applied(from_lambda, 1))
    print(in_cleanup(4), in_handler(7), in_handler(-7))
    print(row([int(bit) for bit in both_ways(5)]), row([int(bit) for bit in both_ways(0)]))
    print(of_level(Level.HIGH), of_level(Level.LOW), of_wide(u64(3)), of_wide(u64(MOST) + 1), of_wide(u64(LEAST)))
    print(of_narrow(u32(u8(7))), of_narrow(u32(-1 & 0xFFFFFFFF)))
    print(second_of_three(1, 2, 3), second_of_three(1, -2, 3), second_of_three(0, 0, 0))
    shapes = [Shape(3), Square(30), Cube(12), Square(4)]
    print(row([shape.scaled(2) for shape in shapes]), row([int(shape.below) for shape in shapes]))
    print(row([shape.least() for shape in shapes]), row([int(shape.least() < 0) for shape in shapes]))
    print(scale_any(shapes[0], -1), scale_any(Square(2), 5), scale_any(Cube(2), -5), scale_square(Cube(1), -4))
    print(shapes[0][-1], shapes[0][1], len(shapes[0]), shapes[0] == Shape(3))
    print(positive(9), positive(-1), sometimes_below(3), sometimes_below(4), sometimes_below(3) < 0)
    print(at_the_end(1), at_the_end(2), at_the_end(3), of_recursion(0), of_recursion(5))
    print(through_name(6), call(through_name, 6), through_value(6), call(through_value, 6))
    print(first_of([4, 5], 1, -1), first_of([4, 5], -1, -9), first_of(["a"], 0, "b"))
    try:
        print(never_returns(3))
    except Errno as error:
        print(error.code, positive(3))
    print(kept(3), kept(10), kept(8))
    print(outer(3), outer(-3), middle(7, -2), ping(5, 0), ping(5, 2), ping(5, 3), changed(3), changed(4))
    print(tested(-3), tested(2), tested(5), from_either(4), swapped(3, 5), swapped(3, -5), swapped(1, 2))
    print(captured(3), captured(-3))


if __name__ == "__main__":
    main()
