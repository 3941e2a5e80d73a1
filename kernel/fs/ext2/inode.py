"""Inodes of ext2: from the inode table to attributes and back, and their end.

`load` trusts nothing: a mode that does not exist, a negative size, a wrong checksum make an inode unusable (EUCLEAN).
Fields that Krait does not use stay as they are on the disk.

Context: sleeps.
"""

from typing import Final

from kernel.cache import Block
from kernel.fs.access_list import NO_LISTS, AccessLists
from kernel.fs.attribute_store import Store
from kernel.fs.constants import S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK
from kernel.fs.ext2.attributes import AttributedNode, Ext2Attributes
from kernel.fs.ext2.attributes_block import drop_attributes
from kernel.fs.ext2.block_map import HOLE
from kernel.fs.ext2.checksum import crc32c, crc32c_u32, crc32c_zeros
from kernel.fs.ext2.extents import ExtentTree
from kernel.fs.ext2.inode_allocation import give_inode_back, group_of_inode
from kernel.fs.ext2.instance import Ext2
from kernel.fs.ext2.layout import (
    EXTRA_ATIME_OFFSET,
    EXTRA_BTIME_EXTRA_OFFSET,
    EXTRA_BTIME_OFFSET,
    EXTRA_CHECKSUM_HIGH_OFFSET,
    EXTRA_CTIME_OFFSET,
    EXTRA_MTIME_OFFSET,
    EXTRA_SIZE,
    EXTRA_SIZE_OFFSET,
    FLAG_CASEFOLD,
    FLAG_EXTENTS,
    FLAG_HUGE_FILE,
    FLAG_IMMUTABLE,
    FLAG_JOURNAL_DATA,
    FLAG_PROJINHERIT,
    FLAGS_OF_DIRECTORIES,
    FLAGS_SETTABLE,
    FLAGS_SHOWN,
    INODE_BLOCK_OFFSET,
    INODE_CHECKSUM_LOW_OFFSET,
    OLD_INODE_SIZE,
    POINTER_COUNT,
    RO_COMPAT_LARGE_FILE,
    STATX_FLAGS,
    RawInode,
)
from kernel.fs.ext2.owed import OwedKind
from kernel.fs.ext2.times import decode_time, encode_extra, encode_seconds
from kernel.fs.ext2.volume import Volume
from kernel.fs.inode import NOWHERE
from kernel.lang import EBADMSG, EINVAL, EOPNOTSUPP, EPERM, EUCLEAN, Errno, Span, struct_at, u8
from kernel.lib import log
from kernel.lib.ids import KernelGid, KernelUid
from kernel.sched import yield_now
from kernel.time import coarse_realtime_ns
from kernel.time.clock import realtime_seconds

_SECOND_NS: Final = 1_000_000_000
_CUT_TRIES: Final = 3
_TABLE_READAHEAD: Final = 32  # blocks of the inode table that are read together, as on Linux
_LARGE_FILE: Final = 1 << 31
_SECTOR_SHIFT: Final = 9
_LARGEST_SECTORS: Final = (1 << 32) - 1  # i_blocks counts them in 32 bits
_LARGEST_EXTENT_BLOCKS: Final = (1 << 32) - 1
_OVERFLOW_OWNER: Final = 65534  # stands for those that 16 bits do not hold
_KINDS: Final = (S_IFREG, S_IFDIR, S_IFLNK, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK)


def _narrow(owner: int) -> int:
    """A user or a group as 16 bits say it."""
    return owner if owner <= 0xFFFF else _OVERFLOW_OWNER


def inode_place(volume: Volume, ino: int) -> tuple[int, int]:
    """The block of the inode table that holds an inode, and the offset in it. The number exists."""
    geometry = volume.geometry
    index = (ino - 1) % geometry.inodes_per_group
    offset = index * geometry.inode_size
    block = volume.inode_table(group_of_inode(volume, ino)) + (offset >> geometry.block_shift)
    return block, offset & (geometry.block_size - 1)


def inode_block(volume: Volume, number: int, ino: int) -> Block:
    """The block of the inode table that `inode_place` gives, held; neighbours are read with it. Raises EIO."""
    blocks = volume.blocks
    if not blocks.is_at_hand(number):
        table = volume.inode_table(group_of_inode(volume, ino))
        first = table + (number - table) // _TABLE_READAHEAD * _TABLE_READAHEAD
        end = min(first + _TABLE_READAHEAD, table + volume.geometry.inode_table_blocks)
        blocks.read_ahead(first, end - first)
    return blocks.block(number)


