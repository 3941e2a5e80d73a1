"""hugetlbfs: a file system of huge pages. Directories and names are those of tmpfs.

The options `size` and `min_size` become a quota of the pool (kernel/mm/huge_pool.py). Files of pages of 1 GiB can be
made, but the pool has no such pages.

Context: mounting and unmounting may sleep, the rest doesn't. Source: Linux's
Documentation/admin-guide/mm/hugetlbpage.rst; mount(8).
"""

from typing import Final

from kernel.fs.constants import HUGETLBFS_MAGIC, S_IFDIR, S_IFMT, S_IFREG
from kernel.fs.filesystem import LARGEST_AMOUNT, FileSystem, Statistics, parse_amount, register_filesystem, split_option
from kernel.fs.hugetlbfs.file import HugeFile
from kernel.fs.inode import Inode
from kernel.fs.tmpfs.base import Tmpfs, TmpfsInode, decimal, octal
from kernel.fs.tmpfs.filesystem import TmpfsDirectory, enter_root
from kernel.lang import EINVAL, ENOMEM, ENOSPC, Errno, final
from kernel.lib.credentials import Actor, Credentials, caller_credentials
from kernel.lib.ids import ROOT_GROUP, ROOT_USER
from kernel.mm.huge_pool import HUGE_SHIFT, POOL, SHIFTS, HugeQuota

_NO_LIMIT: Final = 1 << 50
_ROOT_MODE: Final = 0o755
_ROOT_MODES: Final = 0o1777
_HUNDRED: Final = 100


@final
class Hugetlbfs(Tmpfs):
    """One instance."""

    def __init__(self, source: bytes, options: bytes, maker: Credentials | None, shift: int) -> None:
        """`maker`: of the program that mounts it; `shift`: the logarithm of the size of a page, unless the options say
        otherwise. Raises EINVAL, ENOMEM (too few pages for min_size), MemoryError.
        """
        self.shift: int = shift  # first: the base reads the options
        self.quota: HugeQuota | None = None
        self.most: int = -1  # pages
        self.least: int = -1
        super().__init__(b"hugetlbfs", source, options, maker)
        self.magic = HUGETLBFS_MAGIC
        self.block_size = 1 << self.shift
        self.has_access_lists = False
        self.maps_owners = True
        self.finds_by_handle = False
        self.makes_whiteouts = False
        self.is_plain = True
        self.takes_direct_transfers = False
        self.entry_size = 0
        if self.most >= 0 or self.least >= 0:
            if self.shift != HUGE_SHIFT and self.least > 0:
                raise Errno(ENOMEM)
            self.quota = POOL.add_quota(self.most, self.least)

    def statistics(self) -> Statistics:
        result = Statistics()
        result.block_size = self.block_size
        quota = self.quota
        if quota is not None:
            result.blocks = self.most
            result.blocks_free = self.most - quota.used
            has_limit = self.inode_limit != _NO_LIMIT
            result.files = self.inode_limit if has_limit else -1
            result.files_free = self.inode_limit - self.inodes_used if has_limit else -1
        return result

    def options(self) -> bytes:
        text = b""
        if self.root_uid != ROOT_USER:
            text += b",uid=" + decimal(int(self.root_uid))
        if self.root_gid != ROOT_GROUP:
            text += b",gid=" + decimal(int(self.root_gid))
        if self.root_mode != _ROOT_MODE:
            text += b",mode=" + octal(self.root_mode)
        if self.inode_limit != _NO_LIMIT:
            text += b",nr_inodes=" + decimal(self.inode_limit)
        text += b",pagesize=" + decimal(1 << self.shift - 20) + b"M"
        if self.most >= 0:
            text += b",size=" + decimal(self.most << self.shift)
        if self.least >= 0:
            text += b",min_size=" + decimal(self.least << self.shift)
        return text

    def shut_down(self) -> None:
        super().shut_down()
        quota = self.quota
        if quota is not None:
            self.quota = None
            POOL.end_quota(quota)

    def _parse(self, options: bytes, fresh: bool) -> None:
        """A remount checks the options, and changes nothing, as on Linux."""
        shift = self.shift
        most = b""
        least = b""
        inode_limit = _NO_LIMIT
        if fresh:
            self.root_mode = _ROOT_MODE
        for option in options.split(b","):
            if not option:
                continue
            key, value = split_option(option)
            if key == b"size":
                most = value
                parse_amount(value)
            elif key == b"min_size":
                least = value
                parse_amount(value)
            elif key == b"nr_inodes":
                inode_limit = min(_NO_LIMIT, parse_amount(value)[0])
            elif key == b"pagesize":
                shift = _shift_of(value)
            elif key == b"mode" or key == b"uid" or key == b"gid":
                self._parse_root(key, value, fresh)
                self.root_mode &= _ROOT_MODES
            else:
                raise Errno(EINVAL)
        most_pages = _pages_of(most, shift)
        least_pages = _pages_of(least, shift)
        if most_pages >= 0 and least_pages > most_pages:
            raise Errno(EINVAL)
        if fresh:
            self.shift = shift
            self.most = most_pages
            self.least = least_pages
            self.inode_limit = inode_limit


def _shift_of(text: bytes) -> int:
    """The option `pagesize`."""
    size = parse_amount(text)[0]
    for shift in SHIFTS:
        if size == 1 << shift:
            return shift
    raise Errno(EINVAL)


def _pages_of(text: bytes, shift: int) -> int:
    """How many pages an option of bytes, or of percents of the pool, means; -1 without the option."""
    if text == b"":
        return -1
    value, end = parse_amount(text)
    if text[end : end + 1] == b"%":
        total = POOL.total - POOL.surplus if shift == HUGE_SHIFT else 0
        return min(LARGEST_AMOUNT >> 40, value) * total // _HUNDRED
    return value >> shift


@final
class HugeDirectory(TmpfsDirectory):
    """A directory."""

    def __init__(self, owner: Hugetlbfs, mode: int) -> None:
        super().__init__(owner, mode)
        self.owner: Hugetlbfs = owner

    def create_symlink(self, name: bytes, target: bytes, actor: Actor) -> Inode:
        """There is nowhere to write the target to, as on Linux."""
        if self.owner.inodes_used >= self.owner.inode_limit:
            raise Errno(ENOSPC)
        raise Errno(EINVAL)

    def _make(self, mode: int, rdev: int) -> TmpfsInode:
        kind = mode & S_IFMT
        if kind == S_IFREG:
            return HugeFile(self.owner, mode)
        if kind == S_IFDIR:
            return HugeDirectory(self.owner, mode)
        return super()._make(mode, rdev)


def new_hugetlbfs(source: bytes, options: bytes, maker: Credentials | None, shift: int = HUGE_SHIFT) -> Hugetlbfs:
    """An instance with an empty root directory. Raises EINVAL, ENOMEM, MemoryError."""
    result = Hugetlbfs(source, options, maker, shift)
    done = False
    try:
        enter_root(result, HugeDirectory(result, S_IFDIR | result.root_mode))
        done = True
    except Errno:
        raise Errno(ENOMEM) from None  # not one inode
    finally:
        if not done:
            result.shut_down()
    return result


def make_hugetlbfs(source: bytes, options: bytes) -> FileSystem:
    return new_hugetlbfs(source, options, caller_credentials())


register_filesystem(b"hugetlbfs", make_hugetlbfs)
