"""The extended attributes of an inode on ext2: those in the inode itself, and those in a block.

What is set goes into the inode if it fits there, else into the block, as in Linux's ext4. Inodes with equal attributes
share one block, which counts them; changing a shared block creates a copy. Blocks to share are found by their hashes,
among those read or written since mounting.

Locking: the inode's lock is held over changes (`acquire` … `release`); a reader reads again if the block was exchanged
while it slept. Context: sleeps.
"""

from typing import Final

from kernel.fs.attribute_store import Store
from kernel.fs.ext2 import attribute_format as format
from kernel.fs.ext2.attribute_format import Attribute, attribute_named
from kernel.fs.ext2.attributes_block import AttributeBlocks, check_block, drop_attributes
from kernel.fs.ext2.block_map import BlockMap
from kernel.fs.ext2.instance import Ext2, Ext2Node
from kernel.fs.ext2.layout import EXTRA_SIZE_OFFSET, OLD_INODE_SIZE
from kernel.lang import EUCLEAN, Errno, Span, final, span_of, u8

_NOWHERE: Final = -1


class AttributedNode(Ext2Node):
    """An inode with blocks, one of which may hold attributes. Base of `Ext2Inode`, which is the rest."""

    def __init__(self, ext2: Ext2, ino: int, mode: int) -> None:
        super().__init__(ext2, ino, mode)
        self.map: BlockMap = BlockMap(ext2.volume, ino)
        self.attribute_block: int = 0  # extended attributes (i_file_acl)

    def map_changed(self) -> None:
        """Update the inode's fields from the map. Never sleeps."""
        if self.map.changed:
            self.map.changed = False
            self.blocks = self.map.sectors
            self.inode_changed()


