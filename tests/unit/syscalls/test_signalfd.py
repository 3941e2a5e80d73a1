"""Readable signals (signalfd(2)), on a booted machine."""

from __future__ import annotations

import os
import signal
import struct

from tests.unit.booted import booted
from tests.unit.errors import error_of
from tools.simulated.machine import Machine
from tools.simulated.program import Program

IN = 1
RECORD = 128
SECOND = struct.pack("<qq", 1, 0)
USR1, USR2, CHLD = signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD


def mask(*signals: int) -> bytes:
    return sum(1 << each - 1 for each in signals).to_bytes(8, "little")


def block(program: Program, *signals: int) -> None:
    program.rt_sigprocmask(0, mask(*signals), None, 8)


def records(program: Program, descriptor: int, most: int = 4) -> list[bytes]:
    raw = bytearray(most * RECORD)
    size = program.read(descriptor, raw, len(raw))
    return [bytes(raw[at : at + RECORD]) for at in range(0, size, RECORD)]


def numbers(program: Program, descriptor: int, most: int = 4) -> list[int]:
    return [int.from_bytes(record[:4], "little") for record in records(program, descriptor, most)]


def events(program: Program, descriptor: int) -> int:
    record = bytearray(struct.pack("<ihh", descriptor, IN, 0))
    program.poll(record, 1, 0)
    found: int = struct.unpack_from("<h", record, 6)[0]
    return found


@booted
def test_pending_signals_are_read_lowest_first(machine: Machine) -> None:
    host = machine.host
    block(host, USR1, USR2, signal.SIGTERM)
    descriptor = host.signalfd4(-1, mask(USR1, USR2), 8, os.O_NONBLOCK)
    assert error_of(numbers, host, descriptor) == "EAGAIN" and events(host, descriptor) == 0
    for each in (signal.SIGTERM, USR2, USR1, USR1):
        host.kill(host.getpid(), each)
    assert events(host, descriptor) == IN
    assert numbers(host, descriptor, 1) == [USR1]
    assert numbers(host, descriptor) == [USR2], "a standard signal is pending once"
    assert error_of(numbers, host, descriptor) == "EAGAIN", "others stay pending"
    pending = bytearray(8)
    host.rt_sigpending(pending, 8)
    assert pending == mask(signal.SIGTERM)


@booted
def test_what_a_record_says(machine: Machine) -> None:
    host = machine.host
    block(host, USR1, CHLD)
    descriptor = host.signalfd4(-1, mask(USR1, CHLD), 8, 0)
    info = struct.pack("<iiiiiiq", USR1, 0, -1, 0, 77, 88, -5) + bytes(88)  # SI_QUEUE with a value
    host.rt_sigqueueinfo(host.getpid(), USR1, info)
    (record,) = records(host, descriptor)
    assert struct.unpack_from("<iii", record) == (USR1, 0, -1)
    assert struct.unpack_from("<II", record, 12) == (77, 88)
    assert struct.unpack_from("<iq", record, 44) == (-5, -5)
    child = host.fork(lambda program: 3)
    (record,) = records(host, descriptor)
    assert struct.unpack_from("<iii", record) == (CHLD, 0, 1)  # CLD_EXITED
    assert struct.unpack_from("<I", record, 12)[0] == child and struct.unpack_from("<i", record, 40)[0] == 3
    assert machine.wait(child) == 3 << 8


@booted
def test_a_read_waits_for_a_signal(machine: Machine) -> None:
    host = machine.host
    found: list[list[int]] = []

    def reader(program: Program) -> None:
        block(program, USR1)
        descriptor = program.signalfd4(-1, mask(USR1), 8, 0)
        found.append(numbers(program, descriptor))

    child = host.fork(reader)
    host.nanosleep(SECOND, None)
    assert found == []
    host.kill(child, USR1)
    assert machine.wait(child) == 0 and found == [[USR1]]


@booted
def test_another_signal_ends_the_wait(machine: Machine) -> None:
    host = machine.host
    errors: list[str] = []

    def reader(program: Program) -> None:
        program.handle(USR2, lambda program, signo: None)
        block(program, USR1)
        errors.append(error_of(numbers, program, program.signalfd4(-1, mask(USR1), 8, 0)))

    child = host.fork(reader)
    host.nanosleep(SECOND, None)
    host.kill(child, USR2)
    assert machine.wait(child) == 0 and errors == ["EINTR"]


@booted
def test_the_mask_can_be_changed(machine: Machine) -> None:
    host = machine.host
    block(host, USR1, USR2)
    descriptor = host.signalfd4(-1, mask(USR1), 8, os.O_NONBLOCK)
    host.kill(host.getpid(), USR2)
    assert events(host, descriptor) == 0
    assert host.signalfd4(descriptor, mask(USR2), 8, 0) == descriptor
    assert numbers(host, descriptor) == [USR2]


@booted
def test_whose_signals_it_shows(machine: Machine) -> None:
    """Those of the program that reads, not of the one that opened it."""
    host = machine.host
    block(host, USR1)
    descriptor = host.signalfd4(-1, mask(USR1), 8, os.O_NONBLOCK)
    host.kill(host.getpid(), USR1)

    def child(program: Program) -> None:
        assert error_of(numbers, program, descriptor) == "EAGAIN"
        program.kill(program.getpid(), USR1)
        assert numbers(program, descriptor) == [USR1]

    assert machine.run(child) == 0
    assert numbers(host, descriptor) == [USR1]


@booted
def test_signals_that_nobody_blocks_never_come_there(machine: Machine) -> None:
    host = machine.host
    descriptor = host.signalfd4(-1, mask(signal.SIGKILL, signal.SIGSTOP), 8, os.O_NONBLOCK)
    child = host.fork(lambda program: numbers(program, descriptor)[0] and program.pause())
    host.kill(child, signal.SIGKILL)
    assert machine.wait(child) == signal.SIGKILL


@booted
def test_arguments(machine: Machine) -> None:
    host = machine.host
    assert error_of(host.signalfd4, -1, mask(USR1), 4, 0) == "EINVAL"
    assert error_of(host.signalfd4, -1, mask(USR1), 8, 1) == "EINVAL"
    assert error_of(host.signalfd4, -1, 16, 8, 0) == "EFAULT"
    assert error_of(host.signalfd4, 99, mask(USR1), 8, 0) == "EBADF"
    raw = bytearray(8)
    host.pipe2(raw, 0)
    assert error_of(host.signalfd4, raw[0], mask(USR1), 8, 0) == "EINVAL"
    descriptor = host.signalfd(-1, mask(USR1), 8)
    assert error_of(lambda: host.read(descriptor, bytearray(RECORD - 1), RECORD - 1)) == "EINVAL"
    assert error_of(lambda: host.write(descriptor, bytes(RECORD), RECORD)) == "EINVAL"
