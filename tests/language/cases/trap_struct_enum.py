"""A trap: a field of a struct whose bytes are no member's number."""

# traps: ValueError at line 25

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
def color_of(pixel: Pixel) -> Color:
    return pixel.color


def main() -> None:
    data = bytearray(16)
    data[8] = 2
    print(color_of(struct_at(Pixel, span_of(data), 0)).name)
    data[8] = 7
    print(color_of(struct_at(Pixel, span_of(data), 0)).value)


if __name__ == "__main__":
    main()
