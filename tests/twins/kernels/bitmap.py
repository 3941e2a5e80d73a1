"""A bitmap allocator: first free bit, set, clear."""

from __future__ import annotations

from typing import Literal

from kernel.lang import Array, noinline, u32


class Bitmap:
    words: Array[u32, Literal[64]]


@noinline
def take(bitmap: Bitmap) -> int:
    for number in range(64):
        word = bitmap.words[number]
        if word != 0xFFFFFFFF:
            bit = 0
            while word & 1:
                word >>= 1
                bit += 1
            bitmap.words[number] |= 1 << bit
            return number * 32 + bit
    return -1


@noinline
def release(bitmap: Bitmap, place: int) -> None:
    bitmap.words[place >> 5] &= ~(1 << (place & 31)) & 0xFFFFFFFF


@noinline
def run(rounds: int) -> int:
    bitmap = Bitmap()
    total = 0
    for round_number in range(rounds):
        place = take(bitmap)
        total += place
        if round_number % 3 == 2:
            release(bitmap, place // 2)
    return total


def main() -> None:
    print(run(2000))


if __name__ == "__main__":
    main()
