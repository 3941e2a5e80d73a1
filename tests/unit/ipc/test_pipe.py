"""Pipes without sleeping: the ring, ends, packets, readiness."""

from collections import deque

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel.fs.constants import (
    O_DIRECT,
    O_NONBLOCK,
    POLLERR,
    POLLHUP,
    POLLIN,
    POLLOUT,
)
from kernel.ipc.pipe import FifoTable, PipeEnds, make_pipe
from kernel.lang import EAGAIN, EBUSY, EPIPE, Errno
from kernel.lib.credentials import Credentials
from kernel.lib.ids import KernelUid
from kernel.lib.user import KernelBuffer
from kernel.lib.user_account import account_count
from kernel.mm.frames import Frame, allocate_user_frame, free_frame_count
from tests.unit.fs.conftest import World, world

__all__ = ["world"]


def ends(flags: int = 0) -> PipeEnds:
    return make_pipe(Credentials(), O_NONBLOCK | flags)


def get(pipe: PipeEnds, count: int) -> bytes:
    buffer = KernelBuffer(bytearray(count))
    return bytes(buffer.storage[: pipe.reader.read(buffer)])


def put(pipe: PipeEnds, data: bytes) -> int:
    return pipe.writer.write(KernelBuffer(bytearray(data)))


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 30_000)), max_size=30))
def test_bytes_come_out_as_they_went_in(world: World, steps: list[tuple[bool, int]]) -> None:
    before = free_frame_count()
    pipe = ends()
    model: deque[int] = deque()
    counter = 0
    for is_write, size in steps:
        if is_write:
            data = bytes((counter + i) % 251 for i in range(size))
            try:
                done = put(pipe, data)
            except Errno as error:
                assert error.code == EAGAIN
                assert len(model) > 65536 - 4096 or size <= 4096
                continue
            assert done == size or len(model) + done > 65536 - 4096
            counter += done
            model.extend(data[:done])
        elif model:
            data = get(pipe, size)
            assert len(data) == min(size, len(model))
            assert data == bytes(model.popleft() for _ in range(len(data)))
    pipe.reader.release()
    pipe.writer.release()
    assert free_frame_count() == before


def test_ends(world: World) -> None:
    pipe = ends()
    with pytest.raises(Errno) as caught:
        get(pipe, 10)
    assert caught.value.code == EAGAIN
    assert pipe.reader.poll(None) == 0
    assert pipe.writer.poll(None) & POLLOUT
    put(pipe, b"abc")
    assert pipe.reader.poll(None) & POLLIN
    pipe.writer.release()
    assert get(pipe, 2) == b"ab"
    assert pipe.reader.poll(None) & (POLLIN | POLLHUP) == POLLIN | POLLHUP
    assert get(pipe, 10) == b"c" and get(pipe, 10) == b""
    other = ends()
    other.reader.release()
    with pytest.raises(Errno) as caught:
        put(other, b"x")
    assert caught.value.code == EPIPE
    assert other.writer.poll(None) & POLLERR


def test_small_writes_are_whole(world: World) -> None:
    pipe = ends()
    assert put(pipe, bytes(65536 - 100)) == 65436
    with pytest.raises(Errno):
        put(pipe, bytes(101))
    assert put(pipe, bytes(100)) == 100


def test_packets(world: World) -> None:
    pipe = ends(O_DIRECT)
    put(pipe, b"first")
    put(pipe, b"second")
    assert get(pipe, 3) == b"fir"
    assert get(pipe, 100) == b"second"


def test_capacity(world: World) -> None:
    pipe = ends()
    put(pipe, bytes(range(200)) * 50)
    assert pipe.reader.pipe.set_capacity(20_000, Credentials()) == 32768
    assert get(pipe, 20_000) == bytes(range(200)) * 50
    pipe.reader.release()
    pipe.writer.release()


def test_the_ring_is_charged_while_there_are_ends(world: World) -> None:
    accounts = account_count()
    frames = free_frame_count()
    user = Credentials()
    user.uid = KernelUid(77)
    pipe = make_pipe(user, O_NONBLOCK)
    account = pipe.reader.pipe.account
    assert account is not None and account.pipe_pages == 16 and account.references == 1
    assert pipe.reader.pipe.set_capacity(1 << 20, Credentials()) == 1 << 20
    assert account.pipe_pages == 256
    put(pipe, bytes(300_000))
    pipe.reader.release()
    assert account.pipe_pages == 256
    pipe.writer.release()
    assert account.pipe_pages == 0 and account_count() == accounts
    assert free_frame_count() == frames


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 65_536), st.integers(0, 65_536), st.integers(0, 8))
def test_a_ring_of_another_size_has_the_same_bytes(world: World, written: int, taken: int, order: int) -> None:
    pipe = ends()
    data = bytes(i % 251 for i in range(written))
    put(pipe, data)
    got = get(pipe, min(taken, written))
    used = -(-(len(got) % 4096 + written - len(got)) // 4096) if written > len(got) else 0
    try:
        pipe.reader.pipe.set_capacity(4096 << order, Credentials())
        assert used <= 1 << order
    except Errno as error:
        assert error.code == EBUSY and used > 1 << order
    if len(got) < written:
        got += get(pipe, written)
    assert got == data
    assert put(pipe, bytes(4096)) == 4096
    pipe.reader.release()
    pipe.writer.release()


def test_each_fifo_has_a_pipe_of_its_own(world: World) -> None:
    table = FifoTable()
    names = [(0, 0), (1, 1 << 20), (1, 0), (0, 1 << 20), (1 << 62, 3)]
    pipes = [table.find(ino, device) for ino, device in names]
    assert len({id(pipe) for pipe in pipes}) == len(names)
    assert [table.find(ino, device) for ino, device in names] == pipes
    for pipe, (ino, device) in zip(pipes, names, strict=True):
        table.forget(pipe, ino, device)
    assert table.devices == {}


def test_a_write_that_finds_no_memory_reports_what_it_wrote(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = ends()
    left = [allocate_user_frame(), allocate_user_frame()]

    def scarce() -> Frame:
        if not left:
            raise MemoryError
        return left.pop()

    monkeypatch.setattr("kernel.ipc.pipe.allocate_user_frame", scarce)
    assert put(pipe, b"x" * 10_000) == 8192
    with pytest.raises(MemoryError):
        put(pipe, b"x" * 10_000)
    monkeypatch.undo()
    assert get(pipe, 10_000) == b"x" * 8192
    pipe.reader.release()
    pipe.writer.release()
