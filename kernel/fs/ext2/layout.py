"""What ext2, ext3 and ext4 look like on the disk: structures, flags, fixed numbers.

All fields are little-endian, as the processor is. Source: the ext4 disk layout in Linux's documentation, and Dave
Poirier's "The Second Extended File System".
"""

from typing import Final, Literal

from kernel.lang import Array, struct, u8, u16, u32

EXT2_MAGIC: Final = 0xEF53
SUPER_BLOCK_OFFSET: Final = 1024  # bytes from the start of the device
SUPER_BLOCK_SIZE: Final = 1024

ROOT_INODE: Final = 2
RESIZE_INODE: Final = 7
OLD_FIRST_INODE: Final = 11
OLD_INODE_SIZE: Final = 128

# s_state
STATE_CLEAN: Final = 1
STATE_ERRORS: Final = 2

# s_errors
ERRORS_CONTINUE: Final = 1
ERRORS_READ_ONLY: Final = 2
ERRORS_PANIC: Final = 3

# s_flags: bytes of names are hashed as signed numbers, or as unsigned ones
SUPER_SIGNED_HASH: Final = 1
SUPER_UNSIGNED_HASH: Final = 2

# s_feature_compat
COMPAT_HAS_JOURNAL: Final = 0x4
COMPAT_DIR_INDEX: Final = 0x20

# s_feature_incompat
INCOMPAT_FILETYPE: Final = 0x2
INCOMPAT_RECOVER: Final = 0x4
INCOMPAT_META_BG: Final = 0x10
INCOMPAT_EXTENTS: Final = 0x40
INCOMPAT_64BIT: Final = 0x80
INCOMPAT_MMP: Final = 0x100
INCOMPAT_FLEX_BG: Final = 0x200
INCOMPAT_EA_INODE: Final = 0x400
INCOMPAT_CSUM_SEED: Final = 0x2000
INCOMPAT_LARGEDIR: Final = 0x4000

# s_feature_ro_compat
RO_COMPAT_SPARSE_SUPER: Final = 0x1
RO_COMPAT_LARGE_FILE: Final = 0x2
RO_COMPAT_BTREE_DIR: Final = 0x4
RO_COMPAT_HUGE_FILE: Final = 0x8
RO_COMPAT_GDT_CSUM: Final = 0x10
RO_COMPAT_DIR_NLINK: Final = 0x20
RO_COMPAT_EXTRA_ISIZE: Final = 0x40
RO_COMPAT_QUOTA: Final = 0x100
RO_COMPAT_BIGALLOC: Final = 0x200
RO_COMPAT_METADATA_CSUM: Final = 0x400
RO_COMPAT_READONLY: Final = 0x1000
RO_COMPAT_PROJECT: Final = 0x2000
RO_COMPAT_ORPHAN_PRESENT: Final = 0x10000

CHECKSUM_CRC32C: Final = 1  # s_checksum_type

# i_flags
FLAG_SECURE_DELETION: Final = 0x1
FLAG_SYNC: Final = 0x8
FLAG_IMMUTABLE: Final = 0x10
FLAG_APPEND: Final = 0x20
FLAG_NODUMP: Final = 0x40
FLAG_NOATIME: Final = 0x80
FLAG_ENCRYPT: Final = 0x800
FLAG_INDEX: Final = 0x1000  # a directory has a hash tree
FLAG_JOURNAL_DATA: Final = 0x4000
FLAG_DIRSYNC: Final = 0x10000
FLAG_TOPDIR: Final = 0x20000
FLAG_HUGE_FILE: Final = 0x40000  # i_blocks counts file system blocks
FLAG_EXTENTS: Final = 0x80000
FLAG_EA_INODE: Final = 0x200000
FLAG_INLINE_DATA: Final = 0x10000000
FLAG_PROJINHERIT: Final = 0x20000000
FLAG_CASEFOLD: Final = 0x40000000
FLAGS_SHOWN: Final = 0x725BDFFF  # by FS_IOC_GETFLAGS
FLAGS_SETTABLE: Final = 0x624BC0FF  # by FS_IOC_SETFLAGS, as far as an inode can have them
FLAG_COMPRESSED: Final = 0x4
FLAG_VERITY: Final = 0x100000
STATX_FLAGS: Final = (
    FLAG_COMPRESSED | FLAG_IMMUTABLE | FLAG_APPEND | FLAG_NODUMP | FLAG_ENCRYPT | FLAG_VERITY
)  # what statx(2) reports, by the same numbers
FLAGS_OF_DIRECTORIES: Final = FLAG_DIRSYNC | FLAG_TOPDIR | FLAG_CASEFOLD | FLAG_PROJINHERIT
# What a new file inherits from its directory.
INHERITED_FLAGS: Final = FLAG_SECURE_DELETION | FLAG_SYNC | FLAG_NODUMP | FLAG_NOATIME | FLAG_DIRSYNC

