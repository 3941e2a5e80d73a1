"""configfs: where programs create objects of the kernel by mkdir(2), in the directory of a subsystem. There is no
subsystem: the root stays empty.

There is one instance, however often it is mounted.

Context: never sleeps. Source: Linux's Documentation/filesystems/configfs.rst.
"""

from typing import Final

from kernel.fs.constants import S_IFDIR
from kernel.fs.dentry import Dentry
from kernel.fs.file import DirectorySink, File, InodeFile
from kernel.fs.filesystem import FileSystem, OnlyInstance, refuse_options, register_filesystem
from kernel.fs.inode import Inode
from kernel.fs.path import Path
from kernel.lang import EINVAL, Errno, final

MAGIC: Final = 0x6265_6570
_ROOT_INO: Final = 1


@final
class ConfigDirectory(Inode):
    """The root, without a subsystem."""

    def __init__(self, owner: FileSystem) -> None:
        super().__init__(owner, _ROOT_INO, S_IFDIR | 0o755)
        self.nlink = 2

    def lookup(self, name: bytes) -> Inode | None:
        return None

    def read_directory(self, position: int, sink: DirectorySink) -> None:
        """There is nothing."""

    def open(self, path: Path, flags: int) -> File:
        return InodeFile(path, flags)


@final
class ConfigFileSystem(FileSystem):
    """The instance."""

    def __init__(self) -> None:
        super().__init__(b"configfs", b"none", MAGIC)
        self.top: ConfigDirectory = ConfigDirectory(self)

    def root(self) -> Inode:
        return self.top

    def reconfigure(self, options: bytes) -> None:
        if len(options) > 0:
            raise Errno(EINVAL)


_INSTANCE: Final[OnlyInstance[ConfigFileSystem]] = OnlyInstance()


def make_configfs(source: bytes, options: bytes) -> FileSystem:
    """The one instance. Raises EINVAL, MemoryError."""
    if len(options) > 0:
        raise Errno(EINVAL)
    made = _INSTANCE.made
    if made is None:
        made = ConfigFileSystem()
        made.kept_root = Dentry(None, b"/", made.top)
        _INSTANCE.made = made
    made.source = source
    return made


register_filesystem(b"configfs", make_configfs).check_options = refuse_options
