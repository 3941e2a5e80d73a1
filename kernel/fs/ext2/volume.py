"""The state of a mounted file system: super block, group descriptors, counts, and what happens when it is damaged.

The super block and the descriptors stay in memory, pinned, from mount to unmount; counts are kept in the descriptors
and in two fields here, which go into the super block when it is written.

Context: reading blocks sleeps. What is done between two reads is atomic.
"""

from typing import Final

from kernel.cache import Block, BlockCache
from kernel.fs.ext2.checksum import INITIAL_16, crc16, crc16_u32, crc32c, crc32c_u32, crc32c_zeros
from kernel.fs.ext2.freed import FreedBits
from kernel.fs.ext2.geometry import Geometry
from kernel.fs.ext2.layout import (
    DESCRIPTOR_BLOCK_BITMAP_HIGH,
    DESCRIPTOR_CHECKSUM_OFFSET,
    DESCRIPTOR_INODE_BITMAP_HIGH,
    DESCRIPTOR_INODE_TABLE_HIGH,
    ERRORS_CONTINUE,
    INCOMPAT_FLEX_BG,
    RO_COMPAT_GDT_CSUM,
    RO_COMPAT_LARGE_FILE,
    STATE_CLEAN,
    STATE_ERRORS,
    SUPER_BLOCK_SIZE,
    SUPER_SIGNED_HASH,
    SUPER_UNSIGNED_HASH,
    GroupDescriptor,
    SuperBlock,
)
from kernel.fs.ext2.name_hash import TEA, UNKNOWN, UNSIGNED
from kernel.fs.ext2.owed import Owed
from kernel.fs.filesystem import FileSystem
from kernel.lang import EUCLEAN, Errno, Span, struct_at, u8
from kernel.lib import log
from kernel.lib.pace import pace
from kernel.time.clock import realtime_seconds

GROUP_COST: Final = 60  # instructions to look at a group
_CHECK_COST: Final = 400
_COMPLAINTS_LIMIT: Final = 100  # log messages for one mount


class VolumeHolder(FileSystem):
    """The mounted file system, as its volume sees it."""

    def has_unsettled(self) -> bool:
        """Whether `settle` has something to do."""
        return False

    def settle(self) -> None:
        """Make what was freed so far usable again. Sleeps. Raises EIO, MemoryError."""

    def report_damage(self, code: int, ino: int, generation: int) -> None:
        """Notify those who watch for damage, of an inode or (0) of the file system. A generation of -1 is that of the
        inode in memory. Raises MemoryError.
        """


