"""Function values: tables, fields, parameters; lambdas and nested functions as arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final


def double(value: int) -> int:
    return value * 2


def negate(value: int) -> int:
    return -value


TABLE: Final[list[Callable[[int], int]]] = [double, negate]


class Handler:
    action: Callable[[int], int]
    bonus: int

    def __init__(self, action: Callable[[int], int], bonus: int) -> None:
        self.action = action
        self.bonus = bonus

    def run(self, value: int) -> int:
        return self.action(value) + self.bonus


def apply(values: list[int], function: Callable[[int], int]) -> int:
    total = 0
    for value in values:
        total += function(value)
    return total


def main() -> None:
    for function in TABLE:
        print(function(21))
    handler = Handler(double, 1)
    print(handler.run(5))
    handler.action = negate
    print(handler.run(5))
    values = [1, 2, 3]
    offset = 10
    print(apply(values, double), apply(values, lambda value: value + offset))

    def triple(value: int) -> int:
        return value * 3 + offset

    print(apply(values, triple), triple(1))
    chosen = double if len(values) > 2 else negate
    print(chosen(8))


if __name__ == "__main__":
    main()
