"""Changes of user and group ids (credentials(7)): the rules of each call, and what else changes with them."""

from __future__ import annotations

import itertools
import os
import struct

import pytest

from kernel.lib.ids import NO_USER, KernelUid
from kernel.syscalls.setuid import Ids
from tests.unit.booted import booted
from tests.unit.errors import error_of
from tools.simulated.machine import Machine
from tools.simulated.program import Program

SAME = 0xFFFF_FFFF
GET_KEEP_CAPS, SET_KEEP_CAPS, GET_DUMPABLE = 7, 8, 3


def ids(real: int, effective: int, saved: int, *, is_free: bool = False) -> Ids[KernelUid]:
    users = [KernelUid(each) for each in (real, effective, saved, effective)]
    return Ids(users[0], users[1], users[2], users[3], NO_USER, is_free)


def state(of: Ids[KernelUid]) -> tuple[int, ...]:
    return int(of.real), int(of.effective), int(of.saved), int(of.file_system)


def user(number: int | None) -> KernelUid:
    return NO_USER if number is None else KernelUid(number)


NUMBERS = [None, 1, 2, 3, 4]


@pytest.mark.parametrize("wanted", NUMBERS[1:])
def test_setuid_of_a_user_who_may_not_take_any(wanted: int) -> None:
    """It may become its real or its saved user (1 and 3), and changes the effective one alone."""
    found = ids(1, 2, 3)
    if wanted in (1, 3):
        found.set_one(user(wanted))
        assert state(found) == (1, wanted, 3, wanted)
    else:
        assert error_of(found.set_one, user(wanted)) == "EPERM" and state(found) == (1, 2, 3, 2)


def test_setuid_of_root_is_for_good() -> None:
    found = ids(1, 0, 3, is_free=True)
    found.set_one(user(4))
    assert state(found) == (4, 4, 4, 4)
    assert error_of(found.set_one, NO_USER) == "EINVAL"


@pytest.mark.parametrize(("real", "effective"), list(itertools.product(NUMBERS, NUMBERS)))
def test_setreuid(real: int | None, effective: int | None) -> None:
    """POSIX: the real one becomes the real or effective one (1, 2), the effective one any of the three."""
    found = ids(1, 2, 3)
    if real not in (None, 1, 2) or effective == 4:
        assert error_of(found.set_pair, user(real), user(effective)) == "EPERM"
        assert state(found) == (1, 2, 3, 2)
        return
    found.set_pair(user(real), user(effective))
    now = effective or 2
    saved = now if real is not None or effective not in (None, 1) else 3
    assert state(found) == (real or 1, now, saved, now)


@pytest.mark.parametrize("wanted", list(itertools.product([None, 1, 3, 4], repeat=3)))
@pytest.mark.parametrize("is_free", [False, True], ids=["plain", "free"])
def test_setresuid(wanted: tuple[int | None, ...], is_free: bool) -> None:
    found = ids(1, 2, 3, is_free=is_free)
    real, effective, saved = (user(each) for each in wanted)
    if 4 in wanted and not is_free:
        assert error_of(found.set_three, real, effective, saved) == "EPERM" and state(found) == (1, 2, 3, 2)
        return
    found.set_three(real, effective, saved)
    now = wanted[1] or 2
    assert state(found) == (wanted[0] or 1, now, wanted[2] or 3, now)


def test_setfsuid_reports_no_error() -> None:
    found = ids(1, 2, 3)
    assert found.set_file_system(user(3)) and found.file_system == KernelUid(3)
    assert not found.set_file_system(user(4)) and not found.set_file_system(NO_USER)
    assert found.set_file_system(user(3)), "as it is"
    assert state(found) == (1, 2, 3, 3)


def all_ids(program: Program, call: str) -> tuple[int, ...]:
    raws = [bytearray(4) for _ in range(3)]
    program.call(call, *raws)
    return tuple(int.from_bytes(raw, "little") for raw in raws)


@booted
def test_calls_change_what_they_say(machine: Machine) -> None:
    def main(program: Program) -> None:
        program.setresgid(10, 11, 12)
        assert all_ids(program, "getresgid") == (10, 11, 12)
        assert program.setfsgid(13) == 11 and program.setfsgid(SAME) == 13
        program.setregid(SAME, 14)
        assert all_ids(program, "getresgid") == (10, 14, 14)
        program.setgid(15)
        assert all_ids(program, "getresgid") == (15, 15, 15)
        program.setresuid(1, 0, 2)
        assert error_of(program.setuid, SAME) == "EINVAL"
        program.setreuid(3, 4)
        assert all_ids(program, "getresuid") == (3, 4, 4)
        assert error_of(program.setresuid, SAME, SAME, 5) == "EPERM"
        assert error_of(program.setgid, 16) == "EPERM"  # the capability went with user 0
        assert program.setfsuid(9) == 4 and program.setfsuid(SAME) == 4

    assert machine.run(main) == 0


def effective_capabilities(program: Program) -> int:
    header, data = bytearray(struct.pack("<II", 0x2008_0522, 0)), bytearray(24)
    program.capget(header, data)
    return int.from_bytes(data[:4], "little")


@booted
def test_capabilities_follow_user_0(machine: Machine) -> None:
    def main(program: Program) -> None:
        assert effective_capabilities(program) != 0
        program.setresuid(SAME, 1000, SAME)
        assert effective_capabilities(program) == 0
        program.setresuid(SAME, 0, SAME)
        assert effective_capabilities(program) != 0, "they were still permitted"
        program.setresuid(1000, 1000, 1000)
        assert error_of(program.setresuid, SAME, 0, SAME) == "EPERM"

    assert machine.run(main) == 0

    def keeping(program: Program) -> None:
        program.prctl(SET_KEEP_CAPS, 1, 0, 0, 0)
        program.setresuid(1000, 1000, 1000)
        assert effective_capabilities(program) == 0 and program.prctl(GET_KEEP_CAPS, 0, 0, 0, 0) == 1

    assert machine.run(keeping) == 0


@booted
def test_a_process_that_changed_its_user_shows_nothing_more(machine: Machine) -> None:
    def main(program: Program) -> None:
        assert program.prctl(GET_DUMPABLE, 0, 0, 0, 0) == 1
        program.setresuid(SAME, 1000, SAME)
        assert program.prctl(GET_DUMPABLE, 0, 0, 0, 0) == 0

    assert machine.run(main) == 0


@booted
def test_files_belong_to_the_user_for_file_systems(machine: Machine) -> None:
    host = machine.host
    host.mkdir("/tmp/shared", 0o777)
    host.chmod("/tmp/shared", 0o777)

    def main(program: Program) -> None:
        program.setfsuid(1234)
        program.close(program.open("/tmp/shared/file", os.O_CREAT | os.O_WRONLY, 0o600))

    assert machine.run(main) == 0
    raw = bytearray(144)
    host.stat("/tmp/shared/file", raw)
    assert struct.unpack_from("<I", raw, 28)[0] == 1234
