"""What moves memory into a pipe (kernel/syscalls/splice.py), and into other files (kernel/syscalls/sendfile.py)."""

import struct
from typing import cast

import pytest

from kernel.fs.constants import O_RDONLY, O_RDWR
from kernel.fs.open import open_file
from kernel.ipc.pipe import Pipe
from kernel.lang import EAGAIN, EFAULT, EPIPE, Errno, UserAddr
from kernel.lib import user
from kernel.lib.user import Buffer, KernelBuffer
from kernel.mm.frames import PAGE_SIZE
from kernel.syscalls import sendfile, splice
from tests.unit.booted import booted
from tests.unit.fs.conftest import World, world
from tools.simulated.machine import Machine

assert world  # the fixture
F_SETPIPE_SZ = 1031
NONBLOCK = 2


class Stopping:
    """A pipe that takes a page, and no more."""

    def __init__(self, pages: int, error: Exception) -> None:
        self.pages = pages
        self.error = error

    def write(self, buffer: Buffer, nonblocking: bool, as_packets: bool) -> int:
        if self.pages == 0:
            raise self.error
        self.pages -= 1
        return buffer.remaining


@pytest.fixture
def two_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """User memory holds a vector of one piece of two pages."""
    vector = {0: 0x10000, 8: 2 * PAGE_SIZE}
    monkeypatch.setattr(user, "read_i64", lambda address: vector[int(address)])
    monkeypatch.setattr(splice, "user_range", lambda _, length: KernelBuffer(bytearray(length)))


def fill(pipe: Stopping) -> int:
    return splice._fill_by_pages(cast("Pipe", pipe), UserAddr(0), 1, False)


@pytest.mark.parametrize("error", [Errno(EAGAIN), Errno(EFAULT), Errno(EPIPE), MemoryError()])
def test_pages_before_an_error_count(two_pages: None, error: Exception) -> None:
    assert fill(Stopping(1, error)) == PAGE_SIZE
    with pytest.raises(type(error)):
        fill(Stopping(0, error))


@booted
def test_vmsplice_waits_for_room_and_not_for_more(machine: Machine) -> None:
    host = machine.host
    ends = bytearray(8)
    host.pipe2(ends, 0)
    writer = struct.unpack("<ii", ends)[1]
    host.fcntl(writer, F_SETPIPE_SZ, PAGE_SIZE)
    place = host.mmap(0, 3 * PAGE_SIZE, 3, 0x22, -1, 0)
    vector = struct.pack("<Qq", place, 3 * PAGE_SIZE)
    assert host.vmsplice(writer, vector, 1, 0) == PAGE_SIZE
    with pytest.raises(OSError, match="EAGAIN"):
        host.vmsplice(writer, vector, 1, NONBLOCK)


def test_what_was_copied_before_memory_ran_out_counts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.write(b"/from", bytes(100_000))
    world.write(b"/to", b"")
    source = open_file(world.root, None, b"/from", O_RDONLY, 0)
    target = open_file(world.root, None, b"/to", O_RDWR, 0)
    write = target.write
    written: list[int] = []

    def until_memory_ends(buffer: Buffer) -> int:
        if written:
            raise MemoryError
        written.append(write(buffer))
        return written[0]

    monkeypatch.setattr(sendfile, "prepare_write", lambda *_: None)
    monkeypatch.setattr(target, "write", until_memory_ends)
    reading = sendfile.Cursor(source, -1)
    assert sendfile.copy(reading, sendfile.Cursor(target, -1), 100_000) == written[0] == source.position
