"""A trap: in a short loop whose turns are counted, one in the middle is too much; those before it have been done."""

# traps: OverflowError at line 20

from __future__ import annotations

from typing import Literal

from kernel.lang import Array, noinline


class Block:
    words: Array[int, Literal[64]]


@noinline
def grow(block: Block, by: int) -> None:
    for place in range(64):
        block.words[place] += 1 + by
        block.words[place] *= by


def main() -> None:
    block = Block()
    block.words[38] = 1 << 61
    try:
        grow(block, 2)
        grow(block, 3)
    finally:
        print(" ".join([str(block.words[place]) for place in range(64)]))


if __name__ == "__main__":
    main()
