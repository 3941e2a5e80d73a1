"""Branches that the ranges of all calls rule out, and what would be known in them."""

from __future__ import annotations

from typing import Literal

from kernel.lang import Array, noinline, u8, u32


@noinline
def never_called(number: int) -> int:
    return number * 3


@noinline
def equal_twice(number: int) -> int:
    if number == 5:
        if number == 5:
            return 1
        return never_called(number)
    return 2


@noinline
def in_order(number: int, other: int) -> int:
    if number <= other < 5:
        if other >= 5:
            return never_called(other)
        return 1
    return 2 if 8 < other <= number else 3


@noinline
def both(number: int, other: int) -> int:
    if number > 8 and other > number and other == 9:
        return 1 if other == 9 else never_called(other)
    return 2


@noinline
def turns(count: int, more: u32) -> int:
    kept = 0
    turn = 0
    while turn < count:
        if more < 5:
            kept = more
        else:
            kept = 1
        turn += 1
    return kept


@noinline
def after_index(number: int, count: int) -> int:
    one: Array[u8, Literal[1]] = Array()
    for turn in range(count):
        one[number] = turn
        if number == 0:
            return one[0]
        return never_called(number)
    return -1


def main() -> None:
    print(equal_twice(7), equal_twice(9))
    print(in_order(7, 7), in_order(9, 9), in_order(8, 9))
    print(both(7, 8), both(9, 8), both(9, 9))
    print(turns(3, 7), turns(3, 9))
    print(after_index(7, 0), after_index(9, 0))


if __name__ == "__main__":
    main()
