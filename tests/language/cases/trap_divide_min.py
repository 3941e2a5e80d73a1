"""A trap: the least int divided by -1 does not fit."""

# traps: OverflowError at line 12

from __future__ import annotations

from kernel.lang import noinline


@noinline
def divide(a: int, b: int) -> int:
    return a // b


def main() -> None:
    print(divide(-9, -1))
    print(divide(-9223372036854775807 - 1, -1))


if __name__ == "__main__":
    main()
