"""A trap: the least number is no index, of a list with elements and of one without."""

# traps: IndexError at line 12

from __future__ import annotations

from kernel.lang import noinline


@noinline
def item(values: list[int], index: int) -> int:
    return values[index]


def main() -> None:
    values = [1, 2, 3]
    print(item(values, 2))
    print(item(values, -0x7FFF_FFFF_FFFF_FFFF - 1))


if __name__ == "__main__":
    main()
