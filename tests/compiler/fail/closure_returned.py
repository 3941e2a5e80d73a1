"""Closures must not escape."""

from collections.abc import Callable


class Holder:
    def __init__(self, function: Callable[[int], int]) -> None:
        self.function = function


def keep(function: Callable[[int], int]) -> Holder:
    return Holder(function)


def apply(function: Callable[[int], int], value: int) -> int:
    return function(value)


def adder(amount: int) -> Callable[[int], int]:
    print(apply(lambda value: value + amount, 1))
    keep(lambda value: value + amount)
    return lambda value: value + amount


def named(amount: int) -> Callable[[int], int]:
    def add(value: int) -> int:
        return value + amount

    print(add(1), apply(add, 2))
    chosen = add
    return chosen
