"""A function value is called as its type says: with as many arguments, and for such a result."""

from __future__ import annotations

from collections.abc import Callable


def five(number: int = 5) -> int:
    return number


def is_large(number: int) -> bool:
    return number > 100


def call(function: Callable[[], int]) -> int:
    return function()


def measure(function: Callable[[int], int]) -> int:
    return function(1)


HANDLERS: list[Callable[[], int]] = [five]


def call_five() -> int:
    return call(five)


def measure_large() -> int:
    return measure(is_large)


def call_first() -> int:
    return HANDLERS[0]()
