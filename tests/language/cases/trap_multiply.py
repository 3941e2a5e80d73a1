"""A trap: multiply."""

# traps: OverflowError at line 12

from __future__ import annotations

from kernel.lang import noinline


@noinline
def compute(a: int, b: int) -> int:
    return a * (b + 1)


def main() -> None:
    print("before")
    print(compute(9223372036854775807, 1))
    print("not reached")


if __name__ == "__main__":
    main()
