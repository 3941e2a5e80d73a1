"""A decoder of LZ sequences: literals, then a match that was there before, as in LZ4."""

from __future__ import annotations

from kernel.lang import Span, noinline, span_of, u8


@noinline
def decode(data: Span[u8], out: Span[u8]) -> int:
    place = 0
    used = 0
    while place < len(data):
        token = data[place]
        place += 1
        literals = token >> 4
        if place + literals + 2 > len(data) or used + literals > len(out):
            return -1
        for _ in range(literals):
            out[used] = data[place]
            used += 1
            place += 1
        back = data.load_u16(place)
        place += 2
        length = (token & 15) + 4
        if back == 0 or back > used or used + length > len(out):
            return -1
        for _ in range(length):
            out[used] = out[used - back]
            used += 1
    return used


@noinline
def run(rounds: int) -> int:
    data = span_of(bytearray(64 * 8))
    out = span_of(bytearray(2048))
    for number in range(64):
        place = number * 8
        data[place] = 0x50 | number % 12
        for letter in range(5):
            data[place + 1 + letter] = 97 + (number * 7 + letter) % 26
        data.store_u16(place + 6, 1 + number % 5)
    total = 0
    for number in range(rounds):
        total += decode(data, out) + out[number]
    return total


def main() -> None:
    print(run(100))


if __name__ == "__main__":
    main()
