"""A trap: an index beyond an Array."""

# traps: IndexError at line 18

from __future__ import annotations

from typing import Literal

from kernel.lang import Array, noinline, u8


class Table:
    values: Array[u8, Literal[4]]


@noinline
def put(table: Table, index: int) -> None:
    table.values[index] = 1


def main() -> None:
    table = Table()
    put(table, 3)
    print(table.values[3])
    put(table, 4)


if __name__ == "__main__":
    main()
