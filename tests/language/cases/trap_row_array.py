"""A trap: the middle of places in a row of an Array lies outside, and comes after the last one."""

# traps: IndexError at line 18

from __future__ import annotations

from typing import Literal

from kernel.lang import Array, noinline


class Block:
    words: Array[int, Literal[4]]


@noinline
def turn(block: Block, place: int) -> None:
    block.words[place] = block.words[place + 2]
    block.words[place + 2] = block.words[place + 1]
    block.words[place + 1] = place


def main() -> None:
    block = Block()
    for place in range(4):
        block.words[place] = place
    for place in range(4):
        turn(block, place)
        print(" ".join([str(block.words[number]) for number in range(4)]))


if __name__ == "__main__":
    main()
