"""File systems: a mounted instance (`FileSystem`) and the registry of types that mount(2) can name.

A type is registered at build time or while the kernel comes up: `register_filesystem(name, function)`, where the
function makes an instance from the source name and the options of mount(2).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from kernel.lang import EINVAL, ENODEV, Errno

if TYPE_CHECKING:
    from kernel.fs.inode import Inode

# Device numbers 0:N for file systems without a device; 0:1 is the first.
_next_anonymous_device: int = 1


def anonymous_device() -> int:
    global _next_anonymous_device
    device = _next_anonymous_device
    _next_anonymous_device += 1
    return (device & 0xFF) | ((device & 0xFFF00) << 12)


class Statistics:
    """What statfs(2) tells."""

    def __init__(self) -> None:
        self.block_size: int = 4096
        self.blocks: int = 0
        self.blocks_free: int = 0
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
        self.keeps_negatives: bool = False  # a failed lookup is worth remembering
        self.mounts: int = 0

    def root(self) -> "Inode":
        raise Errno(EINVAL)

    def statistics(self) -> Statistics:
        return Statistics()

    def options(self) -> bytes:
        """For /proc/mounts: beginning with a comma, or empty."""
        return b""

    def reconfigure(self, options: bytes) -> None:
        """Options of a remount."""

    def sync(self) -> None:
        """Write everything out."""

    def shut_down(self) -> None:
        """The last mount is gone: free everything."""


MakeFileSystem = Callable[[bytes, bytes], FileSystem]


class FileSystemType:
    """A row of the registry, and of /proc/filesystems."""

    def __init__(self, name: bytes, make: MakeFileSystem, needs_device: bool) -> None:
        self.name: bytes = name
        self.make: MakeFileSystem = make
        self.needs_device: bool = needs_device


FILE_SYSTEM_TYPES: list[FileSystemType] = []


def register_filesystem(name: bytes, make: MakeFileSystem, needs_device: bool = False) -> None:
    FILE_SYSTEM_TYPES.append(FileSystemType(name, make, needs_device))


def make_filesystem(name: bytes, source: bytes, options: bytes) -> FileSystem:
    """ENODEV if there is no such type."""
    for kind in FILE_SYSTEM_TYPES:
        if kind.name == name:
            return kind.make(source, options)
    raise Errno(ENODEV)


def parse_size(text: bytes, total: int) -> int:
    """A number of bytes with a suffix k, m, g or % (of `total`), as in the options of tmpfs. EINVAL if it is none."""
    value = 0
    index = 0
    while index < len(text) and 48 <= text[index] <= 57:
        value = value * 10 + text[index] - 48
        if value > 1 << 42:
            raise Errno(EINVAL)
        index += 1
    if index == 0:
        raise Errno(EINVAL)
    suffix = text[index:]
    if suffix == b"":
        return value
    if suffix == b"%":
        return total // 100 * min(value, 100)
    if suffix == b"k" or suffix == b"K":
        return value << 10
    if suffix == b"m" or suffix == b"M":
        return value << 20
    if (suffix == b"g" or suffix == b"G") and value < 1 << 32:
        return value << 30
    raise Errno(EINVAL)


def parse_octal(text: bytes) -> int:
    value = 0
    if len(text) == 0 or len(text) > 8:
        raise Errno(EINVAL)
    for digit in text:
        if not 48 <= digit <= 55:
            raise Errno(EINVAL)
        value = value * 8 + digit - 48
    return value
