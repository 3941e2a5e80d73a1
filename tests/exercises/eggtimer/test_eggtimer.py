"""A device that lets time pass."""

import errno
import os

import pytest

from tools.project_tests import Machine
from tools.simulated.program import Program

CLOCK_MONOTONIC = 1


def now_ms(program: Program) -> int:
    buffer = bytearray(16)
    program.call("clock_gettime", CLOCK_MONOTONIC, buffer)
    return int.from_bytes(buffer[:8], "little") * 1000 + int.from_bytes(buffer[8:], "little") // 1_000_000


def read(program: Program, file: int) -> bytes:
    buffer = bytearray(10)
    return bytes(buffer[: program.read(file, buffer, 10)])


def test_it_takes_its_time(machine: Machine) -> None:
    host = machine.host
    file = host.open("/dev/eggtimer", os.O_RDWR, 0)
    assert read(host, file) == b"ping\n"
    before = now_ms(host)
    host.write(file, b"3000\n", 5)
    assert read(host, file) == b"ping\n"
    assert 3000 <= now_ms(host) - before < 3100
    host.close(file)


def test_two_at_a_time(machine: Machine) -> None:
    order: list[int] = []

    def waiter(ms: int) -> int:
        def main(program: Program) -> int:
            file = program.open("/dev/eggtimer", os.O_RDWR, 0)
            text = b"%d" % ms
            program.write(file, text, len(text))
            read(program, file)
            order.append(ms)
            return 0

        return machine.host.fork(main)

    for child in [waiter(2000), waiter(1000)]:
        assert machine.wait(child) == 0
    assert order == [1000, 2000]


def test_a_signal_ends_it(machine: Machine) -> None:
    def main(program: Program) -> int:
        file = program.open("/dev/eggtimer", os.O_RDWR, 0)
        program.write(file, b"3600000", 7)
        read(program, file)
        return 0

    child = machine.host.fork(main)
    machine.host.sched_yield()
    machine.host.kill(child, 15)
    assert machine.wait(child) == 15


@pytest.mark.parametrize("text", [b"", b"soon", b"-1", b"3600001", b"99999999"])
def test_no_time(machine: Machine, text: bytes) -> None:
    file = machine.host.open("/dev/eggtimer", os.O_RDWR, 0)
    with pytest.raises(OSError) as caught:
        machine.host.write(file, text or b" ", max(1, len(text)))
    assert caught.value.errno == errno.EINVAL
    machine.host.close(file)
