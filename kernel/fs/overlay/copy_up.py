"""Copying up: a file is copied to the upper layer before it changes, with its attributes and all directories that lead
to it.

The copy is created in the work directory and renamed to its place when it is complete. So nothing half-finished is
visible, and the lower file stays as it was if memory or disk run out or a kill interrupts the copy.

Context: sleeps; functions that are `@with_room` call it.
"""

from typing import Final

from kernel.fs import extended_attributes, names
from kernel.fs.access_control import is_list, set_list
from kernel.fs.access_list import ACCESS_LIST, DEFAULT_LIST, AccessList
from kernel.fs.attributes import TimeChange, change_mode, change_owner, change_times
from kernel.fs.constants import FS_UNCHANGEABLE, O_RDONLY, O_WRONLY, RENAME_NOREPLACE, S_IFMT, SEEK_DATA
from kernel.fs.inode import Inode
from kernel.fs.overlay.instance import OverlayInstance, OverlayNode
from kernel.fs.overlay.layers import discard, hold, let_go, make, open_in_layer
from kernel.fs.path import Mount, Path
from kernel.lang import EEXIST, EINTR, EIO, ENODATA, ENOENT, ENXIO, EOPNOTSUPP, EOVERFLOW, EROFS, Errno, final
from kernel.lib.credentials import rules_owners
from kernel.lib.pace import PACE_BYTES, is_dying, pace, pace_bytes
from kernel.lib.user import KernelBuffer

_SECURITY: Final = b"security."
WHOLE: Final = -1
_LEVEL_COST: Final = 60  # instructions
_COPY_COST: Final = 4000


def copy_up(node: OverlayNode, length: int = WHOLE) -> None:
    """Copy an inode to the upper layer, with the first `length` bytes of its contents. The names of the overlay are
    not held. Raises EROFS, EACCES, EPERM, EOVERFLOW (an owner that the mounter cannot name), ENOSPC, EIO, EINTR.
    """
    if node.lies_above():
        return
    overlay = node.overlay
    if node.hidden:
        raise Errno(EEXIST)  # a whiteout or another new file has its name
    if node.is_directory():
        with overlay.names:
            copy_up_held(node)
        return
    node.copying.acquire_unless_dying()
    try:
        if node.lies_above():
            return
        if node.hidden:
            raise Errno(EEXIST)
        above = node.above
        if above is not None and above.upper is None:
            with overlay.names:
                copy_up_held(above)
        copy = _Copy(node, length)
        try:
            with overlay.names:
                above = node.above
                if above is not None and above.upper is None and not node.hidden:
                    copy_up_held(above)  # it was moved meanwhile
                copy.move_in(node)
        finally:
            copy.end()
    finally:
        node.copying.release()


def copy_up_held(node: OverlayNode) -> None:
    """The same while the names of the overlay are held."""
    if node.upper is not None:
        return
    if node.hidden:
        raise Errno(EEXIST)
    way: list[OverlayNode] = [node]
    while (above := way[len(way) - 1].above) is not None and above.upper is None:
        way.append(above)
        pace(_LEVEL_COST)
    while len(way) > 0:
        each = way.pop()
        if each.lies_above():
            continue
        copy = _Copy(each, WHOLE)
        try:
            copy.move_in(each)
        finally:
            copy.end()
        pace(_COPY_COST)
        if is_dying():
            raise Errno(EINTR)


def check_owner(overlay: OverlayInstance, mount: Mount, inode: Inode) -> None:
    """Raise EOVERFLOW unless the mounter has numbers for the owners of the file to be copied."""
    if not rules_owners(mount.actor(overlay.mounter), inode.uid, inode.gid):
        raise Errno(EOVERFLOW)


