"""The layers of an overlay, and the operations in them, which use the mounter's rights.

Each layer is accessed through a detached mount of its own, so later mounts and unmounts there do not matter. A place in
a layer that is kept is held: pinned, with its inode as a user.

Context: everything sleeps on file systems that do, and needs room on the stack (kernel/sched/room.py): this is called
from functions that are `@with_room` only.
"""

from typing import Final

from kernel.fs import extended_attributes, names
from kernel.fs.constants import MAY_EXEC, O_NOATIME, RENAME_EXCHANGE, S_IFCHR, S_IFDIR, S_IFLNK, S_IFMT
from kernel.fs.entry_buffer import EntryBuffer
from kernel.fs.file import File
from kernel.fs.inode import Inode
from kernel.fs.open import check_open
from kernel.fs.path import FsContext, Mount, Path
from kernel.fs.walk import start
from kernel.lang import ENAMETOOLONG, ENODATA, ENOENT, EOPNOTSUPP, ERANGE, ESTALE, Errno, final, span_of
from kernel.lib.pace import pace

_BYTES_AT_ONCE: Final = 8192
_HEADER: Final = 19  # of a record: number, position, length, kind
_NAME_COST: Final = 400  # instructions
_REMOVAL_COST: Final = 4000
_CHARACTER_DEVICE: Final = 2  # DT_CHR
_REGULAR: Final = 8  # DT_REG


@final
class Layer:
    """One layer. `device` is the number that stat(2) shows for its files where layers differ."""

    def __init__(self, mount: Mount, root: Path, index: int) -> None:
        self.mount: Mount = mount
        self.root: Path = root
        self.index: int = index  # 0: the upper one
        self.system: int = 0  # which of the file systems that the layers lie on
        self.device: int = 0
        self.has_marked_whiteouts: bool = False  # some may be files with an extended attribute


@final
class LowerPlace:
    """Where something lies in a lower layer."""

    def __init__(self, layer: Layer, path: Path) -> None:
        self.layer: Layer = layer
        self.path: Path = path


def hold(path: Path) -> Path:
    """Hold a place. Raises EINVAL."""
    path.inode().acquire()
    return path.pin()


def let_go(path: Path) -> None:
    """Undo `hold`. May sleep."""
    inode = path.dentry.inode
    if inode is not None:
        inode.release()
    path.unpin()


# ---- Names ----------------------------------------------------------------------------------------------------------


def look_up(context: FsContext, directory: Path, name: bytes) -> Path | None:
    """The file of a name, without following links; None if there is none. Raises EACCES, EIO."""
    walk = start(context, directory)
    inode = walk.directory()
    if not inode.is_directory():
        return None
    inode.check_permission(walk.mount.actor(context.credentials), MAY_EXEC)
    try:
        child = walk.look_up(name)
    except Errno as error:
        if error.code != ENAMETOOLONG and error.code != ENOENT:
            raise
        return None
    return None if child is None else Path(directory.mount, child)


def is_whiteout(inode: Inode) -> bool:
    """Whether it is a whiteout, which hides its name in the layers below."""
    return inode.mode & S_IFMT == S_IFCHR and inode.rdev == 0


def make(context: FsContext, directory: Path, name: bytes, mode: int, rdev: int, target: bytes) -> Path:
    """Create a file of any kind; `target` is that of a symbolic link. Raises what mknod(2), mkdir(2) and symlink(2)
    raise.
    """
    kind = mode & S_IFMT
    if kind == S_IFDIR:
        return names.make_directory(context, directory, name, mode & 0o7777)
    if kind != S_IFLNK:
        return names.make_node_unasked(context, directory, name, mode, rdev)
    names.make_symlink(context, directory, name, target)
    made = look_up(context, directory, name)
    if made is None:
        raise Errno(ENOENT)
    return made


def remove(context: FsContext, directory: Path, name: bytes, is_directory: bool) -> None:
    """Remove a name. Raises what unlink(2) and rmdir(2) raise."""
    if is_directory:
        names.remove_directory(context, directory, name)
    else:
        names.unlink(context, directory, name)


def discard(context: FsContext, directory: Path, name: bytes) -> None:
    """Remove an unfinished or unneeded file; a directory with the whiteouts in it. What cannot be removed stays."""
    try:
        found = look_up(context, directory, name)
        if found is None:
            return
        inner = found.inode().is_directory()
        if inner:
            with found:
                remove_whiteouts(context, found)
        remove(context, directory, name, is_directory=inner)
    except (Errno, MemoryError):
        pass  # it stays in the work directory, which the next mount empties


