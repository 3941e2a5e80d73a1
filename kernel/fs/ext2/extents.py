"""Where a file's blocks are on ext4: the tree of extents in an inode. For reading only.

Each node is checked when it is read: its head, its checksum, that it lies one level below the node above it (which
excludes cycles), and that an extent's blocks exist.

Context: sleeps.
"""

from typing import Final

from kernel.fs.ext2.block_map import HOLE
from kernel.fs.ext2.checksum import crc32c
from kernel.fs.ext2.layout import (
    EXTENT_DEPTH_LIMIT,
    EXTENT_LENGTH_LIMIT,
    EXTENT_MAGIC,
    Extent,
    ExtentHeader,
    ExtentIndex,
)
from kernel.fs.ext2.volume import Volume
from kernel.lang import EBADMSG, EUCLEAN, Errno, Span, span_of, struct_at, u8

_ENTRY_SIZE: Final = 12  # of a header, an extent and an index alike
_NONE: Final = -1


class ExtentTree:
    """The extents of one inode. `root` holds the 60 bytes that contain the block pointers on ext2."""

    def __init__(self, volume: Volume, ino: int, root: bytearray, seed: int) -> None:
        self.volume: Volume = volume
        self.ino: int = ino
        self.root: bytearray = root
        self.seed: int = seed  # of the inode's checksums

    def find(self, block: int, want: int) -> tuple[int, int]:
        """The disk's block of a file's block, and how many are contiguous from there, at most `want`.

        For what was never written: HOLE and the length as far as it is known. Raises EIO, EUCLEAN.
        """
        node = span_of(self.root)
        depth = self._check_node(node, _NONE)
        if depth == 0:
            return self._find_in_leaf(node, block, want)
        limit = want
        number, limit = self._child(node, block, limit)
        while number != HOLE:
            with self.volume.blocks.block(number) as inner:
                self._check_node(inner.span(), depth - 1)
                self._check_checksum(inner.span())
                depth -= 1
                if depth == 0:
                    return self._find_in_leaf(inner.span(), block, limit)
                number, limit = self._child(inner.span(), block, limit)
        return HOLE, limit

    def _damaged(self, what: str, code: int = EUCLEAN) -> Errno:
        return self.volume.damaged(f"inode {self.ino}: {what}", code, self.ino)

    def _check_node(self, node: Span[u8], depth: int) -> int:
        """The node's depth, which must be `depth` unless that is _NONE."""
        head = struct_at(ExtentHeader, node, 0)
        room = len(node) // _ENTRY_SIZE - 1
        if head.magic != EXTENT_MAGIC or head.maximum > room or head.entries > head.maximum:
            raise self._damaged("an extent node has a wrong head")
        if head.depth > EXTENT_DEPTH_LIMIT or (depth != _NONE and head.depth != depth):
            raise self._damaged("an extent node lies at a wrong depth")
        return head.depth

    def _check_checksum(self, node: Span[u8]) -> None:
        if not self.volume.geometry.has_checksums():
            return
        end = (struct_at(ExtentHeader, node, 0).maximum + 1) * _ENTRY_SIZE
        if end + 4 > len(node) or crc32c(self.seed, node[0:end]) != node.load_u32(end):
            raise self._damaged("the checksum of an extent node is wrong", EBADMSG)

    def _child(self, node: Span[u8], block: int, want: int) -> tuple[int, int]:
        """The node below that covers `block`, and `want` limited to where the next one begins; HOLE before the
        first.
        """
        entries = struct_at(ExtentHeader, node, 0).entries
        found = HOLE
        for place in range(1, entries + 1):
            entry = struct_at(ExtentIndex, node, place * _ENTRY_SIZE)
            if entry.block > block:
                want = min(want, entry.block - block)
                break
            found = entry.leaf_low | entry.leaf_high << 32
            if not self.volume.is_file_block(found):
                raise self._damaged(f"block {found} cannot hold extents")
        return found, want

    def _find_in_leaf(self, node: Span[u8], block: int, want: int) -> tuple[int, int]:
        entries = struct_at(ExtentHeader, node, 0).entries
        low = 1
        high = entries + 1
        # The last extent that does not begin after `block`.
        while low < high:
            middle = (low + high) // 2
            if struct_at(Extent, node, middle * _ENTRY_SIZE).block > block:
                high = middle
            else:
                low = middle + 1
        if low <= entries:
            want = min(want, max(1, struct_at(Extent, node, low * _ENTRY_SIZE).block - block))
        if low == 1:
            return HOLE, want
        extent = struct_at(Extent, node, (low - 1) * _ENTRY_SIZE)
        length = extent.length
        is_written = length <= EXTENT_LENGTH_LIMIT
        if not is_written:
            length -= EXTENT_LENGTH_LIMIT
        skipped = block - extent.block
        if skipped >= length:
            return HOLE, want
        want = min(want, length - skipped)
        if not is_written:
            return HOLE, want
        first = (extent.start_low | extent.start_high << 32) + skipped
        if not self.volume.is_file_block(first) or not self.volume.is_file_block(first + want - 1):
            raise self._damaged(f"an extent at block {first} cannot be its own")
        return first, want
