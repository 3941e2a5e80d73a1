"""Short loops whose turns are counted, of which a compiler may make one turn of several: with numbers of turns that are
multiples of 4, of 2, and others, from any start, in both directions, and left early.
"""

from __future__ import annotations

from typing import Literal

from kernel.lang import Array, noinline, u8


class Block:
    words: Array[int, Literal[64]]
    seen: Array[u8, Literal[64]]


BLOCK = Block()


@noinline
def sums(block: Block) -> list[int]:
    found: list[int] = []
    total = 0
    for place in range(64):
        total += block.words[place] * (place + 1) - block.words[63 - place]
    found.append(total)
    for place in range(7, 61):
        total ^= block.words[place] * (place - 1) - block.words[63 - place]
    found.append(total)
    for place in range(1, 64):
        total = (total * 2 + block.words[place]) % 1_000_003 + place
    found.append(total)
    for place in range(60, 4, -1):
        total = (total * 3 + block.words[place]) % 1_000_003 - place
    found.append(total)
    for place in range(0, 64, 4):
        total = (total * 5 + block.words[place]) % 1_000_003 - place
    found.append(total)
    for place in range(62, 62):
        total = (total * 3 + block.words[place]) % 1_000_003 - place
    for place in range(62, 2):
        total = (total * 3 + block.words[place]) % 1_000_003 - place
    found.append(total)
    return found


@noinline
def assigned(block: Block) -> int:
    """The body assigns the target."""
    total = 0
    for place in range(64):
        total += place * 3 - block.words[place]
        place = place * 2
        total ^= place
    return total


@noinline
def marked(block: Block, wanted: int) -> int:
    count = 0
    for place in range(64):
        if block.words[place] > wanted:
            block.seen[place] = 1
            count += 1
        else:
            block.seen[place] = 0
    return count


@noinline
def kept(block: Block) -> int:
    """The target is what it was in the last turn."""
    place = -1
    for place in range(8, 56):
        block.words[place] += 1 + block.words[place] * 2
    return place


def shown(numbers: list[int]) -> str:
    return " ".join([str(number) for number in numbers])


def main() -> None:
    for place in range(64):
        BLOCK.words[place] = place * 37 % 11
    print(shown(sums(BLOCK)))
    print(assigned(BLOCK), marked(BLOCK, 4), marked(BLOCK, 10), marked(BLOCK, -1), kept(BLOCK))
    print(shown([BLOCK.words[place] for place in range(64)]))


if __name__ == "__main__":
    main()
