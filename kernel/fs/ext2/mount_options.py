"""Options of mount(2) for ext2, ext3 and ext4 (ext2(5), ext4(5)). Pure.

Options that ask for what Krait does anyway are accepted; all others, and everything unknown, are refused with EINVAL.
`ro`, `rw`, `noatime` and the like are flags of mount(2) and never come here.
"""

from typing import Final

from kernel.fs.ext2.layout import ERRORS_CONTINUE, ERRORS_PANIC, ERRORS_READ_ONLY
from kernel.fs.filesystem import split_option
from kernel.lang import EINVAL, Errno, final

_NOT_GIVEN: Final = -1
_LARGEST_NUMBER: Final = 1 << 40

_WITHOUT_MEANING: Final[dict[bytes, bool]] = {
    b"defaults": True,
    b"nogrpid": True,
    b"sysvgroups": True,
    b"bsddf": True,
    b"nocheck": True,
    b"check=none": True,
    b"orlov": True,
    b"acl": True,
    b"user_xattr": True,
    b"noquota": True,
    b"nobh": True,
    b"barrier": True,
    b"barrier=1": True,
    b"nodiscard": True,
    b"data=ordered": True,
}


@final
class Ext2Options:
    """What was asked for."""

    def __init__(self) -> None:
        self.errors: int = _NOT_GIVEN
        self.super_block_kib: int = 1  # where the super block is, in KiB
        self.without_journal: bool = False  # noload: mount although the journal should be replayed
        self.minix_df: bool = False  # statfs counts the file system's own blocks too
        self.bsd_groups: bool = False  # new files belong to their directory's group
        self.reserved_uid: int = _NOT_GIVEN
        self.reserved_gid: int = _NOT_GIVEN

    def parse(self, text: bytes) -> None:
        """Parse a comma-separated list. Raises EINVAL."""
        for option in text.split(b","):
            if len(option) > 0 and option not in _WITHOUT_MEANING:
                self._take(option)

    def _take(self, option: bytes) -> None:
        key, value = split_option(option)
        if option == b"noload" or option == b"norecovery":
            self.without_journal = True
        elif option == b"minixdf":
            self.minix_df = True
        elif option == b"grpid" or option == b"bsdgroups":
            self.bsd_groups = True
        elif key == b"errors":
            self.errors = _errors_named(value)
        elif key == b"sb":
            self.super_block_kib = max(1, _number(value))
        elif key == b"resuid":
            self.reserved_uid = _number(value)
        elif key == b"resgid":
            self.reserved_gid = _number(value)
        else:
            raise Errno(EINVAL)

    def shown(self, default_errors: int) -> bytes:
        """For /proc/mounts: what differs from the super block's defaults, each with a comma in front."""
        text = b""
        if self.errors != _NOT_GIVEN and self.errors != default_errors:
            text += b",errors=" + errors_name(self.errors)
        if self.without_journal:
            text += b",norecovery"
        if self.minix_df:
            text += b",minixdf"
        if self.bsd_groups:
            text += b",grpid"
        return text


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
