"""A lambda or a nested function reads a field that the constructor has not set yet."""

from __future__ import annotations

from collections.abc import Callable


def call(function: Callable[[], int]) -> int:
    return function()


class ByLambda:
    def __init__(self) -> None:
        number = call(lambda: self.count)
        self.count = number + 1


class ByFunction:
    def __init__(self) -> None:
        def count() -> int:
            return self.count

        self.count = call(count) + 1


class Late:
    def __init__(self) -> None:
        self.count = 3
        self.twice = call(lambda: self.count * 2)


def main() -> None:
    print(ByLambda().count, ByFunction().count, Late().twice)