# Pointers of an inode.
DIRECT_BLOCKS: Final = 12
INDIRECT: Final = 12
DOUBLE_INDIRECT: Final = 13
TRIPLE_INDIRECT: Final = 14
POINTER_COUNT: Final = 15
FAST_SYMLINK_LIMIT: Final = 60  # bytes of i_block; a shorter target lies there

LINK_LIMIT: Final = 65000

# Directory records.
RECORD_HEADER: Final = 8
RECORD_ALIGN: Final = 4
CHECKSUM_RECORD_SIZE: Final = 12  # the tail of a directory block with metadata_csum
CHECKSUM_RECORD_TYPE: Final = 0xDE
FILE_TYPE_UNKNOWN: Final = 0

EXTENT_MAGIC: Final = 0xF30A
EXTENT_LENGTH_LIMIT: Final = 32768  # more means: allocated, but not written yet
EXTENT_DEPTH_LIMIT: Final = 5


@struct
class SuperBlock:
    """At byte 1024 of the device, 1024 bytes long."""

    inodes_count: u32
    blocks_count: u32
    reserved_blocks_count: u32
    free_blocks_count: u32
    free_inodes_count: u32
    first_data_block: u32
    log_block_size: u32  # the block size is 1024 << this
    log_cluster_size: u32
    blocks_per_group: u32
    clusters_per_group: u32
    inodes_per_group: u32
    mount_time: u32
    write_time: u32
    mount_count: u16
    max_mount_count: u16
    magic: u16
    state: u16
    errors: u16
    minor_revision: u16
    last_check: u32
    check_interval: u32
    creator_os: u32
    revision: u32
    reserved_uid: u16
    reserved_gid: u16
    # Revision 1 on:
    first_inode: u32
    inode_size: u16
    block_group: u16
    feature_compat: u32
    feature_incompat: u32
    feature_ro_compat: u32
    uuid: Array[u8, Literal[16]]
    volume_name: Array[u8, Literal[16]]
    last_mounted: Array[u8, Literal[64]]
    algorithm_bitmap: u32
    preallocate_blocks: u8
    preallocate_directory_blocks: u8
    reserved_descriptor_blocks: u16
    journal_uuid: Array[u8, Literal[16]]
    journal_inode: u32
    journal_device: u32
    last_orphan: u32
    hash_seed: Array[u32, Literal[4]]
    default_hash_version: u8
    journal_backup_type: u8
    descriptor_size: u16
    default_mount_options: u32
    first_meta_group: u32
    make_time: u32
    journal_blocks: Array[u32, Literal[17]]
    blocks_count_high: u32
    reserved_blocks_count_high: u32
    free_blocks_count_high: u32
    min_extra_inode_size: u16
    want_extra_inode_size: u16
    flags: u32
    raid_stride: u16
    mmp_interval: u16
    mmp_block_low: u32
    mmp_block_high: u32
    raid_stripe_width: u32
    log_groups_per_flex: u8
    checksum_type: u8
    reserved_pad: u16
    kilobytes_written: Array[u32, Literal[2]]
    snapshot: Array[u32, Literal[5]]
    error_count: u32
    first_error_time: u32
    first_error_inode: u32
    first_error_block: Array[u32, Literal[2]]
    first_error_function: Array[u8, Literal[32]]
    first_error_line: u32
    last_error_time: u32
    last_error_inode: u32
    last_error_line: u32
    last_error_block: Array[u32, Literal[2]]
    last_error_function: Array[u8, Literal[32]]
    mount_options: Array[u8, Literal[64]]
    user_quota_inode: u32
    group_quota_inode: u32
    overhead_blocks: u32
    backup_groups: Array[u32, Literal[2]]
    encryption_algorithms: Array[u8, Literal[4]]
    encryption_salt: Array[u8, Literal[16]]
    lost_found_inode: u32
    project_quota_inode: u32
    checksum_seed: u32
    reserved: Array[u32, Literal[98]]
    checksum: u32


