"""What a file system could not give back for lack of memory, and gives back later.

Freeing reads bitmaps and indirect blocks and notes bits, and each step may lack memory. There is nobody to report that
to, and nothing refers to what is to be freed any more: so it is written down here, in lists allocated at mounting.
`Ext2FileSystem.settle` tries again, and so does unmounting. Once the lists are full, anything further stays marked as
in use until e2fsck.

Context: never sleeps, allocates nothing.
"""

from enum import Enum
from typing import Final

from kernel.lang import final

_LIMIT: Final = 256


class OwedKind(Enum):
    """What a number in `Owed` means, together with `count`."""

    BLOCKS = 0  # the first of `count` blocks of a file
    METADATA = 1  # the same of blocks that the block cache may hold
    TREE = 2  # an indirect block and all below it, `count` levels
    METADATA_TREE = 3  # the same of a file whose blocks the block cache holds
    ATTRIBUTES = 4  # a block of extended attributes that has one inode fewer
    INODE = 5  # an inode: `count` is 1 for a directory


class Debtor:
    """The file that something is owed for. Base class."""


@final
class Owed:
    """Parallel lists; `count` entries are in use."""

    def __init__(self) -> None:
        self.kinds: list[OwedKind] = [OwedKind.BLOCKS] * _LIMIT
        self.numbers: list[int] = [0] * _LIMIT
        self.counts: list[int] = [0] * _LIMIT
        # The file that a tree was cut from, which counts fewer sectors once that is free; None for everything else.
        self.debtors: list[Debtor | None] = [None] * _LIMIT
        self.count: int = 0
        self.lost: int = 0  # entries for which there was no room

    def add(self, kind: OwedKind, number: int, count: int, debtor: Debtor | None = None) -> None:
        """Write something down."""
        if self.count == _LIMIT:
            self.lost += 1
            return
        self.kinds[self.count] = kind
        self.numbers[self.count] = number
        self.counts[self.count] = count
        self.debtors[self.count] = debtor
        self.count += 1

    def is_debtor(self, debtor: Debtor) -> bool:
        """Whether a tree is owed for this file."""
        for index in range(self.count):
            if self.debtors[index] is debtor:
                return True
        return False
