"""File systems: a mounted instance (`FileSystem`) and the registry of types that mount(2) can name.

A type is registered at build time or while the kernel comes up: `register_filesystem(name, function)`, where the
function creates an instance from the source name and the options of mount(2).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from kernel.block.device import BlockDevice
from kernel.fs.constants import MS_DIRSYNC, MS_RDONLY, MS_SHOWN, MS_SYNCHRONOUS
from kernel.lang import EINVAL, ENODEV, ENOTBLK, ENOTTY, EOPNOTSUPP, ESTALE, Errno, final
from kernel.lib.credentials import Credentials
from kernel.lib.linked import LinkedList
from kernel.lib.namespace import FIRST_USER, UserNamespace
from kernel.lib.numbers import parse_unsigned
from kernel.sched import Mutex

if TYPE_CHECKING:
    from kernel.fs.attribute_store import Store
    from kernel.fs.dentry import Dentry
    from kernel.fs.inode import Inode
    from kernel.fs.marks import Mark
    from kernel.fs.notification import WatchList
    from kernel.fs.path import FsContext

LARGEST_AMOUNT: Final = 1 << 62  # of an option; larger ones count as this one
_SUFFIXES: Final = b"KMGTPE"
_SMALL_SUFFIXES: Final = b"kmgtpe"
FILE_HANDLE_TYPE: Final = 1  # of handles: the number of an inode and its generation

# Device numbers 0:N for file systems without a device; 0:1 is the first.
_next_anonymous_device: int = 1


def anonymous_device() -> int:
    global _next_anonymous_device
    device = _next_anonymous_device
    _next_anonymous_device += 1
    return (device & 0xFF) | ((device & 0xFFF00) << 12)


class Statistics:
    """What statfs(2) reports."""

    def __init__(self) -> None:
        self.block_size: int = 4096
        self.fragment_size: int = 0  # the unit of block counts; 0: `block_size`
        self.name_length: int = 255
        self.blocks: int = 0
        self.blocks_free: int = 0
        self.blocks_reserved: int = 0  # of the free ones, for root
        self.files: int = 0
        self.files_free: int = 0


class FileSystem:
    """Base of all mounted file systems. Counted by its mounts; `shut_down` is called when the last one goes."""

    def __init__(self, type_name: bytes, source: bytes, magic: int) -> None:
        self.type_name: bytes = type_name
        self.source: bytes = source
        self.magic: int = magic
        self.device: int = anonymous_device()
        self.read_only: bool = False
        self.is_synchronous: bool = False  # mounted with `sync`: each change is on the device when its call returns
        self.shown_flags: int = 0  # of MS_SHOWN; with MS_DIRSYNC, the same holds for changes of names
        self.block_size: int = 4096  # what stat(2) recommends
        self.has_access_lists: bool = False  # access control lists beside modes
        self.serves_lists: bool = False  # a server keeps them: it lets them follow chmod(2), and new files inherit them
        self.user_namespace: UserNamespace = FIRST_USER  # whose administrator controls it
        self.reveals: bool = False  # a mount over a part of it must also be present in a new mount
        self.opens_devices: bool = True  # False: its device files cannot be opened
        self.maps_owners: bool = False  # its mounts may map owners (owner_map.py)
        self.finds_by_handle: bool = False  # `handle_of` and `find_by_handle` work
        self.takes_direct_transfers: bool = False  # O_DIRECT is allowed without a block device, and changes nothing
        self.stack_depth: int = 0  # how many file systems are stacked below it
        self.has_fixed_names: bool = False  # those of the kernel's objects: rename(2) knows them, and takes no flags
        self.keeps_negatives: bool = False  # a failed lookup is worth remembering
        self.kept_root: Dentry | None = None  # of a file system that stays while it is not mounted
        self.mounts: int = 0
        self.tree_root: Dentry | None = None  # of its tree of names, while it is mounted anywhere
        self.block_device: BlockDevice | None = None  # what it lies on
        self.sleeps: bool = False  # its operations may sleep (see inode.py)
        self.automounts: bool = False  # walks stop in it until a program has mounted what they want (`Inode.stops`)
        self.waits_for_programs: bool = False  # it may sleep for as long as a program likes
        self.names: Mutex = Mutex()  # held over look-ups and changes of directories, if it sleeps
        self.writers: int = 0  # open descriptions of regular files that may write
        self.marks: list[Mark] | None = None  # of fanotify's groups on all of it
        self.watched: LinkedList[WatchList] = LinkedList()  # of its watched inodes

    def allows_direct(self) -> bool:
        """Whether its regular files may be opened with O_DIRECT."""
        return self.block_device is not None or self.takes_direct_transfers

    def takes_options_later(self) -> bool:
        """Whether fspick(2) has options to change."""
        return True

    def takes_user_attributes(self) -> bool:
        """Whether `user.` is among the extended attributes that can be set."""
        return True

    def attribute_store_of(self, inode: "Inode") -> "Store | None":
        """The extended attributes of an inode that keeps none itself. Raises MemoryError."""
        return None

    def heeds_modes(self) -> bool:
        """Whether root cannot open a file either for what its mode permits to nobody."""
        return False

    def identity(self) -> bytes:
        """FS_IOC_GETFSUUID: the 16 bytes by which the instance is known; none for kinds without."""
        return b""

    def masks_modes(self) -> bool:
        """Whether the server applies the umask to the modes of new files, so that the kernel does not."""
        return False

    def drops_inodes(self) -> bool:
        """Whether inodes leave memory when nobody uses them."""
        return False

    def hold_names(self) -> None:
        """Take the lock of names, of a file system that sleeps. Raises EIO; EINTR if its holder may wait for a program
        and the running thread is being killed.
        """
        if self.waits_for_programs:
            self.names.acquire_unless_dying()
        else:
            self.names.acquire()

    def let_names_go(self) -> None:
        """Undo `hold_names`."""
        self.names.release()

    def lie_on(self, device: BlockDevice) -> None:
        """Put the file system on a block device, whose number stat(2) shows."""
        self.block_device = device
        self.device = device.number

    def belong_to(self, namespace: UserNamespace) -> None:
        """A program in a user namespace created the instance. Its device files cannot be opened: devices belong to the
        machine.
        """
        self.user_namespace = namespace
        self.opens_devices = namespace.level == 0

    def root(self) -> "Inode":
        raise Errno(EINVAL)

    def ruler(self) -> UserNamespace:
        """The user namespace whose administrator may mount it."""
        return self.user_namespace

    def use(self, source: bytes, options: bytes) -> None:
        """A program that may mount it does so. Changes with effects beyond this instance are made here, not when it is
        created. Raises EINVAL.
        """

    def take_flags(self, flags: int) -> None:
        """MS_RDONLY, MS_SYNCHRONOUS and others of a mount that is about to show it. They are those of the file
        system until its last mount is gone, so that those of further mounts change nothing. Raises EBUSY.
        """
        if self.mounts == 0:
            self.read_only = self.read_only or flags & MS_RDONLY != 0
            self.is_synchronous = flags & MS_SYNCHRONOUS != 0
            self.shown_flags = flags & MS_SHOWN

    def flags(self) -> int:
        """MS_RDONLY, MS_SYNCHRONOUS and others that it has."""
        found = self.shown_flags | (MS_RDONLY if self.read_only else 0)
        return found | (MS_SYNCHRONOUS if self.is_synchronous else 0)

    def keep_flags(self, flags: int) -> None:
        """Those of a remount, which leaves `dirsync` alone."""
        self.shown_flags = self.shown_flags & MS_DIRSYNC | flags & MS_SHOWN & ~MS_DIRSYNC

    def root_to_show(self) -> list[bytes]:
        """The names that lead from the root to the directory that a new mount shows. Raises MemoryError."""
        return []

    def shown_place(self, names: bytes) -> bytes:
        """The running thread's name for a directory, whose path from the root is `names`: for mountinfo."""
        return names

    def statistics(self) -> Statistics:
        return Statistics()

    def options(self) -> bytes:
        """For /proc/mounts: beginning with a comma, or empty."""
        return b""

    def options_at(self, root: "Dentry") -> bytes:
        """The same for a mount that shows the tree from a directory on."""
        return self.options()

    def check_alive(self) -> None:
        """Raise EIO if it was aborted: then files can be neither read nor changed, though it counts as writable."""

    def reconfigure(self, options: bytes) -> None:
        """Options of a remount. Raises EINVAL."""

    def remount(self, read_only: bool, options: bytes) -> None:
        """A remount: becomes read-only or writable, and takes new options. May sleep. Raises EINVAL, EROFS (the device
        is read-only), EBUSY, EIO, with nothing changed.
        """
        self.reconfigure(options)
        self.read_only = read_only

    def handle_of(self, inode: "Inode") -> bytes:
        """A permanent name for an inode (handles.py). EOPNOTSUPP if there is none."""
        raise Errno(EOPNOTSUPP)

    def find_by_handle(self, kind: int, handle: bytes) -> "Inode":
        """The inode of a handle of some type; both come from programs and may be invalid. May sleep. Raises ESTALE."""
        raise Errno(ESTALE)

    def names_to(self, inode: "Inode") -> list[bytes] | None:
        """The names that lead from the root to an inode, or None where they cannot be found. Called with `names` held;
        may sleep. Raises ESTALE.
        """
        return None

    def trim(self, start: int, length: int, smallest: int) -> int:
        """FITRIM: discard the unused bytes of a range of the device, in pieces of at least `smallest` bytes.
        Returns how many. May sleep. Raises ENOTTY (no disk), EOPNOTSUPP (the device does not care), EINVAL, EROFS, EIO.
        """
        raise Errno(ENOTTY)

    def give_up(self) -> None:
        """umount2(2) with MNT_FORCE: abort all waits for a server. Never sleeps or raises."""

    def sync(self) -> None:
        """Write everything out and wait. May sleep. Raises EIO."""

    def write_back(self) -> None:
        """Copy what is dirty in the file system's own memory (inodes, counts) to the page cache. Called every few
        seconds by the flusher. May sleep; raises nothing.
        """

    def withdraw(self) -> None:
        """The last mount is gone, and others run before `shut_down`: of an instance that several mounts share, whoever
        mounts it from now on gets another one, or waits for its end. Never sleeps or raises.
        """

    def shut_down(self) -> None:
        """The last mount is gone: write everything out, free everything. May sleep; raises nothing."""


