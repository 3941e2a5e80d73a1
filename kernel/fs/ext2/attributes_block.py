"""The block of an inode's extended attributes. Krait does not show them, but keeps them, and frees them in the end.

Inodes with equal attributes share one block, which counts them.

Context: sleeps.
"""

from typing import Final

from kernel.fs.ext2.block_map import BlockMap
from kernel.fs.ext2.volume import Volume

_MAGIC: Final = 0xEA020000
_COUNT_OFFSET: Final = 4


def drop_attributes(volume: Volume, owner: BlockMap, number: int) -> None:
    """An inode with this block of attributes goes. Raises EIO, EUCLEAN."""
    if not volume.is_file_block(number):
        raise volume.damaged(f"inode {owner.ino} has attributes in block {number}, which cannot be its own")
    with volume.blocks.block(number) as block:
        words = block.span()
        if words.load_u32(0) != _MAGIC:
            raise volume.damaged(f"block {number} holds no attributes")
        users = words.load_u32(_COUNT_OFFSET)
        if users > 1:
            words.store_u32(_COUNT_OFFSET, users - 1)
            block.mark_dirty()
            return
    owner.release(number, 1, True)
