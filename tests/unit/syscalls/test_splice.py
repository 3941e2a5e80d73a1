"""What moves memory into a pipe (kernel/syscalls/vmsplice.py), and into other files (kernel/syscalls/sendfile.py)."""

import struct
from signal import SIGKILL, SIGPIPE
from typing import cast

import pytest

from kernel.fs.constants import O_RDONLY, O_RDWR
from kernel.fs.open import open_file
from kernel.ipc.pipe import Pipe, PipeFile
from kernel.lang import EAGAIN, EFAULT, EPIPE, Errno, Span, UserAddr, u8
from kernel.lib import user
from kernel.lib.user import Buffer, KernelBuffer
from kernel.mm.frames import PAGE_SIZE
from kernel.syscalls import sendfile, vmsplice
from kernel.task import current
from tests.unit.booted import booted
from tests.unit.fs.conftest import World, world
from tools.simulated.machine import Machine
from tools.simulated.program import Program

assert world  # the fixture
F_SETPIPE_SZ, F_GETPIPE_SZ = 1031, 1032
MOMENT = struct.pack("<qq", 0, 10_000_000)
CHUNK = 16384  # of one move
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
    monkeypatch.setattr(vmsplice, "user_range", lambda _, length: KernelBuffer(bytearray(length)))


def fill(pipe: Stopping) -> int:
    return vmsplice._fill_by_pages(cast("Pipe", pipe), UserAddr(0), 1, False)


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


def two_pipes(program: Program) -> list[int]:
    """Reader and writer of one, reader and writer of another one."""
    ends = bytearray(16)
    program.pipe2(ends, 0)
    other = bytearray(8)
    program.pipe2(other, 0)
    ends[8:] = other
    return list(struct.unpack("<iiii", ends))


@booted
def test_moves_that_cross_lock_nobody_out(machine: Machine) -> None:
    host = machine.host
    a, to_a, b, to_b = two_pipes(host)
    full = host.fcntl(to_a, F_GETPIPE_SZ, 0)
    for writer in (to_a, to_b):
        assert host.write(writer, bytes(full), full) == full
    there = host.fork(lambda program: program.splice(a, 0, to_b, 0, full, 0) - PAGE_SIZE)
    back = host.fork(lambda program: program.splice(b, 0, to_a, 0, full, 0) - PAGE_SIZE)
    host.nanosleep(MOMENT, 0)
    assert host.fcntl(to_a, F_SETPIPE_SZ, 2 * full) == 2 * full  # room for the move back
    assert machine.wait(back) == 0xFF00 & ((CHUNK - PAGE_SIZE) << 8)
    assert machine.wait(there) == 0xFF00 & ((CHUNK - PAGE_SIZE) << 8)
    got = bytearray(4 * full)
    assert host.read(a, got, len(got)) + host.read(b, got, len(got)) == 2 * full


@booted
def test_a_move_between_pipes_tells_who_is_gone(machine: Machine) -> None:
    host = machine.host
    a, to_a, b, to_b = two_pipes(host)
    with pytest.raises(OSError, match="EAGAIN"):
        host.splice(a, 0, to_b, 0, 1, NONBLOCK)
    host.write(to_a, b"abc", 3)
    assert host.splice(a, 0, to_b, 0, 2, 0) == 2
    host.close(to_a)
    assert host.splice(a, 0, to_b, 0, 2, 0) == 1
    assert host.splice(a, 0, to_b, 0, 2, 0) == 0
    got = bytearray(4)
    assert host.read(b, got, 4) == 3 and got == b"abc\0"
    host.close(b)
    host.rt_sigaction(SIGPIPE, struct.pack("<QQQQ", 1, 0, 0, 0), None, 8)
    with pytest.raises(OSError, match="EPIPE"):
        host.splice(a, 0, to_b, 0, 2, 0)


@booted
def test_a_kill_ends_who_waits_behind_a_copy_out_of_a_pipe(machine: Machine) -> None:
    host = machine.host
    a, to_a, _, _ = two_pipes(host)
    pair = bytearray(8)
    host.socketpair(1, 1, 0, pair)
    here, _there = struct.unpack("<ii", pair)
    host.write(to_a, bytes(65536), 65536)

    def fill(program: Program) -> int:
        while True:
            program.splice(a, 0, here, 0, 65536, 0)
            program.write(to_a, bytes(100), 100)

    copier = host.fork(fill)
    host.nanosleep(MOMENT, 0)
    waiting = [
        host.fork(lambda program: program.read(a, bytearray(10), 10)),
        host.fork(lambda program: program.fcntl(a, F_SETPIPE_SZ, 1 << 18)),
    ]
    host.nanosleep(MOMENT, 0)
    for child in waiting:
        host.kill(child, SIGKILL)
        assert machine.wait(child) == SIGKILL
    host.kill(copier, SIGKILL)
    assert machine.wait(copier) == SIGKILL


@booted
def test_a_ring_grows_after_a_copy_under_way(machine: Machine) -> None:
    """Not at once: EBUSY means that the ring holds more than the new one would."""
    host = machine.host
    a, to_a, _, _ = two_pipes(host)
    host.write(to_a, bytes(3 * PAGE_SIZE), 3 * PAGE_SIZE)
    child = host.fork(lambda program: program.fcntl(a, F_SETPIPE_SZ, 1 << 20) >> 20 == 1)
    put = KernelBuffer.put
    pipe = current().files.get(a)
    assert isinstance(pipe, PipeFile)

    def rest(self: KernelBuffer, source: Span[u8]) -> int:
        host.sched_yield()
        return put(self, source)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KernelBuffer, "put", rest)
        assert pipe.read(KernelBuffer(bytearray(10))) == 10
    assert machine.wait(child) == 1 << 8
    assert host.fcntl(a, F_GETPIPE_SZ, 0) == 1 << 20
