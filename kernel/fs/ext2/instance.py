"""One mounted file system as its inodes see it: the volume, and the inodes that are in memory.

An inode is one object as long as anybody has it: `inodes` finds it by number. Changed inodes stand in `dirty` until
they are copied to their places in the inode table; from there the block cache writes them.

Context: sleeps.
"""

from kernel.fs.cached_inode import CachedInode
from kernel.fs.constants import EXT2_SUPER_MAGIC
from kernel.fs.ext2.options import Ext2Options
from kernel.fs.ext2.volume import Volume
from kernel.fs.filesystem import FileSystem
from kernel.lang import EIO, Errno
from kernel.lib.credentials import Credentials


class Ext2(FileSystem):
    """Base of `Ext2FileSystem`, with what inodes need of it."""

    def __init__(self, type_name: bytes, source: bytes, volume: Volume, options: Ext2Options) -> None:
        super().__init__(type_name, source, EXT2_SUPER_MAGIC)
        self.volume: Volume = volume
        self.mount_options: Ext2Options = options
        self.sleeps = True
        self.keeps_negatives = True
        self.inodes: dict[int, Ext2Node] = {}
        self.dirty: dict[int, Ext2Node] = {}

    def inode(self, ino: int) -> "Ext2Node":
        """The inode with this number, from memory or from the disk. Raises EIO, EUCLEAN."""
        raise Errno(EIO)

    def new_inode(self, parent: "Ext2Node", mode: int, credentials: Credentials) -> "Ext2Node":
        """A fresh inode without a name, for a child of `parent`. Raises ENOSPC, EROFS, EIO."""
        raise Errno(EIO)

    def is_privileged(self) -> bool:
        """Whether who is running may take the blocks that are reserved."""
        return True

    def sync_inode(self, node: "Ext2Node") -> None:
        """Bring an inode, and all that leads to it, to the device and wait. Raises EIO."""


class Ext2Node(CachedInode):
    """What the instance keeps of an inode; `Ext2Inode` is the rest."""

    def __init__(self, ext2: Ext2, ino: int, mode: int) -> None:
        super().__init__(ext2, ino, mode)
        self.ext2: Ext2 = ext2
        self.is_dirty: bool = False
        self.is_gone: bool = False  # deleted, and its number given back

    def inode_changed(self) -> None:
        """The inode is to be copied to the inode table, sooner or later. Never sleeps."""
        if not self.is_dirty and not self.is_gone:
            self.ext2.dirty[self.ino] = self
            self.is_dirty = True

    def write_back(self) -> None:
        """Copy a changed inode to its place in the inode table. Sleeps. Raises EIO."""
