"""Places in a row, `data[i]`, `data[i + 1]`, `data[i + 2]`: where they all lie inside, where what they are counted from
changes between them, and where some are not reached.
"""

from __future__ import annotations

from typing import Literal

from kernel.lang import Array, Span, noinline, span_of, u8, u16


class Block:
    words: Array[int, Literal[6]]

    def __init__(self) -> None:
        for place in range(6):
            self.words[place] = place * place


@noinline
def sum_of_three(data: Span[u8], place: int) -> int:
    total = data[place] * 100 + data[place + 1] * 10
    total += data[place + 2]
    return total


@noinline
def backwards(data: Span[u8], place: int) -> int:
    last = data[place + 2]
    middle = data[place + 1]
    return last * 100 + middle * 10 + data[place]


@noinline
def shifted(data: Span[u8], place: int) -> int:
    """The counter changes between the places."""
    first = data[place] + data[place + 1] + data[place + 2]
    place += 2
    second = data[place] * 2 + data[place + 1] + data[place + 2]
    place = place - 4
    third = data[place + 2] + data[place + 3] + data[place + 4]
    return first * 10_000 + second * 100 + third


@noinline
def other_span(data: Span[u8], other: Span[u8], place: int) -> int:
    """The span changes between the places."""
    first = data[place] + data[place + 1] + data[place + 2]
    data = other
    second = data[place] + data[place + 1] + data[place + 2]
    return first * 1000 + second


@noinline
def counted_by_itself(data: Span[u8], place: int) -> int:
    """What is read becomes the counter."""
    place = data[place] + data[place + 1] + data[place + 2]
    return data[place] + data[place + 1] + data[place + 2]


@noinline
def not_reached(data: Span[u8], place: int, wanted: bool) -> int:
    """Places that lie outside, and are not used."""
    found = wanted and data[place] == 1 and data[place + 1] == 2 and data[place + 2] == 3
    other = data[place + 3] + data[place + 4] + data[place + 5] if wanted else 7
    few = 0 < place < data[place + 1] < data[place + 2] if wanted else False
    return (1 if found else 2) + other + (10 if few else 20)


@noinline
def half_reached(data: Span[u8], place: int) -> int:
    first = data[place]
    second = data[place + 1] if place + 1 < len(data) else 50
    third = data[place + 2] if place + 2 < len(data) else 60
    return first + second + third


@noinline
def negative(data: Span[u8], place: int) -> int:
    """The counter may be negative where no place is."""
    return data[place + 3] + data[place + 1] * 2 + data[place + 2] * 3


@noinline
def moved(data: Span[u8], place: int) -> None:
    """Stores between loads of the same places."""
    data[place] = data[place + 1]
    data[place + 1] = data[place + 2]
    data[place + 2] = data[place]
    data[place + 1] += data[place + 2]


@noinline
def two_rows(data: Span[u8], out: Span[u16], i: int, k: int) -> int:
    while i + 3 <= len(data):
        out[k] = data[i] + data[i + 1]
        out[k + 1] = data[i + 1] + data[i + 2]
        out[k + 2] = data[i] + data[i + 2]
        k += 3
        i += 3
    return k


@noinline
def of_array(block: Block, place: int) -> int:
    block.words[place] += block.words[place + 2]
    block.words[place + 1] = block.words[place + 2] - block.words[place]
    return block.words[place] * 1000 + block.words[place + 1]


@noinline
def in_loop(data: Span[u8]) -> int:
    total = 0
    for place in range(0, len(data) - 2, 2):
        total = total * 3 + data[place] - data[place + 1] + data[place + 2]
    return total


@noinline
def stopped(data: Span[u8], place: int) -> str:
    """What is outside is noticed in time by the source."""
    if place < 0 or place + 3 > len(data):
        return "outside"
    return f"{data[place]}-{data[place + 1]}-{data[place + 2]}"


def shown(numbers: list[int]) -> str:
    return " ".join([str(number) for number in numbers])


def main() -> None:
    data = span_of(bytearray(b"\x01\x02\x03\x04\x05\x06\x07"))
    print(shown([sum_of_three(data, place) for place in range(5)]))
    print(shown([backwards(data, place) for place in range(5)]))
    print(shifted(data, 0), shifted(data, 1), shifted(data, 2))
    print(other_span(data, span_of(bytearray(b"\x09\x08\x07")), 0), other_span(data, data, 4))
    print(counted_by_itself(span_of(bytearray(b"\x01\x01\x01\x02\x03\x04")), 0))
    print(not_reached(data, 6, False), not_reached(data, 900, False), not_reached(data, 0, True))
    print(not_reached(data, 1, True), half_reached(data, 4), half_reached(data, 5), half_reached(data, 6))
    print(negative(data, -1), negative(data, 0), negative(data, 3))
    copy = span_of(bytearray(b"\x01\x02\x03\x04\x05\x06\x07"))
    moved(copy, 0)
    moved(copy, 4)
    print(shown([int(byte) for byte in copy]))
    words: Array[u16, Literal[9]] = Array()
    print(two_rows(data, words.span(), 0, 0), two_rows(data, words.span(), 4, 6), two_rows(data, words.span(), 5, 9))
    print(shown([int(word) for word in words]))
    block = Block()
    print(of_array(block, 0), of_array(block, 3), shown([block.words[place] for place in range(6)]))
    print(in_loop(data), in_loop(data[:3]), in_loop(data[:2]), in_loop(data[:0]))
    print(" ".join([stopped(data, place) for place in (-3, -1, 0, 4, 5, 7, 1 << 62)]))


if __name__ == "__main__":
    main()
