"""A machine with a disk in memory, images made by mke2fs, and short names for what tests do with a file system.

Images are made once for each set of options and copied. `check` runs e2fsck on what the file system has written.
"""

import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path as HostPath
from tempfile import TemporaryDirectory

import pytest

from arch.x86_64.layout import DIRECT_MAP_BASE
from kernel.cache import devices
from kernel.cache.dirty_pages import TOTALS
from kernel.cache.page import LRU
from kernel.fs.dentry import CACHE
from kernel.fs.ext2.filesystem import Ext2FileSystem, mount_device
from kernel.fs.file import DirectorySink
from kernel.fs.inode import Inode
from kernel.fs.mounts import attach_root
from kernel.fs.path import FIRST_MOUNTS, MOUNTS, FsContext
from kernel.lang.simulation import memory
from kernel.lib import log
from kernel.lib.credentials import Credentials
from kernel.lib.linked import FIRST, LAST
from kernel.lib.user import KernelBuffer
from kernel.mm import frames
from kernel.time.base import BASE
from tools.simulated.disk import MemoryDisk

MACHINE_FRAMES = 8192


def start_machine(frame_count: int = MACHINE_FRAMES) -> None:
    """Memory, and nothing in any cache."""
    memory.reset()
    memory.map(DIRECT_MAP_BASE, frame_count << frames.PAGE_SHIFT)
    for name in ("_total", "_free", "_reserve", "_stack_head", "_stack_depth"):
        setattr(frames, name, 0)
    frames._heads[:] = [0] * (frames.MAX_ORDER + 1)
    frames.initialise(DIRECT_MAP_BASE + (2 << frames.PAGE_SHIFT), frame_count)
    frames.add_range(16 + frame_count // 256, frame_count)
    devices.DEVICE_CACHES.clear()
    LRU.head = LRU.tail = None
    LRU.count = 0
    TOTALS.dirty = TOTALS.writing = 0
    TOTALS.dirty_caches[FIRST] = TOTALS.dirty_caches[LAST] = None
    MOUNTS.clear()
    FIRST_MOUNTS.mounts.clear()
    FIRST_MOUNTS.known_top = None
    CACHE.head = CACHE.tail = None
    CACHE.count = 0
    BASE.realtime_offset_ns = 1_700_000_000 * 10**9  # a deletion time of 0 would mean "never deleted"
    log.log.records.clear()
    log.log.first = log.log.bytes_kept = 0


def in_memory() -> TemporaryDirectory[str]:
    """A directory for an image, where the host has memory for files: no disk is waited for."""
    return TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)


@cache
def _made_image(size_kib: int, options: tuple[str, ...], tree: str) -> bytes:
    with in_memory() as directory:
        path = HostPath(directory) / "image"
        path.write_bytes(b"")
        with path.open("r+b") as file:
            file.truncate(size_kib << 10)
        command = ["mke2fs", "-q", "-F", "-U", "01234567-89ab-cdef-0123-456789abcdef", *options]
        if tree:
            command += ["-d", tree]
        # Revision 0 has no features, not even those of the configuration file.
        environment = {**os.environ, "MKE2FS_CONFIG": "/dev/null"} if "revision=0" in options else None
        subprocess.run([*command, str(path)], check=True, capture_output=True, env=environment)
        return path.read_bytes()


def make_image(size_kib: int, *options: str, tree: str = "") -> bytearray:
    """What mke2fs makes with these options, perhaps filled from a directory of the host."""
    return bytearray(_made_image(size_kib, options, tree))


def index_directories(image: bytearray) -> bytearray:
    """The same with hash trees for all directories of several blocks, which mke2fs does not make."""
    with in_memory() as directory:
        path = HostPath(directory) / "image"
        path.write_bytes(image)
        result = subprocess.run(["e2fsck", "-fyD", str(path)], capture_output=True)
        assert result.returncode <= 1, result.stdout
        return bytearray(path.read_bytes())


_complaints: dict[bytes, str] = {}
"""What e2fsck has said of images, by their digests: what fails often leaves the image as it was."""


def check_image(image: bytes | bytearray) -> str:
    """What e2fsck finds to complain of; an empty text if all is well. It looks at each image once."""
    digest = hashlib.blake2b(image).digest()
    if digest not in _complaints:
        with in_memory() as directory:
            path = HostPath(directory) / "image"
            path.write_bytes(image)
            result = subprocess.run(["e2fsck", "-fn", str(path)], capture_output=True, text=True)
            _complaints[digest] = "" if result.returncode == 0 else result.stdout + result.stderr
    return _complaints[digest]


def debugfs(image: bytes | bytearray, command: str) -> str:
    """What debugfs answers."""
    with in_memory() as directory:
        path = HostPath(directory) / "image"
        path.write_bytes(image)
        return subprocess.run(["debugfs", "-R", command, str(path)], capture_output=True, text=True, check=True).stdout


class Listing(DirectorySink):
    """Takes all entries, or a number of them at a time."""

    def __init__(self, limit: int = 1 << 30) -> None:
        super().__init__()
        self.limit = limit
        self.entries: list[tuple[bytes, int, int]] = []

    def emit(self, name: bytes, ino: int, kind: int, next_position: int) -> bool:
        if self.limit == 0:
            return False
        self.limit -= 1
        self.entries.append((name, ino, kind))
        return True


class Mounted:
    """A file system and its disk."""

    def __init__(self, image: bytearray, kind: bytes = b"ext2", options: bytes = b"", read_only: bool = False) -> None:
        self.disk = MemoryDisk(image)
        file_system = mount_device(kind, self.disk, options, read_only)
        assert isinstance(file_system, Ext2FileSystem)
        self.fs = file_system
        self.context: FsContext = attach_root(file_system, Credentials())

    @property
    def root(self) -> Inode:
        return self.fs.root()

    def unmount(self) -> bytearray:
        self.fs.shut_down()
        return self.disk.image

    def names(self, directory: Inode, at_once: int = 1 << 30) -> list[bytes]:
        """All names but the dots, in batches of `at_once`."""
        found: list[bytes] = []
        position = 0
        while True:
            sink = Listing(at_once)
            sink.position = position
            directory.read_directory(position, sink)
            if not sink.entries:
                return found
            found += [entry[0] for entry in sink.entries if entry[0] not in (b".", b"..")]
            position = sink.position


def read_inode(inode: Inode, offset: int = 0, size: int = 1 << 20) -> bytes:
    buffer = KernelBuffer(bytearray(size))
    count = inode.read_at(buffer, offset)
    return bytes(buffer.storage[:count])


def write_inode(inode: Inode, data: bytes, offset: int = 0) -> int:
    return inode.write_at(KernelBuffer(bytearray(data)), offset)


@pytest.fixture
def mount() -> Iterator[Callable[..., Mounted]]:
    """Mounts an image on a machine that has forgotten everything before."""

    def fresh(image: bytearray, kind: bytes = b"ext2", options: bytes = b"", read_only: bool = False) -> Mounted:
        start_machine()
        return Mounted(image, kind, options, read_only)

    yield fresh
    memory.reset()
