"""A file or directory that is open at the server, for as long as descriptions or mappings need it.

The request that releases it is allocated when it is opened, so that closing needs no memory and waits for nobody.
Servers that know no OPEN have nothing to release.

Context: closing never sleeps, transferring bytes does.
"""

from kernel.fs.constants import O_ACCMODE, O_RDONLY, O_WRONLY
from kernel.fs.fuse.client import Client
from kernel.fs.fuse.connection import add_flock_owner
from kernel.fs.fuse.protocol import Opened
from kernel.fs.fuse.request import Request
from kernel.fs.remote_pages import RemoteHandle
from kernel.lang import ENOSYS, Errno, Span, final, noraise, u8
from kernel.lib.user import Buffer


@final
class ServedHandle(RemoteHandle):
    """One of a node. `release` is None where the server did not open anything."""

    def __init__(self, client: Client, node: int, opened: Opened, flags: int, release: Request | None) -> None:
        access = flags & O_ACCMODE
        super().__init__(may_read=access != O_WRONLY, may_write=access != O_RDONLY)
        self.client: Client = client
        self.node: int = node
        self.opened: Opened = opened
        self._release: Request | None = release

    @noraise
    def releases_flock(self, owner: int) -> None:
        """The server may keep a lock of flock(2) for the description with that number: drop it with the handle."""
        release = self._release
        if release is not None:
            add_flock_owner(release, owner)

    @noraise
    def close(self) -> None:
        release = self._release
        if release is not None:
            self._release = None
            self.client.release(release)

    def data_limit(self) -> int:
        return self.client.connection.data_limit()

    def read_limit(self) -> int:
        return self.client.read_limit()

    def read(self, flags: int, buffer: Buffer, offset: int) -> int:
        return self.client.read(self.node, self.opened, flags, offset, buffer)

    def write(self, flags: int, buffer: Buffer, offset: int) -> int:
        return self.client.write(self.node, self.opened, flags, offset, buffer)

    def read_frames(self, offset: int, frames: list[int], filled: int) -> int:
        return self.client.read_frames(self.node, self.opened, offset, frames, filled)

    def write_page(self, offset: int, source: Span[u8]) -> int:
        return self.client.write_page(self.node, self.opened, offset, source)

    def size_now(self) -> int:
        return self.client.attributes(self.node, self.opened).size


def open_handle(client: Client, node: int, flags: int, *, is_directory: bool) -> ServedHandle:
    """Have the server open a node; a server without OPEN has everything open. Raises what it reports."""
    try:
        opened = client.open(node, flags, is_directory=is_directory)
    except Errno as error:
        if error.code != ENOSYS:
            raise
        return ServedHandle(client, node, Opened(0, 0), flags, None)
    return hold(client, node, opened, flags, is_directory=is_directory)


def hold(client: Client, node: int, opened: Opened, flags: int, *, is_directory: bool) -> ServedHandle:
    """The handle for a node that the server has just opened. Raises MemoryError."""
    return ServedHandle(client, node, opened, flags, client.release_of(node, opened, flags, is_directory=is_directory))
