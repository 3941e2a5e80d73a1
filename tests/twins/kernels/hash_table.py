"""An open-addressed table of ints: insertions and look-ups."""

from __future__ import annotations

from typing import Literal

from kernel.lang import Array, noinline, u32


class Table:
    keys: Array[int, Literal[1024]]
    values: Array[int, Literal[1024]]


@noinline
def place_of(table: Table, key: int) -> int:
    place = u32(key * 0x9E3779B1) >> 22
    while table.keys[place] != 0 and table.keys[place] != key:
        place = (place + 1) & 1023
    return place


@noinline
def run(rounds: int) -> int:
    table = Table()
    total = 0
    for _ in range(rounds):
        for key in range(1, 600):
            place = place_of(table, key * 4096)
            table.keys[place] = key * 4096
            table.values[place] += key
        for key in range(1, 600, 7):
            total += table.values[place_of(table, key * 4096)]
    return total


def main() -> None:
    print(run(20))


if __name__ == "__main__":
    main()
