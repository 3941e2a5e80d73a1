"""The file system bpf: maps, programs and links that have names. A pinned object lives as long as one of its names, or
a descriptor, or a use; the names end with the last mount. Directories and names are those of tmpfs.

The files cannot be opened: BPF_OBJ_GET opens what they stand for (pinning.py). Names with a dot cannot be created.

Context: only emptying it sleeps. Raises MemoryError. Source: bpf(2), BPF_OBJ_PIN and BPF_OBJ_GET.
"""

from typing import Final

from kernel.fs.bpf.files import Pinnable
from kernel.fs.bpf.mount_options import BpfOptions, show_delegated
from kernel.fs.constants import S_IFDIR, S_IFMT, S_IFREG, S_ISVTX
from kernel.fs.dentry import Dentry
from kernel.fs.file import DirectorySink, File
from kernel.fs.filesystem import FileSystem, Statistics, register_filesystem
from kernel.fs.inode import Inode
from kernel.fs.path import FsContext, Path
from kernel.fs.tmpfs.base import Tmpfs, TmpfsInode, decimal
from kernel.fs.tmpfs.filesystem import TmpfsDirectory, enter_root
from kernel.fs.tmpfs.order import TmpfsEntry, find_position
from kernel.lang import EACCES, EFBIG, EINVAL, EIO, EOPNOTSUPP, EPERM, Errno, final
from kernel.lib.capabilities import CAP_SYS_ADMIN
from kernel.lib.credentials import Actor, Credentials, caller_credentials
from kernel.lib.ids import ROOT_GROUP, ROOT_USER

MAGIC: Final = 0xCAFE_4A11
_ROOT_MODE: Final = 0o777
_SHOWN_MODE: Final = 0o6777
_LARGEST: Final = 0x7FFF_FFFF  # a size, which means nothing
_NEWEST: Final = 1 << 40  # no entry has this position: those of listings count down from it


@final
class BpfFileSystem(Tmpfs):
    """One instance."""

    def __init__(self, source: bytes, options: bytes, maker: Credentials | None) -> None:
        """`maker`: of the program that mounts it, whose root directory it is unless the options say otherwise. Raises
        EINVAL, ERANGE.
        """
        self.delegated: list[int] = []  # first: the base reads the options
        super().__init__(b"bpf", source, options, maker)
        self.magic = MAGIC
        self.has_access_lists = False
        self.maps_owners = False
        self.finds_by_handle = False
        self.takes_direct_transfers = False
        self.makes_whiteouts = False
        self.is_plain = True
        self.entry_size = 0

    def statistics(self) -> Statistics:
        return Statistics()

    def options_at(self, root: Dentry) -> bytes:
        """Mode and owners are those that the directory has now, as on Linux."""
        text = b""
        top = root.inode
        if top is not None:
            if top.uid != ROOT_USER:
                text += b",uid=" + decimal(int(top.uid))
            if top.gid != ROOT_GROUP:
                text += b",gid=" + decimal(int(top.gid))
            mode = top.mode & _SHOWN_MODE
            if mode != _ROOT_MODE:
                text += f",mode={mode:o}".encode()
        return text + show_delegated(self.delegated)

    def _parse(self, options: bytes, fresh: bool) -> None:
        """A remount checks the options, and changes nothing, as on Linux."""
        chosen = BpfOptions(options, may_delegate=True)
        if fresh:
            self.root_mode = _ROOT_MODE
            self.choose_root(chosen.root)
            self.root_mode |= S_ISVTX
            self.delegated = chosen.delegated


@final
class PinnedFile(TmpfsInode):
    """The file of a pinned object."""

    def __init__(self, owner: BpfFileSystem, mode: int, pinned: Pinnable) -> None:
        """Raises ENOSPC."""
        super().__init__(owner, mode)
        pinned.keep()
        self.pinned: Pinnable | None = pinned  # None once the file is gone

    def check_opening(self) -> None:
        raise Errno(EIO)

    def open(self, path: Path, flags: int) -> File:
        raise Errno(EIO)

    def truncate(self, size: int) -> None:
        """It is a number that stat(2) shows."""
        if size < 0:
            raise Errno(EINVAL)
        if size > _LARGEST:
            raise Errno(EFBIG)
        self.size = size

    def evict(self) -> None:
        super().evict()
        pinned = self.pinned
        self.pinned = None
        if pinned is not None:
            pinned.release()


