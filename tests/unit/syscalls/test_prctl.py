"""prctl(2), on a booted machine: what each option sets is what another one reports, and what comes of it."""

from __future__ import annotations

import signal
import struct

import pytest

from tests.unit.booted import booted
from tests.unit.errors import error_of
from tools.simulated.machine import Machine
from tools.simulated.program import Program

SET_DEATH_SIGNAL, GET_DEATH_SIGNAL, GET_DUMPABLE, SET_DUMPABLE = 1, 2, 3, 4
GET_TIMING, SET_TIMING, SET_NAME, GET_NAME = 13, 14, 15, 16
GET_TSC, SET_TSC, SET_SLACK, GET_SLACK = 25, 26, 29, 30
MEMORY_FAILURE, GET_MEMORY_FAILURE, SET_SUBREAPER, GET_SUBREAPER = 33, 34, 36, 37
SET_NO_NEW, GET_NO_NEW, TID_ADDRESS, SET_NO_HUGE, GET_NO_HUGE = 38, 39, 40, 41, 42
SET_FLUSHER, GET_FLUSHER, SET_NO_EXECUTE, GET_NO_EXECUTE, AUXV = 57, 58, 65, 66, 0x4155_5856
SECOND = struct.pack("<qq", 1, 0)


def ask(program: Program, option: int, *arguments: int) -> int:
    return program.prctl(option, *arguments, *[0] * (4 - len(arguments)))


def reported(program: Program, option: int) -> int:
    """What an option writes."""
    raw = bytearray(4)
    program.prctl(option, raw, 0, 0, 0)
    return int.from_bytes(raw, "little", signed=True)


@booted
def test_names_are_cut(machine: Machine) -> None:
    host = machine.host
    host.prctl(SET_NAME, "sixteen letters!", 0, 0, 0)
    raw = bytearray(16)
    host.prctl(GET_NAME, raw, 0, 0, 0)
    assert raw == b"sixteen letters\0"
    host.prctl(SET_NAME, "a", 0, 0, 0)
    host.prctl(GET_NAME, raw, 0, 0, 0)
    assert raw == b"a" + bytes(15)
    assert error_of(host.prctl, SET_NAME, 16, 0, 0, 0) == "EFAULT"


@booted
def test_a_signal_at_the_death_of_the_parent(machine: Machine) -> None:
    host = machine.host
    assert error_of(ask, host, SET_DEATH_SIGNAL, 65) == "EINVAL"
    assert error_of(ask, host, SET_DEATH_SIGNAL, -1) == "EINVAL"
    ask(host, SET_SUBREAPER, 1)
    raw = bytearray(8)
    host.pipe2(raw, 0)
    inner, outer = struct.unpack("<ii", raw)

    def orphan(program: Program) -> None:
        ask(program, SET_DEATH_SIGNAL, signal.SIGUSR1)
        assert reported(program, GET_DEATH_SIGNAL) == signal.SIGUSR1
        grandchild = program.fork(lambda program: reported(program, GET_DEATH_SIGNAL))
        status = bytearray(4)
        program.wait4(grandchild, status, 0, 0)
        assert status == bytes(4), "fork forgets it"
        program.write(outer, struct.pack("<i", program.getpid()), 4)
        program.pause()

    def parent(program: Program) -> None:
        program.fork(orphan)
        program.nanosleep(SECOND, None)

    assert machine.run(parent) == 0
    raw = bytearray(4)
    host.read(inner, raw, 4)
    assert machine.wait(struct.unpack("<i", raw)[0]) == signal.SIGUSR1


@booted
def test_a_subreaper_gets_the_orphans_below_it(machine: Machine) -> None:
    def reaper(program: Program) -> None:
        ask(program, SET_SUBREAPER, 5)
        assert reported(program, GET_SUBREAPER) == 1

        def parent(program: Program) -> int:
            program.fork(lambda program: 9)
            return reported(program, GET_SUBREAPER)  # not inherited

        child = program.fork(parent)
        status = bytearray(4)
        assert program.wait4(child, status, 0, 0) == child and status == bytes(4)
        assert program.wait4(-1, status, 0, 0) not in (-1, child) and status[1] == 9

    assert machine.run(reaper) == 0


@booted
def test_no_new_privileges_are_for_good_and_for_children(machine: Machine) -> None:
    def main(program: Program) -> None:
        assert ask(program, GET_NO_NEW) == 0
        for arguments in ((0,), (2,), (1, 1)):
            assert error_of(ask, program, SET_NO_NEW, *arguments) == "EINVAL"
        ask(program, SET_NO_NEW, 1)
        assert error_of(ask, program, SET_NO_NEW, 0) == "EINVAL" and ask(program, GET_NO_NEW) == 1
        assert error_of(ask, program, GET_NO_NEW, 1) == "EINVAL"
        child = program.fork(lambda program: ask(program, GET_NO_NEW) - 1)
        status = bytearray(4)
        assert program.wait4(child, status, 0, 0) == child and status == bytes(4)

    assert machine.run(main) == 0


