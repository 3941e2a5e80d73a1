"""A trap: a number that only grows in its loop becomes too large."""

# traps: OverflowError at line 15

from __future__ import annotations

from kernel.lang import noinline


@noinline
def grow(start: int) -> int:
    value = 1
    turns = 0
    while value >= 0 and turns < 100:
        value += value + start
        turns += 1
    return value


def main() -> None:
    print("before")
    print(grow(0))


if __name__ == "__main__":
    main()
