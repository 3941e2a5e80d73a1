"""Mounting a file system that the host serves by a virtio-fs device: mount -t virtiofs TAG DIRECTORY.

The driver derives from `HostServer` and registers one for each device, under the tag that the host has given it.

Context: mounting may sleep.
"""

from typing import Final

from kernel.fs.constants import S_IFDIR
from kernel.fs.filesystem import FileSystem, refuse_options, register_filesystem
from kernel.fs.fuse.connection import Connection
from kernel.fs.fuse.filesystem import serve
from kernel.fs.fuse.instance import Access
from kernel.fs.fuse.request import Reader
from kernel.lang import EBUSY, EINVAL, EIO, Errno
from kernel.lib.namespace import FIRST_USER


class HostServer(Reader):
    """One device. One file system uses it at a time. Base class: see drivers/virtio/fs.py."""

    def __init__(self) -> None:
        super().__init__()
        self.connection: Connection | None = None  # the last one that it served

    def is_broken(self) -> bool:
        """Whether the device was switched off."""
        return False


SERVERS: Final[dict[bytes, HostServer]] = {}
"""By their tags."""


def make_virtiofs(source: bytes, options: bytes) -> FileSystem:
    """For mount(2). Raises EINVAL (an option, no such tag), EBUSY (it is about to end, or not mounted yet), EIO."""
    if len(options) > 0:
        raise Errno(EINVAL)
    server = SERVERS.get(source)
    if server is None:
        raise Errno(EINVAL)
    if server.is_broken():
        raise Errno(EIO)
    used = server.connection
    if used is not None and used.is_connected:
        served = used.notices.file_system()
        if served is None or served.mounts == 0:
            raise Errno(EBUSY)
        return served  # one more mount of it
    access = Access()
    access.allows_others = True
    access.checks_modes = True
    connection = Connection(FIRST_USER, server)
    server.connection = connection
    return serve(b"virtiofs", source, connection, access, S_IFDIR, ends_politely=True)


register_filesystem(b"virtiofs", make_virtiofs).check_options = refuse_options
