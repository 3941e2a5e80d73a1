"""The numbers of a file system that do not change while it is mounted, from its super block, all of them checked.

`read_geometry` refuses a super block whose numbers do not fit together or do not fit the device, as Linux does: the
results are safe to compute with. Descriptors are checked one by one by `check_descriptor`.

Pure: works on bytes. Errors: EINVAL for a super block that is not one of these, EBADMSG for a wrong checksum of one
that is, EUCLEAN for damage elsewhere.
"""

from typing import Final

from kernel.fs.ext2.checksum import INITIAL, crc32c
from kernel.fs.ext2.layout import (
    CHECKSUM_CRC32C,
    COMPAT_DIR_INDEX,
    COMPAT_HAS_JOURNAL,
    DESCRIPTOR_SIZE,
    EXT2_MAGIC,
    INCOMPAT_64BIT,
    INCOMPAT_CSUM_SEED,
    INCOMPAT_EA_INODE,
    INCOMPAT_EXTENTS,
    INCOMPAT_FILETYPE,
    INCOMPAT_FLEX_BG,
    INCOMPAT_LARGEDIR,
    INCOMPAT_META_BG,
    INCOMPAT_MMP,
    INCOMPAT_RECOVER,
    OLD_FIRST_INODE,
    OLD_INODE_SIZE,
    RO_COMPAT_BIGALLOC,
    RO_COMPAT_BTREE_DIR,
    RO_COMPAT_DIR_NLINK,
    RO_COMPAT_EXTRA_ISIZE,
    RO_COMPAT_GDT_CSUM,
    RO_COMPAT_HUGE_FILE,
    RO_COMPAT_LARGE_FILE,
    RO_COMPAT_METADATA_CSUM,
    RO_COMPAT_ORPHAN_PRESENT,
    RO_COMPAT_PROJECT,
    RO_COMPAT_QUOTA,
    RO_COMPAT_READONLY,
    RO_COMPAT_SPARSE_SUPER,
    SUPER_BLOCK_SIZE,
    SuperBlock,
)
from kernel.lang import EBADMSG, EINVAL, Errno, Span, offsetof, struct_at, u8
from kernel.lib import log

_COMPAT_SPARSE_SUPER2: Final = 0x200

# What ext2 itself has: such file systems are read and written.
_EXT2_INCOMPAT: Final = INCOMPAT_FILETYPE | INCOMPAT_META_BG
_EXT2_RO_COMPAT: Final = RO_COMPAT_SPARSE_SUPER | RO_COMPAT_LARGE_FILE | RO_COMPAT_BTREE_DIR | RO_COMPAT_EXTRA_ISIZE
# What is understood for reading.
_READ_INCOMPAT: Final = (
    _EXT2_INCOMPAT
    | INCOMPAT_RECOVER
    | INCOMPAT_EXTENTS
    | INCOMPAT_64BIT
    | INCOMPAT_MMP
    | INCOMPAT_FLEX_BG
    | INCOMPAT_EA_INODE
    | INCOMPAT_CSUM_SEED
    | INCOMPAT_LARGEDIR
)
# What is known and may be read past, but not written.
_KNOWN_RO_COMPAT: Final = (
    _EXT2_RO_COMPAT
    | RO_COMPAT_HUGE_FILE
    | RO_COMPAT_GDT_CSUM
    | RO_COMPAT_DIR_NLINK
    | RO_COMPAT_QUOTA
    | RO_COMPAT_BIGALLOC
    | RO_COMPAT_METADATA_CSUM
    | RO_COMPAT_READONLY
    | RO_COMPAT_PROJECT
    | RO_COMPAT_ORPHAN_PRESENT
)

_LARGEST_LOG_BLOCK_SIZE: Final = 2  # 4 KiB, a page
_LARGEST_BLOCK_COUNT: Final = 1 << 48
_LARGEST_GROUP_COUNT: Final = 1 << 24


