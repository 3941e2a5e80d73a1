"""What the import leaves behind must be what the source says."""

from __future__ import annotations

from collections.abc import Callable


def twice(function: Callable[[int], int]) -> Callable[[int], int]:
    def inner(number: int) -> int:
        return function(number) * 2

    return inner


@twice
def increment(number: int) -> int:
    return number + 1


def start(number: int = 1) -> int:
    return number


start.__defaults__ = (2,)


class Counter:
    def __init__(self) -> None:
        self.count = 0

    def next(self) -> int:
        self.count += 1
        return self.count


def always_seven(counter: Counter) -> int:
    return 7


setattr(Counter, "next", always_seven)


def last(number: int = 1) -> int:
    return -number


globals()["last"] = start


def use() -> int:
    return increment(3) + start() + Counter().next() + last()
