"""Directories of ext2: names in records, records in blocks. How they are listed is in `listing.py`.

The blocks are in the block cache. A directory never shrinks while it lives.

Locking: the VFS holds the directory's lock in everything here. Context: sleeps.
"""

from typing import TYPE_CHECKING, Final

from kernel.cache import Block, SyncScope
from kernel.fs.constants import MS_DIRSYNC, NAME_MAX, S_IFCHR, S_IFDIR, S_IFMT, S_IFREG, S_ISGID
from kernel.fs.ext2 import records
from kernel.fs.ext2.inode import Ext2Inode
from kernel.fs.ext2.instance import Ext2
from kernel.fs.ext2.layout import (
    FILE_TYPE_UNKNOWN,
    FLAG_DIRSYNC,
    FLAG_SYNC,
    LINK_LIMIT,
)
from kernel.fs.ext2.listing import OFFSET_BITS, OFFSET_MASK, Ext2DirectoryFile, ListedDirectory
from kernel.fs.ext2.special import Ext2Special, Ext2Symlink
from kernel.fs.file import File
from kernel.fs.inode import Inode
from kernel.lang import (
    EBADMSG,
    EINVAL,
    EISDIR,
    EMLINK,
    ENAMETOOLONG,
    ENODEV,
    ENOENT,
    ENOSPC,
    EROFS,
    ESTALE,
    Errno,
    final,
    noraise,
)
from kernel.lib import log
from kernel.lib.credentials import Actor
from kernel.lib.pace import pace
from kernel.lib.user import Buffer
from kernel.mm.objects import MemoryObject

if TYPE_CHECKING:
    from kernel.fs.path import Path

_UNIT_SHIFT: Final = 2  # record lengths are multiples of four bytes
_FEW_BLOCKS: Final = 4
_BLOCK_COST: Final = 4000  # instructions to look through a block, for `pace`
_PLACE_COST: Final = 400  # and that much more for each name whose place is noted
_INDEXED_BYTES: Final = 1 << 21  # the places of names in larger directories are not kept in memory
# From a mode's type (in its upper four bits) to a record's file type.
_FILE_TYPES: Final = b"\x00\x05\x03\x00\x02\x00\x04\x00\x01\x00\x07\x00\x06\x00\x00\x00"


@final
class HeldRecord:
    """A record of a name with its block, which stays in memory, so changing it neither fails nor sleeps. An operation
    of several steps holds what it will change before the first step. `release` it once, or use `with`.
    """

    def __init__(self, block: Block, index: int, offset: int) -> None:
        self.block: Block = block
        self.index: int = index  # of the block, in the directory
        self.offset: int = offset

    @noraise
    def point(self, ino: int, file_type: int) -> None:
        """Make it name another inode."""
        records.set_inode(self.block.span(), self.offset, ino, file_type)
        self.block.mark_dirty()

    @noraise
    def remove(self) -> None:
        """Take it out of its block, whose records were checked up to there."""
        records.remove(self.block.span(), self.offset)
        self.block.mark_dirty()

    def release(self) -> None:
        self.block.release()

    def __enter__(self) -> "HeldRecord":
        return self

    def __exit__(self, kind: object, value: object, traceback: object) -> None:
        self.release()


