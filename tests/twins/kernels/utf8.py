"""Validation of UTF-8: ASCII and sequences of two and three bytes."""

from __future__ import annotations

from kernel.lang import Span, noinline, span_of, u8


@noinline
def count_letters(text: Span[u8]) -> int:
    letters = 0
    place = 0
    while place < len(text):
        first = text[place]
        place += 1
        letters += 1
        if first < 0x80:
            continue
        if first < 0xC2 or first > 0xEF:
            return -1
        more = 1 if first < 0xE0 else 2
        if place + more > len(text):
            return -1
        second = text[place]
        if second & 0xC0 != 0x80 or (first == 0xE0 and second < 0xA0) or (first == 0xED and second > 0x9F):
            return -1
        if more == 2 and text[place + 1] & 0xC0 != 0x80:
            return -1
        place += more
    return letters


@noinline
def run(rounds: int) -> int:
    text = span_of(bytearray(b"a word, \xc3\xa9t\xc3\xa9, \xe2\x82\xac and \xe6\x97\xa5\xe6\x9c\xac; " * 30))
    total = 0
    for _ in range(rounds):
        total += count_letters(text)
    return total


def main() -> None:
    print(run(50))


if __name__ == "__main__":
    main()