@final
class Ext2Attributes(Store):
    """What `load` found, and the way to change it."""

    def __init__(self, inode: AttributedNode, blocks: AttributeBlocks, place: int, offset: int) -> None:
        super().__init__()
        self.inode: AttributedNode = inode
        self.blocks: AttributeBlocks = blocks
        self.place: int = place  # the block of the inode table, and where in it the inode is
        self.offset: int = offset
        self.inline: list[Attribute] = []
        self.in_block: list[Attribute] = []

    def acquire(self) -> None:
        self.inode.lock.acquire_unless_dying()

    def release(self) -> None:
        self.inode.lock.release()

    # ---- Reading ----------------------------------------------------------------------------------------------

    def load(self) -> None:
        volume = self.inode.ext2.volume
        with volume.blocks.block(self.place) as block:
            area = self._inline_area(block.span())
            if len(area) >= format.INLINE_HEADER_SIZE and area.load_u32(0) == format.MAGIC:
                size = format.INLINE_HEADER_SIZE
                try:
                    self.inline = format.parse(area, size, size)
                except Errno:
                    raise self._damaged() from None
        self._load_block()
        for attribute in self.inline:
            self._show(attribute)
        for attribute in self.in_block:
            self._show(attribute)

    def _show(self, attribute: Attribute) -> None:
        name = attribute.full_name()
        if len(name) > 0:
            self.values.setdefault(name, attribute.shown_value())

    def _inline_area(self, block: Span[u8]) -> Span[u8]:
        """What follows the fields of the inode."""
        size = self.inode.ext2.volume.geometry.inode_size
        start = OLD_INODE_SIZE
        if size > OLD_INODE_SIZE:
            start = min(start + block.load_u16(self.offset + EXTRA_SIZE_OFFSET), size)
        return block[self.offset + min(start, size) : self.offset + size]

    def _load_block(self) -> None:
        inode = self.inode
        volume = inode.ext2.volume
        while inode.attribute_block != 0:
            number = inode.attribute_block
            if not volume.is_file_block(number):
                raise self._damaged()
            with volume.blocks.block(number) as block:
                if inode.attribute_block != number:
                    continue
                try:
                    check_block(volume, block)
                    self.in_block = format.parse(block.span(), format.HEADER_SIZE, 0)
                except Errno as error:
                    raise self._damaged(error.code) from None
                self.blocks.note(block)
            return

    def _damaged(self, code: int = EUCLEAN) -> Errno:
        inode = self.inode
        what = f"inode {inode.ino} has damaged extended attributes"
        return inode.ext2.volume.damaged(what, code, inode.ino, inode.version())

    # ---- Changing ---------------------------------------------------------------------------------------------

    def put(self, name: bytes, value: bytes, old: bytes | None) -> None:
        fresh = attribute_named(name, value)
        inline = _with(self.inline, fresh, is_sorted=False)
        if format.room_for(inline, format.INLINE_HEADER_SIZE) <= self._inline_room():
            self._write_inline(inline)
            if _find(self.in_block, fresh) != _NOWHERE:
                self._write_block(_without(self.in_block, fresh))
        else:
            self._put_in_block(fresh)

    def _put_in_block(self, fresh: Attribute) -> None:
        self._write_block(_with(self.in_block, fresh, is_sorted=True))
        if _find(self.inline, fresh) != _NOWHERE:
            self._write_inline(_without(self.inline, fresh))

    def drop(self, name: bytes) -> None:
        gone = attribute_named(name, b"")
        if _find(self.inline, gone) != _NOWHERE:
            self._write_inline(_without(self.inline, gone))
        if _find(self.in_block, gone) != _NOWHERE:
            self._write_block(_without(self.in_block, gone))

    def _inline_room(self) -> int:
        with self.inode.ext2.volume.blocks.block(self.place) as block:
            return len(self._inline_area(block.span()))

    def _write_inline(self, attributes: list[Attribute]) -> None:
        with self.inode.ext2.volume.blocks.block(self.place) as block:
            area = self._inline_area(block.span())
            area.fill(0)
            if len(attributes) > 0:
                area.store_u32(0, format.MAGIC)
                size = format.INLINE_HEADER_SIZE
                format.write_entries(area, attributes, size, size, with_hashes=False)
            block.mark_dirty()

    def _write_block(self, attributes: list[Attribute]) -> None:
        """Let the inode have a block with these attributes, or none."""
        inode = self.inode
        volume = inode.ext2.volume
        old = inode.attribute_block
        if len(attributes) == 0:
            if old != 0:
                inode.attribute_block = 0
                drop_attributes(volume, inode.map, old, self.blocks)
                inode.map_changed()
            return
        fresh = format.block_of(attributes, volume.geometry.block_size)
        number = self.blocks.share(volume, span_of(fresh), old)
        if number == 0:
            if old != 0 and self.blocks.overwrite(volume, old, span_of(fresh)):
                inode.map.touch(old)
                return
            number = inode.map.take_block(inode.ext2.is_privileged())
            try:
                with volume.blocks.fresh(number) as block:
                    block.span().copy_from(span_of(fresh))
                    self.blocks.note(block)
            except (Errno, MemoryError):
                inode.map.release(number, 1, is_metadata=True)
                raise
        else:
            inode.map.count_shared(1)
        inode.map.touch(number)
        inode.attribute_block = number
        try:
            if old != 0:
                drop_attributes(volume, inode.map, old, self.blocks)
        finally:
            inode.map_changed()


def _find(attributes: list[Attribute], wanted: Attribute) -> int:
    for index in range(len(attributes)):
        each = attributes[index]
        if each.index == wanted.index and each.name == wanted.name:
            return index
    return _NOWHERE


def _without(attributes: list[Attribute], gone: Attribute) -> list[Attribute]:
    kept: list[Attribute] = []
    for each in attributes:
        if each.index != gone.index or each.name != gone.name:
            kept.append(each)
    return kept


def _with(attributes: list[Attribute], fresh: Attribute, is_sorted: bool) -> list[Attribute]:
    """The attributes with `fresh` added, which replaces one of the same name."""
    result: list[Attribute] = []
    known = _find(attributes, fresh) != _NOWHERE
    placed = False
    for each in attributes:
        same = each.index == fresh.index and each.name == fresh.name
        if not placed and (same or (is_sorted and not known and fresh.comes_before(each))):
            result.append(fresh)
            placed = True
        if not same:
            result.append(each)
    if not placed:
        result.append(fresh)
    return result
