"""A trap: an index beyond the end of a list."""

# traps: IndexError at line 12

from __future__ import annotations

from kernel.lang import noinline


@noinline
def get(values: list[int], index: int) -> int:
    return values[index]


def main() -> None:
    print(get([1, 2, 3], 2))
    print(get([1, 2, 3], 3))


if __name__ == "__main__":
    main()
