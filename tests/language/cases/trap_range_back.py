"""A trap: a place that was inside, less what is more than it."""

# traps: IndexError at line 15

from __future__ import annotations

from kernel.lang import Span, noinline, span_of, u8


@noinline
def repeat(text: Span[u8], back: int) -> int:
    total = 0
    for place in range(len(text)):
        if text[place] == 0:
            total += text[place - back]
    return total


def main() -> None:
    print(repeat(span_of(b"\x05\x06\x00\x07"), 2))
    print(repeat(span_of(b"\x05\x06\x00\x07"), 3))


if __name__ == "__main__":
    main()