T = TypeVar("T")


@final
class OnlyInstance(Generic[T]):
    """The instance of a kind that has one only, once somebody has mounted it. It stays."""

    def __init__(self) -> None:
        self.made: T | None = None


MakeFileSystem = Callable[[bytes, bytes], FileSystem]
MakeInPlace = Callable[["FsContext", bytes, bytes], FileSystem]
"""The same for one whose options name files, as whoever mounts it sees them."""
MakeFor = Callable[["FsContext", Credentials, bytes, bytes], FileSystem]
"""The same for one that whoever called fsopen(2) will have, and another program creates; the third is the former."""
MountDevice = Callable[[BlockDevice, bytes, bool], FileSystem]
"""device, options, read-only. Raises EINVAL (no such file system there, or an option), EROFS, EIO."""


CheckRight = Callable[["FsContext"], None]
"""Raises EPERM where the caller's context may not mount it."""


CheckOptions = Callable[["FsContext", bytes], None]
"""The caller's context, and options without the general ones (general_mount_options.py). Raises EINVAL, and what
looking up the names in them raises.
"""


class FileSystemType:
    """A row of the registry, and of /proc/filesystems."""

    def __init__(
        self, name: bytes, make: MakeFileSystem | None, mount_device: MountDevice | None, is_for_all: bool
    ) -> None:
        self.is_for_all: bool = is_for_all  # the administrator of a user namespace may mount it, too
        self.name: bytes = name
        self.make: MakeFileSystem | None = make
        self.mount_device: MountDevice | None = mount_device
        self.make_in_place: MakeInPlace | None = None
        self.make_for: MakeFor | None = None
        self.check_options: CheckOptions | None = None  # before anything else; None: the text is taken whole
        self.check_right: CheckRight | None = None  # before anything else
        self.ignores_unknown: bool = False  # options of any name are taken, and other values than text
        self.refuses_nameless: bool = False  # `=value` among the options is wrong, where other types pass over it
        self.has_subtypes: bool = False  # names like fuse.sshfs are allowed: the part after the dot becomes an option
        self.escapes_commas: bool = False  # options may have commas in them, after a backslash

    @property
    def needs_device(self) -> bool:
        return self.mount_device is not None

    def split_options(self, text: bytes) -> list[bytes]:
        """The options in a text. Raises MemoryError."""
        return split_escaped(text, ord(",")) if self.escapes_commas else text.split(b",")


