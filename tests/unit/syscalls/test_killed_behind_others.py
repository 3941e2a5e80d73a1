"""A thread that waits for another one, which copies to memory that its program does not get, ends when it is killed."""

import os
import signal
import struct
from collections.abc import Callable

import pytest

from kernel.lang import Errno, Span, u8
from kernel.lib.user import UserBuffer
from kernel.sched import WaitQueue
from kernel.task import current
from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program

MOMENT = struct.pack("<QQ", 0, 10_000_000)
STREAM, UNIX = 1, 1
SIZE = 600


def socket(host: Program) -> int:
    ends = bytearray(8)
    host.socketpair(UNIX, STREAM, 0, ends)
    here, there = struct.unpack("<ii", ends)
    host.write(there, bytes(2 * SIZE), 2 * SIZE)
    return int(here)


def pipe(host: Program) -> int:
    ends = bytearray(8)
    host.pipe2(ends, 0)
    reader, writer = struct.unpack("<ii", ends)
    host.write(writer, bytes(2 * SIZE), 2 * SIZE)
    return int(reader)


def areas(host: Program) -> int:
    host.mkdir("/proc", 0o755)
    host.mount("none", "/proc", "proc", 0, None)
    return host.open("/proc/self/maps", os.O_RDONLY)


@pytest.mark.parametrize("opened", [socket, pipe, areas])
@booted
def test_a_reader(machine: Machine, opened: Callable[[Program], int]) -> None:
    host = machine.host
    file = opened(host)
    stopped: list[int] = []
    put = UserBuffer.put

    def stop_first(self: UserBuffer, source: Span[u8]) -> int:
        if not stopped:
            stopped.append(int(current().pid))
            try:
                WaitQueue().sleep(interruptible=True)
            except Errno:
                self.faulted = True
                return 0
        return put(self, source)

    readers = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(UserBuffer, "put", stop_first)
        for _ in range(2):
            readers.append(host.fork(lambda program: program.pread64(file, bytearray(SIZE), SIZE, 0)
                                     if opened is areas else program.read(file, bytearray(SIZE), SIZE)))  # fmt: skip
            host.nanosleep(MOMENT, None)
        assert stopped == readers[:1]
        for reader in reversed(readers):
            host.kill(reader, signal.SIGKILL)
            assert machine.wait(reader) == signal.SIGKILL
