"""A trap: a step that goes too far behind a place that was tested."""

# traps: IndexError at line 17

from __future__ import annotations

from kernel.lang import Span, noinline, span_of, u8


@noinline
def walk(text: Span[u8]) -> int:
    place = 0
    total = 0
    while place + 2 <= len(text):
        total += text[place] + text[place + 1]
        place += text[place + 1]
        total += text[place - 1]
    return total


def main() -> None:
    print(walk(span_of(b"\x01\x02\x03\x01")))
    print(walk(span_of(b"\x01\x02\x03\x06")))


if __name__ == "__main__":
    main()
