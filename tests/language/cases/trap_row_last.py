"""A trap: of places in a row the last one lies outside, and those before it have been stored to when it is reached."""

# traps: IndexError at line 15

from __future__ import annotations

from kernel.lang import Span, noinline, span_of, u8


@noinline
def fill(out: Span[u8], used: int) -> int:
    try:
        out[used] = 1
        out[used + 1] = out[used] + 1
        out[used + 2] = out[used + 1] + 1
        used += 3
    finally:
        print(used)
    return used


def main() -> None:
    out = span_of(bytearray(8))
    try:
        used = fill(out, 0)
        used = fill(out, used)
        fill(out, used)
    finally:
        print(" ".join([str(byte) for byte in out]))


if __name__ == "__main__":
    main()
