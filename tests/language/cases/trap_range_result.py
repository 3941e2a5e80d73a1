"""A trap: what a method returns is a place, but for one override, which counts from the end."""

# traps: IndexError at line 39

from __future__ import annotations

from typing import Literal

from kernel.lang import Array, noinline, u8


class Table:
    bytes: Array[u8, Literal[8]]


class First:
    def place(self, key: int) -> int:
        return key & 7


class Last(First):
    def place(self, key: int) -> int:
        return 7 - (key & 7)


class Odd(Last):
    def place(self, key: int) -> int:
        return super().place(key) - 1


@noinline
def folded(key: int) -> int:
    return key & 3 if key < 8 else folded(key >> 3) + (key & 3)


@noinline
def fill(table: Table, ways: list[First], key: int) -> int:
    for way in ways:
        table.bytes[way.place(key)] += folded(key)
    return table.bytes[key & 7] * 10 + table.bytes[7 - (key & 7)]


def main() -> None:
    table = Table()
    print(fill(table, [First(), Last(), Odd()], 6), fill(table, [Odd(), First()], 8), folded(0o777))
    print(fill(table, [First(), Odd()], 7))


if __name__ == "__main__":
    main()
