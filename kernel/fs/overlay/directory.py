"""Directories of an overlay: looking up, creating and removing names. Renaming is in moving.py.

New files go to the upper layer. If that layer or one below has the name, the file is created in the work directory
first and takes the name in one step, so that nothing below becomes visible meanwhile.

Context: sleeps. Look-ups and changes run under the overlay's lock of names.
"""

from typing import Final

from kernel.fs import names
from kernel.fs.attributes import change_mode
from kernel.fs.constants import (
    RENAME_EXCHANGE,
    S_IFCHR,
    S_IFDIR,
    S_IFLNK,
    S_IFMT,
    S_IFREG,
    S_ISGID,
)
from kernel.fs.file import DESCRIPTION_BYTES, DirectorySink, File, InodeFile
from kernel.fs.inode import Inode
from kernel.fs.open import unnamed_path
from kernel.fs.overlay.copy_up import copy_up_held
from kernel.fs.overlay.file import OverlayRegular
from kernel.fs.overlay.inode import OverlayInode, OverlaySpecial, OverlaySymlink
from kernel.fs.overlay.instance import OverlayInstance, OverlayNode, enter
from kernel.fs.overlay.layers import (
    Entry,
    LowerPlace,
    check_open_directory,
    discard,
    expect,
    hold,
    let_go,
    make,
    remove,
    remove_whiteouts,
    take_with_whiteout,
)
from kernel.fs.overlay.lookup import find, list_merged, shows_below
from kernel.fs.overlay.moving import exchange_places, lose_name, move, upper_place
from kernel.fs.path import FsContext, Path
from kernel.lang import EIO, EMLINK, ENOENT, EPERM, EXDEV, Errno, final, with_room
from kernel.lib.credentials import Actor, Credentials
from kernel.sched.room import make_room

_FIRST_POSITION: Final = 2
_ENTRY_BYTES: Final = 160  # of memory for a name that was read


@final
class OverlayDirectory(OverlayInode):
    """A directory."""

    def lookup(self, name: bytes) -> Inode | None:
        make_room()
        return _look_up(self, name)

    def is_empty(self) -> bool:
        make_room()
        return _is_empty(self)

    def open(self, path: Path, flags: int) -> File:
        make_room()
        _check_open(self, flags)
        return OpenOverlayDirectory(path, flags, self)

    def create(self, name: bytes, mode: int, rdev: int, actor: Actor) -> Inode:
        make_room()
        return _create(self, name, mode, rdev, b"", actor)

    def create_symlink(self, name: bytes, target: bytes, actor: Actor) -> Inode:
        make_room()
        return _create(self, name, S_IFLNK | 0o777, 0, target, actor)

    def create_unnamed(self, mode: int, actor: Actor) -> Inode:
        make_room()
        return _create_unnamed(self, mode, actor)

    def link(self, name: bytes, target: Inode) -> None:
        make_room()
        _link(self, name, target)

    def unlink(self, name: bytes, target: Inode) -> None:
        make_room()
        _remove(self, name, target)

    def remove_directory(self, name: bytes, target: Inode) -> None:
        make_room()
        _remove(self, name, target)

    def moves_names(self) -> bool:
        return True

    def rename(
        self,
        name: bytes,
        target: Inode,
        new_parent: Inode,
        new_name: bytes,
        replaced: Inode | None,
        whiteout: Inode | None = None,
    ) -> None:
        if not isinstance(target, OverlayNode) or not isinstance(new_parent, OverlayNode):
            raise Errno(EXDEV)
        if replaced is not None and not isinstance(replaced, OverlayNode):
            raise Errno(EXDEV)
        make_room()
        move(self, name, target, new_parent, new_name, replaced)

    def exchange(self, name: bytes, target: Inode, other_parent: Inode, other_name: bytes, other: Inode) -> None:
        if not isinstance(target, OverlayNode) or not isinstance(other_parent, OverlayNode):
            raise Errno(EXDEV)
        if not isinstance(other, OverlayNode):
            raise Errno(EXDEV)
        make_room()
        exchange_places(self, name, target, other_parent, other_name, other)


# ---- Looking --------------------------------------------------------------------------------------------------------


