"""The root of the tree: a tmpfs with the contents of the initial archive.

Before the archive it gets the contents of Linux's built-in one, /dev/console and /root, so that an archive without
device nodes still has a console.
"""

from typing import Final

from kernel.fs.constants import S_IFCHR, device_number
from kernel.fs.mounts import attach_root
from kernel.fs.names import make_directory, make_node
from kernel.fs.path import FsContext
from kernel.fs.tmpfs.filesystem import new_tmpfs
from kernel.lang import Errno, Span, u8
from kernel.lib import log
from kernel.lib.credentials import Credentials
from kernel.start.initramfs import unpack

_CONSOLE_MAJOR: Final = 5
_CONSOLE_MINOR: Final = 1


def mount_root(archive: Span[u8]) -> FsContext:
    """Mount the root and unpack `archive` (may be empty) into it; returns the context of the first process.

    A damaged archive leaves a message in the log and whatever came out of it. Raises MemoryError.
    """
    root = new_tmpfs(b"rootfs", b"rootfs", b"mode=755")
    root.shows_options = False
    context = attach_root(root, Credentials())
    _make_first_nodes(context)
    if len(archive) > 0:
        unpack(context, archive)
    return context


def _make_first_nodes(context: FsContext) -> None:
    try:
        make_directory(context, None, b"/dev", 0o755)
        make_node(context, None, b"/dev/console", S_IFCHR | 0o600, device_number(_CONSOLE_MAJOR, _CONSOLE_MINOR))
        make_directory(context, None, b"/root", 0o700)
    except Errno as error:
        log.error(f"the root file system cannot be prepared: error {error.code}")
