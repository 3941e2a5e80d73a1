"""A trap: a part that ends at the largest number, which a local holds, is not one whose end is left out."""

# traps: IndexError at line 14

from __future__ import annotations

from kernel.lang import Span, noinline, span_of, u8


@noinline
def tail(text: Span[u8], start: int) -> int:
    rest = text[start:]
    end = 0x7FFF_FFFF_FFFF_FFFF
    return len(rest) + len(text[start:end])


def main() -> None:
    print("before")
    print(tail(span_of(b"abcdefgh"), 2))


if __name__ == "__main__":
    main()
