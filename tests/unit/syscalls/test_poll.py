"""poll(2), ppoll(2), on a booted machine."""

from __future__ import annotations

import signal
import struct

from tests.unit.booted import booted
from tests.unit.errors import error_of
from tools.simulated.machine import Machine
from tools.simulated.program import Program

IN, OUT, ERROR, HUNG_UP, INVALID = 1, 4, 8, 16, 32
SECOND = struct.pack("<qq", 1, 0)


def pipe(program: Program) -> tuple[int, int]:
    raw = bytearray(8)
    program.pipe2(raw, 0)
    ends: tuple[int, int] = struct.unpack("<ii", raw)
    return ends


def records(*wanted: tuple[int, int]) -> bytearray:
    return bytearray(b"".join(struct.pack("<ihh", descriptor, events, 99) for descriptor, events in wanted))


def found(raw: bytearray) -> list[int]:
    return [events for _, _, events in struct.iter_unpack("<ihh", raw)]


@booted
def test_what_is_found_is_stored_for_each(machine: Machine) -> None:
    host = machine.host
    inner, outer = pipe(host)
    raw = records((inner, IN), (outer, OUT), (-1, IN), (99, IN), (outer, IN), (outer, OUT))
    assert host.poll(raw, 6, -1) == 3
    assert found(raw) == [0, OUT, 0, INVALID, 0, OUT]
    host.write(outer, b"x", 1)
    host.close(outer)
    raw = records((inner, 0), (inner, IN))
    assert host.poll(raw, 2, 0) == 2, "a hang-up is reported to those who did not ask"
    assert found(raw) == [HUNG_UP, IN | HUNG_UP]


@booted
def test_no_reader(machine: Machine) -> None:
    host = machine.host
    inner, outer = pipe(host)
    host.close(inner)
    raw = records((outer, OUT))
    assert host.poll(raw, 1, 0) == 1 and found(raw) == [OUT | ERROR]


@booted
def test_many_records_lie_in_parts_of_memory(machine: Machine) -> None:
    host = machine.host
    _, outer = pipe(host)
    for count in (63, 64, 65, 600):
        raw = records(*[(outer, OUT)] * (count - 1), (99, IN))
        assert host.poll(raw, count, 0) == count
        assert found(raw) == [OUT] * (count - 1) + [INVALID]


@booted
def test_counts_and_addresses(machine: Machine) -> None:
    host = machine.host
    assert error_of(lambda: host.poll(records((0, IN)), 1025, 0)) == "EINVAL"  # RLIMIT_NOFILE
    assert error_of(lambda: host.poll(16, 1, 0)) == "EFAULT"
    assert host.poll(None, 0, 1) == 0
    assert error_of(lambda: host.ppoll(None, 0, struct.pack("<qq", 0, 10**9), None, 8)) == "EINVAL"
    assert error_of(lambda: host.ppoll(None, 0, bytearray(16), bytes(8), 4)) == "EINVAL"


@booted
def test_a_wait_ends_with_the_first_that_is_ready(machine: Machine) -> None:
    host = machine.host
    (inner, outer), (silent, _) = pipe(host), pipe(host)

    def writer(program: Program) -> None:
        program.nanosleep(SECOND, None)
        program.write(outer, b"x", 1)

    child = host.fork(writer)
    raw = records((silent, IN), (inner, IN))
    assert host.poll(raw, 2, 9000) == 1 and found(raw) == [0, IN]
    assert machine.wait(child) == 0
    assert host.poll(records((silent, IN)), 1, 100) == 0
    left = bytearray(struct.pack("<qq", 5, 0))
    assert host.ppoll(records((inner, IN)), 1, left, None, 8) == 1
    assert struct.unpack("<qq", left)[0] == 4, "what was left is reported"


@booted
def test_a_signal_ends_it_and_a_stop_does_not(machine: Machine) -> None:
    host = machine.host
    inner, outer = pipe(host)
    outcomes: list[str] = []

    def waiter(program: Program) -> None:
        program.handle(signal.SIGUSR1, lambda program, signo: None, 0x1000_0000)  # SA_RESTART changes nothing
        outcomes.append(error_of(lambda: program.poll(records((inner, IN)), 1, -1)))
        outcomes.append(str(program.poll(records((inner, IN)), 1, -1)))

    child = host.fork(waiter)
    host.nanosleep(SECOND, None)
    host.kill(child, signal.SIGUSR1)
    host.nanosleep(SECOND, None)
    for signo in (signal.SIGSTOP, signal.SIGCONT):
        host.kill(child, signo)
        host.nanosleep(SECOND, None)
    assert outcomes == ["EINTR"], "it waits on after the stop"
    host.write(outer, b"x", 1)
    assert machine.wait(child) == 0 and outcomes == ["EINTR", "1"]