def clear_inode(volume: Volume, ino: int) -> None:
    """Mark an inode's place in the table as deleted. Raises EIO, MemoryError."""
    number, offset = inode_place(volume, ino)
    with inode_block(volume, number, ino) as block:
        raw = struct_at(RawInode, block.span(), offset)
        raw.links_count = 0
        raw.size = 0
        raw.size_high = 0
        raw.blocks = 0
        raw.file_acl = 0
        raw.dtime = realtime_seconds() & 0xFFFFFFFF
        raw.block.fill(0)
        block.mark_dirty()


def end_inode(volume: Volume, ino: int, is_directory: bool) -> None:
    """Delete an inode that has no blocks any more, or later if there is no memory. Raises EIO, EUCLEAN."""
    try:
        clear_inode(volume, ino)
    except MemoryError:
        volume.owed.add(OwedKind.INODE, ino, int(is_directory))
        return
    give_inode_back(volume, ino, is_directory)


class Ext2Inode(AttributedNode):
    """What all kinds of files have in common on the disk."""

    def __init__(self, ext2: Ext2, ino: int, mode: int) -> None:
        super().__init__(ext2, ino, mode)
        group = group_of_inode(ext2.volume, ino)
        self.map.home = ext2.volume.geometry.first_block_of_group(group)
        self.extents: ExtentTree | None = None
        self.generation: int = 0
        self.parent_ino: int = 0  # the directory of its last name; for a directory, where it was found
        self.has_new_name: bool = False  # that name may not be on the device yet
        self.checksum_seed: int = 0
        self.has_fine_times: bool = ext2.volume.geometry.inode_size >= OLD_INODE_SIZE + EXTRA_SIZE

    # ---- Blocks -----------------------------------------------------------------------------------------------

    def find_blocks(self, block: int, want: int) -> tuple[int, int]:
        """Where a block of the file is on the disk, and how many are contiguous, as `BlockMap.find`."""
        extents = self.extents
        if extents is not None:
            return extents.find(block, want)
        return self.map.find(block, want)

    def extent_at(self, offset: int, length: int) -> tuple[int, int]:
        if not self.has_blocks():
            raise Errno(EOPNOTSUPP)
        shift = self.ext2.volume.geometry.block_shift
        first, count = self.find_blocks(offset >> shift, max(1, length >> shift))
        return count << shift, NOWHERE if first == HOLE else first << shift

    def add_block(self, block: int) -> Block:
        """A new block of metadata for a hole, full of zeros and held, as `BlockMap.add_block`."""
        if self.is_gone:
            raise Errno(EUCLEAN)
        try:
            return self.map.add_block(block, self.ext2.is_privileged())
        finally:
            self.map_changed()

    def fill_blocks(self, block: int, want: int, privileged: bool) -> tuple[int, int, bool]:
        """Like `find_blocks`, with new blocks for holes, as `BlockMap.fill`."""
        if self.is_gone:
            raise Errno(EUCLEAN)
        try:
            return self.map.fill(block, want, privileged)
        finally:
            self.map_changed()

    def cut_blocks(self, first: int, end: int) -> None:
        """Free the file's blocks `first` … `end` - 1. After MemoryError all are left; MemoryError is never raised after
        `BlockMap.hold_edges`.
        """
        try:
            for _ in range(_CUT_TRIES):
                try:
                    return self.map.cut(first, end)
                except MemoryError:
                    yield_now()  # threads that were killed for lack of memory may exit
            self.map.cut(first, end)
        finally:
            self.map_changed()

    def largest_size(self) -> int:
        """The smaller of what the pointers can address and what 32 bits of sectors of 512 bytes can count (indirect
        blocks included); for a file with extents, what these can address.
        """
        geometry = self.ext2.volume.geometry
        shift = geometry.block_shift
        if self.extents is not None:
            return _LARGEST_EXTENT_BLOCKS << shift
        pointers = geometry.block_size // 4
        sectors_in_block = geometry.block_size >> _SECTOR_SHIFT
        countable = _LARGEST_SECTORS // sectors_in_block
        countable -= countable // pointers + countable // (pointers * pointers) + 4
        return min(self.map.block_limit(), countable) << shift

    def can_retire(self) -> bool:
        return super().can_retire() and not self.ext2.volume.owed.is_debtor(self.map)

    # ---- What fsync must write ------------------------------------------------------------------------------------

    def is_stored(self) -> bool:
        has_touched = self.map.touched_more or len(self.map.touched) > 0
        return super().is_stored() and not self.has_new_name and not has_touched

    def note_storing(self) -> None:
        self.has_new_name = False
        self.map.touched.clear()
        self.map.touched_more = False

    def lose_track(self) -> None:
        self.map.touched_more = True

    # ---- Attributes -------------------------------------------------------------------------------------------

    def times_changed(self) -> None:
        if not self.has_fine_times:
            self.atime_ns -= self.atime_ns % _SECOND_NS
            self.mtime_ns -= self.mtime_ns % _SECOND_NS
            self.ctime_ns -= self.ctime_ns % _SECOND_NS
        super().times_changed()

    def shown_flags(self) -> int:
        return self.flags & FLAGS_SHOWN

    def has_birth_time(self) -> bool:
        return self.has_fine_times

    def shown_attributes(self) -> int:
        return STATX_FLAGS

    def set_flags(self, flags: int) -> None:
        """Flags that describe the layout of the file, or are meaningless for its kind, cannot be changed."""
        if flags & ~FLAGS_SHOWN != 0:
            raise Errno(EOPNOTSUPP)
        flags &= FLAGS_SETTABLE
        if not self.is_directory() and flags & FLAGS_OF_DIRECTORIES != 0:
            raise Errno(EOPNOTSUPP)
        if flags & (FLAG_CASEFOLD | FLAG_PROJINHERIT) != 0:
            raise Errno(EOPNOTSUPP)
        if self.flags & flags & FLAG_IMMUTABLE != 0 and (self.flags ^ flags) & FLAGS_SETTABLE != 0:
            raise Errno(EPERM)
        changeable = FLAGS_SETTABLE & ~(FLAG_JOURNAL_DATA | FLAG_EXTENTS)
        self.flags = self.flags & ~changeable | flags & changeable
        self.touch_changed()
        if flags & FLAG_EXTENTS != 0:
            raise Errno(EINVAL)  # a file cannot be switched to extents; Linux checks that last

    def version(self) -> int:
        return self.generation

    def set_version(self, version: int) -> None:
        self.generation = version & 0xFFFFFFFF
        self.touch_changed()

    def drop_link(self) -> None:
        if self.nlink == 0:
            return  # a damaged disk: more names than links
        super().drop_link()
        self.attributes_changed()

    def attribute_store(self) -> Store:
        place, offset = inode_place(self.ext2.volume, self.ino)
        return Ext2Attributes(self, self.ext2.attribute_blocks, place, offset)

    def read_access_lists(self) -> AccessLists:
        if self.attribute_block == 0 and self.ext2.volume.geometry.inode_size == OLD_INODE_SIZE:
            return NO_LISTS
        return super().read_access_lists()

    def touch_changed(self) -> None:
        """Set the time of the last change of attributes."""
        self.ctime_ns = coarse_realtime_ns()
        self.attributes_changed()

    # ---- The inode table --------------------------------------------------------------------------------------

    def load(self, raw_bytes: Span[u8]) -> None:
        """Load all fields from the disk's inode. Raises EUCLEAN."""
        geometry = self.ext2.volume.geometry
        raw = struct_at(RawInode, raw_bytes, 0)
        extra = self._extra_size(raw_bytes)
        self.generation = raw.generation
        self._check_checksum(raw_bytes, extra)
        if raw.links_count == 0:
            raise self._damaged("is deleted but has a name")
        if raw.mode & S_IFMT not in _KINDS:
            raise self._damaged(f"has mode {raw.mode:o}")
        self.mode = raw.mode
        narrow = self.ext2.volume.has_narrow_owners
        self.uid = KernelUid(raw.uid if narrow else raw.uid | raw.uid_high << 16)
        self.gid = KernelGid(raw.gid if narrow else raw.gid | raw.gid_high << 16)
        self.nlink = raw.links_count
        self.flags = raw.flags
        self.attribute_block = raw.file_acl
        if geometry.has_64_bits():
            self.attribute_block |= raw.file_acl_high << 32
        self.size = raw.size
        if self.is_regular():
            if raw.size_high >= 1 << 31:
                raise self._damaged("has a negative size")
            self.size |= raw.size_high << 32
        sectors = raw.blocks
        if raw.flags & FLAG_HUGE_FILE != 0:
            sectors = min(raw.blocks | raw.blocks_high << 32, 1 << 48) << geometry.block_shift - 9
        self.blocks = sectors
        self.map.sectors = sectors
        for index in range(POINTER_COUNT):
            self.map.pointers[index] = raw.block[index]
        if raw.flags & FLAG_EXTENTS != 0:
            area = bytearray(raw_bytes[INODE_BLOCK_OFFSET : INODE_BLOCK_OFFSET + 4 * POINTER_COUNT].to_bytes())
            self.extents = ExtentTree(self.ext2.volume, self.ino, area, self.checksum_seed)
        self._load_times(raw_bytes, raw, extra)

    def _extra_size(self, raw_bytes: Span[u8]) -> int:
        """How many bytes after the first 128 are in use."""
        size = len(raw_bytes)
        if size <= OLD_INODE_SIZE:
            return 0
        extra = raw_bytes.load_u16(EXTRA_SIZE_OFFSET)
        if extra > size - OLD_INODE_SIZE or extra & 3 != 0:
            raise self._damaged("has a wrong extra size")
        return extra

    def _check_checksum(self, raw_bytes: Span[u8], extra: int) -> None:
        geometry = self.ext2.volume.geometry
        if not geometry.has_checksums():
            return
        seed = crc32c_u32(crc32c_u32(geometry.checksum_seed, self.ino), self.generation)
        self.checksum_seed = seed
        low = INODE_CHECKSUM_LOW_OFFSET
        crc = crc32c_zeros(crc32c(seed, raw_bytes[0:low]), 2)
        stored = raw_bytes.load_u16(low)
        high = EXTRA_CHECKSUM_HIGH_OFFSET
        if OLD_INODE_SIZE + extra >= high + 2:
            crc = crc32c_zeros(crc32c(crc, raw_bytes[low + 2 : high]), 2)
            crc = crc32c(crc, raw_bytes[high + 2 : len(raw_bytes)])
            stored |= raw_bytes.load_u16(high) << 16
        else:
            crc = crc32c(crc, raw_bytes[low + 2 : len(raw_bytes)]) & 0xFFFF
        if crc != stored:
            raise self._damaged("has a wrong checksum", EBADMSG)

    def _damaged(self, what: str, code: int = EUCLEAN) -> Errno:
        return self.ext2.volume.damaged(f"inode {self.ino} {what}", code, self.ino, self.generation)

    def _load_times(self, raw_bytes: Span[u8], raw: RawInode, extra: int) -> None:
        end = OLD_INODE_SIZE + extra
        fine = end >= EXTRA_ATIME_OFFSET + 4
        self.ctime_ns = decode_time(raw.ctime, raw_bytes.load_u32(EXTRA_CTIME_OFFSET) if fine else 0)
        self.mtime_ns = decode_time(raw.mtime, raw_bytes.load_u32(EXTRA_MTIME_OFFSET) if fine else 0)
        self.atime_ns = decode_time(raw.atime, raw_bytes.load_u32(EXTRA_ATIME_OFFSET) if fine else 0)
        self.btime_ns = 0
        if end >= EXTRA_BTIME_EXTRA_OFFSET + 4:
            seconds = raw_bytes.load_u32(EXTRA_BTIME_OFFSET)
            self.btime_ns = decode_time(seconds, raw_bytes.load_u32(EXTRA_BTIME_EXTRA_OFFSET))

    def write_back(self) -> None:
        """Copy the inode to its place in the inode table, whose block is written with all the others."""
        volume = self.ext2.volume
        number, offset = inode_place(volume, self.ino)
        with inode_block(volume, number, self.ino) as block:
            # No sleeping from here on, so that no change is lost.
            if not self.is_dirty or self.is_gone:
                return
            self.ext2.unlist_dirty(self)
            self._store(block.span()[offset : offset + volume.geometry.inode_size])
            block.mark_dirty()

    def _store(self, raw_bytes: Span[u8]) -> None:
        volume = self.ext2.volume
        raw = struct_at(RawInode, raw_bytes, 0)
        raw.mode = self.mode
        uid = _narrow(int(self.uid)) if volume.has_narrow_owners else int(self.uid)
        gid = _narrow(int(self.gid)) if volume.has_narrow_owners else int(self.gid)
        raw.uid = uid & 0xFFFF
        raw.uid_high = uid >> 16 & 0xFFFF
        raw.gid = gid & 0xFFFF
        raw.gid_high = gid >> 16 & 0xFFFF
        raw.links_count = min(max(self.nlink, 1 if self.is_replaced else 0), 0xFFFF)
        raw.size = self.size & 0xFFFFFFFF
        if self.is_regular():
            raw.size_high = self.size >> 32 & 0xFFFFFFFF
            if self.size >= _LARGE_FILE and volume.geometry.ro_compat & RO_COMPAT_LARGE_FILE == 0:
                volume.allow_large_files()
        raw.blocks = min(self.map.sectors, 0xFFFFFFFF)
        raw.flags = self.flags
        raw.generation = self.generation
        raw.file_acl = self.attribute_block
        raw.dtime = 0
        for index in range(POINTER_COUNT):
            raw.block[index] = self.map.pointers[index]
        self._store_times(raw_bytes, raw)

    def _store_times(self, raw_bytes: Span[u8], raw: RawInode) -> None:
        raw.atime = encode_seconds(self.atime_ns)
        raw.mtime = encode_seconds(self.mtime_ns)
        raw.ctime = encode_seconds(self.ctime_ns)
        if not self.has_fine_times:
            return
        # An inode that was created without room for these fields keeps its coarse times.
        end = OLD_INODE_SIZE + raw_bytes.load_u16(EXTRA_SIZE_OFFSET)
        if end >= EXTRA_ATIME_OFFSET + 4:
            raw_bytes.store_u32(EXTRA_CTIME_OFFSET, encode_extra(self.ctime_ns))
            raw_bytes.store_u32(EXTRA_MTIME_OFFSET, encode_extra(self.mtime_ns))
            raw_bytes.store_u32(EXTRA_ATIME_OFFSET, encode_extra(self.atime_ns))
        if end >= EXTRA_BTIME_EXTRA_OFFSET + 4:
            raw_bytes.store_u32(EXTRA_BTIME_OFFSET, encode_seconds(self.btime_ns))
            raw_bytes.store_u32(EXTRA_BTIME_EXTRA_OFFSET, encode_extra(self.btime_ns))

    def write_new(self) -> None:
        """Write a fresh inode to its place in the inode table, whatever that held before."""
        volume = self.ext2.volume
        number, offset = inode_place(volume, self.ino)
        size = volume.geometry.inode_size
        with inode_block(volume, number, self.ino) as block:
            raw_bytes = block.span()[offset : offset + size]
            raw_bytes.fill(0)
            if self.has_fine_times:
                raw_bytes.store_u16(EXTRA_SIZE_OFFSET, EXTRA_SIZE)
            self._store(raw_bytes)
            block.mark_dirty()

    # ---- The end ----------------------------------------------------------------------------------------------

    def evict(self) -> None:
        """The last name and the last user are gone: free the blocks and the inode.

        Nobody can receive an error, so it goes to the log, and e2fsck finds what is left. Whatever lacks memory is done
        later.
        """
        if self.is_gone or self.ext2.volume.read_only:
            return
        if self.is_replaced:
            self.must_end = True
            self.ext2.unlist_dirty(self)
            return
        self._evict()

    def end_replaced(self) -> None:
        self.is_replaced = False
        if self.must_end:
            self.evict()
        else:
            self.inode_changed()

    def _evict(self) -> None:
        try:
            self.end()
            self._delete()
        except MemoryError:
            self.ext2.owe_eviction(self)  # before anything was freed
        except Errno as error:
            self._complain_of(error.code)

    def _complain_of(self, code: int) -> None:
        try:
            self.ext2.volume.complain(f"inode {self.ino} could not be deleted wholly: error {code}")
        except MemoryError:
            log.error("ext2: an inode could not be deleted wholly")

    def undo(self) -> None:
        """The inode is not needed after all: nothing refers to it."""
        self.nlink = 0
        self.evict()

    def _delete(self) -> None:
        volume = self.ext2.volume
        self.is_gone = True
        self.ext2.unlist_dirty(self)
        self.ext2.leave(self)
        self.size = 0
        try:
            if self.has_blocks():
                self.map.cut(0, self.map.block_limit())
            if self.attribute_block != 0:
                drop_attributes(volume, self.map, self.attribute_block, self.ext2.attribute_blocks)
        except (Errno, MemoryError):
            # The disk is damaged. Whatever could not be freed stays marked as in use; the inode itself goes.
            end_inode(volume, self.ino, self.is_directory())
            raise
        end_inode(volume, self.ino, self.is_directory())

    def has_blocks(self) -> bool:
        """Whether the pointers name blocks; in a device node or a short symbolic link they have another meaning."""
        return self.is_regular() or self.is_directory()
