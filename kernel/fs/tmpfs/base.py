"""The base of tmpfs: the instance with its limits and options, and the base class of its inodes.

The size limit counts pages of file contents; the limit on inodes counts inodes. Both default to half of memory, as on
Linux.

Context: never sleeps. Source: tmpfs(5).
"""

from typing import Final

from kernel.fs.access_list import NO_LISTS, AccessLists
from kernel.fs.attribute_store import Store, kept_store
from kernel.fs.constants import (
    F_SEAL_EXEC,
    F_SEAL_FUTURE_WRITE,
    F_SEAL_GROW,
    F_SEAL_SEAL,
    F_SEAL_SHRINK,
    F_SEAL_WRITE,
    FS_APPEND_FL,
    FS_IMMUTABLE_FL,
    FS_NOATIME_FL,
    FS_NODUMP_FL,
    PAGE_SIZE,
    TMPFS_MAGIC,
)
from kernel.fs.filesystem import FileSystem, Statistics, parse_octal, parse_size, split_option
from kernel.fs.inode import Inode
from kernel.fs.path import FsContext
from kernel.fs.root_choice import RootChoice
from kernel.lang import EBUSY, EINVAL, ENOSPC, EOPNOTSUPP, EPERM, ESTALE, Errno, final, span_of
from kernel.lib import random
from kernel.lib.credentials import Credentials
from kernel.lib.ids import NO_GROUP, NO_USER, ROOT_GROUP, ROOT_USER, KernelGid, KernelUid
from kernel.mm.frames import total_frame_count
from kernel.mm.keeping import has_room_to_keep
from kernel.mm.objects import SHARED_TOTALS

_NO_LIMIT: Final = 1 << 50
_HUGE: Final = (b"never", b"always", b"within_size", b"advise")  # no huge pages are used all the same
_HANDLE_SIZE: Final = 12
_IDENTITY_SIZE: Final = 16
_FLAGS: Final = FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL | FS_NOATIME_FL
INHERITED_FLAGS: Final = FS_NODUMP_FL | FS_NOATIME_FL


@final
class TmpfsOptions:
    """The options of mount(2). Raises EINVAL."""

    def __init__(self, text: bytes) -> None:
        self.page_limit: int = -1  # -1: not given
        self.inode_limit: int = -1
        self.swaps_nothing: bool = False
        self.root: RootChoice = RootChoice()
        for option in text.split(b","):
            if len(option) > 0:
                self._take(option)

    def _take(self, option: bytes) -> None:
        total_bytes = total_frame_count() * PAGE_SIZE
        key, value = split_option(option)
        if key == b"size":
            self.page_limit = (parse_size(value, total_bytes) + PAGE_SIZE - 1) // PAGE_SIZE
        elif key == b"nr_blocks":
            self.page_limit = min(_NO_LIMIT, parse_size(value, total_bytes))
        elif key == b"nr_inodes":
            self.inode_limit = min(_NO_LIMIT, parse_size(value, total_bytes))
        elif option == b"noswap":
            self.swaps_nothing = True
        elif key == b"huge":
            if value not in _HUGE:
                raise Errno(EINVAL)
        elif not self.root.take(key, value) and option not in _IGNORED_OPTIONS and key != b"mpol":
            raise Errno(EINVAL)


def check_tmpfs_options(context: "FsContext", text: bytes) -> None:
    """Raise EINVAL."""
    TmpfsOptions(text)


def ramfs_mode(options: bytes) -> int:
    """The one option that ramfs knows; all others are ignored. Raises EINVAL."""
    mode = 0o755
    for option in options.split(b","):
        key, value = split_option(option)
        if key == b"mode":
            mode = parse_octal(value) & 0o7777
    return mode


