"""A trap: what was found out about a number that was wrapped says nothing about the number before."""

# traps: IndexError at line 13

from __future__ import annotations

from kernel.lang import Span, noinline, span_of, u8, u64


@noinline
def byte_at(text: Span[u8], place: int) -> int:
    if int(u64(place) - 0x8000_0000_0000_0000) < 10:
        return text[place]
    return 0


def main() -> None:
    text = span_of(b"abcdefgh")
    print(byte_at(text, -5))
    print(byte_at(text, -0x7FFF_FFFF_FFFF_FFFD))


if __name__ == "__main__":
    main()