@struct
class GroupDescriptor:
    """The first 32 bytes of a group's descriptor, all of it without the feature 64bit."""

    block_bitmap: u32
    inode_bitmap: u32
    inode_table: u32
    free_blocks_count: u16
    free_inodes_count: u16
    used_directories_count: u16
    flags: u16
    exclude_bitmap: u32
    block_bitmap_checksum: u16
    inode_bitmap_checksum: u16
    unused_inodes: u16
    checksum: u16


DESCRIPTOR_SIZE: Final = 32
DESCRIPTOR_CHECKSUM_OFFSET: Final = 30
# The high halves in the second part of a descriptor of 64 bytes.
DESCRIPTOR_BLOCK_BITMAP_HIGH: Final = 32
DESCRIPTOR_INODE_BITMAP_HIGH: Final = 36
DESCRIPTOR_INODE_TABLE_HIGH: Final = 40


@struct
class RawInode:
    """The first 128 bytes of an inode. Larger inodes have more bits of times after them: see EXTRA_…."""

    mode: u16
    uid: u16
    size: u32
    atime: u32
    ctime: u32
    mtime: u32
    dtime: u32
    gid: u16
    links_count: u16
    blocks: u32  # of 512 bytes
    flags: u32
    version: u32
    block: Array[u32, Literal[15]]
    generation: u32
    file_acl: u32
    size_high: u32  # of a regular file; of a directory it was an ACL
    fragment_address: u32
    blocks_high: u16
    file_acl_high: u16
    uid_high: u16
    gid_high: u16
    checksum_low: u16
    reserved: u16


INODE_BLOCK_OFFSET: Final = 40  # of `block`
INODE_CHECKSUM_LOW_OFFSET: Final = 124
# After the first 128 bytes, as far as i_extra_isize (which counts itself) reaches.
EXTRA_SIZE_OFFSET: Final = 128
EXTRA_CHECKSUM_HIGH_OFFSET: Final = 130
EXTRA_CTIME_OFFSET: Final = 132
EXTRA_MTIME_OFFSET: Final = 136
EXTRA_ATIME_OFFSET: Final = 140
EXTRA_BTIME_OFFSET: Final = 144
EXTRA_BTIME_EXTRA_OFFSET: Final = 148
EXTRA_SIZE: Final = 32  # what new inodes get


@struct
class Record:
    """The head of a directory record; the name follows, then bytes without meaning up to `length`."""

    inode: u32  # 0: the record is free
    length: u16  # to the next record, a multiple of 4
    name_length: u8
    file_type: u8  # with the feature filetype; else the high byte of the name's length


@struct
class ExtentHeader:
    """In front of the extents of a node."""

    magic: u16
    entries: u16
    maximum: u16
    depth: u16
    generation: u32


@struct
class Extent:
    """Blocks of a file that lie in one piece (`depth` 0)."""

    block: u32  # in the file
    length: u16
    start_high: u16
    start_low: u32


@struct
class ExtentIndex:
    """A node one level below (`depth` > 0)."""

    block: u32
    leaf_low: u32
    leaf_high: u16
    unused: u16
