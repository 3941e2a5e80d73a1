"""Inodes of an overlay: what all kinds share, and symbolic links, devices, FIFOs and sockets.

Attributes are those of the topmost layer that has the file, kept as a copy for permission checks. Changing one copies
the file up first. Rights are checked twice: the caller's by the overlay's inode, and the mounter's by the layer's.

Each method makes room on the stack and continues in a function that is `@with_room`, because the layer may be an
overlay as well.

Context: everything sleeps, but where it says otherwise.
"""

from kernel.cache.store import SyncScope
from kernel.fs.access_list import AccessLists
from kernel.fs.attribute_store import Store
from kernel.fs.attributes import change_owner
from kernel.fs.constants import MAY_READ, MAY_WRITE
from kernel.fs.inode import Inode
from kernel.fs.overlay.copy_up import copy_up
from kernel.fs.overlay.instance import OverlayNode, dropped_bits
from kernel.fs.overlay.store import OverlayStore
from kernel.lang import EPERM, EROFS, Errno, final, with_room
from kernel.lib.credentials import Actor
from kernel.lib.ids import KernelGid, KernelUid
from kernel.sched.room import make_room


class OverlayInode(OverlayNode):
    """Base of all."""

    def check_permission(self, actor: Actor, mask: int) -> None:
        super().check_permission(actor, mask)
        if not self.overlay.mounter_may_all:
            make_room()
            _check_layer(self, mask)

    def read_access_lists(self) -> AccessLists:
        make_room()
        return _access_lists(self)

    def attribute_store(self) -> Store:
        return OverlayStore(self)

    def refresh(self) -> None:
        make_room()
        _refresh(self)

    def has_birth_time(self) -> bool:
        return self.has_birth

    def shown_attributes(self) -> int:
        return self.known_attributes

    def attributes_changed(self) -> None:
        make_room()
        _push(self)

    def times_changed(self) -> None:
        """It was read."""
        try:
            make_room()
        except MemoryError:
            return
        _push_access_time(self)

    def set_mode(self, mode: int) -> None:
        make_room()
        _set_mode(self, mode)

    def set_owner(self, uid: KernelUid, gid: KernelGid) -> None:
        make_room()
        _set_owner(self, uid, gid)

    def prepare_move(self) -> None:
        if self.is_regular():
            make_room()
            _prepare_move(self)

    def shown_flags(self) -> int:
        make_room()
        return _shown_flags(self)

    def set_flags(self, flags: int) -> None:
        make_room()
        _set_flags(self, flags)

    def sync(self, scope: SyncScope) -> None:
        make_room()
        _sync(self, scope)


def changed_inode(node: OverlayNode) -> Inode:
    """The inode of the upper layer, which the mounter owns or controls, after copying up. Raises EROFS, EPERM, and what
    copying up raises.
    """
    copy_up(node)
    path = node.upper
    if path is None:
        raise Errno(EROFS)
    path.mount.require_writable()
    inode = path.inode()
    if not inode.owned_by(path.mount.actor(node.overlay.mounter)):
        raise Errno(EPERM)
    return inode


@with_room(24576)
def _check_layer(node: OverlayNode, mask: int) -> None:
    """Check that the mounter has the same rights in the layer; writing to a lower file only needs reading it."""
    if node.upper is None and mask & MAY_WRITE != 0 and (node.is_regular() or node.is_directory() or node.is_symlink()):
        mask = mask & ~MAY_WRITE | MAY_READ
    if not node.has_left:
        path = node.real_path()
        path.inode().check_permission(path.mount.actor(node.overlay.mounter), mask)


@with_room(24576)
def _access_lists(node: OverlayNode) -> AccessLists:
    path = node.real_path()
    return path.inode().access_lists().seen_through(path.mount.owners)


@with_room(24576)
def _refresh(node: OverlayNode) -> None:
    if not node.has_left:  # a directory that was removed may still be somebody's working directory
        node.real().refresh()
        node.take_over()


@with_room(24576)
def _push(node: OverlayNode) -> None:
    """Times or mode bits were set: pass them on to the layer. Other bits keep the layer's present values: copying may
    take long, and others may change them meanwhile.
    """
    wanted = node.mode
    differing = wanted ^ node.real().mode
    accessed = node.atime_ns
    modified = node.mtime_ns
    changed = node.ctime_ns
    try:
        inode = changed_inode(node)
        inode.mode = inode.mode & ~differing | wanted & differing
        inode.atime_ns = accessed
        inode.mtime_ns = modified
        inode.ctime_ns = changed
        inode.attributes_changed()
    finally:
        node.take_over()


@with_room(24576)
def _push_access_time(node: OverlayNode) -> None:
    """Pass the access time on to the layer. A lower file keeps the time that it has."""
    path = node.upper
    if path is None:
        node.atime_ns = node.real().atime_ns
        return
    inode = path.inode()
    inode.atime_ns = node.atime_ns
    inode.times_changed()


@with_room(24576)
def _set_mode(node: OverlayNode, mode: int) -> None:
    changed_inode(node).set_mode(mode)
    node.take_over()
    node.may_have_privileges = True


@with_room(24576)
def _set_owner(node: OverlayNode, uid: KernelUid, gid: KernelGid) -> None:
    gone = dropped_bits(node)
    try:
        copy_up(node)
        path = node.upper
        if path is None:
            raise Errno(EROFS)
        inode = path.inode()
        change_owner(node.overlay.context, path.mount, inode, uid, gid)
        if inode.mode & gone != 0:
            inode.mode &= ~gone
            inode.attributes_changed()
    finally:
        node.take_over()


@with_room(24576)
def _prepare_move(node: OverlayNode) -> None:
    if not node.hidden and not node.overlay.read_only:
        copy_up(node)


@with_room(24576)
def _shown_flags(node: OverlayNode) -> int:
    return node.real().shown_flags() | node.kept_flags


@with_room(24576)
def _set_flags(node: OverlayNode, flags: int) -> None:
    inode = changed_inode(node)
    inode.set_flags(flags)
    node.kept_flags = 0
    node.take_over()


@with_room(24576)
def _sync(node: OverlayNode, scope: SyncScope) -> None:
    path = node.upper
    if path is not None and not node.overlay.shown.is_volatile:
        path.inode().sync(scope)


@final
class OverlaySpecial(OverlayInode):
    """A device node, FIFO or socket: only attributes."""


@final
class OverlaySymlink(OverlayInode):
    """A symbolic link."""

    def read_link(self) -> bytes:
        make_room()
        return _read_link(self)


@with_room(24576)
def _read_link(node: OverlayNode) -> bytes:
    return node.real().read_link()
