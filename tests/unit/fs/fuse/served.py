"""What the tests of FUSE share: a daemon's file system, mounted at /s, and the thread that uses it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kernel.fs.constants import O_CREAT, O_NONBLOCK, O_RDWR
from kernel.fs.descriptors import CALLER_FILES
from kernel.fs.file import DirectorySink, File
from kernel.fs.fuse import filesystem
from kernel.fs.fuse.device import FuseDevice
from kernel.fs.inode import Inode
from kernel.fs.mounts import mount
from kernel.fs.open import open_file
from kernel.fs.walk import FOLLOW, resolve
from kernel.lang import Errno
from kernel.sched.thread import Thread
from tests.unit.fs.conftest import World
from tests.unit.fs.fuse.daemon import Daemon

assert filesystem.MAGIC  # its import enters the type


class TestThread(Thread):
    """One that may be killed."""

    __test__ = False
    dying = False
    parting = False

    def is_dying(self) -> bool:
        return self.dying

    def is_parting(self) -> bool:
        return self.parting


class Served:
    """A daemon's file system, mounted at /s."""

    def __init__(self, world: World, daemon: Daemon, thread: TestThread) -> None:
        self.world = world
        self.daemon = daemon
        self.thread = thread
        self.context = world.root

    def mount(self, options: bytes = b"", type_name: bytes = b"fuse.test") -> FuseDevice:
        device = self.device()
        self.daemon.device = device
        text = b"fd=3,rootmode=40000,user_id=0,group_id=0" + options
        mount(self.context, b"test", b"/s", type_name, 0, text)
        return device

    def device(self) -> FuseDevice:
        path = resolve(self.context, None, b"/fuse", FOLLOW)
        device = FuseDevice(path, O_RDWR | O_NONBLOCK)
        CALLER_FILES.find = lambda descriptor: device
        return device

    def open(self, name: bytes, flags: int = O_RDWR | O_CREAT, mode: int = 0o644) -> File:
        return open_file(self.context, None, name, flags, mode)

    def inode(self, name: bytes, flags: int = FOLLOW) -> Inode:
        inode = resolve(self.context, None, name, flags).inode()
        inode.refresh()
        return inode

    def count(self, kind: int) -> int:
        return sum(1 for asked in self.daemon.seen if asked.kind == kind)


def code(function: Callable[..., object], *arguments: object) -> int:
    with pytest.raises(Errno) as caught:
        function(*arguments)
    return caught.value.code


class Sink(DirectorySink):
    def __init__(self, room: int = 1000) -> None:
        super().__init__()
        self.found: dict[bytes, int] = {}
        self.room = room

    def emit(self, name: bytes, ino: int, kind: int, next_position: int) -> bool:
        self.room -= 1
        if self.room >= 0:
            assert name not in self.found
            self.found[name] = kind
        return self.room >= 0
