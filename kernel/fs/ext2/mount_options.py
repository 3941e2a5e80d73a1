"""Options of mount(2) for ext2, ext3 and ext4 (ext2(5), ext4(5)). Pure.

Options are accepted that ask for what Krait does anyway, or are advice that changes no result (how allocation looks for
room, how much is read ahead, when the disk begins to write). All others, and everything unknown, are refused with
EINVAL. `ro`, `rw`, `noatime` and the like are flags of mount(2) and never come here.

A remount changes what it names; the rest stays.
Source: the case disk_mount_options.
"""

from typing import Final

from kernel.fs.ext2.layout import ERRORS_CONTINUE, ERRORS_PANIC, ERRORS_READ_ONLY
from kernel.fs.filesystem import parse_u32, split_option
from kernel.lang import EINVAL, Errno, final

_NOT_GIVEN: Final = -1
_LARGEST_NUMBER: Final = 1 << 40
_NOBODY: Final = 0xFFFF_FFFF  # no user, and no group

# What is accepted and leaves nothing.
_WITHOUT_MEANING: Final[dict[bytes, bool]] = {
    b"nocheck": True,
    b"check=none": True,
    b"orlov": True,
    b"oldalloc": True,
    b"acl": True,
    b"user_xattr": True,
    b"nobh": True,
    b"bh": True,
    b"i_version": True,
    b"init_itable": True,
    b"mblk_io_submit": True,
    b"nomblk_io_submit": True,
    b"usrjquota=": True,
    b"grpjquota=": True,
}

# What is shown while it holds, in the order in which it is shown, and what ends it.
_SHOWN: Final[list[bytes]] = [
    b"minixdf",
    b"grpid",
    b"noblock_validity",
    b"discard",
    b"nobarrier",
    b"noauto_da_alloc",
    b"noinit_itable",
    b"nouid32",
    b"debug",
    b"quota",
    b"usrquota",
    b"grpquota",
    b"nombcache",
    b"no_prefetch_block_bitmaps",
    b"abort",
]
_ENDS: Final[dict[bytes, bytes]] = {
    b"bsddf": b"minixdf",
    b"nogrpid": b"grpid",
    b"sysvgroups": b"grpid",
    b"block_validity": b"noblock_validity",
    b"nodiscard": b"discard",
    b"barrier": b"nobarrier",
    b"barrier=1": b"nobarrier",
    b"auto_da_alloc": b"noauto_da_alloc",
    b"prefetch_block_bitmaps": b"no_prefetch_block_bitmaps",
}
_OTHER_NAMES: Final[dict[bytes, bytes]] = {
    b"bsdgroups": b"grpid",
    b"barrier=0": b"nobarrier",
    b"no_mbcache": b"nombcache",
}
# Numbers that are advice, and the largest size of a directory, in the order in which they are shown; then the values
# that are not shown.
_ADVICE: Final[list[bytes]] = [
    b"min_batch_time", b"max_batch_time", b"stripe", b"inode_readahead_blks", b"init_itable",
    b"max_dir_size_kb", b"mb_optimize_scan",
]  # fmt: skip
_USUAL: Final[list[int]] = [0, 15_000, 0, 32, 10, 0, _NOT_GIVEN]


