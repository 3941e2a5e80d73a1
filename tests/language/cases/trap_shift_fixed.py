"""A trap: a number that is not negative is one too large for a shift by a fixed count, where the one before was not."""

# traps: OverflowError at line 13

from __future__ import annotations

from kernel.lang import noinline, u64


@noinline
def shifted(number: int) -> int:
    if number >= 0:
        return (number << 16) ^ number
    return number << 3


@noinline
def wide(number: u64) -> u64:
    return number << 4


def main() -> None:
    print(shifted(0), shifted(1), shifted(0x7FFF_FFFF_FFFF), shifted(-1), shifted(-1 << 60))
    print(int(wide(u64(0x0FFF_FFFF_FFFF_FFFF)) >> 8), int(wide(u64(0))))
    print(shifted(0x8000_0000_0000))


if __name__ == "__main__":
    main()
