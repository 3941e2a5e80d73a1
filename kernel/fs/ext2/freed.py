"""What was freed lately: blocks and inodes that must not be reused before the disk knows that they are free.

On the disk an old inode may still lead to a freed block, or an old name to a freed inode. If they were reused at once,
a power failure would leave two owners: a file that was synced long ago would hold what belongs to another, and e2fsck
would take the new file's contents for pointers. So the bits of freed blocks and inodes stay set in the bitmaps, and are
noted here as well, until everything that referred to them has been written; `Ext2FileSystem.settle` does that.

Context: never sleeps, but `begin` takes safe points: there may be very many groups.
"""

from typing import Final

from kernel.lang import Span, final, span_of, u8
from kernel.lib.pace import pace

_LOOK_COST: Final = 30  # instructions for a group
_BYTE_COST: Final = 16  # and for a byte of its bits


@final
class FreedBits:
    """Bits of bitmaps, by group. `fresh` gathers what is freed; `settling` is what the next sync makes free."""

    def __init__(self, group_count: int, bitmap_bytes: int) -> None:
        self.bitmap_bytes: int = bitmap_bytes
        self.fresh: list[bytearray | None] = [None] * group_count
        self.settling: list[bytearray | None] = [None] * group_count
        self.count: int = 0  # bits that are set in both

    def add(self, group: int, index: int) -> bool:
        """Note a bit; False if it is noted already. Raises MemoryError."""
        if self._has(self.settling[group], index):
            return False
        bits = self.fresh[group]
        if bits is None:
            bits = bytearray(self.bitmap_bytes)
            self.fresh[group] = bits
        if self._has(bits, index):
            return False
        bits[index >> 3] = bits[index >> 3] | 1 << (index & 7)
        self.count += 1
        return True

    def _has(self, bits: bytearray | None, index: int) -> bool:
        return bits is not None and bits[index >> 3] >> (index & 7) & 1 != 0

    def begin(self) -> None:
        """What is fresh becomes settling, together with what a failed sync has left settling."""
        for group in range(len(self.fresh)):
            pace(_LOOK_COST)
            fresh = self.fresh[group]
            settling = self.settling[group]
            if fresh is None:
                continue
            if settling is None:
                self.settling[group] = fresh
            else:
                for index in range(self.bitmap_bytes):
                    settling[index] = settling[index] | fresh[index]
            self.fresh[group] = None  # before the safe point, at which others note more
            if settling is not None:
                pace(self.bitmap_bytes * _BYTE_COST)

    def end(self, group: int, bitmap: Span[u8]) -> tuple[int, int]:
        """Clear the settled bits of a group in its bitmap: how many there were, and the first one."""
        settled = self.settling[group]
        if settled is None:
            return 0, 0
        self.settling[group] = None
        words = span_of(settled)
        count = 0
        first = 0
        for offset in range(0, self.bitmap_bytes, 4):
            word = words.load_u32(offset)
            if word == 0:
                continue
            bitmap.store_u32(offset, bitmap.load_u32(offset) & ~word)
            for bit in range(32):
                if word >> bit & 1 != 0:
                    if count == 0:
                        first = (offset << 3) + bit
                    count += 1
        self.count -= count
        return count, first

    def is_settling(self, group: int) -> bool:
        """Whether `end` has work to do for a group."""
        return self.settling[group] is not None
