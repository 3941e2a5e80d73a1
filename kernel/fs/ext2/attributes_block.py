"""Blocks of extended attributes, which inodes with equal attributes share.

A block counts its inodes. Blocks seen since mounting are known by the hash of their contents, so that an inode can
share them. A block leaves the list when it is freed or changed.

Context: sleeps, but where it says otherwise.
"""

from typing import Final

from kernel.cache import Block
from kernel.fs.ext2.attribute_format import BLOCKS_OFFSET, CHECKSUM_OFFSET, COUNT_OFFSET, HASH_OFFSET, MAGIC
from kernel.fs.ext2.block_map import BlockMap
from kernel.fs.ext2.checksum import crc32c, crc32c_u32, crc32c_zeros
from kernel.fs.ext2.owed import OwedKind
from kernel.fs.ext2.volume import Volume
from kernel.lang import EBADMSG, EUCLEAN, Errno, Span, final, u8

_SHARERS_LIMIT: Final = 1024
_KNOWN_LIMIT: Final = 4096


def check_block(volume: Volume, block: Block) -> None:
    """Raise EUCLEAN unless a block can hold attributes, EBADMSG for a wrong checksum. Never sleeps."""
    words = block.span()
    if words.load_u32(0) != MAGIC or words.load_u32(BLOCKS_OFFSET) != 1 or words.load_u32(COUNT_OFFSET) == 0:
        raise Errno(EUCLEAN)
    if volume.geometry.has_checksums():
        crc = crc32c_u32(crc32c_u32(volume.geometry.checksum_seed, block.number & 0xFFFFFFFF), block.number >> 32)
        crc = crc32c_zeros(crc32c(crc, words[0:CHECKSUM_OFFSET]), 4)
        if crc32c(crc, words[CHECKSUM_OFFSET + 4 : len(words)]) != words.load_u32(CHECKSUM_OFFSET):
            raise Errno(EBADMSG)


@final
class AttributeBlocks:
    """The blocks of one file system that are known by their hashes."""

    def __init__(self) -> None:
        self.by_hash: dict[int, int] = {}

    def note(self, block: Block) -> None:
        """A block was read or written: others may share it, if there is memory to remember it. Never sleeps or
        raises.
        """
        total = block.span().load_u32(HASH_OFFSET)
        if total != 0:
            if len(self.by_hash) >= _KNOWN_LIMIT:
                self.by_hash.clear()
            try:
                self.by_hash[total] = block.number
            except MemoryError:
                return

    def forget(self, block: Block) -> None:
        """A block is about to be freed or changed. Never sleeps."""
        total = block.span().load_u32(HASH_OFFSET)
        if self.by_hash.get(total, 0) == block.number:
            self.by_hash.pop(total)

    def overwrite(self, volume: Volume, number: int, contents: Span[u8]) -> bool:
        """Change a block that only one inode has, unless it is shared."""
        with volume.blocks.block(number) as block:
            if block.span().load_u32(COUNT_OFFSET) != 1:
                return False
            self.forget(block)
            block.span().copy_from(contents)
            block.mark_dirty()
            self.note(block)
            return True

    def share(self, volume: Volume, contents: Span[u8], old: int) -> int:
        """Share a block other than `old` that has these contents; returns its number, or 0 if there is none."""
        total = contents.load_u32(HASH_OFFSET)
        number = self.by_hash.get(total, 0)
        if number == 0 or number == old:
            return 0
        with volume.blocks.block(number) as block:
            words = block.span()
            users = words.load_u32(COUNT_OFFSET)
            if self.by_hash.get(total, 0) != number or users >= _SHARERS_LIMIT or not _are_equal(words, contents):
                return 0
            words.store_u32(COUNT_OFFSET, users + 1)
            block.mark_dirty()
            return number


def _are_equal(words: Span[u8], contents: Span[u8]) -> bool:
    """Whether two blocks hold the same, apart from the counts of their users."""
    for offset in range(HASH_OFFSET, len(words), 4):
        if words.load_u32(offset) != contents.load_u32(offset):
            return False
    return True


def drop_attributes(volume: Volume, owner: BlockMap, number: int, known: AttributeBlocks) -> None:
    """Drop one use of this block of attributes by an inode. The work is owed if there is no memory. Raises EIO,
    EUCLEAN.
    """
    if not volume.is_file_block(number):
        what = f"inode {owner.ino} has attributes in block {number}, which cannot be its own"
        raise volume.damaged(what, ino=owner.ino)
    try:
        held = volume.blocks.block(number)
    except MemoryError:
        volume.owed.add(OwedKind.ATTRIBUTES, number, 0)
        owner.count_shared(-1)
        return
    with held as block:
        words = block.span()
        if words.load_u32(0) != MAGIC:
            raise volume.damaged(f"block {number} holds no attributes")
        users = words.load_u32(COUNT_OFFSET)
        if users > 1:
            words.store_u32(COUNT_OFFSET, users - 1)
            block.mark_dirty()
            owner.count_shared(-1)
            return
        known.forget(block)
    owner.release(number, 1, is_metadata=True)
