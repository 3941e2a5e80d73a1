"""A trap: a number that is no member of an enum."""

# traps: ValueError at line 19

from __future__ import annotations

from enum import IntEnum

from kernel.lang import noinline


class Color(IntEnum):
    RED = 1
    GREEN = 2


@noinline
def convert(number: int) -> Color:
    return Color(number)


def main() -> None:
    print(convert(2).name)
    print(convert(3).name)


if __name__ == "__main__":
    main()