@final
class Ext2Options:
    """What was asked for."""

    def __init__(self, is_ext2: bool) -> None:
        self.is_ext2: bool = is_ext2  # and not one of those that have a journal
        self.errors: int = _NOT_GIVEN
        self.super_block_kib: int = 1  # where the super block is, in KiB
        self.without_journal: bool = False  # noload: mount although the journal should be replayed
        self.reserved_uid: int = _NOT_GIVEN
        self.reserved_gid: int = _NOT_GIVEN
        self.quota_format: bytes = b""
        self._flags: dict[bytes, bool] = {}
        self._advice: list[int] = _USUAL[:]

    def copy(self) -> "Ext2Options":
        """What a remount begins with. Raises MemoryError."""
        other = Ext2Options(self.is_ext2)
        other.errors = self.errors
        other.super_block_kib = self.super_block_kib
        other.without_journal = self.without_journal
        other.reserved_uid = self.reserved_uid
        other.reserved_gid = self.reserved_gid
        other.quota_format = self.quota_format
        for name in self._flags:
            other._flags[name] = True
        other._advice = self._advice[:]
        return other

    @property
    def minix_df(self) -> bool:
        """Whether statfs counts the file system's own blocks too."""
        return b"minixdf" in self._flags

    @property
    def bsd_groups(self) -> bool:
        """Whether new files belong to their directory's group."""
        return b"grpid" in self._flags

    @property
    def discards(self) -> bool:
        """Whether the device hears which blocks come free."""
        return b"discard" in self._flags

    @property
    def has_narrow_owners(self) -> bool:
        """Whether the disk's inodes keep the lower half of owners only."""
        return b"nouid32" in self._flags

    @property
    def aborts(self) -> bool:
        """Whether a remount ends all writing, as damage does."""
        return b"abort" in self._flags

    @property
    def largest_directory_kib(self) -> int:
        """Up to which size a directory may grow; 0: any."""
        return self._advice[_ADVICE.index(b"max_dir_size_kb")]

    def parse(self, text: bytes, *, again: bool = False) -> None:
        """Parse a comma-separated list, of a remount if `again`. Raises EINVAL."""
        for option in text.split(b","):
            if len(option) > 0 and option not in _WITHOUT_MEANING and not self._take_flag(option, again):
                self._take(option, again)

    def _take_flag(self, option: bytes, again: bool) -> bool:
        """Whether the option is one without a value; then it holds, or has ended."""
        name = _OTHER_NAMES.get(option, option)
        if name in _SHOWN:
            if name == b"nombcache" and again:
                raise Errno(EINVAL)
            self._flags[name] = True
            if name == b"usrquota" or name == b"grpquota" or name == b"quota":
                self._count_for(name)
            return True
        if option == b"noquota":
            for each in (b"quota", b"usrquota", b"grpquota"):
                self._flags.pop(each, False)
            return True
        ended = _ENDS.get(option)
        if ended is None:
            return False
        self._flags.pop(ended, False)
        return True

    def _count_for(self, name: bytes) -> None:
        """Who is counted for whom: `quota` and `usrquota` are the same."""
        if name != b"grpquota":
            self._flags[b"quota"] = True
            self._flags[b"usrquota"] = True

    def _take(self, option: bytes, again: bool) -> None:
        key, value = split_option(option)
        if (option == b"noload" or option == b"norecovery") and not self.is_ext2:
            self.without_journal = True
        elif option == b"data=ordered" and not self.is_ext2:
            pass
        elif key == b"errors":
            self.errors = _errors_named(value)
        elif key == b"sb":
            place = max(1, _number(value))
            self.super_block_kib = self.super_block_kib if again else place
        elif key == b"resuid":
            self.reserved_uid = _owner(value)
        elif key == b"resgid":
            self.reserved_gid = _owner(value)
        elif key == b"jqfmt" and (value == b"vfsold" or value == b"vfsv0" or value == b"vfsv1"):
            self.quota_format = value
        elif key in _ADVICE:
            self._take_advice(key, value)
        else:
            raise Errno(EINVAL)

    def _take_advice(self, key: bytes, value: bytes) -> None:
        number = parse_u32(value, 0)
        if key == b"inode_readahead_blks" and (number & (number - 1) != 0 or number > 1 << 30):
            raise Errno(EINVAL)
        self._advice[_ADVICE.index(key)] = number

    def shown(self, default_errors: int) -> bytes:
        """For /proc/mounts: what differs from the super block's defaults, each with a comma in front."""
        text = b"" if self.super_block_kib == 1 else f",sb={self.super_block_kib}".encode()
        for name in _SHOWN:
            if name in self._flags:
                text += b"," + name
        if self.without_journal:
            text += b",norecovery"
        if self.reserved_uid > 0:
            text += f",resuid={self.reserved_uid}".encode()
        if self.reserved_gid > 0:
            text += f",resgid={self.reserved_gid}".encode()
        if self.errors != _NOT_GIVEN and self.errors != default_errors:
            text += b",errors=" + errors_name(self.errors)
        for place in range(len(_ADVICE) - 1):
            if self._advice[place] != _USUAL[place]:
                text += b"," + _ADVICE[place] + f"={self._advice[place]}".encode()
        return text if len(self.quota_format) == 0 else text + b",jqfmt=" + self.quota_format


def _owner(text: bytes) -> int:
    """The number of a user or a group, as in C. Raises EINVAL."""
    number = parse_u32(text, 0)
    if number == _NOBODY:
        raise Errno(EINVAL)
    return number


def errors_name(policy: int) -> bytes:
    if policy == ERRORS_READ_ONLY:
        return b"remount-ro"
    return b"panic" if policy == ERRORS_PANIC else b"continue"


def _errors_named(name: bytes) -> int:
    if name == b"continue":
        return ERRORS_CONTINUE
    if name == b"remount-ro":
        return ERRORS_READ_ONLY
    if name == b"panic":
        return ERRORS_PANIC
    raise Errno(EINVAL)


def _number(text: bytes) -> int:
    if len(text) == 0:
        raise Errno(EINVAL)
    value = 0
    for digit in text:
        if not ord("0") <= digit <= ord("9"):
            raise Errno(EINVAL)
        value = value * 10 + digit - ord("0")
        if value > _LARGEST_NUMBER:
            raise Errno(EINVAL)
    return value
