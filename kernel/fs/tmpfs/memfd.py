"""memfd_create(2): regular files in memory without a name, on an internal tmpfs."""

from typing import Final

from kernel.fs.constants import O_LARGEFILE, O_RDWR, S_IFREG
from kernel.fs.dentry import Dentry
from kernel.fs.file import File, InodeFile
from kernel.fs.path import Mount, Path
from kernel.fs.tmpfs.filesystem import new_tmpfs
from kernel.lib.credentials import Credentials, plain_actor


class MemfdMount:
    """The internal tmpfs, created at its first use, because its limits follow the size of memory."""

    def __init__(self) -> None:
        self.mount: Mount | None = None

    def get(self) -> Mount:
        mount = self.mount
        if mount is None:
            tmpfs = new_tmpfs(b"tmpfs", b"none", b"")
            tmpfs.takes_direct_transfers = False
            mount = Mount(tmpfs, Dentry(None, b"/", tmpfs.root()), 0)
            mount.is_internal = True
            self.mount = mount
        return mount


_MOUNT: Final = MemfdMount()


def create_memfd(name: bytes, credentials: Credentials) -> File:
    """A new empty file, open for reading and writing."""
    mount = _MOUNT.get()
    inode = mount.file_system.root().create_unnamed(S_IFREG | 0o777, plain_actor(credentials))
    inode.acquire()  # without a name or a user it would be lost if something fails
    try:
        dentry = Dentry(None, b"/memfd:" + name + b" (deleted)", inode)
        file = InodeFile(Path(mount, dentry), O_RDWR | O_LARGEFILE)
        file.stop_counting_as_writer()  # programs run what they have just written
        return file
    finally:
        inode.release()