class Ext2Directory(ListedDirectory):
    """A directory."""

    def __init__(self, ext2: Ext2, ino: int, mode: int) -> None:
        super().__init__(ext2, ino, mode)
        self.map.holds_metadata = True
        self.places: dict[bytes, int] | None = None  # where each name's record is, once that is worth knowing
        self.first_hidden: int = records.NONE  # the first block with a wrong checksum: its names are not in `places`
        # For a record of that many units: no block before this one has room for it, nor for a larger one.
        self.room_hints: list[int] | None = None

    # ---- Finding ------------------------------------------------------------------------------------------------

    def _find(self, name: bytes) -> tuple[int, int]:
        """The block (of the directory) and the offset of the record with this name; NONE, 0 if there is none."""
        count = self.block_total()
        places = self._all_places(count) if 1 < count <= self._indexed_blocks() else None
        if places is not None:
            place = places.get(name, records.NONE)
            if self.first_hidden != records.NONE:
                # As a search block by block would; with a hash tree, all but the hidden names are found.
                is_reached = self.has_tree() or place >> OFFSET_BITS < self.first_hidden
                if place == records.NONE or not is_reached:
                    raise Errno(EBADMSG)
            if place == records.NONE:
                return records.NONE, 0
            return place >> OFFSET_BITS, place & OFFSET_MASK
        inode_count = self.ext2.volume.geometry.inode_count
        for index in range(count):
            with self.block_at(index) as block:
                try:
                    offset = records.find_name(block.span(), name, inode_count)
                except Errno:
                    raise self.broken() from None
                if offset != records.NONE:
                    return index, offset
            pace(_BLOCK_COST)
        return records.NONE, 0

    def _indexed_blocks(self) -> int:
        """The largest directory, in blocks, whose places of names are kept."""
        return _INDEXED_BYTES >> self.ext2.volume.geometry.block_shift

    def _all_places(self, count: int) -> dict[bytes, int] | None:
        """The places of all names, read once, or None for lack of memory. ext4 has hash trees for this; a dictionary is
        faster and needs no disk access.
        """
        known = self.places
        if known is not None:
            return known
        try:
            known = self._read_places(count)
        except MemoryError:
            return None
        self.places = known
        return known

    def _read_places(self, count: int) -> dict[bytes, int]:
        inode_count = self.ext2.volume.geometry.inode_count
        places: dict[bytes, int] = {}
        self.first_hidden = records.NONE
        for index in range(count):
            try:
                block = self.block_at(index)
            except Errno as error:
                if error.code != EBADMSG or index == 0:
                    raise
                if self.first_hidden == records.NONE:
                    self.first_hidden = index
                continue
            before = len(places)
            with block:
                span = block.span()
                offset = 0
                while offset < len(span):
                    try:
                        length = records.record_length(span, offset, inode_count)
                    except Errno:
                        raise self.broken() from None
                    if records.inode_at(span, offset) != 0:
                        places.setdefault(records.name_at(span, offset), index << OFFSET_BITS | offset)
                    offset += length
            pace(_BLOCK_COST + (len(places) - before) * _PLACE_COST)
        return places

    def _note_place(self, name: bytes, index: int, offset: int) -> None:
        """Note the place of a name that was entered."""
        places = self.places
        if places is not None:
            try:
                places[name] = index << OFFSET_BITS | offset
            except MemoryError:
                self.places = None

    def end(self) -> None:
        self.places = None
        self.room_hints = None
        super().end()

    def _hold(self, name: bytes) -> HeldRecord:
        """The record of a name that the VFS has seen, held. Raises EIO, EUCLEAN, MemoryError."""
        index, offset = self._find(name)
        if index == records.NONE:
            raise Errno(ENOENT)
        return self._hold_at(index, offset)

    def _hold_at(self, index: int, offset: int) -> HeldRecord:
        block = self.block_at(index)
        try:
            records.check(block.span(), offset, self.ext2.volume.geometry.inode_count)
            return HeldRecord(block, index, offset)
        except MemoryError:
            block.release()
            raise
        except Errno:
            block.release()
            raise self.broken() from None

    # ---- Looking ----------------------------------------------------------------------------------------------

    def lookup(self, name: bytes) -> Inode | None:
        index, offset = self._find(name)
        if index == records.NONE:
            return None
        with self.block_at(index) as block:
            ino = records.inode_at(block.span(), offset)
        if ino == self.ino:
            raise self.broken()
        inode = self.ext2.inode(ino)
        if isinstance(inode, Ext2Directory):
            if inode.parent_ino == 0:
                inode.parent_ino = self.ino
            elif inode.parent_ino != self.ino:
                raise self.ext2.volume.damaged(f"directory {ino} has two names", ino=self.ino)
        return inode

    def number_above(self) -> int:
        """The number of the directory that holds this one, as "..", says. Raises ESTALE."""
        index, offset = self._find(b"..")
        if index == records.NONE:
            raise Errno(ESTALE)
        with self.block_at(index) as block:
            return records.inode_at(block.span(), offset)

    def name_of(self, ino: int) -> bytes:
        """A name of an inode in this directory. Raises ESTALE."""
        inode_count = self.ext2.volume.geometry.inode_count
        for index in range(self.block_total()):
            with self.block_at(index) as block:
                span = block.span()
                offset = 0
                while offset < len(span):
                    try:
                        length = records.record_length(span, offset, inode_count)
                    except Errno:
                        raise self.broken() from None
                    if records.inode_at(span, offset) == ino and not records.is_dot_name(span, offset):
                        return records.name_at(span, offset)
                    offset += length
            pace(_BLOCK_COST)
        raise Errno(ESTALE)

    def is_empty(self) -> bool:
        inode_count = self.ext2.volume.geometry.inode_count
        for index in range(self.block_total()):
            with self.block_at(index) as block:
                try:
                    empty = records.has_only_dots(block.span(), inode_count)
                except Errno:
                    raise self.broken() from None
                if not empty:
                    return False
            pace(_BLOCK_COST)
        return True

    def open(self, path: "Path", flags: int) -> File:
        return Ext2DirectoryFile(path, flags, self)

    def read_at(self, buffer: Buffer, offset: int) -> int:
        raise Errno(EISDIR)

    def write_at(self, buffer: Buffer, offset: int) -> int:
        raise Errno(EISDIR)

    def truncate(self, size: int) -> None:
        raise Errno(EISDIR)

    def memory_object(self) -> MemoryObject:
        raise Errno(ENODEV)

    def sync(self, scope: SyncScope) -> None:
        self.ext2.check_alive()
        self.ext2.sync_directory()

    # ---- Making -----------------------------------------------------------------------------------------------

    def create(self, name: bytes, mode: int, rdev: int, actor: Actor) -> Inode:
        self._require_alive(name)
        is_directory = mode & S_IFMT == S_IFDIR
        if is_directory and self.nlink >= LINK_LIMIT:
            raise Errno(EMLINK)
        inode = self._new_inode(mode, actor)
        try:
            if isinstance(inode, Ext2Special):
                inode.set_device(rdev)
            elif isinstance(inode, Ext2Directory):
                inode._start(self)
            inode.write_new()
            self._add(name, inode)
        except (Errno, MemoryError):
            inode.undo()
            raise
        if is_directory:
            self.nlink += 1
            self.inode_changed()
        self._settle()
        return inode

    def create_symlink(self, name: bytes, target: bytes, actor: Actor) -> Inode:
        self._require_alive(name)
        if len(target) >= self.ext2.volume.geometry.block_size:
            raise Errno(ENAMETOOLONG)
        inode = self._new_inode(0o120777, actor)
        try:
            if isinstance(inode, Ext2Symlink):
                inode.set_target(target)
            inode.write_new()
            self._add(name, inode)
        except (Errno, MemoryError):
            inode.undo()
            raise
        self._settle()
        return inode

    def create_unnamed(self, mode: int, actor: Actor) -> Inode:
        if self.nlink == 0:
            raise Errno(ENOENT)
        return self._create_unnamed(S_IFREG | mode & 0o7777, actor)

    def create_whiteout(self, actor: Actor) -> Inode:
        return self._create_unnamed(S_IFCHR, actor)

    def moves_names(self) -> bool:
        return True

    def _create_unnamed(self, mode: int, actor: Actor) -> Ext2Inode:
        self._require_writable()
        inode = self._new_inode(mode, actor)
        inode.nlink = 0
        try:
            inode.write_new()
        except (Errno, MemoryError):
            inode.undo()
            raise
        return inode

    def _new_inode(self, mode: int, actor: Actor) -> Ext2Inode:
        """A fresh inode of the right class; a set-group-ID directory hands its group down."""
        inode = self.ext2.new_inode(self, mode, actor)
        if not isinstance(inode, Ext2Inode):
            raise Errno(EINVAL)
        inode.uid = actor.fsuid
        inode.gid = actor.fsgid
        if self.mode & S_ISGID != 0:
            inode.gid = self.gid
            if inode.is_directory():
                inode.mode |= S_ISGID
        return inode

    def _start(self, parent: "Ext2Directory") -> None:
        """Write a new directory's first block."""
        with self.add_block(0) as block:
            records.start_directory(block.span(), self.ino, parent.ino, self._file_type(self))
            self.map.touch(block.number)
        self.size = self.ext2.volume.geometry.block_size
        self.nlink = 2
        self.parent_ino = parent.ino

    def link(self, name: bytes, target: Inode) -> None:
        self._require_alive(name)
        if not isinstance(target, Ext2Inode):
            raise Errno(EINVAL)
        if target.nlink >= LINK_LIMIT:
            raise Errno(EMLINK)
        self._add(name, target)
        target.nlink += 1
        target.touch_changed()
        self._settle()

    def _require_writable(self) -> None:
        """Raises EROFS: it became read-only while the thread waited for its turn; EIO: it was aborted."""
        if self.ext2.read_only:
            raise Errno(EROFS)
        self.ext2.check_alive()

    def _require_alive(self, name: bytes) -> None:
        self._require_writable()
        if self.nlink == 0:
            raise Errno(ENOENT)
        if len(name) > NAME_MAX:
            raise Errno(ENAMETOOLONG)

    def _file_type(self, inode: Inode) -> int:
        """The file type that a record gives for an inode."""
        if not self.ext2.volume.geometry.has_file_types():
            return FILE_TYPE_UNKNOWN
        return _FILE_TYPES[inode.mode >> 12 & 15]

    def _add(self, name: bytes, inode: Inode) -> None:
        """Enter a name, in the first record with room or in a new block. Raises ENOSPC, EIO, EUCLEAN."""
        self.drop_tree()
        needed = records.record_size(len(name))
        inode_count = self.ext2.volume.geometry.inode_count
        kind = self._file_type(inode)
        count = self.block_total()
        hints = self._all_room_hints(count)
        units = needed >> _UNIT_SHIFT
        start = min(hints[units], count) if hints is not None else 0
        for index in range(start, count):
            with self.block_at(index) as block:
                try:
                    offset = records.find_room(block.span(), needed, inode_count)
                except Errno:
                    raise self.broken() from None
                if offset != records.NONE:
                    offset = records.insert(block.span(), offset, name, inode.ino, kind)
                    block.mark_dirty()
                    self._note_place(name, index, offset)
                    self._named(inode, block.number)
                    return
            if hints is not None and index == hints[units]:
                _raise_hints(hints, units, index + 1)
            pace(_BLOCK_COST)
        self._add_block(count, name, inode, kind)

    def _all_room_hints(self, count: int) -> list[int] | None:
        """Where to start looking for room, by size, in a directory large enough for that to pay off; never decreasing
        with size. None for lack of memory.
        """
        hints = self.room_hints
        if hints is None and count > _FEW_BLOCKS:
            try:
                hints = [0] * ((records.record_size(NAME_MAX) >> _UNIT_SHIFT) + 1)
            except MemoryError:
                return None
            self.room_hints = hints
        return hints

    def _add_block(self, index: int, name: bytes, inode: Inode, kind: int) -> None:
        volume = self.ext2.volume
        limit = volume.largest_directory_kib
        if limit > 0 and self.size >> 10 >= limit:
            raise Errno(ENOSPC)
        if index == 1:
            self.would_get_tree()
        with self.add_block(index) as block:
            records.write_record(block.span(), 0, volume.geometry.block_size, name, inode.ino, kind)
            self.size = (index + 1) << volume.geometry.block_shift
            self.inode_changed()
            if index >= self._indexed_blocks():
                self.places = None
            self._note_place(name, index, 0)
            self._named(inode, block.number)

    def _named(self, inode: Inode, number: int) -> None:
        """Record that the name of an inode was written to the directory's block `number` of the device."""
        if isinstance(inode, Ext2Inode):
            inode.has_new_name = True
            if not inode.is_directory():
                inode.parent_ino = self.ino
        self.map.touch(number)
        self._changed()

    def _changed(self) -> None:
        self.change_count += 1
        self.touch_modified()

    def _settle(self) -> None:
        """A change of names is complete: flush it to the device if that was requested (chattr +D, mount -o dirsync).
        The change stands even if the device fails.
        """
        ext2 = self.ext2
        is_mounted_so = ext2.is_synchronous or ext2.shown_flags & MS_DIRSYNC != 0
        if self.flags & (FLAG_DIRSYNC | FLAG_SYNC) == 0 and not is_mounted_so:
            return
        try:
            self.sync(SyncScope.ALL)
        except Errno as error:
            log.error(f"ext2: names in directory {self.ino} could not be written: error {error.code}")
        except MemoryError:
            log.error("ext2: names could not be written: no memory")

    # ---- Removing ---------------------------------------------------------------------------------------------

    def unlink(self, name: bytes, target: Inode) -> None:
        self._require_writable()
        with self._hold(name) as record:
            self._remove(name, record)
        target.drop_link()
        self._settle()

    def remove_directory(self, name: bytes, target: Inode) -> None:
        self._require_writable()
        with self._hold(name) as record:
            self._remove(name, record)
        self._lose_directory()
        if target.nlink > 0:
            target.nlink = 1
        target.drop_link()
        self._settle()

    @noraise
    def _remove(self, name: bytes, record: HeldRecord) -> None:
        """Remove a name. Never sleeps or fails."""
        record.remove()
        self.map.touch(record.block.number)
        index = record.index
        places = self.places
        if places is not None and name in places:
            places.pop(name)
        hints = self.room_hints
        if hints is not None:
            for units in range(len(hints) - 1, -1, -1):
                if hints[units] <= index:
                    break
                hints[units] = index
        self._changed()

    def _lose_directory(self) -> None:
        """A directory in this one is gone, and its ".." with it: count one link less. A damaged disk may have counted
        too few.
        """
        if self.nlink > 2:
            self.nlink -= 1
            self.inode_changed()

    # ---- Renaming ---------------------------------------------------------------------------------------------

    def rename(
        self,
        name: bytes,
        target: Inode,
        new_parent: Inode,
        new_name: bytes,
        replaced: Inode | None,
        whiteout: Inode | None = None,
    ) -> None:
        if not isinstance(target, Ext2Inode) or not isinstance(new_parent, Ext2Directory):
            raise Errno(EINVAL)
        new_parent._require_alive(new_name)
        moves_directory = target.is_directory() and new_parent is not self
        if isinstance(replaced, Ext2Inode) and (replaced.nlink <= 1 or replaced.is_directory()):
            replaced.was_replaced()
        if moves_directory and replaced is None and new_parent.nlink >= LINK_LIMIT:
            raise Errno(EMLINK)
        with self._hold(name) as record:
            above = _hold_above(target) if moves_directory else None
            try:
                if replaced is not None:
                    with new_parent._hold(new_name) as new_record:
                        new_parent._point(new_record, target)
                else:
                    new_parent._add(new_name, target)
                # The new name exists. From here on nothing fails or sleeps.
                if whiteout is not None:
                    whiteout.nlink = 1
                    self._point(record, whiteout)
                else:
                    self._remove(name, record)
                if above is not None and isinstance(target, Ext2Directory):
                    target._set_parent(above, new_parent)
            finally:
                if above is not None:
                    above.release()
        if moves_directory:
            self._lose_directory()
            new_parent.nlink += 1
        if replaced is not None:
            if replaced.is_directory():
                new_parent._lose_directory()
                replaced.nlink = min(replaced.nlink, 1)
            replaced.drop_link()
        if whiteout is not None:
            whiteout.touch_changed()
        target.touch_changed()
        new_parent.attributes_changed()
        self.attributes_changed()
        self._settle()
        new_parent._settle()

    def exchange(self, name: bytes, target: Inode, other_parent: Inode, other_name: bytes, other: Inode) -> None:
        if not isinstance(target, Ext2Inode) or not isinstance(other, Ext2Inode):
            raise Errno(EINVAL)
        if not isinstance(other_parent, Ext2Directory):
            raise Errno(EINVAL)
        self._require_writable()
        step = 0
        if self is not other_parent and target.is_directory() != other.is_directory():
            step = 1 if target.is_directory() else -1
            gaining = other_parent if step == 1 else self
            if gaining.nlink >= LINK_LIMIT:
                raise Errno(EMLINK)
        moves = self is not other_parent
        above_target: HeldRecord | None = None
        above_other: HeldRecord | None = None
        try:
            above_target = _hold_above(target) if moves else None
            above_other = _hold_above(other) if moves else None
            with self._hold(name) as record, other_parent._hold(other_name) as other_record:
                # From here on nothing fails or sleeps.
                other_parent._point(other_record, target)
                self._point(record, other)
                if above_target is not None and isinstance(target, Ext2Directory):
                    target._set_parent(above_target, other_parent)
                if above_other is not None and isinstance(other, Ext2Directory):
                    other._set_parent(above_other, self)
        finally:
            if above_target is not None:
                above_target.release()
            if above_other is not None:
                above_other.release()
        self.nlink -= step
        other_parent.nlink += step
        target.touch_changed()
        other.touch_changed()
        self.attributes_changed()
        other_parent.attributes_changed()
        self._settle()
        other_parent._settle()

    @noraise
    def _point(self, record: HeldRecord, inode: Inode) -> None:
        """Make an existing name lead to another inode. Never sleeps or fails."""
        record.point(inode.ino, self._file_type(inode))
        self._named(inode, record.block.number)

    @noraise
    def _set_parent(self, above: HeldRecord, parent: "Ext2Directory") -> None:
        """The directory was moved: update its "..", held by the caller. Never sleeps or fails."""
        above.point(parent.ino, self._file_type(self))
        self.map.touch(above.block.number)
        self.parent_ino = parent.ino


def _hold_above(inode: Inode) -> HeldRecord | None:
    """The record ".." of a directory that is about to move, held; None for other files. Raises EUCLEAN unless it lies
    in the first block, EIO, MemoryError.
    """
    if not isinstance(inode, Ext2Directory):
        return None
    index, offset = inode._find(b"..")
    if index != 0:
        raise inode.broken()
    return inode._hold_at(index, offset)


def _raise_hints(hints: list[int], units: int, block: int) -> None:
    """Note that no block before `block` has room for a record of that many units or more."""
    while units < len(hints) and hints[units] < block:
        hints[units] = block
        units += 1
