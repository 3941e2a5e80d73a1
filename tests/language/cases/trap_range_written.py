"""A trap: a place in a table that the loop halves, masks and counts up, until it is one more than the last."""

# traps: IndexError at line 25

from __future__ import annotations

from typing import Literal

from kernel.lang import Array, noinline, u32


class Table:
    words: Array[u32, Literal[16]]


@noinline
def walk(table: Table, steps: list[int]) -> int:
    place = 3
    total = 0
    for step in steps:
        if step == 0:
            place = place >> 1
        elif step == 1:
            place = (place + 5) & 15
        total = total * 3 + table.words[place]
        if step == 2:
            place += 1
    return total


def main() -> None:
    table = Table()
    for number in range(16):
        table.words[number] = number + 1
    print(walk(table, [0, 1, 2, 2, 0]), walk(table, []))
    print(walk(table, [1, 1, 0, 2, 1, 2, 2, 2, 2, 2]))


if __name__ == "__main__":
    main()
