"""Inodes of FUSE: what all kinds of files share, and the simple kinds: devices, FIFOs, sockets, symbolic links.

There is one inode for a node of the server, whatever its names. It lives until nobody has it open and no name in the
cache leads to it; then the server gets a FORGET for the node. Attributes are valid for as long as the server said.

Permissions: without the option `default_permissions` the server decides when it is asked; the kernel checks the mode
only for execution. A server that wants its access control lists to be observed (POSIX_ACL) has the kernel check both.
Users other than the one that mounted it may do nothing, unless `allow_other` is set.

Context: everything but `became_idle` and `evict` sleeps.
"""

from typing import TYPE_CHECKING, Final

from kernel.fs.access_list import ACCESS_LIST, NO_LISTS, AccessList, AccessLists, from_attribute
from kernel.fs.constants import FS_NOATIME_FL, MAX_FILE_SIZE, MAY_EXEC, S_IFMT
from kernel.fs.fuse import protocol
from kernel.fs.fuse.attributes import ServedAttributes
from kernel.fs.fuse.client import Change
from kernel.fs.fuse.instance import FuseInstance, FuseNode
from kernel.fs.fuse.protocol import Attributes, Entry, Opened
from kernel.fs.remote_file import InUse
from kernel.lang import EACCES, EIO, ENODATA, ENOSYS, EOPNOTSUPP, Errno, final
from kernel.lib.capabilities import CAP_CHOWN
from kernel.lib.credentials import Actor
from kernel.lib.ids import KernelGid, KernelUid
from kernel.time import coarse_realtime_ns
from kernel.time.clock import monotonic_ns

if TYPE_CHECKING:
    from kernel.fs.attribute_store import Store

_TARGET_LIMIT: Final = 4095  # bytes of a link's text


