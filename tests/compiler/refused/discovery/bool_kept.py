"""A bool that goes on as an int in a tuple, as the result of a lambda or of `or`: Python would show True."""

from __future__ import annotations

from collections.abc import Callable


def pair() -> tuple[int, int]:
    return True, 1


def applied(function: Callable[[int], int], number: int) -> int:
    return function(number)


def either(number: int, flag: bool) -> int:
    found = number or flag
    return found


def use() -> None:
    print(pair()[0], applied(lambda number: number == 1, 1), either(0, True))
