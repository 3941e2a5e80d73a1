"""Two processes read one open file."""

import pytest

from kernel.lang import Span, u8
from kernel.lib.user import UserBuffer
from kernel.sched import sleep_until
from kernel.time.clock import monotonic_ns
from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program

FIRST, OTHERS, SIZE = 100, 10, 4000


@pytest.mark.parametrize("name", ["maps", "mounts"])
@booted
def test_a_reader_that_starts_over_does_not_disturb_another(machine: Machine, name: str) -> None:
    """The other one has to wait for its memory in the middle of the text."""
    host = machine.host
    host.mkdir("/proc", 0o755)
    for place in ("/proc", "/tmp", "/tmp", "/tmp"):
        host.mount("none", place, "proc", 0, 0)
        host.mmap(0, 8192, 1 if place == "/tmp" else 3, 0x22, -1, 0)
    file = host.open(f"/proc/{host.getpid()}/{name}", 0, 0)
    whole, parts = bytearray(SIZE), bytearray(SIZE)
    length = host.pread64(file, whole, SIZE, 0)
    assert FIRST < length < SIZE
    put = UserBuffer.put
    slept: list[bool] = []

    def late(buffer: UserBuffer, source: Span[u8]) -> int:
        if buffer.remaining == SIZE and len(slept) == 0:
            slept.append(sleep_until(monotonic_ns() + 100_000_000))
        return put(buffer, source)

    def child(program: Program) -> None:
        array = bytearray(OTHERS)
        assert program.pread64(file, array, OTHERS, 0) == OTHERS
        assert array == whole[:OTHERS]

    assert host.pread64(file, bytearray(FIRST), FIRST, 0) == FIRST
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(UserBuffer, "put", late)
        pid = host.fork(child)
        assert host.pread64(file, parts, SIZE, FIRST) == length - FIRST
        assert machine.wait(pid) == 0
    assert slept == [False]
    assert parts[: length - FIRST] == whole[FIRST:length]
