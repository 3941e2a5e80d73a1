"""Directories of ext2 as readers see them: their blocks, and their names in the order in which Linux shows them.

Where the file system has hash trees (dir_index), a directory that has one, and each of a single block, is listed in the
order of its names' hashes, and a position for seek is a hash. All other directories are listed in the order of the
disk; a position is an offset in the directory, and one inside a record leads to the next record.

The hashes of all names are computed and sorted when a reader begins, and again whenever the directory has changed
since: the tree itself is not needed for that. Adding a name drops the tree, which Krait does not keep up to date;
`Ext2.hashed_directories` remembers until unmounting that there was one.

A block with a wrong checksum is skipped, as on Linux; in a hash tree, the listing stops at the first such block.

Context: sleeps. Listing happens without the directory's lock, so it may change wherever this sleeps.
"""

from typing import TYPE_CHECKING, Final

from kernel.fs.constants import SEEK_END, SEEK_SET
from kernel.fs.ext2 import records
from kernel.fs.ext2.block_map import HOLE
from kernel.fs.ext2.directory_blocks import check_directory_block, tree_hash_version
from kernel.fs.ext2.inode import Ext2Inode
from kernel.fs.ext2.instance import Ext2
from kernel.fs.ext2.layout import FILE_TYPE_UNKNOWN, FLAG_INDEX
from kernel.fs.ext2.name_hash import END_POSITION, UNKNOWN, hash_position, position_of
from kernel.fs.file import DirectorySink, InodeFile, add_offset
from kernel.lang import EBADMSG, EINVAL, EUCLEAN, Errno
from kernel.lib.pace import pace
from kernel.lib.sorting import sort_paced

if TYPE_CHECKING:
    from kernel.cache import Block
    from kernel.fs.path import Path

OFFSET_BITS: Final = 12  # a place is a block's number in the directory and an offset in it
OFFSET_MASK: Final = 0xFFF
_MINOR_BITS: Final = 32
_MINOR_MASK: Final = 0xFFFFFFFF
_UNCHANGED: Final = -1  # a reader that has no order yet
# Instructions, for `pace`
_HASH_COST: Final = 2000
_HASH_BYTE_COST: Final = 100
_INSERT_COST: Final = 100
_EMIT_COST: Final = 1000
_BLOCK_COST: Final = 30_000
# From a record's file type to getdents(2)'s: unknown, regular, directory, character, block, FIFO, socket, link.
_ENTRY_TYPES: Final = b"\x00\x08\x04\x02\x06\x01\x0c\x0a"


class NameOrder:
    """A reader's view of a directory: where its names are, by their hashes."""

    def __init__(self) -> None:
        self.change_count: int = _UNCHANGED  # the directory's, when this was computed
        self.positions: list[int] = []  # hashes, in order
        self.places: list[int] = []  # of the same names
        self.index: int = 0  # of the name that comes next …
        self.position: int = _UNCHANGED  # … if the reader goes on here

    def take(self, positions: list[int], places: list[int]) -> None:
        """Sort names that were found in this order."""
        # The upper half of a position and the name's number are one integer, which is what can be sorted.
        keys: list[int] = []
        for number in range(len(positions)):
            keys.append(positions[number] >> _MINOR_BITS << _MINOR_BITS | number)
        sort_paced(keys)
        sorted_positions: list[int] = []
        sorted_places: list[int] = []
        start = 0
        for key in keys:
            number = key & _MINOR_MASK
            position = positions[number]
            size = len(sorted_positions)
            if size > 0 and sorted_positions[start] >> _MINOR_BITS != position >> _MINOR_BITS:
                start = size
            # Among those of one upper half. Of names with the very same hash the first one found comes first, then
            # the others from the last one on.
            index = start
            while index < size and sorted_positions[index] < position:
                index += 1
            if index < size and sorted_positions[index] == position:
                index += 1
            sorted_positions.insert(index, position)
            sorted_places.insert(index, places[number])
            pace(_INSERT_COST)
        self.positions = sorted_positions
        self.places = sorted_places

    def seek(self, position: int) -> None:
        """Go to the first name from a position on, unless the reader is there."""
        if position == self.position:
            return
        low = 0
        high = len(self.positions)
        while low < high:
            middle = (low + high) // 2
            if self.positions[middle] < position:
                low = middle + 1
            else:
                high = middle
        self.index = low
        self.position = position


