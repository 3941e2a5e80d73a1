"""The root of the tree: a tmpfs that holds what the initial archive brings."""

from kernel.fs.initramfs import unpack
from kernel.fs.mounts import attach_root
from kernel.fs.path import FsContext
from kernel.fs.tmpfs import new_tmpfs
from kernel.lang import Span, u8
from kernel.lib.credentials import Credentials


def mount_root(archive: Span[u8]) -> FsContext:
    """Mount the root and unpack `archive` (may be empty) into it; the context of the first process.

    A damaged archive leaves a message in the log and whatever came out of it. Raises MemoryError.
    """
    root = new_tmpfs(b"rootfs", b"rootfs", b"mode=755")
    root.options_text = b""
    context = attach_root(root, Credentials())
    if len(archive) > 0:
        unpack(context, archive)
    return context
