"""Loops that run no turn, as the ranges of their bounds show: what they would write is outside of what may be."""

from __future__ import annotations

from kernel.lang import noinline


@noinline
def upwards(start: int, number: int) -> int:
    last = 0
    for place in range(start, number & 7):
        last = place
    return last


@noinline
def downwards(stop: int, number: int) -> int:
    last = 0
    for place in range(number & 7, stop, -1):
        last = place * -2
    return last


@noinline
def by_steps(start: int, number: int) -> int:
    last = 0
    total = 0
    while last < 3:
        for place in range(start, number & 7, 2):
            total = place - last
        last += 1
    return total


def main() -> None:
    print(upwards(20, 3), downwards(20, 3), by_steps(30, 6))


if __name__ == "__main__":
    main()
