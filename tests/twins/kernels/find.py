"""A naive search for a byte string in a text."""

from __future__ import annotations

from kernel.lang import Span, noinline, span_of, u8


@noinline
def find(text: Span[u8], pattern: Span[u8]) -> int:
    for start in range(len(text) - len(pattern) + 1):
        place = 0
        while place < len(pattern) and text[start + place] == pattern[place]:
            place += 1
        if place == len(pattern):
            return start
    return -1


@noinline
def run(rounds: int) -> int:
    text = span_of(bytearray(b"abracadabr " * 300 + b"abracadabra"))
    pattern = span_of(bytearray(b"abracadabra"))
    total = 0
    for number in range(rounds):
        text[number] = 32
        total += find(text, pattern)
    return total


def main() -> None:
    print(run(20))


if __name__ == "__main__":
    main()