def node_for(
    overlay: OverlayInstance, upper: Path | None, lowers: list[LowerPlace], above: OverlayNode | None, name: bytes
) -> OverlayNode:
    """The inode for some places in the layers: the known one, or a new one. Raises MemoryError."""
    inode = lowers[0].path.inode() if upper is None else upper.inode()
    known = overlay.nodes.get(inode)
    if known is not None and known.mode & S_IFMT == inode.mode & S_IFMT and not known.has_left and not known.hidden:
        if known.upper is None:
            known.above = above
            known.called = name
        return known
    kind = inode.mode & S_IFMT
    made: OverlayNode
    if kind == S_IFDIR:
        made = OverlayDirectory(overlay, inode.mode)
    elif kind == S_IFREG:
        made = OverlayRegular(overlay, inode.mode)
    elif kind == S_IFLNK:
        made = OverlaySymlink(overlay, inode.mode)
    else:
        made = OverlaySpecial(overlay, inode.mode)
    made.above = above
    made.called = name
    enter(made, upper, lowers)
    return made


@with_room(24576)
def _look_up(directory: OverlayNode, name: bytes) -> OverlayNode | None:
    found = find(directory, name)
    try:
        if found.is_nothing():
            return None
        return node_for(directory.overlay, found.upper, found.lowers, directory, name)
    finally:
        found.end()


@with_room(24576)
def _is_empty(node: OverlayNode) -> bool:
    return len(list_merged(node)) == 0


@with_room(24576)
def _check_open(node: OverlayNode, flags: int) -> None:
    check_open_directory(node.overlay.context, node.real_path(), flags)


@final
class OpenOverlayDirectory(InodeFile):
    """An open directory. Its names are read as a whole when its beginning is read; positions count them."""

    def __init__(self, path: Path, flags: int, directory: OverlayNode) -> None:
        super().__init__(path, flags)
        self.directory: OverlayNode = directory
        self._entries: list[Entry] | None = None  # once they are read
        self._names_bytes: int = 0
        self._end: int = -1  # the position after the last name, once it was emitted

    def held_bytes(self) -> int:
        return DESCRIPTION_BYTES + self.inode.held_bytes() + self._names_bytes

    def read_directory(self, sink: DirectorySink) -> None:
        if self.position == 0 or (self._entries is None and self.position != self._end):
            make_room()
            entries = _list(self.directory)
            self._entries = entries
            self._names_bytes = len(entries) * _ENTRY_BYTES
        super().read_directory(sink)

    def emit_entries(self, position: int, sink: DirectorySink) -> None:
        entries = self._entries
        if entries is None:
            return
        index = position - _FIRST_POSITION
        while 0 <= index < len(entries):
            entry = entries[index]
            index += 1
            if not sink.emit(entry.name, entry.ino, entry.kind, index + _FIRST_POSITION):
                return
            sink.position = index + _FIRST_POSITION
        self._end = index + _FIRST_POSITION
        self._entries = None  # a reader that goes back reads them anew
        self._names_bytes = 0

    def fsync(self) -> None:
        make_room()
        _fsync(self.directory)


@with_room(24576)
def _list(node: OverlayNode) -> list[Entry]:
    return list_merged(node)


@with_room(24576)
def _fsync(node: OverlayNode) -> None:
    upper = node.upper
    if upper is not None and not node.overlay.shown.is_volatile:
        upper.mount.file_system.sync()


# ---- Making ---------------------------------------------------------------------------------------------------------


def _maker(directory: OverlayNode, credentials: Credentials) -> FsContext:
    """A context for creating files in the upper layer: the mounter's rights, and the caller's ownership. The caller
    releases it.
    """
    overlay = directory.overlay
    who = overlay.mounter.copy()
    who.fsuid = credentials.fsuid
    who.fsgid = directory.gid if directory.mode & S_ISGID != 0 else credentials.fsgid
    return overlay.context.acting_for(who)


