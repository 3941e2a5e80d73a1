"""Files of a server that are polled."""

from __future__ import annotations

import struct

import pytest

from kernel.fs.constants import O_DIRECTORY, O_RDONLY, O_RDWR, POLLERR, READABLE, WRITABLE
from kernel.lang import EINVAL
from kernel.lib.credentials import CALLER
from kernel.sched import PollWaiter
from tests.unit.fs.fuse.daemon import Asked
from tests.unit.fs.fuse.served import Served, code

POLL, NOTIFY_POLL = 40, 1
BOTH = READABLE | WRITABLE


class Listener(PollWaiter):
    """Counts wakes."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def notified(self) -> None:
        self.count += 1


@pytest.fixture(autouse=True)
def program(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program asks, not the kernel."""
    monkeypatch.setattr(CALLER, "find", lambda: served.context.credentials)


def test_events(served: Served) -> None:
    served.mount()
    served.world.write(b"/s/file", b"1234")
    file = served.open(b"/s/file", O_RDWR)
    assert file.can_be_watched() and not served.open(b"/s", O_RDONLY | O_DIRECTORY).can_be_watched()
    served.daemon.events = 5
    assert file.poll(None) == 5
    assert struct.unpack("<QQII", served.daemon.seen[-1].body)[2:] == (0, 0xFFFF)
    served.daemon.events = 0
    listener = Listener()
    listener.wanted = 9
    assert file.poll(listener) == 0
    assert struct.unpack("<QQII", served.daemon.seen[-1].body)[2:] == (1, 9)
    served.daemon.notify(NOTIFY_POLL, struct.pack("<Q", served.daemon.polled))
    assert listener.count == 1
    served.daemon.notify(NOTIFY_POLL, struct.pack("<q", -1))
    assert listener.count == 1
    for length in (0, 7, 9, 16):
        assert code(served.daemon.notify, NOTIFY_POLL, bytes(length)) == EINVAL
    listener.close()
    assert file.poll(None) == 0 and struct.unpack_from("<QQI", served.daemon.seen[-1].body)[2] == 0
    file.release()
    served.daemon.notify(NOTIFY_POLL, struct.pack("<Q", served.daemon.polled))


def test_whoever_waits_is_woken_at_the_end(served: Served) -> None:
    device = served.mount()
    served.world.write(b"/s/file", b"1234")
    file = served.open(b"/s/file", O_RDWR)
    listener = Listener()
    served.daemon.events = 0
    assert file.poll(listener) == 0
    device.release()
    assert listener.count == 1 and file.poll(listener) == POLLERR
    listener.close()
    file.release()


def test_a_server_that_knows_no_events_is_asked_once(served: Served) -> None:
    served.mount()
    served.world.write(b"/s/file", b"1234")
    file = served.open(b"/s/file", O_RDWR)
    served.daemon.lacks = {POLL}
    for _ in range(3):
        assert file.poll(None) == BOTH
    assert served.count(POLL) == 1
    file.release()


def test_the_kernel_itself_waits_for_no_server(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    served.mount()
    served.world.write(b"/s/file", b"1234")
    file = served.open(b"/s/file", O_RDWR)
    monkeypatch.setattr(CALLER, "find", lambda: None)
    assert file.poll(None) == BOTH and served.count(POLL) == 0
    file.release()


@pytest.mark.parametrize(("answer", "events"), [
    ((0, b""), POLLERR), ((0, bytes(7)), POLLERR), ((0, bytes(9)), POLLERR), ((28, b""), POLLERR),
    ((0, struct.pack("<II", 0xFFFF_FFFF, 1)), 0x27FF), ((0, bytes(8)), 0),
])  # fmt: skip
def test_servers_that_lie(served: Served, answer: tuple[int, bytes], events: int) -> None:
    served.mount()
    served.world.write(b"/s/file", b"1234")
    file = served.open(b"/s/file", O_RDWR)

    def lie(asked: Asked, error: int, body: bytes) -> tuple[int, bytes]:
        return answer if asked.kind == POLL else (error, body)

    served.daemon.spoil = lie
    assert file.poll(None) == events
    served.daemon.spoil = None
    file.release()