class Tmpfs(FileSystem):
    """One instance."""

    def __init__(self, type_name: bytes, source: bytes, options: bytes, maker: Credentials | None) -> None:
        """`maker`: of the program that mounts it, whose root directory it is unless the options say otherwise. Raises
        EINVAL.
        """
        super().__init__(type_name, source, TMPFS_MAGIC)
        half = max(1, total_frame_count() // 2)
        self.page_limit: int = half
        self.pages_used: int = 0
        self.inode_limit: int = half
        self.inodes_used: int = 0
        self.swaps_nothing: bool = False
        self.next_ino: int = 1
        self.has_access_lists = True
        self.maps_owners = type_name == b"tmpfs"
        self.finds_by_handle = True
        self.takes_direct_transfers = True
        self.makes_whiteouts: bool = True
        self.is_plain: bool = False  # without extended attributes, chattr(1)'s flags and times of birth
        self.entry_size: int = 20  # what Linux counts for an entry in a directory's size
        self.shows_options: bool = True
        self.root_mode: int = 0o1777
        self.root_uid: KernelUid = ROOT_USER
        self.root_gid: KernelGid = ROOT_GROUP
        if maker is not None:
            self.belong_to(maker.user_namespace)
            self.root_uid = maker.fsuid
            self.root_gid = maker.fsgid
        self._parse(options, fresh=True)
        self.top: TmpfsInode | None = None  # the root directory, entered by the creator of the instance
        self.chosen_identity: bytes = b""

    def root(self) -> Inode:
        top = self.top
        if top is None:
            raise Errno(EINVAL)
        return top

    def identity(self) -> bytes:
        """Chosen at random when somebody asks first."""
        if not self.chosen_identity:
            storage = bytearray(_IDENTITY_SIZE)
            random.fill(span_of(storage))
            self.chosen_identity = bytes(storage)
        return self.chosen_identity

    def handle_of(self, inode: Inode) -> bytes:
        return bytes(4) + inode.ino.to_bytes(8, "little")  # numbers are never reused: there are no generations

    def find_by_handle(self, kind: int, handle: bytes) -> Inode:
        top = self.top
        if len(handle) < _HANDLE_SIZE or top is None:
            raise Errno(ESTALE)
        high = int.from_bytes(handle[8:12], "little")
        if high >= 1 << 31:
            raise Errno(ESTALE)  # no inode has a number of 64 bits
        ino = int.from_bytes(handle[4:8], "little") | high << 32
        found = top.find_below(ino, None)
        if found is None:
            raise Errno(ESTALE)
        return found

    def names_to(self, inode: Inode) -> list[bytes] | None:
        names: list[bytes] = []
        top = self.top
        if top is None or top.find_below(inode.ino, names) is None:
            raise Errno(ESTALE)
        return names

    def statistics(self) -> Statistics:
        result = Statistics()
        result.blocks = self.page_limit
        result.blocks_free = max(0, self.page_limit - self.pages_used)
        result.files = self.inode_limit
        result.files_free = max(0, self.inode_limit - self.inodes_used)
        return result

    def options(self) -> bytes:
        """What differs from the defaults, in Linux's order."""
        if not self.shows_options:
            return b""
        half = max(1, total_frame_count() // 2)
        text = b""
        if self.page_limit != half:
            kilobytes = 0 if self.page_limit == _NO_LIMIT else self.page_limit * (PAGE_SIZE // 1024)
            text += b",size=" + decimal(kilobytes) + b"k"
        if self.inode_limit != half:
            text += b",nr_inodes=" + decimal(0 if self.inode_limit == _NO_LIMIT else self.inode_limit)
        if self.root_mode != 0o1777:
            text += b",mode=" + octal(self.root_mode)
        if self.root_uid != ROOT_USER:
            text += b",uid=" + decimal(int(self.root_uid))
        if self.root_gid != ROOT_GROUP:
            text += b",gid=" + decimal(int(self.root_gid))
        return text + b",inode64" + (b",noswap" if self.swaps_nothing else b"")

    def reconfigure(self, options: bytes) -> None:
        """A remount changes only the limits, and not below what is in use. ramfs has none."""
        if self.type_name == b"ramfs":
            ramfs_mode(options)
        else:
            self._parse(options, fresh=False)

    def shut_down(self) -> None:
        top = self.top
        if top is not None:
            top.empty_out()
            self.top = None

    def _parse(self, options: bytes, fresh: bool) -> None:
        chosen = TmpfsOptions(options)
        page_limit = self.page_limit if chosen.page_limit < 0 else chosen.page_limit
        inode_limit = self.inode_limit if chosen.inode_limit < 0 else chosen.inode_limit
        page_limit = page_limit if page_limit > 0 else _NO_LIMIT
        inode_limit = inode_limit if inode_limit > 0 else _NO_LIMIT
        if page_limit < self.pages_used or inode_limit < self.inodes_used:
            raise Errno(EINVAL)
        self.page_limit = page_limit
        self.inode_limit = inode_limit
        if fresh:
            self.swaps_nothing = chosen.swaps_nothing
            self.choose_root(chosen.root)

    def choose_root(self, chosen: RootChoice) -> None:
        """The mode and the owners of the root directory; a remount ignores them."""
        if chosen.mode >= 0:
            self.root_mode = chosen.mode
        if chosen.uid != NO_USER:
            self.root_uid = chosen.uid
        if chosen.gid != NO_GROUP:
            self.root_gid = chosen.gid

    def new_ino(self) -> int:
        """Account for one more inode; ENOSPC past the limit, or when memory is short."""
        if self.inodes_used >= self.inode_limit or not has_room_to_keep():
            raise Errno(ENOSPC)
        self.inodes_used += 1
        ino = self.next_ino
        self.next_ino += 1
        return ino

    def take_page(self) -> None:
        """Account for one more page; ENOSPC past the limit, or when memory is short."""
        if self.pages_used >= self.page_limit or not has_room_to_keep():
            raise Errno(ENOSPC)
        self.pages_used += 1
        SHARED_TOTALS.pages += 1

    def give_pages(self, count: int) -> None:
        self.pages_used -= count
        SHARED_TOTALS.pages -= count


_IGNORED_OPTIONS: Final[dict[bytes, bool]] = {
    b"defaults": True,
    b"inode64": True,
    b"inode32": True,
}


class TmpfsInode(Inode):
    """What all inodes of a tmpfs share."""

    def __init__(self, tmpfs: Tmpfs, mode: int) -> None:
        super().__init__(tmpfs, tmpfs.new_ino(), mode)
        self.tmpfs: Tmpfs = tmpfs
        self.attributes: Store | None = None
        self.is_counted: bool = True  # among the inodes of the file system

    def attribute_store(self) -> Store | None:
        if self.tmpfs.is_plain:
            return None
        store = kept_store(self.attributes)
        self.attributes = store
        return store

    def may_have_attributes(self) -> bool:
        return self.attributes is not None

    def read_access_lists(self) -> AccessLists:
        return NO_LISTS if self.attributes is None else super().read_access_lists()

    def shown_flags(self) -> int:
        return super().shown_flags() if self.tmpfs.is_plain else self.flags

    def has_birth_time(self) -> bool:
        return not self.tmpfs.is_plain

    def shown_attributes(self) -> int:
        return 0 if self.tmpfs.is_plain else FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL

    def set_flags(self, flags: int) -> None:
        if self.tmpfs.is_plain:
            super().set_flags(flags)
        if flags & ~_FLAGS != 0:
            raise Errno(EOPNOTSUPP)
        self.flags = flags
        self.touch_changed()

    def evict(self) -> None:
        """It may come again: a removed directory can still be opened by those whose working directory it is."""
        if self.is_counted:
            self.is_counted = False
            self.tmpfs.inodes_used -= 1

    def find_below(self, ino: int, names: list[bytes] | None) -> "TmpfsInode | None":
        """This inode or one below it with this number; `names` gets the names that lead there. Raises MemoryError."""
        return self if self.ino == ino else None

    def empty_out(self) -> None:
        """The file system goes away: drop what a directory holds."""


class SealableInode(TmpfsInode):
    """A regular file that may have seals (memfd_create(2))."""

    def check_size_seals(self, size: int) -> None:
        """Raise EPERM if seals keep the file from getting that size."""
        if size != self.size and self.seals & (F_SEAL_SHRINK if size < self.size else F_SEAL_GROW) != 0:
            raise Errno(EPERM)

    def add_seals(self, seals: int) -> None:
        """F_ADD_SEALS: no write is under way when it returns. Raises EPERM, EBUSY."""
        lock = self.lock_contents()
        try:
            self._add_seals(seals)
        finally:
            lock.release()

    def _add_seals(self, seals: int) -> None:
        if self.seals & F_SEAL_SEAL != 0:
            raise Errno(EPERM)
        if seals & F_SEAL_EXEC != 0 and self.mode & 0o111 != 0:
            # An executable file whose mode is sealed is no longer written.
            seals |= F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE
        if seals & F_SEAL_WRITE & ~self.seals != 0 and self.is_mapped_for_writing():
            raise Errno(EBUSY)
        self.seals |= seals


def decimal(value: int) -> bytes:
    return f"{value}".encode()


def octal(value: int) -> bytes:
    """At least three digits."""
    return f"{value:03o}".encode()
