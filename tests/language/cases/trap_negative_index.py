"""A trap: a negative index that is no literal."""

# traps: IndexError at line 12

from __future__ import annotations

from kernel.lang import noinline


@noinline
def put(values: list[int], index: int) -> None:
    values[index] = 1


def main() -> None:
    values = [1, 2, 3]
    put(values, 0)
    print(values[-1])
    put(values, -1)


if __name__ == "__main__":
    main()
