"""A binary search for the extent of a file that holds a block."""

from __future__ import annotations

from typing import Literal

from kernel.lang import Array, noinline, u32


class Extents:
    starts: Array[u32, Literal[512]]


@noinline
def find(extents: Extents, count: int, block: int) -> int:
    low = 0
    high = count
    while low < high:
        middle = (low + high) >> 1
        if extents.starts[middle] <= block:
            low = middle + 1
        else:
            high = middle
    return low - 1


@noinline
def run(rounds: int) -> int:
    extents = Extents()
    for place in range(512):
        extents.starts[place] = place * 16 + place % 7
    total = 0
    for _ in range(rounds):
        for block in range(0, 8192, 5):
            total += find(extents, 512, block)
    return total


def main() -> None:
    print(run(10))


if __name__ == "__main__":
    main()
