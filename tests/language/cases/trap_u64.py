"""A trap: u64 arithmetic below zero."""

# traps: OverflowError at line 12

from __future__ import annotations

from kernel.lang import noinline, u64


@noinline
def subtract(a: u64, b: u64) -> u64:
    return a - b


def main() -> None:
    print(subtract(u64(5), u64(5)))
    print(subtract(u64(5), u64(6)))


if __name__ == "__main__":
    main()
