"""Decimal numbers parsed from text, with an error for what is none."""

from __future__ import annotations

from kernel.lang import Errno, Span, noinline, span_of, u8


@noinline
def parse(text: Span[u8], start: int) -> int:
    value = 0
    place = start
    while place < len(text) and text[place] != 32:
        digit = text[place] - 48
        if digit < 0 or digit > 9:
            raise Errno(22)
        value = value * 10 + digit
        place += 1
    return value << 16 | place


@noinline
def run(rounds: int) -> int:
    text = span_of(bytearray(b"12345 7 999 1000001 x2 42 " * 20))
    total = 0
    for _ in range(rounds):
        place = 0
        while place < len(text):
            try:
                result = parse(text, place)
                total += result >> 16
                place = (result & 0xFFFF) + 1
            except Errno as error:
                total += error.code
                place += 3
    return total


def main() -> None:
    print(run(50))


if __name__ == "__main__":
    main()
