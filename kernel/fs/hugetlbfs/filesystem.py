"""hugetlbfs: a file system of huge pages. Directories and names are those of tmpfs.

The options `size` and `min_size` become a quota of the pool (kernel/mm/huge_pool.py) that `pagesize` chooses.

Context: mounting and unmounting may sleep, the rest doesn't. Source: Linux's
Documentation/admin-guide/mm/hugetlbpage.rst; mount(8).
"""

from typing import Final

from kernel.fs.constants import HUGETLBFS_MAGIC, S_IFDIR, S_IFMT, S_IFREG
from kernel.fs.filesystem import LARGEST_AMOUNT, FileSystem, Statistics, parse_amount, register_filesystem, split_option
from kernel.fs.hugetlbfs.file import HugeFile
from kernel.fs.inode import Inode
from kernel.fs.path import FsContext
from kernel.fs.root_choice import RootChoice
from kernel.fs.tmpfs.base import Tmpfs, TmpfsInode, decimal, octal
from kernel.fs.tmpfs.filesystem import TmpfsDirectory, enter_root
from kernel.lang import EINVAL, ENOMEM, ENOSPC, Errno, final
from kernel.lib.credentials import Actor, Credentials, caller_credentials
from kernel.lib.ids import ROOT_GROUP, ROOT_USER
from kernel.mm.huge_pool import HUGE_SHIFT, SHIFTS, HugeQuota, pool_of

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
            self.quota = pool_of(self.shift).add_quota(self.most, self.least)

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
            pool_of(self.shift).end_quota(quota)

    def _parse(self, options: bytes, fresh: bool) -> None:
        """A remount checks the options, and changes nothing, as on Linux."""
        chosen = HugeOptions(options, self.shift)
        if not fresh:
            return
        self.shift = chosen.shift
        self.most = chosen.most_pages()
        self.least = chosen.least_pages()
        self.inode_limit = chosen.inode_limit
        self.root_mode = _ROOT_MODE
        self.choose_root(chosen.root)
        self.root_mode &= _ROOT_MODES


@final
class HugeOptions:
    """The options of mount(2). Raises EINVAL."""

    def __init__(self, text: bytes, shift: int) -> None:
        self.shift: int = shift
        self.most: bytes = b""
        self.least: bytes = b""
        self.inode_limit: int = _NO_LIMIT
        self.root: RootChoice = RootChoice()
        for option in text.split(b","):
            if len(option) > 0:
                self._take(option)
        if 0 <= self.most_pages() < self.least_pages():
            raise Errno(EINVAL)

    def _take(self, option: bytes) -> None:
        key, value = split_option(option)
        if key == b"size":
            self.most = value
            parse_amount(value)
        elif key == b"min_size":
            self.least = value
            parse_amount(value)
        elif key == b"nr_inodes":
            self.inode_limit = min(_NO_LIMIT, parse_amount(value)[0])
        elif key == b"pagesize":
            self.shift = _shift_of(value)
        elif not self.root.take(key, value):
            raise Errno(EINVAL)

    def most_pages(self) -> int:
        """The option `size`; -1 without it."""
        return _pages_of(self.most, self.shift)

    def least_pages(self) -> int:
        """The same of `min_size`."""
        return _pages_of(self.least, self.shift)


def check_huge_options(context: FsContext, text: bytes) -> None:
    """Raise EINVAL."""
    HugeOptions(text, HUGE_SHIFT)


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
        pool = pool_of(shift)
        return min(LARGEST_AMOUNT >> 40, value) * (pool.total - pool.surplus) // _HUNDRED
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


register_filesystem(b"hugetlbfs", make_hugetlbfs).check_options = check_huge_options
