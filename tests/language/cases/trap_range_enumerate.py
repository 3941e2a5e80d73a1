"""A trap: a number that is counted to from a start that is as large as it may be, and one more."""

# traps: OverflowError at line 15

from __future__ import annotations

from kernel.lang import Span, noinline, span_of, u8


@noinline
def numbered(data: Span[u8], first: int) -> int:
    total = 0
    if first >= 0:
        for number, byte in enumerate(data, first):
            total = (number + 1) // 2 + byte
    return total


def main() -> None:
    data = span_of(b"\x01")
    print(numbered(data, 3))
    print(numbered(data, 0x7FFF_FFFF_FFFF_FFFE))
    print(numbered(data, 0x7FFF_FFFF_FFFF_FFFF))


if __name__ == "__main__":
    main()
