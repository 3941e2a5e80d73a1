"""A trap: numbers that only a clean-up on its way sees, as other ways out of the block give others."""

# traps: IndexError at line 22

from __future__ import annotations

from kernel.lang import Span, noinline, span_of, u8


@noinline
def show(number: int) -> None:
    print(number, u8(number))


@noinline
def count_up(data: Span[u8], count: int) -> int:
    last = 0
    for turn in range(count):
        number = 300
        try:
            try:
                number += data[turn]
                number = 5
            finally:
                last = number + 1
        finally:
            print(u8(last))
            show(last)
    return last


def main() -> None:
    data = span_of(b"\x03\x04")
    print(count_up(data, 2))
    count_up(data, 3)


if __name__ == "__main__":
    main()