@final
class _Copy:
    """A copy in the work directory."""

    def __init__(self, node: OverlayNode, length: int) -> None:
        overlay = node.overlay
        if overlay.upper is None or overlay.read_only:
            raise Errno(EROFS)
        if len(node.lowers) == 0:
            raise Errno(EIO)
        source = node.lowers[0].path
        inode = source.inode()
        inode.refresh()
        check_owner(overlay, source.mount, inode)
        self.overlay: OverlayInstance = overlay
        self.name: bytes = overlay.next_temporary()
        self.is_in_work: bool = False
        target = inode.read_link() if inode.is_symlink() else b""
        made = make(overlay.context, overlay.work_place(), self.name, inode.mode & S_IFMT, inode.rdev, target)
        self.path: Path = hold(made)
        self.is_in_work = True
        whole = False
        try:
            self._fill(source, inode, length)
            whole = True
        finally:
            if not whole:
                self.end()

    def _fill(self, source: Path, inode: Inode, length: int) -> None:
        if inode.is_regular():
            size = inode.size if length == WHOLE else min(length, inode.size)
            if size > 0:
                self._copy_contents(source, size)
        overlay = self.overlay
        context = overlay.context
        mount = self.path.mount
        made = self.path.inode()
        self._require_numbers(source)
        change_owner(context, mount, made, source.mount.seen_uid(inode.uid), source.mount.seen_gid(inode.gid))
        self._copy_attributes(source, made)
        self._copy_lists(source, made)
        if not inode.is_symlink():
            change_mode(context, mount, made, inode.mode)
        change = TimeChange()
        change.accessed_special = 0
        change.accessed_ns = inode.atime_ns
        change.modified_special = 0
        change.modified_ns = inode.mtime_ns
        change_times(context, mount, made, change)

    def _require_numbers(self, source: Path) -> None:
        """Raise EINVAL if a list names somebody whom the upper mount cannot keep: that counts before the owners."""
        mount = self.path.mount
        inode = source.inode()
        if mount.owners is None or inode.is_symlink() or not inode.file_system.has_access_lists:
            return
        for name in (ACCESS_LIST, DEFAULT_LIST):
            entries = _list_of(inode, name)
            if entries is not None:
                kept = entries.seen_through(source.mount.owners).kept_through(mount.owners)
                kept.require_numbers_in(mount.file_system.user_namespace)

    def _copy_contents(self, source: Path, size: int) -> None:
        context = self.overlay.context
        origin = open_in_layer(context, source, O_RDONLY)
        try:
            target = open_in_layer(context, self.path, O_WRONLY)
            try:
                storage = bytearray(PACE_BYTES)
                offset = 0
                while offset < size:
                    try:
                        offset = origin.seek(offset, SEEK_DATA)
                    except Errno as error:
                        if error.code != ENXIO:
                            raise
                        break
                    if offset >= size:
                        break
                    count = min(PACE_BYTES - offset % PACE_BYTES, size - offset)
                    buffer = KernelBuffer(storage)
                    buffer.remaining = count
                    count = origin.pread(buffer, offset)
                    if count == 0:
                        break
                    buffer.rewind(count)
                    while buffer.remaining > 0:
                        done = target.pwrite(buffer, offset)
                        if done == 0:
                            raise Errno(EIO)
                        offset += done
                    pace_bytes(count)
                    if is_dying():
                        raise Errno(EINTR)
                if target.inode.size < size:
                    target.truncate(size)
                if not self.overlay.shown.is_volatile:
                    target.fsync()
            finally:
                target.release()
        finally:
            origin.release()

    def _copy_attributes(self, source: Path, made: Inode) -> None:
        """Copy extended attributes, except the overlay's own and access control lists."""
        mounter = self.overlay.mounter
        inode = source.inode()
        if not inode.may_have_attributes():
            return
        reader = source.mount.actor(mounter)
        writer = self.path.mount.actor(mounter)
        for name in extended_attributes.names(mounter, inode).split(b"\0"):
            if len(name) == 0 or is_list(name) or self.overlay.is_private(name):
                continue
            try:
                value = extended_attributes.get(reader, inode, name)
            except Errno as error:
                if error.code != ENODATA:
                    raise
                continue  # removed meanwhile
            try:
                extended_attributes.put(writer, made, name, value, 0)
            except Errno as error:
                if error.code != EOPNOTSUPP or name.startswith(_SECURITY):
                    raise

    def _copy_lists(self, source: Path, made: Inode) -> None:
        """Copy access control lists, or remove inherited ones if the source has none."""
        inode = source.inode()
        owners = source.mount.owners
        if inode.is_symlink():
            return
        access: AccessList | None = None
        default: AccessList | None = None
        if inode.file_system.has_access_lists:
            access = _list_of(inode, ACCESS_LIST)
            default = _list_of(inode, DEFAULT_LIST) if inode.is_directory() else None
        if not made.file_system.has_access_lists and access is None and default is None:
            return
        writer = self.path.mount.actor(self.overlay.mounter)
        inherited = made.access_lists() if made.file_system.has_access_lists else None
        if access is not None or (inherited is not None and inherited.access is not None):
            set_list(writer, made, ACCESS_LIST, None if access is None else access.seen_through(owners).copy())
        if default is not None or (inherited is not None and inherited.default is not None):
            set_list(writer, made, DEFAULT_LIST, None if default is None else default.seen_through(owners).copy())

    def move_in(self, node: OverlayNode) -> None:
        """Move the copy to its place. The names of the overlay are held."""
        overlay = self.overlay
        if node.upper is not None or node.has_left:
            return  # another thread was quicker
        path = self.path
        above = node.above
        key = path.inode()
        overlay.nodes[key] = node
        moved = False
        try:
            if node.hidden:
                raise Errno(EEXIST)
            directory = None if above is None else above.upper
            if directory is None:
                raise Errno(ENOENT)
            holder = directory.inode()
            accessed = holder.atime_ns
            modified = holder.mtime_ns
            names.rename(overlay.context, overlay.work_place(), self.name, directory, node.called, RENAME_NOREPLACE)
            self.is_in_work = False
            moved = True
        finally:
            if not moved and self.is_in_work:
                overlay.nodes.pop(key)
        node.kept_flags = node.lowers[0].path.inode().flags & FS_UNCHANGEABLE
        node.upper = hold(path)
        node.take_over()
        layer = overlay.upper
        if layer is not None and not node.is_directory() and node.lowers[0].path.inode().nlink > 1:
            node.ino = overlay.number_of(node, layer, key.ino)  # it is no longer one of several hard links
            node.device = overlay.device_of(node, layer)
        holder.atime_ns = accessed
        holder.mtime_ns = modified
        holder.attributes_changed()  # the copy is in its place, whatever this raises

    def end(self) -> None:
        """Clean up: the copy is in its place, or is not needed."""
        if self.is_in_work:
            self.is_in_work = False
            discard(self.overlay.context, self.overlay.work_place(), self.name)
        let_go(self.path)



def _list_of(inode: Inode, name: bytes) -> AccessList | None:
    """One of the access control lists. Raises what reading it raises."""
    try:
        return inode.list_to_show(name)
    except Errno as error:
        if error.code != EOPNOTSUPP:
            raise
        return None  # its server may have some, but not for overlays
