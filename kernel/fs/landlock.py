"""Landlock: what a thread in a domain may do with files (landlock(7), ABI 6).

A rule gives rights to all that lies at or below an inode. What an access needs, the inodes on the way from the place up
to the root must give, in every layer that handles the right, each by one of them or by several together.

What a file system makes anew each time that it is looked up (the directories of processes in /proc) is another inode
then, and its rules give nothing any more.

Deviations from Linux: an inode that only a rule knows is not kept on the disk once it has no name.

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
OF_FILES: Final = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV  # the others are of directories


@final
class Layer(Domain):
    """One layer with its rules about files. Without a rule nobody moves anything between directories (REFER), whether
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
        self.files: dict[Inode, int] = files  # which rights an inode gives


def file_domain(credentials: Credentials) -> Domain | None:
    """The domain of a thread, if it says anything about files."""
    domain = credentials.domain
    return None if domain is None or domain.all_files == 0 else domain


@final
class _Request:
    """Rights that are looked for, and which of them each layer has not given yet."""

    def __init__(self, domain: Domain, rights: int) -> None:
        self.layers: list[Layer] = []
        self.missing: list[int] = []
        each: Domain | None = domain
        while each is not None:
            if isinstance(each, Layer):
                self.layers.append(each)
                self.missing.append(rights & each.judged_files)
            each = each.outer

    def take(self, inode: Inode | None) -> None:
        """Take what an inode gives."""
        if inode is None:
            return
        for index in range(len(self.layers)):
            self.missing[index] &= ~self.layers[index].files.get(inode, 0)

    def limit(self, rights: int) -> None:
        """Look for these only."""
        for index in range(len(self.missing)):
            self.missing[index] &= rights

    def lacks(self) -> int:
        """What some layer has not given."""
        rights = 0
        for each in self.missing:
            rights |= each
        return rights

    def climb(self, mount: Mount, dentry: Dentry) -> bool:
        """Take what a place and those above it give. Whether that is all."""
        step: _Step | None = _Step(mount, dentry)
        while step is not None:
            self.take(step.dentry.inode)
            if self.lacks() == 0:
                return True
            step = step.above()
        return False

    def climb_in_mount(self, top: Dentry, dentry: Dentry) -> bool:
        """The same up to the root of a mount, or of its file system."""
        while True:
            self.take(dentry.inode)
            if self.lacks() == 0:
                return True
            above = dentry.parent
            if dentry is top or above is None or above is dentry:
                return False
            dentry = above


@final
class _Step:
    """A place on the way up."""

    def __init__(self, mount: Mount, dentry: Dentry) -> None:
        self.mount: Mount = mount
        self.dentry: Dentry = dentry

    def above(self) -> "_Step | None":
        """The directory that it lies in; for the root of a mount, the one that its mount point lies in. None at the
        end.
        """
        mount = self.mount
        dentry = self.dentry
        while dentry is mount.root:
            outer = mount.parent
            point = mount.mount_point
            if outer is None or point is None:
                return None
            mount = outer
            dentry = point
        parent = dentry.parent
        if parent is None or parent is dentry:
            return _Step(mount, mount.root)  # it was moved out of what the mount shows: on with where that is mounted
        return _Step(mount, parent)


def missing_rights(domain: Domain, mount: Mount, dentry: Dentry, rights: int) -> int:
    """Which of some rights to a place a domain does not give. What has no place in the tree is free: pipes, sockets."""
    if mount.is_internal:
        return 0
    request = _Request(domain, rights)
    request.climb(mount, dentry)
    return request.lacks()


def require(credentials: Credentials, mount: Mount, dentry: Dentry, rights: int) -> None:
    """Raise EACCES unless the thread's domain gives rights to a place."""
    domain = file_domain(credentials)
    if domain is not None and missing_rights(domain, mount, dentry, rights) != 0:
        raise Errno(EACCES)


def refuse_mounting(credentials: Credentials) -> None:
    """Raise EPERM in a domain that says anything about files: what is mounted anew would be seen by other rules."""
    if file_domain(credentials) is not None:
        raise Errno(EPERM)


