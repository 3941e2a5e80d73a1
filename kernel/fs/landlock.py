"""Landlock: what a thread in a domain may do with files (landlock(7), ABI 6).

A rule grants rights to everything at or below an inode. An access is allowed if, in every layer that handles the right,
the inodes on the way from the place up to the root grant all its rights, one alone or several together.

An inode that a file system creates anew at each look-up (the directories of processes in /proc) is another inode then,
and rules on the old one no longer apply.

Deviations from Linux: an inode that only a rule refers to is not kept on the disk once it has no name. A climb has no
safe point, since its checks must still hold when it is done, so it is bounded: access to anything more than some
thousand directories deep (6,000 in a domain of one layer, 700 in one of sixteen) is denied. No path is that long; a
program gets there only step by step.

Context: thread context; never sleeps. Raises MemoryError.
Source: landlock(7), landlock_add_rule(2), Documentation/userspace-api/landlock.rst.
"""

from typing import Final

from kernel.fs.constants import (
    O_ACCMODE,
    O_RDONLY,
    O_WRONLY,
    S_IFBLK,
    S_IFCHR,
    S_IFDIR,
    S_IFIFO,
    S_IFLNK,
    S_IFMT,
    S_IFSOCK,
)
from kernel.fs.dentry import Dentry
from kernel.fs.inode import Inode
from kernel.fs.path import Mount, Path
from kernel.lang import EACCES, EPERM, EXDEV, Errno, final
from kernel.lib.credentials import Credentials
from kernel.lib.domain import Domain

EXECUTE: Final = 0x1  # LANDLOCK_ACCESS_FS_…
WRITE_FILE: Final = 0x2
READ_FILE: Final = 0x4
READ_DIR: Final = 0x8
REMOVE_DIR: Final = 0x10
REMOVE_FILE: Final = 0x20
MAKE_CHAR: Final = 0x40
MAKE_DIR: Final = 0x80
MAKE_REG: Final = 0x100
MAKE_SOCK: Final = 0x200
MAKE_FIFO: Final = 0x400
MAKE_BLOCK: Final = 0x800
MAKE_SYM: Final = 0x1000
REFER: Final = 0x2000
TRUNCATE: Final = 0x4000
IOCTL_DEV: Final = 0x8000
FILE_SYSTEM_RIGHTS: Final = 0xFFFF
_MOST_WORK: Final = 12_000  # rules that are looked up in a climb, with the steps; about 60 instructions each
OF_FILES: Final = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV  # the others concern directories


@final
class Layer(Domain):
    """One layer with its rules about files. Without a rule nothing can be moved between directories (REFER), whether
    the layer handles that or not.
    """

    def __init__(
        self,
        outer: Domain | None,
        handled_files: int,
        handled_ports: int,
        scopes: int,
        files: dict[Inode, int],
        ports: dict[int, int],
    ) -> None:
        super().__init__(outer, handled_files, handled_ports, scopes, ports)
        self.judged_files: int = handled_files | REFER
        self.files: dict[Inode, int] = files  # the rights that an inode grants


def file_domain(credentials: Credentials) -> Domain | None:
    """The domain of a thread, if it restricts files."""
    domain = credentials.domain
    return None if domain is None or domain.all_files == 0 else domain


@final
class _Request:
    """The rights requested, and which of them each layer has not granted yet."""

    def __init__(self, domain: Domain, rights: int) -> None:
        self.layers: list[Layer] = []
        self.missing: list[int] = []
        each: Domain | None = domain
        while each is not None:
            if isinstance(each, Layer):
                self.layers.append(each)
                self.missing.append(rights & each.judged_files)
            each = each.outer

    def take(self, inode: Inode | None) -> bool:
        """Count the rights that an inode grants. Returns whether none is missing."""
        rest = 0
        for index in range(len(self.layers)):
            missing = self.missing[index]
            if missing != 0:
                if inode is not None:
                    missing &= ~self.layers[index].files.get(inode, 0)
                    self.missing[index] = missing
                rest |= missing
        return rest == 0

    def limit(self, rights: int) -> None:
        """Restrict the request to these rights."""
        for index in range(len(self.missing)):
            self.missing[index] &= rights

    def lacks(self) -> int:
        """The rights that some layer has not granted."""
        rights = 0
        for each in self.missing:
            rights |= each
        return rights

    def climb(self, place: "_Place") -> bool:
        """Count the rights that a place and those above it grant. Returns whether none is missing."""
        while not self.take(place.dentry.inode):
            if not place.rise():
                return False
        return True

    def climb_in_mount(self, place: "_Place") -> bool:
        """The same up to the root of the place's mount, or of its file system."""
        while not self.take(place.dentry.inode):
            if not place.rise_in_mount():
                return False
        return True


