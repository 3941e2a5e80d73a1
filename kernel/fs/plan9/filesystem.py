"""Mounting a directory that the host shares: mount -t 9p -o trans=virtio,version=9p2000.L NAME DIRECTORY, where NAME is
the one that the host has given to the device.

Context: sleeps. Source: Linux's Documentation/filesystems/9p.rst, for the options.
"""

from typing import Final

from kernel.fs.filesystem import FileSystem, Statistics, parse_size, register_filesystem, split_option
from kernel.fs.inode import Inode
from kernel.fs.plan9.channel import Channel, claim
from kernel.fs.plan9.client import CLUNKER, Client
from kernel.fs.plan9.directory import SharedDirectory, make_inode
from kernel.fs.plan9.instance import SharedInstance
from kernel.lang import EINVAL, ENOTDIR, Errno, final
from kernel.lib import log

MAGIC: Final = 0x0102_1997
_IGNORED: Final[dict[bytes, bool]] = {  # Krait always behaves as they ask
    b"access": True,
    b"cache": True,
    b"debug": True,
    b"dfltgid": True,
    b"dfltuid": True,
    b"noextend": True,
    b"posixacl": True,
    b"uname": True,
}


@final
class SharedFileSystem(SharedInstance):
    """A mounted directory of the host."""

    def __init__(self, source: bytes, channel: Channel, client: Client, options: bytes) -> None:
        super().__init__(source, MAGIC, client)
        self.sleeps = True
        self._channel: Channel = channel
        self._shown_options: bytes = b"," + options if len(options) > 0 else b""
        self._top: SharedDirectory | None = None

    def drops_inodes(self) -> bool:
        return True

    def start(self, root_name: bytes) -> None:
        """Begin the session, and find the root directory."""
        fid = self.client.attach(root_name)
        top = make_inode(self, fid, self.client.attributes(fid))
        if not isinstance(top, SharedDirectory):
            raise Errno(ENOTDIR)
        top.acquire()  # as long as the file system is mounted
        self._top = top
        self.enter(top)

    def root(self) -> Inode:
        top = self._top
        if top is None:
            raise Errno(EINVAL)
        return top

    def statistics(self) -> Statistics:
        sizes = self.client.sizes(self.root_directory().living_fid())
        result = Statistics()
        result.block_size = max(512, sizes.block_size)
        result.blocks = sizes.blocks
        result.blocks_free = sizes.blocks_free
        result.blocks_reserved = max(0, sizes.blocks_free - sizes.blocks_available)
        result.files = sizes.files
        result.files_free = sizes.files_free
        return result

    def root_directory(self) -> SharedDirectory:
        top = self._top
        if top is None:
            raise Errno(EINVAL)
        return top

    def options(self) -> bytes:
        return self._shown_options

    # ---- End --------------------------------------------------------------------------------------------------

    def shut_down(self) -> None:
        top = self._top
        if top is not None:
            self._top = None
            top.release()
        CLUNKER.drop(self.client)
        try:
            self.client.leave()
        except (Errno, MemoryError):
            log.warn("9p: the session does not end")
        self.nodes.clear()
        self._channel.is_used = False


def make_shared(source: bytes, options: bytes) -> FileSystem:
    """For mount(2). Raises EINVAL (an option), ENOENT (no such name), EBUSY (it is mounted), what the server reports.
    """
    root_name = _parse(options)
    channel = claim(source)
    done = False
    try:
        client = Client(channel)
        shared = SharedFileSystem(source, channel, client, options)
        shared.start(root_name)
        CLUNKER.add(client)
        done = True
        return shared
    finally:
        if not done:
            channel.is_used = False


def _parse(options: bytes) -> bytes:
    """Check the options; the name of the directory that is to be the root."""
    root_name = b""
    for option in options.split(b","):
        key, value = split_option(option)
        if key == b"aname":
            root_name = value
        elif key == b"trans" or key == b"version":
            if value != (b"virtio" if key == b"trans" else b"9p2000.L"):
                raise Errno(EINVAL)
        elif key == b"msize":
            parse_size(value, 0)  # messages have one size, which the server may make smaller
        elif len(key) > 0 and key not in _IGNORED:
            raise Errno(EINVAL)
    return root_name


register_filesystem(b"9p", make_shared)
