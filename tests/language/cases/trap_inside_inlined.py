"""A trap: a loop whose places lie inside calls a lambda that runs the same loop over others, which do not."""

# traps: IndexError at line 14

from __future__ import annotations

from collections.abc import Callable

from kernel.lang import Span, noinline, span_of, u8


def each(data: Span[u8], count: int, number: Callable[[int], int]) -> int:
    for place in range(count):
        data[place] = number(place)
    return count


@noinline
def both(first: Span[u8], second: Span[u8], most: int, count: int) -> int:
    return each(first, most, lambda outer: each(second, count, lambda inner: inner + 100) + outer)


def main() -> None:
    store = bytearray(24)
    whole = span_of(store)
    try:
        print(both(whole[0:8], whole[8:16], 8, 8))
        both(whole[0:8], whole[8:16], 8, 10)
    finally:
        print(" ".join([str(byte) for byte in store]))


if __name__ == "__main__":
    main()
