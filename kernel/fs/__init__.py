"""Files: inodes, names, mounts, path walks, open descriptions, descriptors; tmpfs and devtmpfs.

The names below are what other packages use. Importing the package registers the file systems in memory and the memory
devices.
"""

from kernel.fs.anonymous import anonymous_path, pipe_path, socket_path
from kernel.fs.constants import (
    O_ACCMODE,
    O_APPEND,
    O_CLOEXEC,
    O_CREAT,
    O_DIRECT,
    O_DIRECTORY,
    O_EXCL,
    O_NOCTTY,
    O_NOFOLLOW,
    O_NONBLOCK,
    O_PATH,
    O_RDONLY,
    O_RDWR,
    O_TRUNC,
    O_WRONLY,
    POLLERR,
    POLLHUP,
    POLLIN,
    POLLNVAL,
    POLLOUT,
    POLLPRI,
    POLLRDBAND,
    POLLRDHUP,
    POLLRDNORM,
    POLLWRBAND,
    POLLWRNORM,
    device_major,
    device_minor,
    device_number,
)
from kernel.fs.dentry import Dentry
from kernel.fs.descriptors import FileTable
from kernel.fs.devfs import register_char_device
from kernel.fs.file import DirectorySink, File, InodeFile
from kernel.fs.filesystem import FILE_SYSTEM_TYPES, FileSystem, Statistics, register_filesystem
from kernel.fs.inode import Inode
from kernel.fs.memory_devices import open_null
from kernel.fs.mounts import attach_root, mount_filesystem, mount_lines, mountinfo_lines
from kernel.fs.names import make_directory, make_link, make_node, make_symlink, remove_directory, rename, unlink
from kernel.fs.open import check_executable, open_file, open_path
from kernel.fs.path import MOUNTS, FsContext, Mount, Path, path_name
from kernel.fs.tmpfs import new_tmpfs
from kernel.fs.walk import DIRECTORY, EMPTY_PATH, FOLLOW, resolve

__all__ = [
    "DIRECTORY",
    "EMPTY_PATH",
    "FILE_SYSTEM_TYPES",
    "FOLLOW",
    "MOUNTS",
    "O_ACCMODE",
    "O_APPEND",
    "O_CLOEXEC",
    "O_CREAT",
    "O_DIRECT",
    "O_DIRECTORY",
    "O_EXCL",
    "O_NOCTTY",
    "O_NOFOLLOW",
    "O_NONBLOCK",
    "O_PATH",
    "O_RDONLY",
    "O_RDWR",
    "O_TRUNC",
    "O_WRONLY",
    "POLLERR",
    "POLLHUP",
    "POLLIN",
    "POLLNVAL",
    "POLLOUT",
    "POLLPRI",
    "POLLRDBAND",
    "POLLRDHUP",
    "POLLRDNORM",
    "POLLWRBAND",
    "POLLWRNORM",
    "Dentry",
    "DirectorySink",
    "File",
    "FileSystem",
    "FileTable",
    "FsContext",
    "Inode",
    "InodeFile",
    "Mount",
    "Path",
    "Statistics",
    "anonymous_path",
    "attach_root",
    "check_executable",
    "device_major",
    "device_minor",
    "device_number",
    "make_directory",
    "make_link",
    "make_node",
    "make_symlink",
    "mount_filesystem",
    "mount_lines",
    "mountinfo_lines",
    "new_tmpfs",
    "open_file",
    "open_null",
    "open_path",
    "path_name",
    "pipe_path",
    "register_char_device",
    "register_filesystem",
    "remove_directory",
    "rename",
    "resolve",
    "socket_path",
    "unlink",
]