@final
class _Place:
    """A place on the way up, and how much further the climb may go."""

    def __init__(self, mount: Mount, dentry: Dentry, domain: Domain) -> None:
        self.mount: Mount = mount
        self.dentry: Dentry = dentry
        self._cost: int = 1 + domain.level
        self._left: int = _MOST_WORK

    def rise(self) -> bool:
        """Go up to the directory that it lies in; for the root of a mount, to the one that its mount point lies in.
        False at the end.
        """
        mount = self.mount
        dentry = self.dentry
        while dentry is mount.root:
            outer = mount.parent
            point = mount.mount_point
            if outer is None or point is None:
                return False
            mount = outer
            dentry = point
            self._left -= 1
            if self._left < 0:
                return False
        parent = dentry.parent
        self.mount = mount
        # A directory moved out of what the mount shows counts as its root: continue at the mount point.
        self.dentry = mount.root if parent is None or parent is dentry else parent
        self._left -= self._cost
        return self._left >= 0

    def rise_in_mount(self) -> bool:
        """The same, within the mount."""
        dentry = self.dentry
        parent = dentry.parent
        if dentry is self.mount.root or parent is None or parent is dentry:
            return False
        self.dentry = parent
        self._left -= self._cost
        return self._left >= 0


def missing_rights(domain: Domain, mount: Mount, dentry: Dentry, rights: int) -> int:
    """Which of some rights to a place a domain does not grant. Files without a place in the tree are unrestricted:
    pipes, sockets.
    """
    if mount.is_internal:
        return 0
    request = _Request(domain, rights)
    return 0 if request.climb(_Place(mount, dentry, domain)) else request.lacks()


def require(credentials: Credentials, mount: Mount, dentry: Dentry, rights: int) -> None:
    """Raise EACCES unless the thread's domain grants the rights to a place."""
    domain = file_domain(credentials)
    if domain is not None and missing_rights(domain, mount, dentry, rights) != 0:
        raise Errno(EACCES)


def refuse_mounting(credentials: Credentials) -> None:
    """Raise EPERM in a domain that restricts files: other rules would apply to what is newly mounted."""
    if file_domain(credentials) is not None:
        raise Errno(EPERM)


# ---- Open files -----------------------------------------------------------------------------------------------------


def rights_denied(credentials: Credentials, path: Path, flags: int, is_program: bool) -> int:
    """Check that a file may be opened, and return which rights the open file lacks. Raises EACCES."""
    domain = file_domain(credentials)
    if domain is None:
        return 0
    inode = path.inode()
    needed = _opening_rights(inode, flags, is_program)
    wanted = needed | TRUNCATE | (IOCTL_DEV if inode.is_device() else 0)
    missing = missing_rights(domain, path.mount, path.dentry, wanted)
    if missing & needed != 0:
        raise Errno(EACCES)
    return missing


def _opening_rights(inode: Inode, flags: int, is_program: bool) -> int:
    access = flags & O_ACCMODE
    if access == O_ACCMODE:
        return 0  # a file that is neither read nor written: only ioctl(2) works on it
    rights = 0
    if access != O_WRONLY:
        rights = READ_DIR if inode.is_directory() else READ_FILE
    if inode.is_directory():
        return rights
    if access != O_RDONLY:
        rights |= WRITE_FILE
    return rights | EXECUTE if is_program else rights


# ---- Names ----------------------------------------------------------------------------------------------------------


def creation_right(mode: int, rdev: int) -> int:
    """The right needed to create a file of a type. A whiteout is a character device only by name."""
    kind = mode & S_IFMT
    if kind == S_IFDIR:
        return MAKE_DIR
    if kind == S_IFLNK:
        return MAKE_SYM
    if kind == S_IFCHR:
        return MAKE_CHAR if rdev != 0 else MAKE_REG
    if kind == S_IFBLK:
        return MAKE_BLOCK
    if kind == S_IFIFO:
        return MAKE_FIFO
    return MAKE_SOCK if kind == S_IFSOCK else MAKE_REG


def _removal_right(inode: Inode | None) -> int:
    if inode is None:
        return 0
    return REMOVE_DIR if inode.is_directory() else REMOVE_FILE


