"""A trap: the sum of a base and the number of turns is more than an int can be, and the first place is far outside."""

# traps: IndexError at line 14

from __future__ import annotations

from kernel.lang import Span, noinline, span_of, u8


@noinline
def total_of(data: Span[u8], base: int, count: int) -> int:
    total = 0
    for number in range(count):
        total += data[base + number]
    return total


def main() -> None:
    data = span_of(b"\x03\x04\x05")
    print(total_of(data, 0, 3), total_of(data, 2, 1), total_of(data, -9, -9))
    print(total_of(data, (1 << 62) - 3 + (1 << 62), 9))


if __name__ == "__main__":
    main()
