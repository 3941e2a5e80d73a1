"""A trap: a bit that no member of a Flag has."""

# traps: ValueError at line 19

from __future__ import annotations

from enum import Flag

from kernel.lang import noinline


class Kind(Flag):
    FILE = 1
    LINK = 4


@noinline
def convert(number: int) -> Kind:
    return Kind(number)


def main() -> None:
    print(convert(5).value)
    print(convert(2).value)


if __name__ == "__main__":
    main()