def remove_whiteouts(context: FsContext, directory: Path) -> None:
    """Remove the whiteouts in a directory. Takes safe points."""
    for entry in list_directory(context, directory):
        if not entry.may_be_whiteout():
            continue
        found = look_up(context, directory, entry.name)
        if found is not None and is_whiteout(found.inode()):
            names.unlink(context, directory, entry.name)
        pace(_REMOVAL_COST)


def expect(context: FsContext, directory: Path, name: bytes, node_place: Path | None) -> Path | None:
    """What the upper layer has at a name; it must be what the overlay expects (None: nothing, or a whiteout), and not
    something put there behind the overlay's back. Raises ESTALE.
    """
    found = look_up(context, directory, name)
    if found is None:
        if node_place is not None:
            raise Errno(ESTALE)
    elif node_place is None:
        if not is_whiteout(found.inode()):
            raise Errno(ESTALE)
    elif found.inode() is not node_place.inode():
        raise Errno(ESTALE)
    return found


def take_with_whiteout(context: FsContext, work: Path, temporary: bytes, directory: Path, name: bytes) -> None:
    """Move a whiteout from the work directory to a name of the upper layer, which may be in use."""
    found = look_up(context, directory, name)
    exchanges = found is not None and found.inode().is_directory()
    try:
        names.rename(context, work, temporary, directory, name, RENAME_EXCHANGE if exchanges else 0)
    except (Errno, MemoryError):
        discard(context, work, temporary)
        raise
    if exchanges:
        discard(context, work, temporary)


# ---- Contents -------------------------------------------------------------------------------------------------------


@final
class Entry:
    """A name read from a directory."""

    def __init__(self, name: bytes, ino: int, kind: int) -> None:
        self.name: bytes = name
        self.ino: int = ino
        self.kind: int = kind

    def may_be_whiteout(self) -> bool:
        return self.kind == _CHARACTER_DEVICE

    def is_regular(self) -> bool:
        return self.kind == _REGULAR


def list_directory(context: FsContext, directory: Path) -> list[Entry]:
    """All names but "." and "..". Takes safe points. Raises EACCES, EIO, MemoryError."""
    entries: list[Entry] = []
    file = open_in_layer(context, directory, 0)
    try:
        while True:
            sink = EntryBuffer(_BYTES_AT_ONCE, old=False)
            file.read_directory(sink)
            if sink.used == 0:
                break
            _take_records(sink, entries)
    finally:
        file.release()
    return entries


def _take_records(sink: EntryBuffer, entries: list[Entry]) -> None:
    """The entries that were read. Takes safe points. Raises MemoryError."""
    records = span_of(sink.storage)
    place = 0
    while place < sink.used:
        length = records.load_u16(place + 16)
        start = place + _HEADER
        end = start
        while sink.storage[end] != 0:
            end += 1
        name = bytes(sink.storage[start:end])
        if name != b"." and name != b"..":
            ino = records.load_u32(place) | (records.load_u32(place + 4) & 0x7FFF_FFFF) << 32
            entries.append(Entry(name, ino, sink.storage[place + 18]))
        place += length
        pace(_NAME_COST)


def open_in_layer(context: FsContext, path: Path, flags: int) -> File:
    """Open a file of a layer, without notifying watchers or updating access times. Raises EACCES, EROFS, ETXTBSY, and
    what opening raises.
    """
    with path:
        inode = path.inode()
        check_open(context.credentials, path.mount, inode, flags & ~O_NOATIME)
        return inode.open(path, flags | O_NOATIME)


def check_open_directory(context: FsContext, path: Path, flags: int) -> None:
    """Raise EACCES unless the mounter may read a directory."""
    check_open(context.credentials, path.mount, path.inode(), flags)


# ---- Attributes that the overlay keeps ------------------------------------------------------------------------------


def get_mark(context: FsContext, path: Path, name: bytes) -> bytes | None:
    """An extended attribute of a layer's file; None if there is none, or it is not visible."""
    inode = path.inode()
    if not inode.may_have_attributes():
        return None
    try:
        return extended_attributes.get(path.mount.actor(context.credentials), inode, name)
    except Errno as error:
        if error.code not in (ENODATA, EOPNOTSUPP, ERANGE):
            raise
        return None


def set_mark(context: FsContext, path: Path, name: bytes, value: bytes) -> None:
    """Set one. Raises EPERM, EOPNOTSUPP, ENOSPC."""
    extended_attributes.put(path.mount.actor(context.credentials), path.inode(), name, value, 0)
