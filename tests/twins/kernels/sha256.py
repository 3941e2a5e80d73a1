"""The compression function of SHA-256: 32-bit ring arithmetic."""

from __future__ import annotations

from typing import Final, Literal

from kernel.lang import Array, noinline, u32


def make_constants() -> list[int]:
    """The first 32 bits of the fractions of the cube roots of the first 64 primes, by integer roots."""
    constants: list[int] = []
    candidate = 2
    while len(constants) < 64:
        if all(candidate % divisor for divisor in range(2, candidate)):
            low = 0
            high = 1 << 40
            while low < high:
                middle = (low + high + 1) // 2
                if middle**3 <= candidate << 96:
                    low = middle
                else:
                    high = middle - 1
            constants.append(low & 0xFFFFFFFF)
        candidate += 1
    return constants


class Constants:
    words: Array[u32, Literal[64]]

    def __init__(self, values: list[int]) -> None:
        for place, value in enumerate(values):
            self.words[place] = value


class State:
    words: Array[u32, Literal[8]]
    schedule: Array[u32, Literal[64]]


CONSTANTS: Final = Constants(make_constants())


def rotated(value: u32, count: int) -> u32:
    return u32((value >> count) | (value << (32 - count)))


@noinline
def compress(state: State) -> None:
    w = state.schedule.span()
    for place in range(16, 64):
        early = w[place - 15]
        late = w[place - 2]
        s0 = rotated(early, 7) ^ rotated(early, 18) ^ (early >> 3)
        s1 = rotated(late, 17) ^ rotated(late, 19) ^ (late >> 10)
        w[place] = u32(w[place - 16] + s0 + w[place - 7] + s1)
    a = u32(state.words[0])
    b = u32(state.words[1])
    c = u32(state.words[2])
    d = u32(state.words[3])
    e = u32(state.words[4])
    f = u32(state.words[5])
    g = u32(state.words[6])
    h = u32(state.words[7])
    for place in range(64):
        big1 = rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)
        choice = (e & f) ^ (~e & g)
        first = u32(h + big1 + choice + CONSTANTS.words[place] + w[place])
        big0 = rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)
        majority = (a & b) ^ (a & c) ^ (b & c)
        h = g
        g = f
        f = e
        e = u32(d + first)
        d = c
        c = b
        b = a
        a = u32(first + big0 + majority)
    state.words[0] = u32(state.words[0] + a)
    state.words[1] = u32(state.words[1] + b)
    state.words[2] = u32(state.words[2] + c)
    state.words[3] = u32(state.words[3] + d)
    state.words[4] = u32(state.words[4] + e)
    state.words[5] = u32(state.words[5] + f)
    state.words[6] = u32(state.words[6] + g)
    state.words[7] = u32(state.words[7] + h)


@noinline
def run(rounds: int) -> int:
    state = State()
    for place in range(8):
        state.words[place] = 0x6A09E667 + place
    for round_number in range(rounds):
        for place in range(16):
            state.schedule[place] = u32(round_number * 77 + place)
        compress(state)
    return state.words[0] ^ state.words[7]


def main() -> None:
    print(run(30))


if __name__ == "__main__":
    main()
