"""One mounted file system as its inodes see it: the volume, and the inodes that are in memory.

An inode is a single object as long as anybody holds it: `find_known` finds it by number. Changed inodes stand on the
`dirty` list until they are copied to their places in the inode table; from there the block cache writes them.

An inode and its page cache refer to each other. When there are many inodes, those that have not been used for long are
retired: the cycle is broken and only a weak reference is left, so that the object dies with the last name or walk that
refers to it. If somebody who still holds it wants its contents, it is brought back.

Context: sleeps, but where it says otherwise.
"""

from collections import deque
from collections.abc import Iterator
from typing import Final

from kernel.cache import SyncScope
from kernel.cache.dirty_pages import LAST_PAGE
from kernel.fs.cached_inode import CachedInode
from kernel.fs.constants import EXT2_SUPER_MAGIC
from kernel.fs.ext2.attributes_block import AttributeBlocks
from kernel.fs.ext2.mount_options import Ext2Options
from kernel.fs.ext2.retired import RetiredNodes
from kernel.fs.ext2.volume import Volume, VolumeHolder
from kernel.lang import EIO, Errno, inline
from kernel.lib.capabilities import CAP_SYS_RESOURCE
from kernel.lib.credentials import Credentials, caller_credentials
from kernel.lib.ids import ROOT_GROUP, KernelGid, KernelUid
from kernel.lib.linked import Linkage, Links
from kernel.lib.pace import pace
from kernel.mm.frames import total_frame_count

_FRAMES_PER_INODE: Final = 8
_FEWEST_INODES: Final = 1024
_LOOK_COST: Final = 50  # instructions, for `pace`
_STEP: Final = 4  # inodes looked at for each new one, when there are too many


