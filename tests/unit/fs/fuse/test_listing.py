"""Directories that are listed with what their names lead to."""

from __future__ import annotations

import stat
import struct

import pytest

from kernel.fs import names
from kernel.fs.constants import O_DIRECTORY, O_RDONLY
from kernel.fs.dentry import CACHE
from kernel.fs.walk import FOLLOW, resolve
from kernel.lang import EIO
from tests.unit.fs.fuse.daemon import Asked
from tests.unit.fs.fuse.served import Served, Sink, code

LOOKUP, GETATTR, READDIR, READDIRPLUS = 1, 3, 28, 44
PLUS, AUTO = 1 << 13, 1 << 14


def fill(served: Served, count: int, flags: int = PLUS) -> None:
    served.daemon.flags |= flags
    served.daemon.valid = (3600, 3600)
    for i in range(count):
        served.daemon.add(served.daemon.nodes[1], f"file {i}".encode(), stat.S_IFREG | 0o644)
    served.mount()


def listed(served: Served, room: int = 1000, name: bytes = b"/s") -> list[bytes]:
    """All names, read in several calls if there is not room for all."""
    file = served.open(name, O_RDONLY | O_DIRECTORY)
    found: list[bytes] = []
    while True:
        sink = Sink(room)
        file.read_directory(sink)
        if not sink.found:
            break
        found += sink.found
    file.release()
    return found


def forgets_all(served: Served) -> bool:
    CACHE.shrink(1000)
    served.daemon.pump()
    return set(served.daemon.lookups.values()) <= {0}


def test_what_is_listed_needs_no_look_up(served: Served) -> None:
    fill(served, 100)
    assert len(listed(served)) == 102 and served.count(READDIR) == 0
    before = len(served.daemon.seen)
    for i in range(100):
        assert served.inode(f"/s/file {i}".encode()).ino == 1002 + i
    assert len(served.daemon.seen) == before
    assert all(served.daemon.lookups[2 + i] == 1 for i in range(100))
    assert forgets_all(served)


def test_what_finds_no_room_counts_too(served: Served) -> None:
    """It is listed again later, and each time is a look-up for the server."""
    fill(served, 50)
    assert len(listed(served, room=7)) == 52
    assert served.daemon.lookups[51] > 1
    assert forgets_all(served)


def test_attributes_are_those_of_the_last_listing(served: Served) -> None:
    fill(served, 1)
    listed(served)
    assert served.inode(b"/s/file 0").size == 0
    served.daemon.nodes[2].data = b"12345"
    assert served.inode(b"/s/file 0").size == 0
    listed(served)
    assert served.inode(b"/s/file 0").size == 5 and served.count(LOOKUP) == served.count(GETATTR) == 0
    served.daemon.valid = (0, 0)
    listed(served)
    served.inode(b"/s/file 0")
    assert served.count(LOOKUP) == 1
    assert forgets_all(served)


def test_a_name_that_leads_elsewhere_by_now(served: Served) -> None:
    fill(served, 1)
    listed(served)
    old = served.inode(b"/s/file 0")
    del served.daemon.nodes[1].names[b"file 0"]
    served.daemon.add(served.daemon.nodes[1], b"file 0", stat.S_IFDIR | 0o755)
    listed(served)
    assert served.inode(b"/s/file 0") is not old and served.inode(b"/s/file 0").is_directory()
    served.daemon.pump()
    assert served.daemon.lookups[2] == 0
    assert forgets_all(served)


def test_while_names_change_nothing_is_entered(served: Served) -> None:
    fill(served, 3)
    file_system = served.inode(b"/s").file_system
    assert file_system.names.try_acquire()
    assert len(listed(served)) == 5
    file_system.names.release()
    served.daemon.pump()
    assert set(served.daemon.lookups.values()) == {0}
    served.inode(b"/s/file 0")
    assert served.count(LOOKUP) == 1


def test_the_kernel_chooses(served: Served) -> None:
    """At the beginning, and after names were used."""
    fill(served, 3, PLUS | AUTO)
    file = served.open(b"/s", O_RDONLY | O_DIRECTORY)
    kinds = []
    for room in (1, 1, 1, 1):
        file.read_directory(Sink(room))
        kinds.append(served.daemon.seen[-1].kind)
    assert kinds == [READDIRPLUS, READDIR, READDIR, READDIR]
    served.inode(b"/s/file 1")
    for room in (1, 1):
        file.read_directory(Sink(room))
        kinds.append(served.daemon.seen[-1].kind)
    assert kinds[4:] == [READDIRPLUS, READDIR]
    file.release()


@pytest.mark.parametrize("flags", [0, AUTO])
def test_servers_that_do_not_want_it(served: Served, flags: int) -> None:
    fill(served, 3, flags)
    assert len(listed(served)) == 5 and served.count(READDIRPLUS) == 0


def spoiled(body: bytes, at: int, layout: str, value: int) -> bytes:
    """The record of the third name, which comes after two of 160 bytes, with a wrong field."""
    at += 320
    return body[:at] + struct.pack(layout, value) + body[at + struct.calcsize(layout) :]


@pytest.mark.parametrize(("at", "layout", "value", "is_listed"), [
    (0, "<Q", 0, True), (0, "<Q", 1, True), (40 + 60, "<I", 0o644, True), (40 + 8, "<q", -1, True),
    (128 + 16, "<I", 0, False), (128 + 16, "<I", 1025, False), (128 + 24, "<B", ord("/"), False),
    (128 + 8, "<q", -1, False), (128 + 16, "<I", 0xFFFF_FFFF, False),
])  # fmt: skip
def test_servers_that_lie(served: Served, at: int, layout: str, value: int, *, is_listed: bool) -> None:
    """What comes before the nonsense counts, and the rest is an error."""
    fill(served, 3)

    def lie(asked: Asked, error: int, body: bytes) -> tuple[int, bytes]:
        is_first = asked.kind == READDIRPLUS and struct.unpack_from("<QQ", asked.body)[1] == 0
        return error, spoiled(body, at, layout, value) if is_first else body

    served.daemon.spoil = lie
    file = served.open(b"/s", O_RDONLY | O_DIRECTORY)
    sink = Sink()
    file.read_directory(sink)
    assert (b"file 0" in sink.found) == is_listed and b".." in sink.found
    assert (b"file 2" in sink.found) == is_listed
    if not is_listed:
        served.daemon.spoil = lambda asked, error, body: (
            (error, body[:144] + bytes(4) + body[148:]) if asked.kind == READDIRPLUS else (error, body)
        )
        assert code(file.read_directory, Sink()) == EIO
    served.daemon.spoil = None
    file.release()
    served.inode(b"/s/file 0")
    assert served.daemon.device is not None and resolve(served.context, None, b"/s/file 1", FOLLOW).inode().nlink == 1


def test_a_directory_that_was_removed_gets_no_names(served: Served) -> None:
    fill(served, 0)
    names.make_directory(served.context, None, b"/s/d", 0o755)
    file = served.open(b"/s/d", O_RDONLY | O_DIRECTORY)
    names.remove_directory(served.context, None, b"/s/d")
    served.daemon.add(served.daemon.nodes[2], b"late", stat.S_IFREG | 0o644)
    file.read_directory(Sink())
    served.daemon.pump()
    assert served.daemon.lookups[3] == 0
    file.release()
