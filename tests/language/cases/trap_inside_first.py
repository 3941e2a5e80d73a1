"""A trap: the first of the places lies outside, before the first element."""

# traps: IndexError at line 16

from __future__ import annotations

from kernel.lang import Span, noinline, span_of, u8


@noinline
def repeat(out: Span[u8], used: int, back: int, count: int) -> int:
    turns = 0
    try:
        for _ in range(count):
            out[used] = used
            out[used] = out[used - back] + 1
            used += 1
            turns += 1
    finally:
        print(turns)
    return used


def main() -> None:
    out = span_of(bytearray(8))
    try:
        print(repeat(out, 2, 2, 5), repeat(out, 0, 9, 0))
        repeat(out, 1, 3, 6)
    finally:
        print(" ".join([str(byte) for byte in out]))


if __name__ == "__main__":
    main()
