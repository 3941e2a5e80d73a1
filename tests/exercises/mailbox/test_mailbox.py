"""A device that makes programs wait for each other."""

import errno
import os

import pytest

from tools.project_tests import Machine
from tools.simulated.program import Program


def open_box(program: Program, flags: int = 0) -> int:
    return program.open("/dev/mailbox", os.O_RDWR | flags, 0)


def read(program: Program, file: int, count: int = 256) -> bytes:
    buffer = bytearray(count)
    return bytes(buffer[: program.read(file, buffer, count)])


def test_messages_come_in_order(machine: Machine) -> None:
    def writer(program: Program) -> int:
        file = open_box(program)
        for number in range(20):
            program.write(file, b"message %02d" % number, 10)
        return 0

    child = machine.host.fork(writer)
    file = open_box(machine.host)
    assert [read(machine.host, file) for _ in range(20)] == [b"message %02d" % number for number in range(20)]
    assert machine.wait(child) == 0
    machine.host.close(file)


def test_whoever_must_not_wait(machine: Machine) -> None:
    host = machine.host
    file = open_box(host, os.O_NONBLOCK)
    with pytest.raises(OSError) as caught:
        read(host, file)
    assert caught.value.errno == errno.EAGAIN
    assert host.write(file, b"a", 1) == 1
    with pytest.raises(OSError) as caught:
        host.write(file, b"b", 1)
    assert caught.value.errno == errno.EAGAIN
    assert read(host, file) == b"a"
    host.close(file)


def test_a_signal_ends_the_wait(machine: Machine) -> None:
    def reader(program: Program) -> int:
        read(program, open_box(program))
        return 0

    child = machine.host.fork(reader)
    machine.host.sched_yield()
    machine.host.kill(child, 15)
    assert machine.wait(child) == 15


def test_sizes(machine: Machine) -> None:
    host = machine.host
    file = open_box(host)
    with pytest.raises(OSError) as caught:
        host.write(file, b"x" * 257, 257)
    assert caught.value.errno == errno.EMSGSIZE
    host.write(file, b"x" * 256, 256)
    with pytest.raises(OSError) as caught:
        read(host, file, 255)
    assert caught.value.errno == errno.EMSGSIZE
    assert read(host, file) == b"x" * 256  # it was still there
    host.close(file)
