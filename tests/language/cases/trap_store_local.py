"""A trap: a value that does not fit is stored (store local)."""

# traps: NarrowingError at line 21

from __future__ import annotations

from kernel.lang import i8, noinline, u8


class Box:
    small: u8
    signed: i8

    def __init__(self) -> None:
        self.small = u8(1)
        self.signed = i8(1)


@noinline
def store(box: Box, value: int) -> None:
    local: u8 = value
    print(local)


def main() -> None:
    box = Box()
    store(box, 100)
    print(box.small, box.signed)
    box.small = 1
    store(box, 256)
    print("not reached")


if __name__ == "__main__":
    main()