def check_new_link(credentials: Credentials, mount: Mount, old: Dentry, directory: Dentry) -> None:
    """link(2): check that the file at `old` may also get a name in a directory. Raises EACCES, EXDEV."""
    domain = file_domain(credentials)
    inode = old.inode
    if domain is not None and inode is not None:
        _check_reference(domain, mount, old, 0, directory, creation_right(inode.mode, inode.rdev), None)


def check_moving(
    credentials: Credentials,
    mount: Mount,
    old: Dentry,
    directory: Dentry,
    other: Inode | None,
    exchanged: Dentry | None,
    leaves_whiteout: bool,
) -> None:
    """rename(2): check that the file at `old` may move to a directory, replacing `other` or trading places with
    `exchanged`, and that a whiteout may be left. Raises EACCES, EXDEV.
    """
    domain = file_domain(credentials)
    inode = old.inode
    if domain is None or inode is None:
        return
    first = _removal_right(inode)
    if exchanged is not None and other is not None:
        first |= creation_right(other.mode, other.rdev)
    if leaves_whiteout:
        first |= MAKE_REG
    second = creation_right(inode.mode, inode.rdev) | _removal_right(other)
    _check_reference(domain, mount, old, first, directory, second, exchanged)


def _check_reference(
    domain: Domain, mount: Mount, old: Dentry, first: int, directory: Dentry, second: int, exchanged: Dentry | None
) -> None:
    """`first` are the rights that the old directory must grant, `second` those that the new one must. In another
    directory a file must not have more rights than before.
    """
    if old.parent is directory:
        if missing_rights(domain, mount, directory, first | second) != 0:
            raise Errno(EACCES)
        return
    parent = old.parent
    source = _Request(domain, FILE_SYSTEM_RIGHTS)
    target = _Request(domain, FILE_SYSTEM_RIGHTS)
    above = old if old is mount.root or parent is None else parent
    has_all = source.climb_in_mount(_Place(mount, above, domain))
    if target.climb_in_mount(_Place(mount, directory, domain)) and has_all:
        return
    comparison = _Comparison(domain, source, target, old, exchanged)
    if comparison.permits(_Place(mount, mount.root, domain), first | REFER, second | REFER):
        return
    # If a right other than REFER is missing, that decides the error.
    if (source.lacks() & first | target.lacks() & second) & ~REFER != 0:
        raise Errno(EACCES)
    raise Errno(EXDEV)


@final
class _Comparison:
    """Two directories of one mount, between which something moves: the rights granted to both on the way up."""

    def __init__(
        self, domain: Domain, source: _Request, target: _Request, moved: Dentry, exchanged: Dentry | None
    ) -> None:
        self.source: _Request = source
        self.target: _Request = target
        self.own: _Request = _Request(domain, FILE_SYSTEM_RIGHTS)  # what the moved file itself lacks
        self.own.take(moved.inode)
        self.moves_directory: bool = moved.is_directory()
        self.other_own: _Request | None = None  # the same for the file exchanged with it
        self.other_is_directory: bool = False
        if exchanged is not None:
            other_own = _Request(domain, FILE_SYSTEM_RIGHTS)
            other_own.take(exchanged.inode)
            self.other_own = other_own
            self.other_is_directory = exchanged.is_directory()

    def permits(self, place: _Place, first: int, second: int) -> bool:
        """Whether nothing gains rights, and both directories have the rights they need, from the root of the mount
        upwards.
        """
        is_compared = False
        while True:
            if not is_compared and self._gains_nothing():
                # From here on only the rights that the call needs matter.
                is_compared = True
                self.source.limit(first)
                self.target.limit(second)
            if is_compared and self._is_complete():
                return True
            self.source.take(place.dentry.inode)
            self.target.take(place.dentry.inode)
            if self._is_complete():
                return True
            if not place.rise():
                return False

    def _is_complete(self) -> bool:
        return self.source.lacks() == 0 and self.target.lacks() == 0

    def _gains_nothing(self) -> bool:
        if _gains(self.source, self.own, self.moves_directory, self.target):
            return False
        other = self.other_own
        return other is None or not _gains(self.target, other, self.other_is_directory, self.source)


def _gains(old_place: _Request, own: _Request, is_directory: bool, new_place: _Request) -> bool:
    """Whether some layer grants the moved file a right in the new place that it lacked, both itself and in the old
    place.
    """
    judged = FILE_SYSTEM_RIGHTS if is_directory else OF_FILES
    for index in range(len(own.missing)):
        lacked = old_place.missing[index] & own.missing[index] & judged
        if lacked & ~new_place.missing[index] != 0:
            return True
    return False
