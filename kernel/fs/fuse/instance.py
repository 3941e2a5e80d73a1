"""What inodes of FUSE know about their file system: its server, its users, and its other inodes.

Context: nothing sleeps.
"""

from kernel.fs.constants import S_IFMT
from kernel.fs.filesystem import FileSystem
from kernel.fs.fuse.client import Client
from kernel.fs.fuse.protocol import DONT_MASK, POSIX_ACL, Entry
from kernel.fs.fuse.request import Forgotten
from kernel.fs.inode import Inode
from kernel.lang import EACCES, ESTALE, Errno, final
from kernel.lib.credentials import Credentials, caller_credentials
from kernel.lib.ids import KernelGid, KernelUid
from kernel.time.clock import monotonic_ns


@final
class Access:
    """The rules of access to a mounted file system: its users, and whether the server or the kernel checks files."""

    def __init__(self) -> None:
        self.owner: KernelUid = KernelUid(0)
        self.group: KernelGid = KernelGid(0)
        self.allows_others: bool = False
        self.checks_modes: bool = False  # the kernel checks modes; otherwise the server decides, unless it wants lists


class FuseInstance(FileSystem):
    """A mounted file system: base of `FuseFileSystem`, which is the rest."""

    def __init__(self, type_name: bytes, source: bytes, magic: int, client: Client, access: Access) -> None:
        super().__init__(type_name, source, magic)
        self.client: Client = client
        self.access: Access = access
        self.nodes: dict[int, FuseNode] = {}  # by the server's numbers
        self.changes: int = 0  # counts what is learned or changed of nodes: answers may come late
        self.has_access_lists = True  # they go to the server, which may not know any
        self.serves_lists = True

    def uses_lists(self) -> bool:
        """Whether the kernel checks access control lists."""
        return self._has_agreed(POSIX_ACL)

    def checks_modes(self) -> bool:
        """Whether the kernel checks permissions, not the server alone."""
        return self.access.checks_modes or self.uses_lists()

    def masks_modes(self) -> bool:
        return self._has_agreed(DONT_MASK)

    def _has_agreed(self, flag: int) -> bool:
        agreed = self.client.connection.agreed
        return agreed is not None and agreed.flags & flag != 0

    def known(self, entry: Entry) -> "FuseNode | None":
        """The inode of a found entry, if it is known. A number that the server uses for another kind of file means a
        new file.
        """
        found = self.nodes.get(entry.node)
        if found is None or found.nlink == 0 or found.generation != entry.generation:
            return None
        return None if (found.mode ^ entry.attributes.mode) & S_IFMT != 0 else found

    def enter(self, node: "FuseNode") -> None:
        """Raises MemoryError."""
        self.nodes[node.node] = node

    def leave(self, node: "FuseNode") -> None:
        """The inode goes. Repeated calls are harmless: a remaining holder may drop it again. Never raises."""
        if node.is_left:
            return
        node.is_left = True
        if self.nodes.get(node.node) is node:
            self.nodes.pop(node.node)
        self.client.forget(node.record)

    def permits(self, credentials: Credentials) -> bool:
        """Whether the credentials may use the file system at all: only the user that mounted it, unless others are
        allowed. So no program waits for, or is observed by, a server that it did not choose.
        """
        access = self.access
        if access.allows_others:
            return self.user_namespace.contains(credentials.user_namespace)
        is_owner = credentials.uid == access.owner and credentials.euid == access.owner
        is_group = credentials.gid == access.group and credentials.egid == access.group
        return is_owner and is_group and credentials.suid == access.owner and credentials.sgid == access.group

    def require_permitted(self) -> None:
        """The same for the running thread. Raises EACCES."""
        credentials = caller_credentials()
        if credentials is not None and not self.permits(credentials):
            raise Errno(EACCES)


class FuseNode(Inode):
    """An inode with a server's number: base of `FuseInode`, which is the rest."""

    def __init__(self, instance: FuseInstance, entry: Entry) -> None:
        super().__init__(instance, entry.attributes.number, entry.attributes.mode)
        self.instance: FuseInstance = instance
        self.client: Client = instance.client
        self.node: int = entry.node
        self.generation: int = entry.generation
        self.record: Forgotten = Forgotten(entry.node)
        self.changed_at: int = 0  # the instance's count when something about it was last learned or changed
        self.is_left: bool = False  # the server got a FORGET for the node
        # The name by which it was found last, and how long the server vouches for that.
        self.found_in: int = 0
        self.found_as: bytes = b""
        self.found_until_ns: int = 0
        self.found_epoch: int = 0
        self.came_listed: bool = False  # with a directory's names, and was not used by its name since
        self.epoch: int = 0  # of a directory: how often the server has invalidated its answers

    def note_change(self) -> None:
        """Something about it was learned or changed: the answer to an older question is out of date."""
        self.instance.changes += 1
        self.changed_at = self.instance.changes

    def require_known(self) -> None:
        """Raises ESTALE: the server has forgotten the node, and its number may be another file's."""
        if self.is_left:
            raise Errno(ESTALE)

    def found(self, directory: "FuseNode", name: bytes, entry: Entry) -> None:
        """A look-up found it."""
        self.record.lookups += 1
        self.found_in = directory.node
        self.found_epoch = directory.epoch
        self.found_as = name
        self.found_until_ns = monotonic_ns() + entry.valid_ns

    def is_still(self, directory: "FuseNode", name: bytes) -> bool:
        """Whether the server vouches that a name leads here."""
        if self.found_in != directory.node or self.found_epoch != directory.epoch:
            return False
        return monotonic_ns() < self.found_until_ns and self.found_as == name
