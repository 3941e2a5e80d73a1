"""Symbolic links, device nodes, FIFOs and sockets on ext2: files whose few bytes mostly lie in the inode.

A short target of a symbolic link lies where other files have their block pointers, a longer one in one block. A device
number lies in the first pointer (up to 255, 255) or, in a wider form, in the second.

Context: sleeps.
"""

from typing import Final

from kernel.fs.constants import device_major, device_minor, device_number
from kernel.fs.ext2.block_map import HOLE
from kernel.fs.ext2.inode import Ext2Inode
from kernel.fs.ext2.instance import Ext2
from kernel.fs.ext2.layout import FAST_SYMLINK_LIMIT, POINTER_COUNT
from kernel.lang import EUCLEAN, Errno, Span, span_of, u8

_OLD_LIMIT: Final = 256


class Ext2Special(Ext2Inode):
    """A device node, FIFO or socket: only attributes."""

    def set_device(self, rdev: int) -> None:
        """Keep a device number in the pointers of a new inode."""
        self.rdev = rdev
        if not self.is_device():
            self.rdev = 0
            return
        major = device_major(rdev)
        minor = device_minor(rdev)
        if major < _OLD_LIMIT and minor < _OLD_LIMIT:
            self.map.pointers[0] = major << 8 | minor
        else:
            self.map.pointers[1] = rdev & 0xFFFFFFFF

    def load(self, raw_bytes: Span[u8]) -> None:
        super().load(raw_bytes)
        if self.is_device():
            old = self.map.pointers[0]
            self.rdev = device_number(old >> 8 & 0xFF, old & 0xFF) if old != 0 else self.map.pointers[1]


class Ext2Symlink(Ext2Inode):
    """A symbolic link."""

    def __init__(self, ext2: Ext2, ino: int, mode: int) -> None:
        super().__init__(ext2, ino, mode)
        self.map.holds_metadata = True

    def set_target(self, target: bytes) -> None:
        """Store the text of a new link, shorter than a block. Raises ENOSPC, EIO."""
        if len(target) < FAST_SYMLINK_LIMIT:
            for index in range(len(target)):
                place = index >> 2
                self.map.pointers[place] = self.map.pointers[place] | target[index] << (index & 3) * 8
        else:
            with self.add_block(0) as block:
                block.span()[0 : len(target)].copy_from(span_of(target))
        self.size = len(target)

    def has_blocks(self) -> bool:
        """Whether the target lies in a block: then the file has one, apart from those of its extended attributes."""
        attributes = self.ext2.volume.geometry.block_size >> 9 if self.attribute_block != 0 else 0
        return self.size >= FAST_SYMLINK_LIMIT or self.map.sectors > attributes

    def read_link(self) -> bytes:
        volume = self.ext2.volume
        size = self.size
        if size == 0 or size > volume.geometry.block_size:
            raise volume.damaged(f"symbolic link {self.ino} has {size} bytes", ino=self.ino)
        if not self.has_blocks():
            text = bytearray()
            for index in range(POINTER_COUNT):
                for shift in (0, 8, 16, 24):
                    text.append(self.map.pointers[index] >> shift & 0xFF)
            return _until_nul(bytes(text[:size]))
        number, _ = self.find_blocks(0, 1)
        if number == HOLE:
            raise volume.damaged(f"symbolic link {self.ino} has no text", ino=self.ino)
        with volume.blocks.block(number) as block:
            return _until_nul(block.span()[0:size].to_bytes())


def _until_nul(text: bytes) -> bytes:
    end = text.find(b"\0")
    if end == 0:
        raise Errno(EUCLEAN)
    return text if end < 0 else text[:end]
