"""A trap: the only number that is passed does not fit, so the function is never entered."""

# traps: NarrowingError at line 17

from __future__ import annotations

from kernel.lang import noinline, u8


@noinline
def take(number: u8) -> int:
    return number + 1


def main() -> None:
    number = 256
    print(take(number))


if __name__ == "__main__":
    main()
