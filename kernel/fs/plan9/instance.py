"""What inodes of 9P know about their file system: the session, and the other inodes.

Context: `forget` never sleeps.
"""

from kernel.fs.constants import S_IFMT
from kernel.fs.filesystem import FileSystem
from kernel.fs.inode import Inode
from kernel.fs.plan9.client import Attributes, Client, Fid, inode_number
from kernel.lang import EINVAL, Errno


class SharedInstance(FileSystem):
    """A mounted directory of the host: base of `SharedFileSystem`, which is the rest."""

    def __init__(self, source: bytes, magic: int, client: Client) -> None:
        super().__init__(b"9p", source, magic)
        self.client: Client = client
        self.nodes: dict[bytes, SharedNode] = {}  # by identity

    def known(self, attributes: Attributes) -> "SharedNode | None":
        """The inode of a file that was found, if it is known. A number may have been reused for another kind."""
        found = self.nodes.get(attributes.identity)
        if found is None or found.nlink == 0 or (found.mode ^ attributes.mode) & S_IFMT != 0:
            return None
        return found

    def enter(self, inode: "SharedNode") -> None:
        """Raises MemoryError."""
        self.nodes[inode.identity] = inode

    def forget(self, inode: "SharedNode") -> None:
        """The inode goes. Never raises."""
        if self.nodes.get(inode.identity) is inode:
            self.nodes.pop(inode.identity)


class SharedNode(Inode):
    """An inode with an identity: base of `SharedInode`, which is the rest."""

    def __init__(self, shared: SharedInstance, attributes: Attributes) -> None:
        super().__init__(shared, inode_number(attributes.identity), attributes.mode)
        self.shared: SharedInstance = shared
        self.client: Client = shared.client
        self.identity: bytes = attributes.identity

    def attribute_fid(self) -> Fid:
        """The fid to pass when asking for attributes, which may be another one after each sleep. Raises EINVAL once the
        inode is gone.
        """
        raise Errno(EINVAL)
