"""A trap: an argument that does not fit its parameter."""

# traps: NarrowingError at line 17

from __future__ import annotations

from kernel.lang import noinline, u8


@noinline
def take(value: u8) -> int:
    return value + 1


@noinline
def give(value: int) -> int:
    return take(value)


def main() -> None:
    print(give(255))
    print(give(256))


if __name__ == "__main__":
    main()
