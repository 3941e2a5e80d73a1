"""A trap: an element of an Array that nobody has stored, whose zero is no member's number."""

# traps: ValueError at line 28

from __future__ import annotations

from enum import IntEnum
from typing import Literal

from kernel.lang import Array


class Color(IntEnum):
    RED = 1
    GREEN = 2


class Palette:
    colors: Array[Color, Literal[3]]


def main() -> None:
    palette = Palette()
    palette.colors[0] = Color.GREEN
    palette.colors[1] = Color.RED
    print(palette.colors[0].name)
    number = 0
    for color in palette.colors:
        number += color
    print(number)


if __name__ == "__main__":
    main()
