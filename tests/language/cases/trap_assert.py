"""A trap: a failed assertion with a message."""

# traps: AssertionError at line 12

from __future__ import annotations

from kernel.lang import noinline


@noinline
def check(value: int) -> None:
    assert value < 3, f"value is {value}"
    print(value)


def main() -> None:
    for value in range(5):
        check(value)


if __name__ == "__main__":
    main()