class ListedDirectory(Ext2Inode):
    """Base of `Ext2Directory`."""

    def __init__(self, ext2: Ext2, ino: int, mode: int) -> None:
        super().__init__(ext2, ino, mode)
        self.change_count: int = 0  # of changes to names

    # ---- Blocks -----------------------------------------------------------------------------------------------

    def block_total(self) -> int:
        """How many blocks the directory has."""
        geometry = self.ext2.volume.geometry
        return min((self.size + geometry.block_size - 1) >> geometry.block_shift, geometry.block_count)

    def block_at(self, index: int) -> "Block":
        """Block `index` of the directory, pinned, its checksum verified. Raises EUCLEAN for a hole, EIO."""
        block = self._unverified_block(index)
        if self.ext2.volume.geometry.has_checksums():
            try:
                check_directory_block(block.span(), self.checksum_seed)
            except Errno:
                block.release()
                raise self.broken(EBADMSG) from None
        return block

    def _unverified_block(self, index: int) -> "Block":
        number, _ = self.find_blocks(index, 1)
        if number == HOLE:
            raise self.broken()
        return self.ext2.volume.blocks.block(number)

    def broken(self, code: int = EUCLEAN) -> Errno:
        """The error for a directory that is damaged or has a wrong checksum (EBADMSG)."""
        return self.ext2.volume.damaged(f"directory {self.ino} is damaged", code, self.ino, self.generation)

    # ---- Order ------------------------------------------------------------------------------------------------

    def hash_version(self) -> int:
        """The hash function by which Linux orders this directory, or UNKNOWN for the order of the disk."""
        volume = self.ext2.volume
        if not volume.geometry.has_directory_index():
            return UNKNOWN
        if self.has_tree():
            return self._tree_version()
        if self.block_total() == 1:
            return volume.default_hash_version()
        return UNKNOWN

    def has_tree(self) -> bool:
        """Whether it has a hash tree, or had one."""
        return self.flags & FLAG_INDEX != 0 or self.ino in self.ext2.hashed_directories

    def _tree_version(self) -> int:
        volume = self.ext2.volume
        known = self.ext2.hashed_directories.get(self.ino, UNKNOWN)
        if known != UNKNOWN or self.block_total() == 0:
            return known
        with self.block_at(0) as block:
            version = tree_hash_version(block.span(), volume.geometry)
        return version if version == UNKNOWN else volume.with_signedness(version)

    def drop_tree(self) -> None:
        """A name is about to be added, which makes the hash tree invalid. Raises EIO, EUCLEAN, MemoryError."""
        if self.flags & FLAG_INDEX == 0:
            return
        version = self.hash_version()
        if version != UNKNOWN:
            self.ext2.hashed_directories[self.ino] = version
        self.flags &= ~FLAG_INDEX
        self.inode_changed()

    def would_get_tree(self) -> None:
        """The directory is about to get its second block: Linux would keep a hash tree from now on."""
        volume = self.ext2.volume
        version = volume.default_hash_version()
        if volume.geometry.has_directory_index() and version != UNKNOWN:
            self.ext2.hashed_directories[self.ino] = version

    # ---- Listing ----------------------------------------------------------------------------------------------

    def read_directory(self, position: int, sink: DirectorySink) -> None:
        """Emit the names from `position` on, including the dots."""
        self.list_names(position, sink, NameOrder())

    def list_names(self, position: int, sink: DirectorySink, order: NameOrder) -> None:
        """As `read_directory`, for a reader that keeps `order` from one call to the next."""
        if self.hash_version() == UNKNOWN:
            self._list_by_place(position, sink)
        else:
            self._list_by_hash(position, sink, order)

    def _list_by_place(self, position: int, sink: DirectorySink) -> None:
        geometry = self.ext2.volume.geometry
        index = position >> geometry.block_shift
        start = position & (geometry.block_size - 1)
        while index < self.block_total():
            base = index << geometry.block_shift
            try:
                block = self.block_at(index)
            except Errno as error:
                if error.code != EBADMSG:
                    raise
                sink.pass_over(base + geometry.block_size)  # as on Linux, the others' names are shown
            else:
                with block:
                    if not self._emit_block(block, base, start, sink):
                        return
            index += 1
            start = 0
            pace(_BLOCK_COST)

    def _emit_block(self, block: "Block", base: int, start: int, sink: DirectorySink) -> bool:
        """Emit a block's names from offset `start` on; False if the sink is full. `base`: where the block begins."""
        span = block.span()
        offset = 0
        while offset < len(span):
            length = self.record_length(block, offset)
            following = base + offset + length
            if offset >= start:
                if records.inode_at(span, offset) == 0:
                    sink.pass_over(following)
                elif self._emit(block, offset, following, sink):
                    sink.position = following
                else:
                    return False
            offset += length
        return True

    def _emit(self, block: "Block", offset: int, following: int, sink: DirectorySink) -> bool:
        span = block.span()
        has_types = self.ext2.volume.geometry.has_file_types()
        kind = records.file_type_at(span, offset) if has_types else FILE_TYPE_UNKNOWN
        if kind >= len(_ENTRY_TYPES):
            kind = FILE_TYPE_UNKNOWN
        return sink.emit(
            records.name_at(span, offset), records.inode_at(span, offset), _ENTRY_TYPES[kind], following
        )

    def record_length(self, block: "Block", offset: int) -> int:
        """As `records.record_length`; damage is noted."""
        try:
            return records.record_length(block.span(), offset, self.ext2.volume.geometry.inode_count)
        except Errno:
            raise self.broken() from None

    # ---- Listing by hash --------------------------------------------------------------------------------------

    def _list_by_hash(self, position: int, sink: DirectorySink, order: NameOrder) -> None:
        while position < END_POSITION:
            if order.change_count != self.change_count:
                self._compute(order)
            order.seek(position)
            if order.index >= len(order.positions):
                position = END_POSITION
                break
            position = order.positions[order.index]
            place = order.places[order.index]
            after = order.index + 1
            following = order.positions[after] if after < len(order.positions) else END_POSITION
            known = order.change_count
            with self._unverified_block(place >> OFFSET_BITS) as block:
                if known != self.change_count:
                    continue  # it changed during the sleep, and another reader may have computed the order anew
                offset = place & OFFSET_MASK
                self.record_length(block, offset)
                if not self._emit(block, offset, following, sink):
                    break
            order.index = after
            order.position = following
            position = following
            pace(_EMIT_COST)
        order.position = position
        sink.position = position

    def _compute(self, order: NameOrder) -> None:
        """Find all names and sort them."""
        change_count = self.change_count
        volume = self.ext2.volume
        version = self.hash_version()
        seed = volume.super().hash_seed.copy()
        has_tree = self.has_tree()
        positions: list[int] = []
        places: list[int] = []
        for index in range(self.block_total()):
            try:
                block = self.block_at(index)
            except Errno as error:
                if error.code != EBADMSG or index == 0:
                    raise
                continue
            names: list[bytes] = []  # of this block: hashing them takes safe points
            with block:
                span = block.span()
                offset = 0
                while offset < len(span):
                    length = self.record_length(block, offset)
                    if records.inode_at(span, offset) != 0:
                        names.append(records.name_at(span, offset))
                        places.append(index << OFFSET_BITS | offset)
                    offset += length
            for name in names:
                if has_tree and (name == b"." or name == b".."):
                    # With a tree the dots are not found by their hashes: they come first.
                    positions.append(position_of(0 if name == b"." else 2, 0))
                else:
                    positions.append(hash_position(name, version, seed))
                pace(_HASH_COST + len(name) * _HASH_BYTE_COST)
        order.take(positions, places)
        order.change_count = change_count
        order.position = _UNCHANGED


class Ext2DirectoryFile(InodeFile):
    """An open directory: a reader with its order, and a position that may be a hash."""

    def __init__(self, path: "Path", flags: int, directory: ListedDirectory) -> None:
        self.order: NameOrder = NameOrder()
        super().__init__(path, flags)
        self.directory: ListedDirectory = directory

    def read_directory(self, sink: DirectorySink) -> None:
        sink.position = self.position
        self.directory.list_names(self.position, sink, self.order)
        self.position = sink.position
        self.path.mount.touch_accessed(self.directory)

    def seek(self, offset: int, whence: int) -> int:
        """Where names are listed by hash, the end lies after all hashes; elsewhere as in files."""
        directory = self.directory
        is_hashed = directory.hash_version() != UNKNOWN
        before = self.position
        if whence == SEEK_END and is_hashed:
            place = super().seek(add_offset(END_POSITION, offset), SEEK_SET)
        else:
            place = super().seek(offset, whence)
        if place > (END_POSITION if is_hashed else directory.largest_size()):
            self.position = before
            raise Errno(EINVAL)
        return place
