"""Events of places in a program, and SIGTRAP for samples, on a booted machine."""

import errno
import os
import struct

import pytest

from arch.x86_64.frame import TrapFrame
from kernel.perf.breakpoints import places_hit
from kernel.task.task import current
from tests.unit.booted import booted
from tests.unit.perf.test_events import DISABLE, DISABLED, ENABLE, PAGE, SAMPLE, opened, records, words
from tools.simulated.machine import Machine
from tools.simulated.program import Program

BREAKPOINT = 5
INHERIT, REMOVE_ON_EXEC, SIGNAL_TRAP, EXCLUDE_KERNEL, EXCLUDE_USER = 1 << 1, 1 << 36, 1 << 37, 1 << 5, 1 << 4
WRITE, RUN = 2, 4
SIGTRAP = 5


def attributes(
    address: int, kind: int = WRITE, length: int = 4, flags: int = DISABLED, period: int = 0, samples: int = 0
) -> bytes:
    data = bytearray(136)
    data[:48] = struct.pack("<IIQQQQQ", BREAKPOINT, 136, 0, period, samples, 0, flags)
    data[52:64] = struct.pack("<IQ", kind, address)
    data[64:72] = struct.pack("<Q", length)
    data[120:128] = struct.pack("<Q", 0x1234_5678_9ABC)  # for SIGTRAP
    return bytes(data)


def code_of(program: Program, data: bytes, pid: int = 0, processor: int = -1) -> int:
    try:
        os_descriptor = opened(program, data, pid, processor)
    except OSError as error:
        return error.errno or 0
    program.close(os_descriptor)
    return 0


def hit(number: int) -> None:
    """The processor reports a breakpoint of the program."""
    task = current()
    breakpoints = task.registers.breakpoints
    assert breakpoints is not None
    breakpoints.note(1 << number, TrapFrame())
    places_hit(task)


@booted
def test_hits_are_counted_while_it_is_enabled(machine: Machine) -> None:
    host = machine.host
    event = opened(host, attributes(0x1000))
    breakpoints = current().registers.breakpoints
    assert breakpoints is not None and breakpoints.words.control == 0x600
    host.ioctl(event, ENABLE, 0)
    assert breakpoints.words.first == 0x1000 and breakpoints.words.control == 0x600 | 2 | 0xD << 16
    hit(0)
    hit(0)
    hit(1)  # nobody's
    host.ioctl(event, DISABLE, 0)
    assert breakpoints.words.control == 0x600
    hit(0)
    assert words(host, event) == (2,)
    host.close(event)
    assert breakpoints.watches == []


@booted
def test_a_sample_has_the_place(machine: Machine) -> None:
    host = machine.host
    event = opened(host, attributes(0x1000, flags=EXCLUDE_KERNEL, period=1, samples=1 | 8))
    ring = host.call("mmap", 0, 3 * PAGE, 3, 1, event, 0)
    hit(0)
    (sample,) = [data for kind, data in records(host, ring, 2 * PAGE) if kind == SAMPLE]
    assert struct.unpack("<QQ", sample) == (host.frame.rip, 0x1000)


@booted
def test_what_does_not_care_for_programs_counts_nothing(machine: Machine) -> None:
    event = opened(machine.host, attributes(0x1000, flags=EXCLUDE_USER))
    hit(0)
    assert words(machine.host, event) == (0,)


@booted
def test_what_can_be_watched(machine: Machine) -> None:
    host = machine.host
    assert code_of(host, attributes(0x1000, RUN, 8)) == 0
    assert code_of(host, attributes(0x1001, RUN, 8)) == 0
    wrong = [(0x1000, RUN, 4), (0x1001, WRITE, 4), (0x1000, 1, 4), (0x1000, 7, 4), (0x1000, WRITE, 16), (-8, WRITE, 8)]
    for address, kind, length in wrong:
        assert code_of(host, attributes(address & (1 << 64) - 1, kind, length)) == errno.EINVAL
    assert code_of(host, attributes(0x1000), pid=-1, processor=0) == errno.EOPNOTSUPP


@booted
def test_there_are_four(machine: Machine) -> None:
    host = machine.host
    events = [opened(host, attributes(0x1000 + 8 * number)) for number in range(4)]
    assert code_of(host, attributes(0x2000)) == errno.ENOSPC
    host.close(events[0])
    assert code_of(host, attributes(0x2000)) == 0


@booted
def test_children_are_watched_too(machine: Machine) -> None:
    host = machine.host
    event = opened(host, attributes(0x1000, flags=INHERIT))

    def child(program: Program) -> int:
        hit(0)
        return 0

    machine.wait(host.fork(child))
    hit(0)
    assert words(host, event) == (2,)


@booted
def test_a_signal_for_a_sample(machine: Machine) -> None:
    host = machine.host
    assert code_of(host, attributes(0x1000, flags=SIGNAL_TRAP, period=1)) == errno.EINVAL
    event = opened(host, attributes(0x1000, flags=SIGNAL_TRAP | REMOVE_ON_EXEC, period=1))
    host.call("rt_sigprocmask", 0, struct.pack("<Q", 1 << SIGTRAP - 1), 0, 8)
    hit(0)
    info = bytearray(128)
    assert host.call("rt_sigtimedwait", struct.pack("<Q", 1 << SIGTRAP - 1), info, bytes(16), 8) == SIGTRAP
    number, _, code = struct.unpack("<iii", info[:12])
    address, data, kind, flags = struct.unpack("<QQII", info[16:40])
    assert (number, code, address, data, kind, flags) == (SIGTRAP, 6, 0x1000, 0x1234_5678_9ABC, BREAKPOINT, 1)
    assert words(host, event) == (1,)


@booted
def test_only_tasks_get_signals(machine: Machine) -> None:
    data = bytearray(attributes(0, flags=SIGNAL_TRAP | REMOVE_ON_EXEC, period=1))
    data[0:4] = struct.pack("<I", 1)
    with pytest.raises(OSError, match=os.strerror(errno.EINVAL)):
        opened(machine.host, bytes(data), -1, 0)
