"""What the blocks of directories contain besides records of names: the checksums of ext4 (metadata_csum), and the head
of a hash tree (dir_index). Pure functions over a block's bytes.

An ordinary block ends in a free record of 12 bytes that holds the checksum; a block of a hash tree has it after its
entries. Source: "Directory Entries" and "Hash Tree Directories" in the ext4 disk layout.
"""

from typing import Final

from kernel.fs.ext2.checksum import crc32c, crc32c_zeros
from kernel.fs.ext2.geometry import Geometry
from kernel.fs.ext2.layout import CHECKSUM_RECORD_SIZE, CHECKSUM_RECORD_TYPE, INCOMPAT_LARGEDIR
from kernel.fs.ext2.name_hash import TEA, UNKNOWN
from kernel.lang import EUCLEAN, Errno, Span, u8

# In the tree's root, after the records of the dots:
_HASH_VERSION: Final = 0x1C
_INFO_LENGTH: Final = 0x1D
_INNER_LEVELS: Final = 0x1E
_TREE_FLAGS: Final = 0x1F
_USUAL_INFO_LENGTH: Final = 8
_MOST_INNER_LEVELS: Final = 1  # two with the feature large_dir
_ROOT_LIMIT_OFFSET: Final = 0x20  # of dx_countlimit in the tree's root
_NODE_LIMIT_OFFSET: Final = 0x8  # and in its inner nodes
_ENTRY_SIZE: Final = 8
_TAIL_SIZE: Final = 8
_DOT_RECORD: Final = 12


def check_directory_block(block: Span[u8], seed: int) -> None:
    """Raise EUCLEAN unless the block's checksum holds. `seed`: of the inode's checksums."""
    size = len(block)
    tail = size - CHECKSUM_RECORD_SIZE
    is_tail = block.load_u32(tail) == 0 and block.load_u16(tail + 4) == CHECKSUM_RECORD_SIZE
    if is_tail and block[tail + 6] == 0 and block[tail + 7] == CHECKSUM_RECORD_TYPE:
        if crc32c(seed, block[0:tail]) != block.load_u32(tail + 8):
            raise Errno(EUCLEAN)
        return
    if block.load_u16(4) == size:
        limit_offset = _NODE_LIMIT_OFFSET
    elif block.load_u16(4) == _DOT_RECORD and block.load_u16(_DOT_RECORD + 4) == size - _DOT_RECORD:
        limit_offset = _ROOT_LIMIT_OFFSET
    else:
        raise Errno(EUCLEAN)
    limit = block.load_u16(limit_offset)
    count = block.load_u16(limit_offset + 2)
    tail = limit_offset + limit * _ENTRY_SIZE
    if count > limit or tail + _TAIL_SIZE > size:
        raise Errno(EUCLEAN)
    crc = crc32c(seed, block[0 : limit_offset + count * _ENTRY_SIZE])
    # The tail's reserved word is included; its checksum counts as zeros.
    crc = crc32c_zeros(crc32c(crc, block[tail : tail + 4]), 4)
    if crc != block.load_u32(tail + 4):
        raise Errno(EUCLEAN)


def tree_hash_version(block: Span[u8], geometry: Geometry) -> int:
    """The hash by which the tree is sorted, as its root says, or UNKNOWN if Linux would not use this as the root of a
    tree.
    """
    levels = _MOST_INNER_LEVELS + (1 if geometry.incompat & INCOMPAT_LARGEDIR != 0 else 0)
    limit = (len(block) - _ROOT_LIMIT_OFFSET - (_TAIL_SIZE if geometry.has_checksums() else 0)) // _ENTRY_SIZE
    if block[_HASH_VERSION] > TEA or block[_INFO_LENGTH] != _USUAL_INFO_LENGTH or block[_TREE_FLAGS] & 1 != 0:
        return UNKNOWN
    if block[_INNER_LEVELS] > levels or block.load_u16(_ROOT_LIMIT_OFFSET) != limit:
        return UNKNOWN
    return block[_HASH_VERSION]