class Geometry:
    """Sizes and places. Block numbers count file system blocks from the start of the device."""

    def __init__(self, block_shift: int) -> None:
        self.block_shift: int = block_shift
        self.block_size: int = 1 << block_shift
        self.block_count: int = 0
        self.inode_count: int = 0
        self.first_data_block: int = 0
        self.super_place: int = 0  # the block of the super block that was read
        self.blocks_per_group: int = 0
        self.inodes_per_group: int = 0
        self.group_count: int = 0
        self.inode_size: int = OLD_INODE_SIZE
        self.first_inode: int = OLD_FIRST_INODE  # the first that is not reserved
        self.inode_table_blocks: int = 0  # of a group
        self.descriptor_size: int = DESCRIPTOR_SIZE
        self.descriptors_per_block: int = 0
        self.descriptor_block_count: int = 0
        self.reserved_descriptor_blocks: int = 0
        self.first_meta_group: int = 0
        self.backup_groups: list[int] = []
        self.compat: int = 0
        self.incompat: int = 0
        self.ro_compat: int = 0
        self.checksum_seed: int = 0

    # ---- Features ---------------------------------------------------------------------------------------------

    def has_file_types(self) -> bool:
        return self.incompat & INCOMPAT_FILETYPE != 0

    def has_directory_index(self) -> bool:
        return self.compat & COMPAT_DIR_INDEX != 0

    def has_checksums(self) -> bool:
        return self.ro_compat & RO_COMPAT_METADATA_CSUM != 0

    def has_64_bits(self) -> bool:
        return self.incompat & INCOMPAT_64BIT != 0

    def needs_recovery(self) -> bool:
        return self.incompat & INCOMPAT_RECOVER != 0

    def has_journal(self) -> bool:
        return self.compat & COMPAT_HAS_JOURNAL != 0

    def is_ext2(self) -> bool:
        """Whether it has no features except those of ext2 (an empty journal does not matter)."""
        return self.incompat & ~_EXT2_INCOMPAT == 0 and self.ro_compat & ~_EXT2_RO_COMPAT == 0

    def reads_as_ext2(self) -> bool:
        """Whether ext2 can read it, if not write."""
        return self.incompat & ~_EXT2_INCOMPAT == 0

    def has_unknown_ro_compat(self) -> bool:
        return self.ro_compat & ~_KNOWN_RO_COMPAT != 0

    # ---- Places -----------------------------------------------------------------------------------------------

    def is_block(self, block: int) -> bool:
        """Whether `block` may belong to a file or a group: on the device, and after the super block."""
        return self.first_data_block < block < self.block_count

    def is_inode(self, ino: int) -> bool:
        return 1 <= ino <= self.inode_count

    def group_of_block(self, block: int) -> int:
        return (block - self.first_data_block) // self.blocks_per_group

    def first_block_of_group(self, group: int) -> int:
        return self.first_data_block + group * self.blocks_per_group

    def blocks_in_group(self, group: int) -> int:
        """All groups except the last have the same size."""
        return min(self.blocks_per_group, self.block_count - self.first_block_of_group(group))

    def group_has_super(self, group: int) -> bool:
        """Whether a group begins with a copy of the super block."""
        if group == 0:
            return True
        if self.compat & _COMPAT_SPARSE_SUPER2 != 0:
            return group in self.backup_groups
        if self.ro_compat & RO_COMPAT_SPARSE_SUPER == 0 or group == 1:
            return True
        return _is_power(group, 3) or _is_power(group, 5) or _is_power(group, 7)

    def descriptor_place(self, index: int) -> int:
        """The block that holds the descriptors from `index` * `descriptors_per_block` on."""
        if self.incompat & INCOMPAT_META_BG == 0 or index < self.first_meta_group:
            return self.super_place + 1 + index
        group = index * self.descriptors_per_block
        return self.first_block_of_group(group) + (1 if self.group_has_super(group) else 0)

    def blocks_in_front(self, group: int) -> int:
        """How many blocks at the start of a group hold copies of the super block and of descriptors."""
        count = 1 if self.group_has_super(group) else 0
        if self.incompat & INCOMPAT_META_BG == 0 or group // self.descriptors_per_block < self.first_meta_group:
            if count != 0:
                count += self.descriptor_block_count + self.reserved_descriptor_blocks
            return count
        place = group % self.descriptors_per_block
        if place == 0 or place == 1 or place == self.descriptors_per_block - 1:
            count += 1
        return count


def _is_power(number: int, base: int) -> bool:
    power = base
    while power < number:
        power *= base
    return power == number


def read_geometry(block: Span[u8], device_bytes: int, quiet: bool) -> Geometry:
    """Check the 1,024 bytes of a super block and compute everything that follows. Raises EINVAL."""
    raw = struct_at(SuperBlock, block, 0)
    if raw.magic != EXT2_MAGIC:
        raise _refusal("no ext2 file system here", quiet)
    if raw.log_block_size > _LARGEST_LOG_BLOCK_SIZE:
        raise _refusal("blocks are larger than a page", quiet)
    geometry = Geometry(10 + raw.log_block_size)
    if raw.revision != 0:
        geometry.compat = raw.feature_compat
        geometry.incompat = raw.feature_incompat
        geometry.ro_compat = raw.feature_ro_compat
        geometry.inode_size = raw.inode_size
        geometry.first_inode = raw.first_inode
    unknown = geometry.incompat & ~_READ_INCOMPAT
    if unknown != 0:
        raise _refusal(f"features that are not supported: {unknown:x}", quiet)
    if not _set_checksums(geometry, raw, block):
        raise _refusal("the super block's checksum is wrong", quiet, EBADMSG)
    _set_sizes(geometry, raw)
    problem = _find_problem(geometry, raw, device_bytes)
    if problem != "":
        raise _refusal(problem, quiet)
    _set_groups(geometry)
    return geometry


