"""A trap: of places in a row the first one lies outside, far past the end, where a sum would be too large."""

# traps: IndexError at line 13

from __future__ import annotations

from kernel.lang import Span, noinline, span_of, u8


@noinline
def sum_of(data: Span[u8], place: int) -> int:
    if place >= 0:
        total = data[place] + data[place + 1]
        total += data[place + 2]
        return total
    return place


def main() -> None:
    data = span_of(b"\x01\x02\x03")
    print(sum_of(data, 0), sum_of(data, -1))
    print(sum_of(data, 0x7FFF_FFFF_FFFF_FFFF))


if __name__ == "__main__":
    main()
