"""Semaphores of System V (semop(2), semctl(2)), on a booted machine."""

from __future__ import annotations

import signal
import struct

from tests.unit.booted import booted
from tests.unit.errors import error_of
from tools.simulated.machine import Machine
from tools.simulated.program import Program

CREATE, NO_WAIT, UNDO = 0o1000, 0o4000, 0x1000
REMOVE, SET, STATUS, LIMITS = 0, 1, 2, 3
GET_PID, GET, GET_ALL, COUNT_GROW, COUNT_ZERO, SET_ONE, SET_ALL, USAGE = 11, 12, 13, 14, 15, 16, 17, 19
SECOND = struct.pack("<QQ", 1, 0)
LARGEST = 32767

Step = tuple[int, int, int]  # semaphore, change, flags


def operate(program: Program, semaphores: int, *steps: Step, timeout: bytes | None = None) -> int:
    raw = b"".join(struct.pack("<Hhh", *step) for step in steps)
    return program.semtimedop(semaphores, bytearray(raw), len(steps), timeout)


def values(program: Program, semaphores: int, count: int) -> tuple[int, ...]:
    raw = bytearray(2 * count)
    program.semctl(semaphores, 0, GET_ALL, raw)
    return struct.unpack(f"<{count}H", raw)


def set_all(program: Program, semaphores: int, *numbers: int) -> int:
    return program.semctl(semaphores, 0, SET_ALL, bytearray(struct.pack(f"<{len(numbers)}H", *numbers)))


@booted
def test_all_steps_are_done_or_none(machine: Machine) -> None:
    host = machine.host
    semaphores = host.semget(0, 3, CREATE | 0o600)
    set_all(host, semaphores, 5, 1, 0)
    assert error_of(operate, host, semaphores, (0, -2, UNDO), (1, -2, NO_WAIT)) == "EAGAIN"
    assert values(host, semaphores, 3) == (5, 1, 0)
    operate(host, semaphores, (0, -2, 0), (1, -1, 0), (1, 0, 0), (2, 7, 0))  # the second is 0 by then
    assert values(host, semaphores, 3) == (3, 0, 7)
    assert error_of(operate, host, semaphores, (0, 1, 0), (2, LARGEST, 0)) == "ERANGE"
    assert values(host, semaphores, 3) == (3, 0, 7)


@booted
def test_bad_lists(machine: Machine) -> None:
    host = machine.host
    semaphores = host.semget(0, 2, CREATE | 0o600)
    assert error_of(operate, host, semaphores) == "EINVAL"
    assert error_of(operate, host, semaphores, *[(0, 1, 0)] * 501) == "E2BIG"
    assert error_of(operate, host, semaphores, (2, 1, 0)) == "EFBIG"
    assert error_of(operate, host, -1, (0, 1, 0)) == "EINVAL"
    bad_time = struct.pack("<qq", 0, 1_000_000_000)
    raw = bytearray(struct.pack("<Hhh", 0, 1, 0))
    assert error_of(host.semtimedop, semaphores, raw, 1, bad_time) == "EINVAL"
    assert values(host, semaphores, 2) == (0, 0)


@booted
def test_a_wait_has_an_end(machine: Machine) -> None:
    host = machine.host
    semaphores = host.semget(0, 1, CREATE | 0o600)
    assert error_of(lambda: operate(host, semaphores, (0, -1, 0), timeout=SECOND)) == "EAGAIN"
    assert host.semctl(semaphores, 0, COUNT_GROW, 0) == 0


@booted
def test_who_waits_is_counted(machine: Machine) -> None:
    host = machine.host
    semaphores = host.semget(0, 2, CREATE | 0o600)
    set_all(host, semaphores, 1, 0)
    growing = [host.fork(lambda program: operate(program, semaphores, (1, -1, 0))) for _ in range(2)]
    for_zero = host.fork(lambda program: operate(program, semaphores, (0, 0, 0)))
    host.nanosleep(SECOND, None)
    assert [host.semctl(semaphores, number, COUNT_GROW, 0) for number in range(2)] == [0, 2]
    assert [host.semctl(semaphores, number, COUNT_ZERO, 0) for number in range(2)] == [1, 0]
    set_all(host, semaphores, 0, 2)
    for child in (*growing, for_zero):
        assert machine.wait(child) == 0
    assert values(host, semaphores, 2) == (0, 0)


@booted
def test_the_last_one_to_change_it_is_remembered(machine: Machine) -> None:
    host = machine.host
    semaphores = host.semget(0, 2, CREATE | 0o600)
    child = host.fork(lambda program: operate(program, semaphores, (1, 1, 0)))
    assert machine.wait(child) == 0
    assert [host.semctl(semaphores, number, GET_PID, 0) for number in range(2)] == [0, child]
    host.semctl(semaphores, 1, SET_ONE, 4)
    assert host.semctl(semaphores, 1, GET_PID, 0) == host.getpid()