@booted
def test_timer_slack(machine: Machine) -> None:
    host = machine.host
    assert ask(host, GET_SLACK) == 50_000
    ask(host, SET_SLACK, 7)
    assert ask(host, GET_SLACK) == 7

    def child(program: Program) -> None:
        assert ask(program, GET_SLACK) == 7
        ask(program, SET_SLACK, 9)
        ask(program, SET_SLACK, 0)  # the default, which is what its parent had
        assert ask(program, GET_SLACK) == 7

    assert machine.run(child) == 0
    ask(host, SET_SLACK, 0)
    assert ask(host, GET_SLACK) == 50_000


@pytest.mark.parametrize(("setting", "getting", "good", "bad"), [
    (SET_DUMPABLE, GET_DUMPABLE, (0, 1), (2, -1)),
    (SET_FLUSHER, GET_FLUSHER, (1, 0), (2, -1)),
    (SET_NO_HUGE, GET_NO_HUGE, (1, 0), ()),
], ids=["dumpable", "flusher", "huge pages"])  # fmt: skip
@booted
def test_plain_switches(
    machine: Machine, setting: int, getting: int, good: tuple[int, ...], bad: tuple[int, ...]
) -> None:
    host = machine.host
    for value in good:
        assert ask(host, setting, value) == 0 and ask(host, getting) == value
    for value in bad:
        assert error_of(ask, host, setting, value) == "EINVAL"
    assert ask(host, getting) == good[-1]


@booted
def test_arguments_that_must_be_zero(machine: Machine) -> None:
    host = machine.host
    for option in (SET_FLUSHER, SET_NO_HUGE, SET_NO_EXECUTE):
        for rest in ((1, 0, 0), (0, 1, 0), (0, 0, 1)):
            assert error_of(ask, host, option, 0, *rest) == "EINVAL", (option, rest)
    for option in (GET_FLUSHER, GET_NO_HUGE, GET_NO_EXECUTE, GET_MEMORY_FAILURE):
        assert error_of(ask, host, option, 0, 0, 0, 1) == "EINVAL", option
    assert error_of(ask, host, 9999) == "EINVAL"
    assert ask(host, GET_TIMING) == 0 == ask(host, SET_TIMING, 0)
    assert error_of(ask, host, SET_TIMING, 1) == "EINVAL"


@booted
def test_flushers_need_a_capability(machine: Machine) -> None:
    def plain(program: Program) -> None:
        program.setresuid(1000, 1000, 1000)
        assert error_of(ask, program, SET_FLUSHER, 1) == "EPERM" == error_of(ask, program, GET_FLUSHER)

    assert machine.run(plain) == 0


@booted
def test_what_a_memory_failure_does(machine: Machine) -> None:
    host = machine.host
    assert ask(host, GET_MEMORY_FAILURE) == 2
    for policy in (0, 1, 2):
        ask(host, MEMORY_FAILURE, 1, policy)
        assert ask(host, GET_MEMORY_FAILURE) == policy
    ask(host, MEMORY_FAILURE, 1, 1)
    ask(host, MEMORY_FAILURE, 0)
    assert ask(host, GET_MEMORY_FAILURE) == 2
    for arguments in ((1, 3), (0, 1), (2, 0)):
        assert error_of(ask, host, MEMORY_FAILURE, *arguments) == "EINVAL"


@booted
def test_memory_that_is_written_is_not_executed(machine: Machine) -> None:
    def main(program: Program) -> None:
        address = program.mmap(0, 4096, 3, 0x22, -1, 0)
        assert error_of(ask, program, SET_NO_EXECUTE, 2) == "EINVAL"  # not to inherit what there is not
        ask(program, SET_NO_EXECUTE, 1)
        assert ask(program, GET_NO_EXECUTE) == 1
        assert error_of(program.mmap, 0, 4096, 7, 0x22, -1, 0) == "EACCES"
        assert error_of(program.mprotect, address, 4096, 5) == "EACCES"
        assert error_of(ask, program, SET_NO_EXECUTE, 0) == "EPERM"
        child = program.fork(lambda program: ask(program, GET_NO_EXECUTE) - 1)
        status = bytearray(4)
        assert program.wait4(child, status, 0, 0) == child and status == bytes(4)

    assert machine.run(main) == 0


@booted
def test_the_auxiliary_vector_is_reported_in_part(machine: Machine) -> None:
    host = machine.host
    whole = bytearray(1024)
    size = host.prctl(AUXV, whole, 1024, 0, 0)
    assert size % 16 == 0 and whole[size - 16 : size] == bytes(16), "it ends with AT_NULL"
    keys = struct.unpack_from(f"<{size // 8}Q", whole)[::2]
    assert 6 in keys and keys[-1] == 0  # AT_PAGESZ
    part = bytearray(24)
    assert host.prctl(AUXV, part, 24, 0, 0) == size and part == whole[:24]
    assert error_of(host.prctl, AUXV, whole, 1024, 1, 0) == "EINVAL"


@booted
def test_the_address_that_is_cleared_at_the_end(machine: Machine) -> None:
    host = machine.host
    host.set_tid_address(0x1234_5000)
    raw = bytearray(8)
    host.prctl(TID_ADDRESS, raw, 0, 0, 0)
    assert int.from_bytes(raw, "little") == 0x1234_5000