@with_room(24576)
def _create(
    directory: OverlayNode, name: bytes, mode: int, rdev: int, target: bytes, credentials: Credentials
) -> OverlayNode:
    kind = mode & S_IFMT
    if kind == S_IFCHR and rdev == 0:
        raise Errno(EPERM)  # it would be a whiteout
    overlay = directory.overlay
    copy_up_held(directory)
    here = upper_place(directory)
    if kind == S_IFDIR and directory.mode & S_ISGID != 0:
        mode |= S_ISGID
    maker = _maker(directory, credentials)
    try:
        if expect(overlay.context, here, name, None) is None:
            made = hold(make(maker, here, name, mode, rdev, target))
            placed = False
            try:
                if kind == S_IFDIR and len(directory.lowers) > 0 and not overlay.lets_layers_change():
                    if overlay.keeps_marks:
                        overlay.set_opaque(made, EIO)
                fresh = node_for(overlay, made, [], directory, name)
                placed = True
                directory.take_over()
                return fresh
            finally:
                if not placed:
                    discard(overlay.context, here, name)
                let_go(made)
        work = overlay.work_place()
        temporary = overlay.next_temporary()
        made = hold(make(maker, work, temporary, mode, rdev, target))
        node: OverlayNode | None = None
        placed = False
        try:
            if kind == S_IFDIR:
                overlay.set_opaque(made, EIO)
                if made.inode().mode & S_ISGID != mode & S_ISGID:
                    change_mode(maker, made.mount, made.inode(), mode)
            node = node_for(overlay, made, [], directory, name)
            _take_name(overlay, temporary, here, name, kind == S_IFDIR)
            placed = True
            directory.take_over()
            return node
        finally:
            if not placed:
                discard(overlay.context, work, temporary)
                if node is not None:
                    node.became_idle()
            let_go(made)
    finally:
        maker.release()


def _take_name(overlay: OverlayInstance, temporary: bytes, here: Path, name: bytes, is_directory: bool) -> None:
    """Let a file created in the work directory replace a whiteout."""
    work = overlay.work_place()
    names.rename(overlay.context, work, temporary, here, name, RENAME_EXCHANGE if is_directory else 0)
    if is_directory:
        discard(overlay.context, work, temporary)


@with_room(24576)
def _create_unnamed(directory: OverlayNode, mode: int, credentials: Credentials) -> OverlayNode:
    overlay = directory.overlay
    with overlay.names:
        copy_up_held(directory)
    here = upper_place(directory)
    here.mount.require_writable()
    maker = _maker(directory, credentials)
    try:
        holder = here.inode()
        actor = here.mount.actor(maker.credentials)
        holder.check_creation(actor)
        inode = holder.create_unnamed(mode, actor)
        inode.acquire()  # without a name or a user it would be lost
        try:
            made = node_for(overlay, unnamed_path(here.mount, here, inode), [], None, b"")
            made.hidden = True
            made.nlink = 0
            return made
        finally:
            inode.release()
    finally:
        maker.release()


@with_room(24576)
def _link(directory: OverlayNode, name: bytes, target: Inode) -> None:
    if not isinstance(target, OverlayNode):
        raise Errno(EXDEV)
    overlay = directory.overlay
    copy_up_held(target)
    copy_up_held(directory)
    here = upper_place(directory)
    origin = upper_place(target)
    if expect(overlay.context, here, name, None) is None:
        names.make_link(overlay.context, origin, here, name)
    else:
        temporary = overlay.next_temporary()
        work = overlay.work_place()
        names.make_link(overlay.context, origin, work, temporary)
        placed = False
        try:
            _take_name(overlay, temporary, here, name, is_directory=False)
            placed = True
        finally:
            if not placed:
                discard(overlay.context, work, temporary)
    target.hidden = False
    target.take_over()
    directory.take_over()


def _put_whiteout(overlay: OverlayInstance, here: Path, name: bytes) -> None:
    """Put a whiteout at a name of the upper layer, which may be in use. All whiteouts are links to one file."""
    context = overlay.context
    work = overlay.work_place()
    if overlay.whiteout is None:
        overlay.whiteout = hold(make(context, work, overlay.next_temporary(), S_IFCHR, 0, b""))
    whiteout = overlay.whiteout
    temporary = overlay.next_temporary()
    try:
        names.make_link(context, whiteout, work, temporary)
    except Errno as error:
        if error.code != EMLINK and error.code != ENOENT:
            raise
        overlay.whiteout = None
        let_go(whiteout)
        make(context, work, temporary, S_IFCHR, 0, b"")
    take_with_whiteout(context, work, temporary, here, name)


# ---- Removing -------------------------------------------------------------------------------------------------------


@with_room(24576)
def _remove(directory: OverlayNode, name: bytes, target: Inode) -> None:
    """unlink(2) and rmdir(2), after the checks."""
    if not isinstance(target, OverlayNode):
        raise Errno(EXDEV)
    overlay = directory.overlay
    context = overlay.context
    copy_up_held(directory)
    here = upper_place(directory)
    at = expect(context, here, name, target.upper)
    if shows_below(directory, name):
        _put_whiteout(overlay, here, name)
    else:
        if at is not None and target.is_directory():
            with at:
                remove_whiteouts(context, at)
        remove(context, here, name, target.is_directory())
    directory.take_over()
    lose_name(target, directory, name)
