"""A trap: places in a row lie outside, but a sum before them is too large."""

# traps: OverflowError at line 14

from __future__ import annotations

from kernel.lang import Span, noinline, span_of, u8


@noinline
def sum_of(data: Span[u8], place: int, amount: int) -> int:
    try:
        total = data[place] + amount
        total = total + amount
        total ^= data[place + 1] + data[place + 2]
    finally:
        print(place, amount)
    return total


def main() -> None:
    data = span_of(b"\x01\x02\x03")
    print(sum_of(data, 0, 4), sum_of(data, 0, (1 << 62) - 1))
    print(sum_of(data, 2, (1 << 62) - 1))


if __name__ == "__main__":
    main()
