"""Inodes of 9P: what all kinds of files share, and the simple kinds: devices, FIFOs, sockets, symbolic links.

There is one inode for a file of the host, whatever its names: it is found by its identity, which the server supplies.
It lives until nobody has it open and no name in the cache leads to it. Its fid follows the name by which it was found
last, because a server may find a file by its name alone.

Context: everything but `became_idle` and `evict` sleeps.
"""

from typing import TYPE_CHECKING, Final

from kernel.fs.constants import FS_NOATIME_FL, S_IFMT
from kernel.fs.plan9.attributes import HostAttributes
from kernel.fs.plan9.client import Attributes, Fid
from kernel.fs.plan9.instance import SharedInstance, SharedNode
from kernel.fs.remote_file import InUse
from kernel.lang import EINVAL, Errno, final
from kernel.lib.ids import KernelGid, KernelUid
from kernel.time import coarse_realtime_ns

if TYPE_CHECKING:
    from kernel.fs.attribute_store import Store

_TARGET_LIMIT: Final = 4095  # bytes of a link's text


class SharedInode(SharedNode):
    """Base of all. `fid` is the inode's own from now on."""

    def __init__(self, shared: SharedInstance, fid: Fid, attributes: Attributes) -> None:
        super().__init__(shared, attributes)
        self.fid: Fid | None = fid
        self.flags = FS_NOATIME_FL  # the host keeps the times
        self.take_over(attributes)

    def living_fid(self) -> Fid:
        """Raises EINVAL once the inode is gone."""
        fid = self.fid
        if fid is None:
            raise Errno(EINVAL)
        return fid

    def found_by(self, fid: Fid, attributes: Attributes) -> None:
        """A look-up found it; `fid` belongs to the name."""
        old = self.fid
        self.fid = fid
        if old is not None:
            self.client.retire(old)
        self.take_over(attributes)

    # ---- Attributes -------------------------------------------------------------------------------------------

    def take_over(self, attributes: Attributes) -> None:
        """Take over the host's attributes; the kind of a file does not change, and an inode without a name stays
        without.
        """
        self.mode = self.mode & S_IFMT | attributes.mode & ~S_IFMT
        self.uid = KernelUid(attributes.uid)
        self.gid = KernelGid(attributes.gid)
        if self.nlink != 0:
            self.nlink = max(1, attributes.links)
        self.rdev = attributes.device
        self.size = attributes.size
        self.blocks = attributes.blocks
        self.atime_ns = attributes.accessed_ns
        self.mtime_ns = attributes.modified_ns
        self.ctime_ns = attributes.changed_ns

    def attribute_fid(self) -> Fid:
        """The fid to pass when asking for attributes: an open file is found even if its name is gone."""
        return self.living_fid()

    def refresh(self) -> None:
        with InUse(self):
            self.fetch_attributes()

    def fetch_attributes(self) -> None:
        """Fetch the attributes from the host."""
        if self.nlink > 0:
            self.take_over(self.client.attributes(self.attribute_fid()))

    def set_mode(self, mode: int) -> None:
        with InUse(self):
            self.client.set_mode(self.attribute_fid(), mode & 0o7777)
        self.mode = self.mode & S_IFMT | mode & 0o7777
        self.may_have_privileges = True

    def set_owner(self, uid: KernelUid, gid: KernelGid) -> None:
        with InUse(self):
            self.client.set_owner(self.attribute_fid(), int(uid), int(gid))
            self.fetch_attributes()

    def attributes_changed(self) -> None:
        """The times were set."""
        with InUse(self):
            self.client.set_times(self.attribute_fid(), self.atime_ns, self.mtime_ns)

    def times_changed(self) -> None:
        """The host keeps the times."""

    def touch_changed(self) -> None:
        self.ctime_ns = coarse_realtime_ns()

    def attribute_store(self) -> "Store":
        return HostAttributes(self)

    # ---- End --------------------------------------------------------------------------------------------------

    def became_idle(self) -> None:
        self._end()

    def evict(self) -> None:
        self._end()

    def _end(self) -> None:
        self.shared.forget(self)
        fid = self.fid
        if fid is not None:
            self.fid = None
            self.client.retire(fid)


@final
class SharedSpecial(SharedInode):
    """A device node, FIFO or socket: only attributes."""


@final
class SharedSymlink(SharedInode):
    """A symbolic link."""

    def read_link(self) -> bytes:
        return self.client.read_link(self.living_fid())[0:_TARGET_LIMIT]
