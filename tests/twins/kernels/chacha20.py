"""Blocks of ChaCha20: 32-bit ring arithmetic on words in memory."""

from __future__ import annotations

from typing import Literal

from kernel.lang import Array, Span, noinline, u32


class State:
    start: Array[u32, Literal[16]]
    words: Array[u32, Literal[16]]


def rotated(value: u32, count: int) -> u32:
    return u32((value << count) | (value >> (32 - count)))


def quarter(words: Span[u32], a: int, b: int, c: int, d: int) -> None:
    words[a] = u32(words[a] + words[b])
    words[d] = rotated(u32(words[d] ^ words[a]), 16)
    words[c] = u32(words[c] + words[d])
    words[b] = rotated(u32(words[b] ^ words[c]), 12)
    words[a] = u32(words[a] + words[b])
    words[d] = rotated(u32(words[d] ^ words[a]), 8)
    words[c] = u32(words[c] + words[d])
    words[b] = rotated(u32(words[b] ^ words[c]), 7)


@noinline
def block(state: State) -> None:
    words = state.words.span()
    for place in range(16):
        words[place] = state.start[place]
    for _ in range(10):
        for column in range(4):
            quarter(words, column, column + 4, column + 8, column + 12)
        for column in range(4):
            quarter(words, column, (column + 1) % 4 + 4, (column + 2) % 4 + 8, (column + 3) % 4 + 12)
    for place in range(16):
        words[place] = u32(words[place] + state.start[place])
    state.start[12] = u32(state.start[12] + 1)


@noinline
def run(rounds: int) -> int:
    state = State()
    for place in range(16):
        state.start[place] = u32(0x61707865 + place * 0x01010101)
    total = 0
    for _ in range(rounds):
        block(state)
        total ^= state.words[0] ^ state.words[15]
    return total


def main() -> None:
    print(run(50))


if __name__ == "__main__":
    main()
