"""A radix sort of 32-bit numbers, a byte at a time."""

from __future__ import annotations

from typing import Literal

from kernel.lang import Array, Span, noinline, u32


class Work:
    numbers: Array[u32, Literal[1024]]
    others: Array[u32, Literal[1024]]
    places: Array[u32, Literal[256]]


@noinline
def sort_by(work: Work, numbers: Span[u32], others: Span[u32], shift: int) -> None:
    work.places.fill(0)
    for number in numbers:
        work.places[number >> shift & 255] += 1
    before = 0
    for digit in range(256):
        count = work.places[digit]
        work.places[digit] = before
        before += count
    for number in numbers:
        place = work.places[number >> shift & 255]
        others[place] = number
        work.places[number >> shift & 255] = place + 1


@noinline
def run(rounds: int) -> int:
    work = Work()
    numbers = work.numbers.span()
    others = work.others.span()
    total = 0
    state = 1
    for _ in range(rounds):
        for place in range(1024):
            state = (state * 1103515245 + 12345) & 0x7FFFFFFF
            numbers[place] = state
        sort_by(work, numbers, others, 0)
        sort_by(work, others, numbers, 8)
        sort_by(work, numbers, others, 16)
        sort_by(work, others, numbers, 24)
        total ^= numbers[500] + numbers[0]
    return total


def main() -> None:
    print(run(10))


if __name__ == "__main__":
    main()
