"""Event descriptors (eventfd(2)): the counter alone, and who waits for it on a booted machine."""

from __future__ import annotations

import os
import signal
import struct

from kernel.ipc.eventfd import MAXIMUM, EventFile
from tests.unit.booted import booted
from tests.unit.errors import error_of
from tools.simulated.machine import Machine
from tools.simulated.program import Program

SEMAPHORE = 1
IN, OUT, ERROR = 1, 4, 8
SECOND = struct.pack("<QQ", 1, 0)


def add(program: Program, event: int, value: int, size: int = 8) -> int:
    return program.write(event, value.to_bytes(8, "little"), size)


def take(program: Program, event: int, size: int = 8) -> int:
    raw = bytearray(8)
    assert program.read(event, raw, size) == 8
    return int.from_bytes(raw, "little")


def events(program: Program, descriptor: int) -> int:
    record = bytearray(struct.pack("<ihh", descriptor, IN | OUT, 0))
    program.poll(record, 1, 0)
    found: int = struct.unpack_from("<h", record, 6)[0]
    return found


@booted
def test_a_read_takes_all_or_one(machine: Machine) -> None:
    host = machine.host
    event = host.eventfd2(3, os.O_NONBLOCK)
    add(host, event, 4)
    assert take(host, event) == 7
    assert error_of(take, host, event) == "EAGAIN"
    semaphore = host.eventfd2(2, os.O_NONBLOCK | SEMAPHORE)
    assert [take(host, semaphore), take(host, semaphore)] == [1, 1]
    assert error_of(take, host, semaphore) == "EAGAIN"


@booted
def test_sizes_and_values(machine: Machine) -> None:
    host = machine.host
    event = host.eventfd2(0, os.O_NONBLOCK)
    assert error_of(add, host, event, (1 << 64) - 1) == "EINVAL"
    assert error_of(add, host, event, 1, 7) == "EINVAL"
    assert error_of(lambda: host.write(event, 16, 8)) == "EFAULT"  # nothing lies there
    add(host, event, 0)
    assert events(host, event) == OUT
    assert error_of(take, host, event, 7) == "EINVAL"
    add(host, event, 1)
    assert error_of(lambda: host.read(event, 16, 8)) == "EFAULT"
    assert error_of(host.eventfd2, 0, 2) == "EINVAL"


@booted
def test_a_full_counter(machine: Machine) -> None:
    host = machine.host
    event = host.eventfd2(0, os.O_NONBLOCK)
    add(host, event, MAXIMUM - 1)
    assert events(host, event) == IN | OUT
    assert error_of(add, host, event, 2) == "EAGAIN"
    add(host, event, 1)
    assert events(host, event) & ~ERROR == IN
    assert take(host, event) == MAXIMUM


@booted
def test_a_reader_waits_for_a_writer_and_a_writer_for_a_reader(machine: Machine) -> None:
    host = machine.host
    event = host.eventfd2(0, 0)
    order: list[str] = []

    def reader(program: Program) -> None:
        order.append(f"took {take(program, event)}")

    child = host.fork(reader)
    host.nanosleep(SECOND, None)
    order.append("added")
    add(host, event, 5)
    assert machine.wait(child) == 0 and order == ["added", "took 5"]
    add(host, event, MAXIMUM)
    child = host.fork(lambda program: add(program, event, 9) - 8)
    host.nanosleep(SECOND, None)
    assert take(host, event) == MAXIMUM
    assert machine.wait(child) == 0 and take(host, event) == 9


@booted
def test_a_signal_ends_a_wait(machine: Machine) -> None:
    host = machine.host
    event = host.eventfd2(0, 0)
    errors: list[str] = []

    def reader(program: Program) -> None:
        program.handle(signal.SIGUSR1, lambda program, signo: None)
        errors.append(error_of(take, program, event))

    child = host.fork(reader)
    host.nanosleep(SECOND, None)
    host.kill(child, signal.SIGUSR1)
    assert machine.wait(child) == 0 and errors == ["EINTR"]


@booted
def test_a_signal_of_the_kernel_stays_at_the_maximum(machine: Machine) -> None:
    """It comes from completions of requests, which cannot wait."""
    file = EventFile(0, os.O_NONBLOCK, is_semaphore=False)
    file.signal(3)
    file.signal(4)
    assert file.count == 7
    file.signal(MAXIMUM - 7)
    assert file.count == MAXIMUM and file.poll(None) & OUT == 0
    file.signal(1)
    assert file.count == MAXIMUM
    assert file.describe() == b"eventfd-count: %16x\n" % MAXIMUM