def _refusal(reason: str, quiet: bool, code: int = EINVAL) -> Errno:
    if not quiet:
        log.error(f"ext2: cannot mount: {reason}")
    return Errno(code)


def _set_checksums(geometry: Geometry, raw: SuperBlock, block: Span[u8]) -> bool:
    """Take over the seed of all checksums; False if the super block's own one is wrong."""
    if not geometry.has_checksums():
        return True
    if raw.checksum_type != CHECKSUM_CRC32C:
        return False
    if geometry.incompat & INCOMPAT_CSUM_SEED != 0:
        geometry.checksum_seed = raw.checksum_seed
    else:
        geometry.checksum_seed = crc32c(INITIAL, raw.uuid.span())
    return crc32c(INITIAL, block[0 : offsetof(SuperBlock, "checksum")]) == raw.checksum


def _set_sizes(geometry: Geometry, raw: SuperBlock) -> None:
    geometry.block_count = raw.blocks_count
    if geometry.has_64_bits():
        geometry.descriptor_size = raw.descriptor_size
        if raw.blocks_count_high < 1 << 16:
            geometry.block_count |= raw.blocks_count_high << 32
        else:
            geometry.block_count = _LARGEST_BLOCK_COUNT
    geometry.inode_count = raw.inodes_count
    geometry.first_data_block = raw.first_data_block
    geometry.blocks_per_group = raw.blocks_per_group
    geometry.inodes_per_group = raw.inodes_per_group
    geometry.reserved_descriptor_blocks = raw.reserved_descriptor_blocks
    geometry.first_meta_group = raw.first_meta_group
    geometry.backup_groups = [raw.backup_groups[0], raw.backup_groups[1]]


def _find_problem(geometry: Geometry, raw: SuperBlock, device_bytes: int) -> str:
    """What is wrong with the numbers, or an empty text."""
    block_size = geometry.block_size
    inode_size = geometry.inode_size
    if inode_size < OLD_INODE_SIZE or inode_size > block_size or inode_size & (inode_size - 1) != 0:
        return "the size of inodes"
    if geometry.first_inode < OLD_FIRST_INODE:
        return "the number of reserved inodes"
    size = geometry.descriptor_size
    if size < DESCRIPTOR_SIZE or size > SUPER_BLOCK_SIZE or size & (size - 1) != 0:
        return "the size of group descriptors"
    if geometry.has_64_bits() and size < 2 * DESCRIPTOR_SIZE:
        return "the size of group descriptors"
    if geometry.block_count > device_bytes >> geometry.block_shift:
        return "it is larger than its device"
    if geometry.first_data_block >= geometry.block_count:
        return "the first data block"
    has_clusters = geometry.ro_compat & RO_COMPAT_BIGALLOC != 0
    if block_size == SUPER_BLOCK_SIZE and geometry.first_data_block == 0 and not has_clusters:
        return "the first data block"
    bits = block_size * 8
    clusters = raw.clusters_per_group if has_clusters else raw.blocks_per_group
    if clusters == 0 or clusters > bits or geometry.blocks_per_group < clusters:
        return "the number of blocks in a group"
    if geometry.inodes_per_group < block_size // inode_size or geometry.inodes_per_group > bits:
        return "the number of inodes in a group"
    groups = (geometry.block_count - geometry.first_data_block - 1) // geometry.blocks_per_group + 1
    if groups > _LARGEST_GROUP_COUNT:
        return "the number of groups"
    if groups * geometry.inodes_per_group != geometry.inode_count:
        return "the number of inodes"
    if geometry.first_inode > geometry.inode_count:
        return "the number of reserved inodes"
    return ""


def _set_groups(geometry: Geometry) -> None:
    """Compute what follows from numbers that fit together."""
    block_size = geometry.block_size
    geometry.group_count = geometry.inode_count // geometry.inodes_per_group
    geometry.inode_table_blocks = (geometry.inodes_per_group * geometry.inode_size + block_size - 1) // block_size
    geometry.descriptors_per_block = block_size // geometry.descriptor_size
    blocks = (geometry.group_count + geometry.descriptors_per_block - 1) // geometry.descriptors_per_block
    geometry.descriptor_block_count = blocks
