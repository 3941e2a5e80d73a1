"""A trap: a field of a struct whose bytes are no member's number, captured by a pattern."""

# traps: ValueError at line 26

from __future__ import annotations

from enum import IntEnum

from kernel.lang import noinline, span_of, struct, struct_at, u32


class Color(IntEnum):
    RED = 1
    GREEN = 2


@struct
class Pixel:
    place: u32
    color: Color


@noinline
def color_of(pixel: Pixel) -> int:
    match pixel:
        case Pixel(color=color):
            return color
    return -1


def main() -> None:
    data = bytearray(16)
    data[4] = 2
    print(color_of(struct_at(Pixel, span_of(data), 0)))
    data[4] = 7
    print(color_of(struct_at(Pixel, span_of(data), 0)))


if __name__ == "__main__":
    main()