@final
class BpfDirectory(TmpfsDirectory):
    """A directory. It is listed from the newest name on, as on Linux, where a name that was moved is new."""

    def __init__(self, owner: BpfFileSystem, mode: int) -> None:
        super().__init__(owner, mode)
        self.owner: BpfFileSystem = owner

    # ---- Looking ----------------------------------------------------------------------------------------------

    def lookup(self, name: bytes) -> Inode | None:
        """A name with a dot exists only if it was created when nobody had any right to the directory: that is what
        Linux checks.
        """
        found = super().lookup(name)
        if found is None and b"." in name and self.mode & ~S_IFMT != 0 and self.nlink != 0:
            raise Errno(EPERM)
        return found

    def read_directory(self, position: int, sink: DirectorySink) -> None:
        order = self.order
        newest = _NEWEST - position  # of those that are wanted
        number = order.chunk_at(newest)
        index = find_position(order.chunk(number), newest + 1)
        while True:
            chunk = order.chunk(number)
            while index > 0:
                index -= 1
                entry = chunk[index]
                inode = entry.inode
                after = _NEWEST - entry.position + 1
                if not sink.emit(entry.name, inode.ino, inode.directory_entry_type(), after):
                    return
                sink.position = after
            if number == 0:
                return
            number -= 1
            index = len(order.chunk(number))

    # ---- Changing ---------------------------------------------------------------------------------------------

    def create(self, name: bytes, mode: int, rdev: int, actor: Actor) -> Inode:
        """Only directories are created so."""
        kind = mode & S_IFMT
        if kind != S_IFDIR:
            raise Errno(EACCES if kind == S_IFREG else EPERM)
        return super().create(name, mode, rdev, actor)

    def create_symlink(self, name: bytes, target: bytes, actor: Actor) -> Inode:
        link = super().create_symlink(name, target, actor)
        link.size = 0  # as on Linux
        return link

    def create_unnamed(self, mode: int, actor: Actor) -> Inode:
        raise Errno(EOPNOTSUPP)

    def pin(self, name: bytes, mode: int, pinned: Pinnable, actor: Actor) -> Inode:
        """Create the file of an object. Raises ENOENT, ENOSPC, MemoryError."""
        self._require_alive(name)
        inode = PinnedFile(self.owner, mode, pinned)
        self._own(inode, actor)
        self._add_new(name, inode)
        return inode

    def exchange(self, name: bytes, target: Inode, other_parent: Inode, other_name: bytes, other: Inode) -> None:
        if not isinstance(other_parent, BpfDirectory):
            raise Errno(EINVAL)
        self._renew(name)
        other_parent._renew(other_name)
        super().exchange(name, target, other_parent, other_name, other)

    def _make(self, mode: int, rdev: int) -> TmpfsInode:
        return BpfDirectory(self.owner, mode)

    def _replace(self, name: bytes, inode: TmpfsInode, replaced: Inode) -> None:
        self._renew(name)
        super()._replace(name, inode, replaced)

    def _renew(self, name: bytes) -> None:
        """Let a name be the newest. Raises MemoryError, with nothing changed."""
        old = self.entries[name]
        entry = TmpfsEntry(name, old.inode, self.next_position)
        self.order.append(entry)
        try:
            self.entries[name] = entry
        except MemoryError:
            self.order.remove(entry)
            raise
        self.next_position += 1
        self.order.remove(old)


def check_bpf_options(context: FsContext, text: bytes) -> None:
    """Raise EINVAL, ERANGE, EPERM."""
    BpfOptions(text, may_delegate=context.credentials.capable(CAP_SYS_ADMIN))


def make_bpf(source: bytes, options: bytes) -> FileSystem:
    """An instance. Raises EPERM in a user namespace: its administrator may only be given one."""
    who = caller_credentials()
    if who is not None and who.user_namespace.level != 0:
        raise Errno(EPERM)
    return new_bpf(source, options, who)


def make_bpf_for(context: FsContext, opener: Credentials, source: bytes, options: bytes) -> FileSystem:
    """One that fsopen(2) began: the administrator of the machine may give it to a user namespace. Raises EPERM."""
    if opener.user_namespace.level != 0 and not context.credentials.capable(CAP_SYS_ADMIN):
        raise Errno(EPERM)
    return new_bpf(source, options, opener)


def new_bpf(source: bytes, options: bytes, maker: Credentials | None) -> BpfFileSystem:
    """An instance with an empty root directory. Raises EINVAL, ERANGE, MemoryError."""
    made = BpfFileSystem(source, options, maker)
    enter_root(made, BpfDirectory(made, S_IFDIR | made.root_mode))
    return made


_BPF: Final = register_filesystem(b"bpf", make_bpf, is_for_all=True)
_BPF.check_options = check_bpf_options
_BPF.make_for = make_bpf_for
_BPF.ignores_unknown = True