class Ext2(VolumeHolder):
    """Base of `Ext2FileSystem`, with what inodes need from it."""

    dirty: Links["Ext2Node"]

    def __init__(self, type_name: bytes, source: bytes, volume: Volume, options: Ext2Options) -> None:
        super().__init__(type_name, source, EXT2_SUPER_MAGIC)
        self.volume: Volume = volume
        self.mount_options: Ext2Options = options
        self.attribute_blocks: AttributeBlocks = AttributeBlocks()
        self.sleeps = True
        self.finds_by_handle = True
        self.keeps_negatives = True
        self.inodes: dict[int, Ext2Node] = {}
        self.nodes: list[Ext2Node] = []  # the same inodes; each knows its place
        self.hand: int = 0  # the place in `nodes` where `retire_some` goes on, downwards
        self.retired: RetiredNodes = RetiredNodes()
        self.inode_limit: int = max(_FEWEST_INODES, total_frame_count() // _FRAMES_PER_INODE)
        # Inodes whose last name was taken by a rename that may not be on the disk.
        self.replaced: deque[Ext2Node] = deque()
        # Directories that Linux would list by hash although they have no hash tree (any more), and the hash.
        self.hashed_directories: dict[int, int] = {}
        self.first_owed: Ext2Node | None = None  # inodes that could not be evicted yet for lack of memory
        self.lost_track: bool = False  # inodes left memory that knew of blocks for fsync to write

    def has_unsettled(self) -> bool:
        owes = self.volume.owed.count > 0 or self.first_owed is not None
        return self.volume.has_freed() or len(self.replaced) > 0 or owes

    def check_alive(self) -> None:
        if self.volume.is_aborted:
            raise Errno(EIO)

    def inode(self, ino: int) -> "Ext2Node":
        """The inode with this number, from memory or from the disk. Raises EIO, EUCLEAN."""
        raise Errno(EIO)

    def new_inode(self, parent: "Ext2Node", mode: int, credentials: Credentials) -> "Ext2Node":
        """A fresh inode without a name, for a child of `parent`. Raises ENOSPC, EROFS, EIO."""
        raise Errno(EIO)

    def is_privileged(self) -> bool:
        """Whether the running thread may take reserved blocks: root, and the user and group that the super block
        names.
        """
        caller = caller_credentials()
        if caller is None or caller.capable(CAP_SYS_RESOURCE):
            return True
        volume = self.volume
        gid = KernelGid(volume.reserved_gid)
        return caller.fsuid == KernelUid(volume.reserved_uid) or (gid != ROOT_GROUP and caller.in_group(gid))

    def sync_inode(self, node: "Ext2Node", scope: SyncScope) -> None:
        """Write an inode, and all that leads to it, to the device and wait. Raises EIO."""

    def sync_directory(self) -> None:
        """Write everything but file contents to the disk, so that it survives a power failure. Raises EIO."""

    # ---- Inodes in memory -------------------------------------------------------------------------------------

    def find_known(self, ino: int) -> "Ext2Node | None":
        """The inode if it is in memory. Never sleeps. Raises MemoryError."""
        node = self.inodes.get(ino)
        if node is not None:
            node.was_used = True
            return node
        node = self.retired.find(ino)
        if node is not None:
            self.bring_back(node)
        return node

    def enter(self, node: "Ext2Node") -> None:
        """Enter an inode that is now in memory. Never sleeps. Raises MemoryError."""
        self.nodes.append(node)
        try:
            self.inodes[node.ino] = node
        except MemoryError:
            self.nodes.pop()
            raise
        node.place = len(self.nodes) - 1
        node.cache.resume(node)

    def leave(self, node: "Ext2Node") -> None:
        """An inode was deleted. Never sleeps."""
        if node.ino in self.hashed_directories:
            self.hashed_directories.pop(node.ino)
        if self.inodes.get(node.ino) is node:
            self.forget(node)

    def forget(self, node: "Ext2Node") -> None:
        """Forget an inode that is no longer in memory. Never sleeps or fails."""
        self.inodes.pop(node.ino)
        last = self.nodes.pop()
        if last is not node:
            self.nodes[node.place] = last
            last.place = node.place

    def known_nodes(self) -> Iterator["Ext2Node"]:
        """All inodes in memory, with safe points in between. May miss inodes that arrive meanwhile, and may return one
        twice.
        """
        place = len(self.nodes)
        while place > 0:
            yield self.nodes[place - 1]
            pace(_LOOK_COST)
            place = min(place - 1, len(self.nodes))

    def owe_eviction(self, node: "Ext2Node") -> None:
        """An unused inode could not be evicted for lack of memory: try again later. Never sleeps or fails."""
        if not node.is_owed:
            node.is_owed = True
            node.next_owed = self.first_owed
            self.first_owed = node

    def bring_back(self, node: "Ext2Node") -> None:
        """Bring back a retired inode, which is needed again. Never sleeps. Raises MemoryError."""
        self.enter(node)
        node.is_retired = False
        self.retired.remove(node.ino)

    def retire_some(self) -> None:
        """Retire a few inodes if there are too many: a clock hand goes round, and spares those used since its last
        visit. Sleeps. Raises MemoryError.
        """
        if len(self.inodes) <= self.inode_limit:
            return
        for _ in range(_STEP):
            if len(self.nodes) == 0:
                return
            if self.hand == 0:
                self.hand = len(self.nodes)
            self.hand = min(self.hand, len(self.nodes)) - 1
            node = self.nodes[self.hand]
            if node.was_used or not node.can_retire():
                node.was_used = False
                continue
            node.cache.forget(0, LAST_PAGE)
            if not node.can_retire() or self.inodes.get(node.ino) is not node:  # somebody used it during the sleep
                continue
            if not node.is_stored():
                self.lost_track = True
            self.retired.add(node)
            self.forget(node)
            node.is_retired = True
            node.cache.end()

    # ---- Changed inodes ---------------------------------------------------------------------------------------

    def list_dirty(self, node: "Ext2Node") -> None:
        """Put an inode at the end of the list, unless none will be written any more. Never sleeps or raises."""
        if self.volume.is_aborted:
            return
        _DIRTY.append(self.dirty, node)
        node.is_dirty = True

    def unlist_dirty(self, node: "Ext2Node") -> None:
        """Take an inode off the list, if it is there. Never sleeps or raises."""
        if not node.is_dirty:
            return
        _DIRTY.remove(self.dirty, node)
        node.is_dirty = False


class Ext2Node(CachedInode):
    """The instance's part of an inode; `Ext2Inode` is the rest."""

    dirty_links: Links["Ext2Node"]

    def __init__(self, ext2: Ext2, ino: int, mode: int) -> None:
        super().__init__(ext2, ino, mode)
        self.ext2: Ext2 = ext2
        self.place: int = 0  # in `Ext2.nodes`
        self.is_dirty: bool = False
        self.is_needed: bool = True  # fdatasync(2) must write it: more than times may be missing on the device
        self.is_owed: bool = False  # it stands on the list of those to be evicted
        self.next_owed: Ext2Node | None = None
        self.is_gone: bool = False  # deleted, and its number given back
        self.is_retired: bool = False
        self.was_used: bool = True
        self.is_replaced: bool = False  # on the list `replaced`: while it is there, the disk keeps it
        self.must_end: bool = False  # delete it after that

    def inode_changed(self) -> None:
        """The inode must be copied to the inode table, sooner or later. Never sleeps."""
        self.is_needed = True
        self.times_changed()

    def times_changed(self) -> None:
        if not self.is_dirty and not self.is_gone:
            self.ext2.list_dirty(self)

    def is_stored(self) -> bool:
        """Whether fsync would find no metadata to write."""
        return not self.is_needed

    def note_storing(self) -> None:
        """All metadata of now is about to be written: fsync need not write what leads to the inode, nor its blocks."""

    def note_stored(self) -> None:
        """The changed inodes were copied to the inode table, which is about to be written: fsync need not."""
        if not self.is_dirty:
            self.is_needed = False

    def lose_track(self) -> None:
        """Make the next fsync write all metadata."""

    def can_retire(self) -> bool:
        """Whether nobody has it open and nothing in it has to be written."""
        cache = self.cache
        if self.users > 0 or self.nlink == 0 or self.is_dirty or self.is_gone or self.is_retired:
            return False
        return cache.dirty_count == 0 and cache.writing_count == 0 and self.lock.owner is None

    def wanted(self) -> None:
        """Somebody is about to use the contents. Raises MemoryError."""
        if self.is_retired:
            self.ext2.bring_back(self)

    def was_replaced(self) -> None:
        """A rename has given the inode's last name to another inode. If the power fails before that is on the disk, the
        name must still lead to this inode and its contents. Raises MemoryError.
        """
        if not self.is_replaced:
            self.ext2.replaced.append(self)
            self.is_replaced = True

    def end_replaced(self) -> None:
        """The rename is on the disk. Sleeps; raises nothing."""

    def write_back(self) -> None:
        """Copy a changed inode to its place in the inode table. Sleeps. Raises EIO."""


class _Dirty(Linkage[Ext2Node]):
    @inline
    def links(self, entry: Ext2Node) -> Links[Ext2Node]:
        return entry.dirty_links


_DIRTY: Final = _Dirty()
