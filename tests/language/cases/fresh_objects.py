"""Objects that live no longer than the call that makes them: what they refer to dies with them."""

from __future__ import annotations

from kernel.lang import Weak, final, noinline, weak


@final
class Block:
    """Something that is worth counting."""

    def __init__(self, number: int) -> None:
        self.data = bytearray(400)
        self.number = number


@final
class Holder:
    """Holds a block, in a field that nobody reads again."""

    block: Block | None
    total: int

    def __init__(self, block: Block) -> None:
        self.block = block
        self.total = block.number + 1


class Chain:
    """Holds a holder, and so a block."""

    holder: Holder
    spare: Block | None

    def __init__(self, block: Block) -> None:
        self.spare = block
        self.holder = Holder(block)
        self.spare = None


@final
class Watcher:
    """Holds a block weakly, and another one strongly."""

    watched: Weak[Block]
    kept: Block

    def __init__(self, watched: Block, kept: Block) -> None:
        self.watched = weak(watched)
        self.kept = kept


@noinline
def hold(block: Block) -> int:
    holder = Holder(block)
    return holder.total


@noinline
def hold_twice(block: Block) -> int:
    chain = Chain(block)
    return chain.holder.total + block.number


@noinline
def replace(first: Block, second: Block) -> int:
    holder = Holder(first)
    holder.block = second
    return holder.total


@noinline
def watch(watched: Block, kept: Block) -> int:
    watcher = Watcher(watched, kept)
    return watcher.kept.number


@noinline
def collect(block: Block) -> int:
    blocks = [block, block]
    names = {1: block}
    return len(blocks) + len(names)


def main() -> None:
    total = 0
    for number in range(300):
        total += hold(Block(number))
        total += hold_twice(Block(number))
        total += replace(Block(number), Block(number + 1))
        total += watch(Block(number), Block(number))
        total += collect(Block(number))
    print(total)
