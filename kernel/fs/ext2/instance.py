"""One mounted file system as its inodes see it: the volume, and the inodes that are in memory.

An inode is one object as long as anybody has it: `inodes` finds it by number. Changed inodes stand in `dirty` until
they are copied to their places in the inode table; from there the block cache writes them.

Context: sleeps.
"""

from kernel.fs.constants import EXT2_SUPER_MAGIC
from kernel.fs.ext2.volume import Volume
from kernel.fs.filesystem import FileSystem
from kernel.fs.inode import Inode
from kernel.lang import EIO, Errno
from kernel.lib.credentials import Credentials


class Ext2(FileSystem):
    """Base of `Ext2FileSystem`, with what inodes need of it."""

    def __init__(self, type_name: bytes, source: bytes, volume: Volume) -> None:
        super().__init__(type_name, source, EXT2_SUPER_MAGIC)
        self.volume: Volume = volume
        self.sleeps = True
        self.inodes: dict[int, Ext2Node] = {}
        self.dirty: dict[int, Ext2Node] = {}

    def inode(self, ino: int) -> "Ext2Node":
        """The inode with this number, from memory or from the disk. Raises EIO, EUCLEAN."""
        raise Errno(EIO)

    def new_inode(self, parent: "Ext2Node", mode: int, credentials: Credentials) -> "Ext2Node":
        """A fresh inode without a name, for a child of `parent`. Raises ENOSPC, EROFS, EIO."""
        raise Errno(EIO)

    def mark_dirty(self, node: "Ext2Node") -> None:
        """The inode has changed: it is copied to the inode table later."""
        if not node.is_dirty and not node.is_gone:
            self.dirty[node.ino] = node
            node.is_dirty = True


class Ext2Node(Inode):
    """What the instance keeps of an inode; `Ext2Inode` is the rest."""

    def __init__(self, ext2: Ext2, ino: int, mode: int) -> None:
        super().__init__(ext2, ino, mode)
        self.ext2: Ext2 = ext2
        self.is_dirty: bool = False
        self.is_gone: bool = False  # deleted, and its number given back