class Volume:
    """One file system on its device."""

    def __init__(self, blocks: BlockCache, geometry: Geometry, name: bytes, super_offset: int) -> None:
        self.blocks: BlockCache = blocks
        self.geometry: Geometry = geometry
        self.name: bytes = name  # of the device, for the log
        self.read_only: bool = True
        self.holder: VolumeHolder | None = None  # becomes read-only with the volume; dropped at unmount
        self.error_policy: int = ERRORS_CONTINUE
        self.is_damaged: bool = False
        self.is_aborted: bool = False  # it is read-only, and the file system does not say so
        self.complaints: int = 0
        self.free_blocks: int = 0
        self.free_inodes: int = 0
        self.directories: int = 0
        self.reserved_blocks: int = 0
        self.reserved_uid: int = 0
        self.reserved_gid: int = 0
        self.has_narrow_owners: bool = False  # as in revision 0: the upper halves of owners are not read, and are zero
        self.largest_directory_kib: int = 0  # no directory grows past it; 0: no limit
        self.overhead_blocks: int = 0
        self.next_generation: int = 0
        self.last_directory_group: int = 0
        self.state_at_mount: int = STATE_CLEAN
        self.super_block: Block = blocks.block(super_offset >> geometry.block_shift)
        geometry.super_place = super_offset >> geometry.block_shift
        self.super_offset: int = super_offset & (geometry.block_size - 1)
        # No bit before these is clear, by group.
        self.block_hints: list[int] = [0] * geometry.group_count
        self.inode_hints: list[int] = [0] * geometry.group_count
        self.freed_blocks: FreedBits = FreedBits(geometry.group_count, geometry.block_size)
        self.freed_inodes: FreedBits = FreedBits(geometry.group_count, geometry.block_size)
        self.owed: Owed = Owed()
        self.descriptor_blocks: list[Block] = []
        try:
            self._load()
        except (Errno, MemoryError):
            self.close()
            raise

    def close(self) -> None:
        """Give back the pinned blocks. `write_super` and `blocks.write_all` have written what must be kept."""
        for block in self.descriptor_blocks:
            block.release()
        self.descriptor_blocks.clear()
        self.super_block.release()

    def super_span(self) -> Span[u8]:
        """The super block's bytes."""
        return self.super_block.span()[self.super_offset : self.super_offset + SUPER_BLOCK_SIZE]

    def super(self) -> SuperBlock:
        """A view of the super block; after a change, call `write_super` or mark the block dirty."""
        return struct_at(SuperBlock, self.super_block.span(), self.super_offset)

    def default_hash_version(self) -> int:
        """The hash of new hash trees of directories, and of directories of one block; UNKNOWN if there is none."""
        version = self.super().default_hash_version
        return self.with_signedness(version) if version <= TEA else UNKNOWN

    def with_signedness(self, version: int) -> int:
        """A hash adjusted to the signedness of bytes in this file system."""
        flags = self.super().flags
        is_signed = flags & SUPER_SIGNED_HASH != 0 and flags & SUPER_UNSIGNED_HASH == 0
        return version if is_signed else version + UNSIGNED

    # ---- Mounting ---------------------------------------------------------------------------------------------

    def _load(self) -> None:
        geometry = self.geometry
        raw = self.super()
        self.state_at_mount = raw.state
        self.reserved_blocks = min(raw.reserved_blocks_count, geometry.block_count)
        self.reserved_uid = raw.reserved_uid
        self.reserved_gid = raw.reserved_gid
        self.error_policy = raw.errors
        self.next_generation = raw.write_time ^ raw.mount_time
        for index in range(geometry.descriptor_block_count):
            place = geometry.descriptor_place(index)
            if not geometry.is_block(place):
                raise self.refuse("group descriptors lie outside of the file system")
            self.descriptor_blocks.append(self.blocks.block(place))
        for group in range(geometry.group_count):
            pace(_CHECK_COST)
            self._check_descriptor(group)
            descriptor = self.descriptor(group)
            self.free_blocks += descriptor.free_blocks_count
            self.free_inodes += descriptor.free_inodes_count
            self.directories += descriptor.used_directories_count
            self.overhead_blocks += geometry.blocks_in_front(group) + 2 + geometry.inode_table_blocks
        self.overhead_blocks = min(self.overhead_blocks + geometry.first_data_block, geometry.block_count)
        if geometry.has_64_bits():
            free = raw.free_blocks_count | (raw.free_blocks_count_high & 0xFFFF) << 32
            self.free_blocks = min(free, geometry.block_count)
            self.free_inodes = min(raw.free_inodes_count, geometry.inode_count)

    def _check_descriptor(self, group: int) -> None:
        """Raise EUCLEAN unless the bitmaps and the inode table lie where they may."""
        geometry = self.geometry
        if not self._descriptor_checksum_holds(group):
            # File systems with such checksums are only read, and Linux does that in spite of the error.
            self.complain(f"the checksum of group {group}'s descriptor is wrong")
        first = geometry.first_data_block
        end = geometry.block_count
        if geometry.incompat & INCOMPAT_FLEX_BG == 0:
            first = geometry.first_block_of_group(group)
            end = first + geometry.blocks_in_group(group)
            first += geometry.blocks_in_front(group) - 1
        table = self.inode_table(group)
        block_bitmap = self.block_bitmap(group)
        inode_bitmap = self.inode_bitmap(group)
        if not first < block_bitmap < end or not first < inode_bitmap < end or not first < table:
            raise self.refuse(f"group {group}'s bitmaps or inode table lie in the wrong place")
        after = table + geometry.inode_table_blocks
        overlap = table <= block_bitmap < after or table <= inode_bitmap < after or block_bitmap == inode_bitmap
        if after > end or overlap:
            raise self.refuse(f"group {group}'s bitmaps or inode table lie in the wrong place")
        descriptor = self.descriptor(group)
        # The high halves of these counts belong to groups larger than 32,768 blocks, which blocks of 4 KiB do not have.
        if descriptor.free_inodes_count > geometry.inodes_per_group:
            raise self.refuse(f"group {group} has more free inodes than inodes")
        if descriptor.free_blocks_count > geometry.blocks_per_group:
            raise self.refuse(f"group {group} has more free blocks than blocks")

    def refuse(self, reason: str) -> Errno:
        """Log a line, and return the error for mount(2)."""
        log.error(f"ext2: cannot mount: {reason}")
        return Errno(EUCLEAN)

    def _descriptor_checksum_holds(self, group: int) -> bool:
        geometry = self.geometry
        raw = self.descriptor_span(group)
        size = geometry.descriptor_size
        stored = raw.load_u16(DESCRIPTOR_CHECKSUM_OFFSET)
        before = raw[0:DESCRIPTOR_CHECKSUM_OFFSET]
        after = raw[DESCRIPTOR_CHECKSUM_OFFSET + 2 : size]
        if geometry.has_checksums():
            crc = crc32c(crc32c_u32(geometry.checksum_seed, group), before)
            return crc32c(crc32c_zeros(crc, 2), after) & 0xFFFF == stored
        if geometry.ro_compat & RO_COMPAT_GDT_CSUM != 0:
            crc = crc16_u32(crc16(INITIAL_16, self.super().uuid.span()), group)
            return crc16(crc16(crc, before), after) == stored
        return True

    # ---- Groups -----------------------------------------------------------------------------------------------

    def descriptor_block(self, group: int) -> Block:
        return self.descriptor_blocks[group // self.geometry.descriptors_per_block]

    def descriptor_span(self, group: int) -> Span[u8]:
        geometry = self.geometry
        offset = group % geometry.descriptors_per_block * geometry.descriptor_size
        return self.descriptor_block(group).span()[offset : offset + geometry.descriptor_size]

    def descriptor(self, group: int) -> GroupDescriptor:
        """A view of a group's descriptor; after a change, mark `descriptor_block(group)` dirty."""
        geometry = self.geometry
        offset = group % geometry.descriptors_per_block * geometry.descriptor_size
        return struct_at(GroupDescriptor, self.descriptor_block(group).span(), offset)

    def block_bitmap(self, group: int) -> int:
        return self.descriptor(group).block_bitmap | self._high(group, DESCRIPTOR_BLOCK_BITMAP_HIGH)

    def inode_bitmap(self, group: int) -> int:
        return self.descriptor(group).inode_bitmap | self._high(group, DESCRIPTOR_INODE_BITMAP_HIGH)

    def inode_table(self, group: int) -> int:
        return self.descriptor(group).inode_table | self._high(group, DESCRIPTOR_INODE_TABLE_HIGH)

    def _high(self, group: int, offset: int) -> int:
        if not self.geometry.has_64_bits():
            return 0
        return self.descriptor_span(group).load_u32(offset) << 32

    def meets_system_block(self, group: int, first: int, count: int) -> bool:
        """Whether the blocks first … first + count - 1 of a group include a copy of the super block or descriptors, a
        bitmap or a part of an inode table.
        """
        geometry = self.geometry
        end = first + count
        if first < geometry.first_block_of_group(group) + geometry.blocks_in_front(group):
            return True
        descriptor = self.descriptor(group)
        if first <= descriptor.block_bitmap < end or first <= descriptor.inode_bitmap < end:
            return True
        return first < descriptor.inode_table + geometry.inode_table_blocks and descriptor.inode_table < end

    def is_file_block(self, block: int) -> bool:
        """Whether a block may belong to a file."""
        return self.are_file_blocks(block, 1)

    def are_file_blocks(self, first: int, count: int) -> bool:
        """Whether all of the blocks first … first + count - 1 may belong to a file; count > 0."""
        geometry = self.geometry
        if not geometry.is_block(first) or not geometry.is_block(first + count - 1):
            return False
        if geometry.incompat & INCOMPAT_FLEX_BG != 0:
            return True
        while count > 0:
            group = geometry.group_of_block(first)
            part = min(count, geometry.first_block_of_group(group + 1) - first)
            if self.meets_system_block(group, first, part):
                return False
            first += part
            count -= part
        return True

    # ---- What was freed ---------------------------------------------------------------------------------------

    def has_freed(self) -> bool:
        """Whether something that was freed is not usable yet."""
        return self.freed_blocks.count > 0 or self.freed_inodes.count > 0

    def settle(self) -> bool:
        """Make what was freed usable; False if there was nothing. Raises EIO, MemoryError."""
        holder = self.holder
        if holder is None or self.read_only or not holder.has_unsettled():
            return False
        holder.settle()
        return True

    def release_freed(self) -> None:
        """The disk knows of everything that was freed before settling began: clear the bits. Raises EIO."""
        for group in range(self.geometry.group_count):
            pace(GROUP_COST)
            descriptor = self.descriptor(group)
            if self.freed_blocks.is_settling(group):
                with self.blocks.block(self.block_bitmap(group)) as block:
                    count, first = self.freed_blocks.end(group, block.span())
                    block.mark_dirty()
                self.block_hints[group] = min(self.block_hints[group], first)
                limit = self.geometry.blocks_in_group(group)
                descriptor.free_blocks_count = min(descriptor.free_blocks_count + count, limit)
                self.descriptor_block(group).mark_dirty()
            if self.freed_inodes.is_settling(group):
                with self.blocks.block(self.inode_bitmap(group)) as block:
                    count, first = self.freed_inodes.end(group, block.span())
                    block.mark_dirty()
                self.inode_hints[group] = min(self.inode_hints[group], first)
                limit = self.geometry.inodes_per_group
                descriptor.free_inodes_count = min(descriptor.free_inodes_count + count, limit)
                self.descriptor_block(group).mark_dirty()

    # ---- Damage -----------------------------------------------------------------------------------------------

    def complain(self, what: str) -> None:
        """Log what is wrong, without flooding the log."""
        self.complaints += 1
        if self.complaints <= _COMPLAINTS_LIMIT:
            log.error(f"ext2 on {self.name.decode()}: {what}")

    def damaged(self, what: str, code: int = EUCLEAN, ino: int = 0, generation: int = -1) -> Errno:
        """Something on the disk is wrong: report it, note it in the super block, and act according to errors=.

        Returns the error to raise: EUCLEAN, but EBADMSG for a wrong checksum. errors=panic only makes the file system
        read-only: a disk never stops the kernel. `ino`: of the damaged inode, if it is one.
        """
        self.complain(what)
        holder = self.holder
        if holder is not None:
            holder.report_damage(code, ino, generation)
        self.is_damaged = True
        if not self.read_only:
            raw = self.super()
            raw.state = raw.state | STATE_ERRORS
            self.super_block.mark_dirty()
            if self.error_policy != ERRORS_CONTINUE:
                self._end_writing_at_once()
        return Errno(code)

    def abort(self) -> None:
        """The option of this name: note an error, and write nothing any more, whatever errors= says. As on Linux, the
        file system stays writable by name, and answers EIO.
        """
        self.complain("aborted by the user")
        self.is_damaged = True
        raw = self.super()
        raw.state = raw.state | STATE_ERRORS
        self.super_block.mark_dirty()
        self.is_aborted = True
        self.read_only = True

    def _end_writing_at_once(self) -> None:
        log.error(f"ext2 on {self.name.decode()}: remounting read-only")
        self.read_only = True
        holder = self.holder
        if holder is not None:
            holder.read_only = True

    # ---- Super block ------------------------------------------------------------------------------------------

    def write_super(self) -> None:
        """Bring the super block up to date in memory; it is written with all other blocks."""
        raw = self.super()
        raw.free_blocks_count = self.free_blocks
        raw.free_inodes_count = self.free_inodes
        raw.write_time = realtime_seconds() & 0xFFFFFFFF
        self.super_block.mark_dirty()

    def begin_writing(self) -> None:
        """Mark the file system as not cleanly unmounted."""
        raw = self.super()
        self.state_at_mount = raw.state
        raw.state = raw.state & ~STATE_CLEAN
        raw.mount_time = realtime_seconds() & 0xFFFFFFFF
        if raw.mount_count < 0xFFFF:
            raw.mount_count = raw.mount_count + 1
        self.read_only = False
        self.write_super()

    def end_writing(self) -> None:
        """Everything else was written: the file system counts as clean again, if it was when writing began."""
        raw = self.super()
        raw.state = self.state_at_mount | (STATE_ERRORS if self.is_damaged else 0)
        self.read_only = True
        self.write_super()

    def allow_large_files(self) -> None:
        """A file grows past 2 GiB: old drivers must no longer write here."""
        self.geometry.ro_compat |= RO_COMPAT_LARGE_FILE
        raw = self.super()
        if raw.revision == 0:
            return  # no room for features; Linux would make it revision 1
        raw.feature_ro_compat = raw.feature_ro_compat | RO_COMPAT_LARGE_FILE
        self.super_block.mark_dirty()

    def new_generation(self) -> int:
        self.next_generation = (self.next_generation * 1103515245 + 12345) & 0xFFFFFFFF
        return self.next_generation