FILE_SYSTEM_TYPES: list[FileSystemType] = []


def register_filesystem(name: bytes, make: MakeFileSystem, is_for_all: bool = False) -> FileSystemType:
    """A type without a device. `is_for_all`: the administrator of a user namespace may mount it, too."""
    kind = FileSystemType(name, make, None, is_for_all)
    FILE_SYSTEM_TYPES.append(kind)
    return kind


def register_stacked_filesystem(name: bytes, make: MakeInPlace) -> FileSystemType:
    """A type whose options name directories. The administrator of a user namespace may mount it, too."""
    kind = register_in_place(name, make)
    kind.escapes_commas = True
    return kind


def register_in_place(name: bytes, make: MakeInPlace) -> FileSystemType:
    """A type whose options name something that the caller of mount(2) has. The administrator of a user namespace may
    mount it, too.
    """
    kind = FileSystemType(name, None, None, is_for_all=True)
    kind.make_in_place = make
    FILE_SYSTEM_TYPES.append(kind)
    return kind


def register_disk_filesystem(name: bytes, mount_device: MountDevice, check_options: CheckOptions) -> None:
    """A type that lies on a block device."""
    kind = FileSystemType(name, None, mount_device, is_for_all=False)
    kind.check_options = check_options
    FILE_SYSTEM_TYPES.append(kind)