class FuseInode(FuseNode):
    """Base of all."""

    def __init__(self, instance: FuseInstance, entry: Entry) -> None:
        super().__init__(instance, entry)
        self.flags = FS_NOATIME_FL  # the server keeps the times
        self.valid_until_ns: int = 0
        self.told_mode: int = 0  # the mode that the server knows
        self.take_over(entry.attributes)

    # ---- Permissions ------------------------------------------------------------------------------------------

    def check_permission(self, actor: Actor, mask: int) -> None:
        if not self.instance.permits(actor):
            raise Errno(EACCES)
        if self.instance.checks_modes():
            self._check_mode(actor, mask)
        elif mask & MAY_EXEC != 0 and self.is_regular():
            if self.mode & 0o111 == 0:
                self._fetch_in_use()
                if self.mode & 0o111 == 0:
                    raise Errno(EACCES)

    def _check_mode(self, actor: Actor, mask: int) -> None:
        """By mode and list. What is known may be out of date: before it forbids anything, the server is asked."""
        is_fresh = monotonic_ns() >= self.valid_until_ns
        if is_fresh:
            self._fetch_in_use()
        try:
            super().check_permission(actor, mask)
        except Errno as error:
            if is_fresh or error.code != EACCES:
                raise
            self._fetch_in_use()
            super().check_permission(actor, mask)

    def owned_by(self, actor: Actor) -> bool:
        return not self.instance.checks_modes() or super().owned_by(actor)

    def yields_to(self, actor: Actor, capability: int) -> bool:
        if capability == CAP_CHOWN and not self.instance.checks_modes():
            return True
        return super().yields_to(actor, capability)

    # ---- Access control lists ---------------------------------------------------------------------------------

    def has_access_list(self) -> bool:
        return self.instance.uses_lists() and super().has_access_list()

    def access_lists(self) -> AccessLists:
        return super().access_lists() if self.instance.uses_lists() else NO_LISTS

    def read_access_lists(self) -> AccessLists:
        """For checks, which need no list for new files. A server's list is believed as long as its attributes."""
        with InUse(self):
            access = self._read_list(ACCESS_LIST)
        return NO_LISTS if access is None else AccessLists(access, None)

    def list_to_show(self, name: bytes) -> AccessList | None:
        self._require_lists()
        with InUse(self):
            return self._read_list(name)

    def _read_list(self, name: bytes) -> AccessList | None:
        """None if there is none, or the server knows no attributes. Raises what it reports, EINVAL (it is none)."""
        try:
            value = self.client.read_list(self.node, name)
        except Errno as error:
            if error.code in (ENODATA, ENOSYS):
                return None
            raise
        return from_attribute(value, self.instance.user_namespace) if len(value) > 0 else None

    def send_list(self, name: bytes, entries: AccessList | None) -> None:
        self._require_lists()
        namespace = self.instance.user_namespace
        with InUse(self):
            try:
                if entries is None:
                    self.client.remove_attribute(self.node, name)
                else:
                    self.client.write_attribute(self.node, name, entries.to_attribute(namespace), 0)
            except Errno as error:
                raise Errno(EOPNOTSUPP if error.code == ENOSYS else error.code) from None
        self.lists = None
        self.valid_until_ns = 0

    def _require_lists(self) -> None:
        """Lists of which the kernel takes no notice are for file systems of the machine's root only. Raises EOPNOTSUPP.
        """
        if not self.instance.uses_lists() and self.instance.user_namespace.level != 0:
            raise Errno(EOPNOTSUPP)

    # ---- Attributes -------------------------------------------------------------------------------------------

    def take_over(self, attributes: Attributes) -> None:
        """Take over the server's attributes; the kind of a file does not change, and an inode without a name stays
        without.
        """
        namespace = self.instance.user_namespace
        self.ino = attributes.number
        self.mode = self.mode & S_IFMT | attributes.mode & ~S_IFMT
        self.told_mode = self.mode
        self.uid = namespace.kernel_uid(attributes.uid)
        self.gid = namespace.kernel_gid(attributes.gid)
        if self.nlink != 0:
            self.nlink = max(1, attributes.links)
        self.rdev = attributes.device
        self.size = min(attributes.size, MAX_FILE_SIZE)
        self.blocks = attributes.blocks
        self.atime_ns = attributes.accessed_ns
        self.mtime_ns = attributes.modified_ns
        self.ctime_ns = attributes.changed_ns
        self.lists = None
        self.valid_until_ns = monotonic_ns() + attributes.valid_ns
        self.note_change()

    def opened(self) -> Opened | None:
        """The handle to pass when asking for attributes, if the file is open."""
        return None

    def refresh(self) -> None:
        self.instance.require_permitted()
        if monotonic_ns() >= self.valid_until_ns:
            self._fetch_in_use()

    def _fetch_in_use(self) -> None:
        with InUse(self):
            self.fetch_attributes()

    def fetch_attributes(self) -> None:
        """Fetch the attributes from the server."""
        if self.nlink > 0 or self.opened() is not None:
            asked_at = self.instance.changes
            attributes = self.client.attributes(self.node, self.opened())
            self._check_kind(attributes)
            if self.changed_at <= asked_at:
                self.take_over(attributes)

    def _check_kind(self, attributes: Attributes) -> None:
        """Raises EIO if the node has become another kind of file."""
        if (self.mode ^ attributes.mode) & S_IFMT != 0:
            raise Errno(EIO)

    def change_attributes(self, change: Change) -> None:
        """Have the server set attributes. Raises EACCES for callers that may not use the file system."""
        self.instance.require_permitted()
        with InUse(self):
            asked_at = self.instance.changes
            attributes = self.client.set_attributes(self.node, self.opened(), change)
            self._check_kind(attributes)
            is_late = self.changed_at > asked_at
            size = self.size
            self.take_over(attributes)
            if is_late and change.valid & protocol.SET_SIZE == 0:
                self.size = size
                self.valid_until_ns = 0

    def set_mode(self, mode: int) -> None:
        change = Change(protocol.SET_MODE)
        change.mode = self.mode & S_IFMT | mode & 0o7777
        self.change_attributes(change)
        self.may_have_privileges = True

    def set_owner(self, uid: KernelUid, gid: KernelGid) -> None:
        namespace = self.instance.user_namespace
        change = Change(0)
        if uid != self.uid:
            change.valid |= protocol.SET_UID
            change.uid = namespace.shown_uid(uid)
        if gid != self.gid:
            change.valid |= protocol.SET_GID
            change.gid = namespace.shown_gid(gid)
        if self.mode != self.told_mode:
            change.valid |= protocol.SET_MODE
            change.mode = self.mode
        self.change_attributes(change)

    def attributes_changed(self) -> None:
        """The times were set."""
        change = Change(protocol.SET_ATIME | protocol.SET_MTIME)
        change.accessed_ns = self.atime_ns
        change.modified_ns = self.mtime_ns
        self.change_attributes(change)

    def times_changed(self) -> None:
        """The server keeps the times."""

    def touch_changed(self) -> None:
        if self.mode != self.told_mode:
            self.set_mode(self.mode)  # set-ID bits have gone
        self.ctime_ns = coarse_realtime_ns()
        self.valid_until_ns = 0

    def attribute_store(self) -> "Store":
        return ServedAttributes(self)

    def may_have_attributes(self) -> bool:
        return not self.client.connection.lacks(protocol.GETXATTR)

    # ---- End --------------------------------------------------------------------------------------------------

    def became_idle(self) -> None:
        self.instance.leave(self)

    def evict(self) -> None:
        self.instance.leave(self)


@final
class FuseSpecial(FuseInode):
    """A device node, FIFO or socket: only attributes."""


@final
class FuseSymlink(FuseInode):
    """A symbolic link."""

    def read_link(self) -> bytes:
        self.instance.require_permitted()
        target = self.client.read_link(self.node)[0:_TARGET_LIMIT]
        end = target.find(b"\0")
        return target if end < 0 else target[:end]
