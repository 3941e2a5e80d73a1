"""Base64 of a buffer: three bytes become four letters of a table."""

from __future__ import annotations

from typing import Literal

from kernel.lang import Array, Span, noinline, span_of, u8


class Letters:
    of: Array[u8, Literal[64]]

    def __init__(self, letters: bytes) -> None:
        for place in range(64):
            self.of[place] = letters[place]


@noinline
def encode(letters: Letters, data: Span[u8], out: Span[u8]) -> int:
    used = 0
    place = 0
    while place + 3 <= len(data):
        group = data[place] << 16 | data[place + 1] << 8 | data[place + 2]
        out[used] = letters.of[group >> 18]
        out[used + 1] = letters.of[group >> 12 & 63]
        out[used + 2] = letters.of[group >> 6 & 63]
        out[used + 3] = letters.of[group & 63]
        used += 4
        place += 3
    return used


@noinline
def run(rounds: int) -> int:
    letters = Letters(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
    data = span_of(bytearray(768))
    out = span_of(bytearray(1024))
    for place in range(768):
        data[place] = u8(place * 7)
    total = 0
    for number in range(rounds):
        total += encode(letters, data, out) + out[number]
    return total


def main() -> None:
    print(run(50))


if __name__ == "__main__":
    main()
