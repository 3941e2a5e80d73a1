"""A trap: an unsigned number is one too large for a shift by a fixed count."""

# traps: OverflowError at line 14

from __future__ import annotations

from kernel.lang import noinline, u64


@noinline
def wide(numbers: list[u64]) -> u64:
    found = u64(0)
    for number in numbers:
        moved = number << 4
        found = u64(found ^ moved)
    return found


def main() -> None:
    print(int(wide([u64(1), u64(0x0FFF_FFFF_FFFF_FFFF)]) >> 1))
    print(int(wide([u64(1), u64(0x1000_0000_0000_0000)]) >> 1))


if __name__ == "__main__":
    main()
