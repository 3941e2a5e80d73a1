"""A trap: the last of the places lies outside, and those before it have been stored to when it is reached."""

# traps: IndexError at line 15

from __future__ import annotations

from kernel.lang import Span, noinline, span_of, u8


@noinline
def fill(out: Span[u8], used: int, count: int) -> int:
    turns = 0
    try:
        for number in range(count):
            out[used] = number + 1
            used += 1
            turns += 1
    finally:
        print(turns, used)
    return used


def main() -> None:
    out = span_of(bytearray(5))
    try:
        print(fill(out, 0, 5), fill(out, 1, 2), fill(out, 9, 0))
        fill(out, 2, 4)
    finally:
        print(" ".join([str(byte) for byte in out]))


if __name__ == "__main__":
    main()