def known_type(name: bytes) -> FileSystemType | None:
    """A type by the name that mount(2) has for it."""
    dot = name.find(b".")
    for kind in FILE_SYSTEM_TYPES:
        if kind.name == name or (dot >= 0 and kind.has_subtypes and kind.name == name[:dot]):
            return kind
    return None


def find_type(name: bytes) -> FileSystemType:
    """The same. Raises ENODEV if there is no such type."""
    kind = known_type(name)
    if kind is None:
        raise Errno(ENODEV)
    return kind


def make_filesystem(name: bytes, source: bytes, options: bytes) -> FileSystem:
    """An instance of a type without a device. ENODEV if there is no such type, ENOTBLK if it needs a device."""
    make = find_type(name).make
    if make is None:
        raise Errno(ENOTBLK)
    return make(source, options)


def refuse_options(context: "FsContext", text: bytes) -> None:
    """For types that have no options of their own. Raises EINVAL."""
    if len(text) > 0:
        raise Errno(EINVAL)


def split_escaped(text: bytes, separator: int) -> list[bytes]:
    """The parts between separators that have no backslash before them. Raises MemoryError."""
    parts: list[bytes] = []
    start = 0
    index = 0
    while index < len(text):
        if text[index] == ord("\\"):
            index += 1
        elif text[index] == separator:
            parts.append(text[start:index])
            start = index + 1
        index += 1
    parts.append(text[start:])
    return parts


def split_option(option: bytes) -> tuple[bytes, bytes]:
    """The name of a mount option, and its value: b"" without one."""
    equals = option.find(b"=")
    return (option, b"") if equals < 0 else (option[:equals], option[equals + 1 :])


def parse_amount(text: bytes) -> tuple[int, int]:
    """A number, with a suffix that stands for a power of 1024, and where it ends in the text. Raises EINVAL if there is
    none.
    """
    value = 0
    index = 0
    while index < len(text) and ord("0") <= text[index] <= ord("9"):
        value = min(LARGEST_AMOUNT, min(LARGEST_AMOUNT // 16, value) * 10 + text[index] - ord("0"))
        index += 1
    if index == 0:
        raise Errno(EINVAL)
    if index < len(text):
        power = max(_SUFFIXES.find(text[index : index + 1]), _SMALL_SUFFIXES.find(text[index : index + 1]))
        if power >= 0:
            index += 1
            for _ in range(power + 1):
                value = min(LARGEST_AMOUNT >> 10, value) << 10
    return value, index


def parse_size(text: bytes, total: int) -> int:
    """An amount alone, or percents of `total` (tmpfs(5)). Raises EINVAL for anything else."""
    value, end = parse_amount(text)
    if text[end:] == b"%":
        return total // 100 * min(value, 100)
    if end < len(text):
        raise Errno(EINVAL)
    return value


def parse_u32(text: bytes, base: int) -> int:
    """A number of 32 bits, as `parse_unsigned` reads it. Raises EINVAL."""
    try:
        return parse_unsigned(text, base, 1 << 32)
    except Errno:
        raise Errno(EINVAL) from None


def parse_octal(text: bytes) -> int:
    """The same in octal."""
    return parse_u32(text, 8)
