"""What mount(2) is given for an overlay, and what /proc/mounts shows of it.

Options are separated by commas, lower directories by colons; a backslash escapes these. Options that need an index of
inodes, or files without their contents, are refused: `index=on`, `nfs_export=on`, `metacopy=on`, `verity=on`.

Context: pure logic. Source: Linux's Documentation/filesystems/overlayfs.rst.
"""

from enum import IntEnum
from typing import Final

from kernel.fs.filesystem import split_escaped, split_option
from kernel.lang import EINVAL, Errno, final

_MOST_LAYERS: Final = 500


class Redirects(IntEnum):
    """What happens to directories that have another name in the lower layers: `redirect_dir`."""

    OFF = 0  # as FOLLOW, by Debian's default
    FOLLOW = 1
    NOFOLLOW = 2
    ON = 3


class Numbers(IntEnum):
    """Whether inode numbers are made unique where layers lie on several file systems: `xino`."""

    OFF = 0
    AUTO = 1
    ON = 2


_REDIRECTS: Final[dict[bytes, Redirects]] = {
    b"off": Redirects.FOLLOW,  # existing redirects are followed all the same
    b"follow": Redirects.FOLLOW,
    b"nofollow": Redirects.NOFOLLOW,
    b"on": Redirects.ON,
}
_NUMBERS: Final[dict[bytes, Numbers]] = {b"off": Numbers.OFF, b"auto": Numbers.AUTO, b"on": Numbers.ON}
_SYNCS: Final[dict[bytes, bool]] = {b"auto": True, b"strict": True, b"volatile": True}
_REFUSED: Final[dict[bytes, bool]] = {b"index": True, b"nfs_export": True, b"metacopy": True, b"verity": True}
_IDENTIFIERS: Final[dict[bytes, bool]] = {b"off": True, b"null": True, b"auto": True, b"on": True}


@final
class Options:
    """The options of one overlay. Raises EINVAL, MemoryError."""

    def __init__(self, text: bytes) -> None:
        self.lower: list[bytes] = []  # names of directories, the topmost first
        self.lower_text: bytes = b""  # as `lowerdir` had it
        self.upper: bytes = b""
        self.work: bytes = b""
        self.redirects: Redirects = Redirects.FOLLOW
        self.numbers: Numbers = Numbers.OFF
        self.uuid: bytes = b"auto"
        self.checks_modes_alone: bool = False  # default_permissions
        self.is_read_only: bool = False
        self.is_volatile: bool = False
        self.syncs_strictly: bool = False  # changes nothing here
        self.uses_user_attributes: bool = False  # userxattr
        self._upper_text: bytes = b""
        self._work_text: bytes = b""
        self._chose_redirects: bool = False
        for option in split_escaped(text, ord(",")):
            if len(option) > 0:
                self._take(option)

    def _take(self, option: bytes) -> None:
        key, value = split_option(option)
        if len(key) == len(option):
            if key == b"default_permissions":
                self.checks_modes_alone = True
            elif key == b"volatile":
                self.is_volatile = True
                self.syncs_strictly = False
            elif key == b"userxattr":
                self.uses_user_attributes = True
            elif key == b"ro" or key == b"rw":
                self.is_read_only = key == b"ro"
            else:
                raise Errno(EINVAL)
        elif key in (b"lowerdir", b"lowerdir+", b"upperdir", b"workdir"):
            self._take_directory(key, value)
        elif key == b"redirect_dir" and value in _REDIRECTS:
            self.redirects = _REDIRECTS[value]
            self._chose_redirects = True
        elif key == b"xino" and value in _NUMBERS:
            self.numbers = _NUMBERS[value]
        elif key == b"uuid" and value in _IDENTIFIERS:
            self.uuid = value
        elif key == b"fsync" and value in _SYNCS:
            self.is_volatile = value == b"volatile"
            self.syncs_strictly = value == b"strict"
        elif key not in _REFUSED or value != b"off":
            raise Errno(EINVAL)

    def _take_directory(self, key: bytes, value: bytes) -> None:
        if key == b"lowerdir":
            self._take_list(value)
            return
        if len(value) == 0:
            raise Errno(EINVAL)
        if key == b"upperdir":
            self.upper = unescaped(value)
            self._upper_text = value
        elif key == b"workdir":
            self.work = unescaped(value)
            self._work_text = value
        else:
            if len(self.lower_text) > 0 or len(self.lower) == _MOST_LAYERS:
                raise Errno(EINVAL)
            self.lower.append(unescaped(value))

    def _take_list(self, value: bytes) -> None:
        """`lowerdir`, which replaces an earlier one; an empty value clears the list."""
        self.lower = []
        self.lower_text = value
        if len(value) == 0:
            return
        for name in split_escaped(value, ord(":")):
            if len(name) == 0 or len(self.lower) == _MOST_LAYERS:
                raise Errno(EINVAL)
            self.lower.append(unescaped(name))

    def settle(self) -> None:
        """No more follow: check that they fit together. Raises EINVAL."""
        if len(self.lower) == 0:
            raise Errno(EINVAL)
        if len(self.upper) == 0:
            self.work = b""
            self.is_volatile = False
            if self.redirects == Redirects.FOLLOW:
                self.redirects = Redirects.ON  # the same, if nothing is moved
        elif len(self.work) == 0:
            raise Errno(EINVAL)
        if self.uses_user_attributes:
            if self._chose_redirects and self.redirects != Redirects.NOFOLLOW:
                raise Errno(EINVAL)
            self.redirects = Redirects.NOFOLLOW

    def shown(self, has_one_file_system: bool) -> bytes:
        """For /proc/mounts, beginning with a comma, in Linux's order. Raises MemoryError."""
        text = b""
        if len(self.lower_text) > 0:
            text = b",lowerdir=" + _shown_name(self.lower_text)
        else:
            for name in self.lower:
                text += b",lowerdir+=" + _shown_name(name)
        if len(self.upper) > 0:
            text += b",upperdir=" + _shown_name(self._upper_text) + b",workdir=" + _shown_name(self._work_text)
        if self.checks_modes_alone:
            text += b",default_permissions"
        if self.redirects == Redirects.ON:
            text += b",redirect_dir=on"
        elif self.redirects == Redirects.NOFOLLOW:
            text += b",redirect_dir=nofollow"
        if self.uuid != b"auto":
            text += b",uuid=" + self.uuid
        if self.numbers != Numbers.OFF and not has_one_file_system:
            text += b",xino=on" if self.numbers == Numbers.ON else b",xino=auto"
        if self.is_volatile:
            text += b",fsync=volatile"
        elif self.syncs_strictly:
            text += b",fsync=strict"
        return text + b",userxattr" if self.uses_user_attributes else text


def unescaped(text: bytes) -> bytes:
    """A name without its escaping backslashes."""
    if text.find(b"\\") < 0:
        return text
    result = bytearray()
    index = 0
    while index < len(text):
        if text[index] == ord("\\"):
            index += 1
            if index == len(text):
                break
        result.append(text[index])
        index += 1
    return bytes(result)


def _shown_name(name: bytes) -> bytes:
    """With commas, backslashes and white space as octal."""
    text = bytearray()
    for byte in name:
        if byte in (ord(","), ord(" "), ord("\t"), ord("\n"), ord("\\")):
            text.append(ord("\\"))
            text.append(48 + (byte >> 6))
            text.append(48 + (byte >> 3 & 7))
            text.append(48 + (byte & 7))
        else:
            text.append(byte)
    return bytes(text)
