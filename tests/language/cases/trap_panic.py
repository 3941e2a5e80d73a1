"""A trap: panic."""

# traps: Panic at line 13

from __future__ import annotations

from kernel.lang import noinline, panic


@noinline
def check(value: int) -> None:
    if value == 2:
        panic(f"value is {value}")
    print(value)


def main() -> None:
    for value in range(5):
        check(value)


if __name__ == "__main__":
    main()
