"""A small world for the tests of files: simulated memory, a root file system, a root and an ordinary user."""

from collections.abc import Iterator

import pytest

from arch.x86_64.layout import DIRECT_MAP_BASE
from kernel.fs.constants import O_CREAT, O_RDONLY, O_RDWR, PAGE_SHIFT
from kernel.fs.dentry import CACHE
from kernel.fs.mounts import attach_root
from kernel.fs.open import open_file
from kernel.fs.path import FIRST_MOUNTS, MOUNTS, FsContext, path_name
from kernel.fs.tmpfs.filesystem import new_tmpfs
from kernel.fs.walk import FOLLOW, resolve
from kernel.lang.simulation import memory
from kernel.lib.credentials import Credentials
from kernel.lib.ids import KernelGid, KernelUid
from kernel.lib.user import KernelBuffer
from kernel.mm import frames

MACHINE_FRAMES = 2048


class World:
    """Short names for what tests do."""

    def __init__(self) -> None:
        self.tmpfs = new_tmpfs(b"tmpfs", b"root", b"mode=755")
        self.root: FsContext = attach_root(self.tmpfs, Credentials())
        user = Credentials()
        user.uid = user.euid = user.suid = user.fsuid = KernelUid(1000)
        user.effective = user.permitted = 0
        user.gid = user.egid = user.sgid = user.fsgid = KernelGid(1000)
        self.user = self.root.acting_for(user)

    def write(self, name: bytes, data: bytes) -> None:
        file = open_file(self.root, None, name, O_RDWR | O_CREAT, 0o644)
        assert file.write(KernelBuffer(bytearray(data))) == len(data)
        file.release()

    def read(self, name: bytes, context: FsContext | None = None) -> bytes:
        file = open_file(context or self.root, None, name, O_RDONLY, 0)
        data = b""
        while True:
            buffer = KernelBuffer(bytearray(100_000))
            count = file.read(buffer)
            if count == 0:
                break
            data += bytes(buffer.storage[:count])
        file.release()
        return data

    def where(self, name: bytes, flags: int = FOLLOW) -> bytes:
        return path_name(resolve(self.root, None, name, flags), self.root.root)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    memory.reset()
    memory.map(DIRECT_MAP_BASE, MACHINE_FRAMES << PAGE_SHIFT)
    for name in ("_total", "_free", "_reserve", "_stack_head", "_stack_depth"):
        monkeypatch.setattr(frames, name, 0)
    frames._heads[:] = [0] * (frames.MAX_ORDER + 1)
    frames.initialise(DIRECT_MAP_BASE + (2 << PAGE_SHIFT), MACHINE_FRAMES)
    frames.add_range(16, MACHINE_FRAMES)
    MOUNTS.clear()
    FIRST_MOUNTS.mounts.clear()
    FIRST_MOUNTS.known_top = None
    CACHE.head = CACHE.tail = None
    CACHE.count = 0
    yield World()
    memory.reset()
