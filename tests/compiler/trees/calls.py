"""Calls: defaults, keywords, methods, super, properties, static methods, function values, closures."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Final

from kernel.lang import export, final, inline, struct

LIMIT: Final = 10


def with_defaults(a: int, b: int = 2, *, c: bytes = b"x", limit: int = LIMIT) -> int:
    return a + b + len(c) + limit


class Base:
    KIND: ClassVar[int] = 1
    SIZE: Final = 8

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.hook: Callable[[int], int] = twice

    def describe(self) -> bytes:
        return self.name

    @property
    def size(self) -> int:
        return self.SIZE

    @size.setter
    def size(self, value: int) -> None:
        print(value)

    @staticmethod
    def make() -> Base:
        return Base(b"made")


@final
class Derived(Base):
    KIND = 2

    def __init__(self) -> None:
        super().__init__(b"derived")

    @inline
    def describe(self) -> bytes:
        return super().describe() + b"!"


@export("entry")
def twice(value: int) -> int:
    return value * 2


def apply(function: Callable[[int], int], value: int) -> int:
    return function(value)


def main(base: Base, amount: int) -> None:
    with_defaults(1)
    with_defaults(1, c=b"y", b=5)
    base.size = base.size + Base.make().size
    base.describe()
    print(base.KIND, Base.KIND)
    base.hook(3)
    apply(twice, 3)
    apply(lambda value: value + amount, 4)

    def add(value: int) -> int:
        return value + amount

    print(add(1), apply(add, 2), Base.describe(base))
