"""The daemon's file system, for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kernel.fs import names
from kernel.fs.descriptors import CALLER_FILES
from kernel.fs.fuse.device import DeviceQueue
from kernel.lib.credentials import CALLER
from kernel.sched import mutex
from kernel.sched.wait import WaitQueue
from tests.unit.fs.conftest import World
from tests.unit.fs.fuse.daemon import Daemon
from tests.unit.fs.fuse.served import Served, TestThread


@pytest.fixture
def served(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    thread = TestThread(b"test")
    daemon = Daemon()
    for module in (mutex,):
        monkeypatch.setattr(module, "current_thread", lambda: thread)
    monkeypatch.setattr("kernel.fs.fuse.client.current_thread", lambda: thread)
    monkeypatch.setattr(DeviceQueue, "wake", lambda queue: daemon.pump())
    monkeypatch.setattr(CALLER, "find", lambda: None)
    monkeypatch.setattr(CALLER_FILES, "find", None)

    def never(queue: WaitQueue, interruptible: bool = True) -> None:
        raise AssertionError("it would wait for ever")

    monkeypatch.setattr(WaitQueue, "sleep", never)
    names.make_directory(world.root, None, b"/s", 0o755)
    world.write(b"/fuse", b"")
    yield Served(world, daemon, thread)