@booted
def test_undoing_stays_in_range_and_is_forgotten_by_setting(machine: Machine) -> None:
    host = machine.host
    semaphores = host.semget(0, 2, CREATE | 0o600)

    def giver(program: Program) -> None:
        operate(program, semaphores, (0, 5, UNDO), (1, 5, UNDO))
        program.semctl(semaphores, 1, SET_ONE, 9)  # what was to be undone there is forgotten
        operate(program, semaphores, (0, -3, 0))

    assert machine.run(giver) == 0
    assert values(host, semaphores, 2) == (0, 9), "2 less 5 is no less than 0"


@booted
def test_an_adjustment_has_sixteen_bits(machine: Machine) -> None:
    host = machine.host
    semaphores = host.semget(0, 1, CREATE | 0o600)

    def taker(program: Program) -> None:
        operate(program, semaphores, (0, LARGEST, UNDO))
        operate(program, semaphores, (0, -LARGEST, 0))
        operate(program, semaphores, (0, 1, UNDO))  # -32768 in all
        operate(program, semaphores, (0, -1, 0))
        assert error_of(operate, program, semaphores, (0, 1, UNDO)) == "ERANGE"

    assert machine.run(taker) == 0


@booted
def test_a_signal_ends_a_wait(machine: Machine) -> None:
    host = machine.host
    semaphores = host.semget(0, 1, CREATE | 0o600)
    errors: list[str] = []

    def waiter(program: Program) -> None:
        program.handle(signal.SIGUSR1, lambda program, signo: None, 0x1000_0000)
        errors.append(error_of(operate, program, semaphores, (0, -1, 0)))

    child = host.fork(waiter)
    host.nanosleep(SECOND, None)
    host.kill(child, signal.SIGUSR1)
    assert machine.wait(child) == 0 and errors == ["EINTR"]
    assert host.semctl(semaphores, 0, COUNT_GROW, 0) == 0


@booted
def test_numbers_out_of_range(machine: Machine) -> None:
    host = machine.host
    assert error_of(host.semget, 0, 0, CREATE | 0o600) == "EINVAL"
    assert error_of(host.semget, 0, 32001, CREATE | 0o600) == "EINVAL"
    semaphores = host.semget(5, 2, CREATE | 0o600)
    assert error_of(host.semget, 5, 3, 0o600) == "EINVAL"  # it has fewer
    assert host.semget(5, 0, 0o600) == semaphores
    for value in (-1, LARGEST + 1):
        assert error_of(host.semctl, semaphores, 0, SET_ONE, value) == "ERANGE"
    assert error_of(set_all, host, semaphores, 1, LARGEST + 1) == "ERANGE"
    assert error_of(host.semctl, semaphores, 2, SET_ONE, 1) == "EINVAL"
    assert error_of(host.semctl, semaphores, -1, GET, 0) == "EINVAL"
    assert error_of(host.semctl, semaphores, 0, 99, 0) == "EINVAL"
    assert values(host, semaphores, 2) == (0, 0)


@booted
def test_permissions(machine: Machine) -> None:
    host = machine.host
    semaphores = host.semget(0, 1, CREATE | 0o604)

    def stranger(program: Program) -> None:
        program.setresgid(1000, 1000, 1000)
        program.setresuid(1000, 1000, 1000)
        assert program.semctl(semaphores, 0, GET, 0) == 0  # others may read
        operate(program, semaphores, (0, 0, 0))  # waiting for zero only reads
        assert error_of(operate, program, semaphores, (0, 1, 0)) == "EACCES"
        assert error_of(program.semctl, semaphores, 0, SET_ONE, 1) == "EACCES"
        assert error_of(program.semctl, semaphores, 0, REMOVE, 0) == "EPERM"

    assert machine.run(stranger) == 0
    raw = bytearray(104)
    host.semctl(semaphores, 0, STATUS, raw)
    struct.pack_into("<I", raw, 4, 1000)  # now the stranger owns it
    host.semctl(semaphores, 0, SET, raw)

    def owner(program: Program) -> None:
        program.setresuid(1000, 1000, 1000)
        operate(program, semaphores, (0, 1, 0))
        program.semctl(semaphores, 0, REMOVE, 0)

    assert machine.run(owner) == 0
    assert error_of(host.semctl, semaphores, 0, GET, 0) == "EINVAL"


@booted
def test_limits_and_usage(machine: Machine) -> None:
    host = machine.host
    host.semget(0, 3, CREATE | 0o600)
    second = host.semget(0, 4, CREATE | 0o600)
    raw = bytearray(40)
    host.semctl(0, 0, USAGE, raw)
    assert struct.unpack("<10i", raw)[7] == 2 and struct.unpack("<10i", raw)[9] == 7
    host.semctl(second, 0, REMOVE, 0)
    host.semctl(0, 0, USAGE, raw)
    assert struct.unpack("<10i", raw)[7] == 1 and struct.unpack("<10i", raw)[9] == 3
    host.semctl(0, 0, LIMITS, raw)
    assert struct.unpack("<10i", raw)[4:7] == (32000, 500, 500) and struct.unpack("<10i", raw)[8] == LARGEST