# ---- Open files -----------------------------------------------------------------------------------------------------


def rights_denied(credentials: Credentials, path: Path, flags: int, is_program: bool) -> int:
    """Whether a file may be opened, and which rights there will not be afterwards. Raises EACCES."""
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
    """What it takes to make a file of a type. A whiteout is a character device only by name."""
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
    """link(2): whether what lies at `old` may have a name in a directory, too. Raises EACCES, EXDEV."""
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
    """rename(2): whether what lies at `old` may go to a directory, where `other` goes away, or to the place of what is
    `exchanged` for it, and whether a whiteout may stay behind. Raises EACCES, EXDEV.
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
    """`first` are the rights that the old directory must give, `second` those of the new one. In another directory a
    file must not have more rights than before.
    """
    if old.parent is directory:
        if missing_rights(domain, mount, directory, first | second) != 0:
            raise Errno(EACCES)
        return
    top = mount.root
    parent = old.parent
    source = _Request(domain, FILE_SYSTEM_RIGHTS)
    target = _Request(domain, FILE_SYSTEM_RIGHTS)
    has_all = source.climb_in_mount(top, old if old is top or parent is None else parent)
    if target.climb_in_mount(top, directory) and has_all:
        return
    comparison = _Comparison(domain, source, target, old, exchanged)
    if comparison.permits(mount, first | REFER, second | REFER):
        return
    # Where something other than REFER lacks, that is what is said.
    if (source.lacks() & first | target.lacks() & second) & ~REFER != 0:
        raise Errno(EACCES)
    raise Errno(EXDEV)


@final
class _Comparison:
    """Two directories of one mount, between which something moves: what both are given on the way up."""

    def __init__(
        self, domain: Domain, source: _Request, target: _Request, moved: Dentry, exchanged: Dentry | None
    ) -> None:
        self.source: _Request = source
        self.target: _Request = target
        self.own: _Request = _Request(domain, FILE_SYSTEM_RIGHTS)  # what the moved one itself lacks
        self.own.take(moved.inode)
        self.moves_directory: bool = _is_directory(moved)
        self.other_own: _Request | None = None  # the same of what comes in exchange
        self.other_is_directory: bool = False
        if exchanged is not None:
            other_own = _Request(domain, FILE_SYSTEM_RIGHTS)
            other_own.take(exchanged.inode)
            self.other_own = other_own
            self.other_is_directory = _is_directory(exchanged)

    def permits(self, mount: Mount, first: int, second: int) -> bool:
        """Whether nothing gains rights, and both directories are given what they must be."""
        step: _Step | None = _Step(mount, mount.root)
        is_compared = False
        while step is not None:
            if not is_compared and self._gains_nothing():
                # From here on only what the call needs is looked for.
                is_compared = True
                self.source.limit(first)
                self.target.limit(second)
            if is_compared and self._is_complete():
                return True
            self.source.take(step.dentry.inode)
            self.target.take(step.dentry.inode)
            if self._is_complete():
                return True
            step = step.above()
        return False

    def _is_complete(self) -> bool:
        return self.source.lacks() == 0 and self.target.lacks() == 0

    def _gains_nothing(self) -> bool:
        if _gains(self.source, self.own, self.moves_directory, self.target):
            return False
        other = self.other_own
        return other is None or not _gains(self.target, other, self.other_is_directory, self.source)


def _is_directory(dentry: Dentry) -> bool:
    inode = dentry.inode
    return inode is not None and inode.is_directory()


def _gains(old_place: _Request, own: _Request, is_directory: bool, new_place: _Request) -> bool:
    """Whether some layer gives what moves a right in the new place that it had not, by itself or by the old place."""
    judged = FILE_SYSTEM_RIGHTS if is_directory else OF_FILES
    for index in range(len(own.missing)):
        lacked = old_place.missing[index] & own.missing[index] & judged
        if lacked & ~new_place.missing[index] != 0:
            return True
    return False
