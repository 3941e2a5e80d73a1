"""Limits, usage, identities and switches of a process (kernel/syscalls/getrlimit.py, getrusage.py, wait.py,
capabilities.py, setgroups.py, kcmp.py, prctl.py, personality.py, uname.py, getrandom.py), on a booted machine.
"""

import os
import struct

import pytest

from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program

FAULTY = 16  # an address without memory
NOBODY = 99_999
OPEN_FILES, STACK, UNKNOWN = 7, 3, 16
VERSION_3 = 0x2008_0522
TIMER_SLACK, READ_TIMER_SLACK = 29, 30
FLUSHER, READ_FLUSHER = 57, 58
EXITED, NO_REAP, NO_HANG = 4, 0x0100_0000, 1


def limit(program: Program, which: int, pid: int = 0) -> tuple[int, ...]:
    out = bytearray(16)
    program.prlimit64(pid, which, None, out)
    return struct.unpack("<QQ", out)


@booted
def test_a_limit_is_set_and_told(machine: Machine) -> None:
    host = machine.host
    old = bytearray(16)
    before = limit(host, OPEN_FILES)
    host.prlimit64(0, OPEN_FILES, struct.pack("<QQ", 20, 30), old)
    assert struct.unpack("<QQ", old) == before
    assert limit(host, OPEN_FILES) == (20, 30)
    descriptor = host.open("/tmp", os.O_RDONLY)
    with pytest.raises(OSError, match="EBADF"):
        host.dup2(descriptor, 20)
    host.setrlimit(STACK, struct.pack("<QQ", 1 << 20, 1 << 21))
    out = bytearray(16)
    host.getrlimit(STACK, out)
    assert struct.unpack("<QQ", out) == (1 << 20, 1 << 21)


@booted
def test_a_user_may_only_lower_the_hard_limit(machine: Machine) -> None:
    def child(program: Program) -> None:
        program.prlimit64(0, OPEN_FILES, struct.pack("<QQ", 20, 30), None)
        program.setuid(1000)
        with pytest.raises(OSError, match="EPERM"):
            program.prlimit64(0, OPEN_FILES, struct.pack("<QQ", 20, 31), None)
        program.prlimit64(0, OPEN_FILES, struct.pack("<QQ", 25, 25), None)
        with pytest.raises(OSError, match="EPERM"):
            program.prlimit64(1, OPEN_FILES, None, None)

    assert machine.run(child) == 0


@booted
def test_errors_of_limits_come_in_the_order_of_linux(machine: Machine) -> None:
    host = machine.host
    wrong = struct.pack("<QQ", 2, 1)
    for arguments, error in (
        ((NOBODY, UNKNOWN, FAULTY, FAULTY), "EFAULT"),
        ((NOBODY, UNKNOWN, wrong, FAULTY), "ESRCH"),
        ((-1, UNKNOWN, None, FAULTY), "ESRCH"),
        ((0, UNKNOWN, wrong, FAULTY), "EINVAL"),
        ((0, UNKNOWN, None, FAULTY), "EINVAL"),
        ((0, OPEN_FILES, wrong, FAULTY), "EINVAL"),
        ((0, OPEN_FILES, None, FAULTY), "EFAULT"),
    ):
        with pytest.raises(OSError, match=error):
            host.prlimit64(*arguments)

    def child(program: Program) -> None:
        program.setuid(1000)
        with pytest.raises(OSError, match="EPERM"):
            program.prlimit64(1, UNKNOWN, wrong, None)

    assert machine.run(child) == 0


@booted
def test_the_usage_of_children_counts_once_they_were_waited_for(machine: Machine) -> None:
    host = machine.host

    def used(who: int) -> tuple[int, ...]:
        out = bytearray(144)
        host.getrusage(who, out)
        return struct.unpack_from("<qqqq", out)

    assert used(-1) == (0, 0, 0, 0)
    pid = host.fork(lambda program: program.nanosleep(struct.pack("<qq", 0, 5_000_000), None))
    info = bytearray(128)
    host.waitid(1, pid, info, EXITED | NO_REAP, None)
    assert struct.unpack_from("<i", info, 16)[0] == pid
    assert used(-1) == (0, 0, 0, 0)
    usage = bytearray(144)
    assert host.wait4(pid, None, 0, usage) == pid
    assert used(-1) == struct.unpack_from("<qqqq", usage)
    with pytest.raises(OSError, match="EINVAL"):
        host.getrusage(2, FAULTY)


@booted
def test_errors_of_waiting(machine: Machine) -> None:
    host = machine.host
    for arguments, error in (
        ((-1, FAULTY, 4, FAULTY), "EINVAL"),
        ((-(1 << 31), FAULTY, 0, FAULTY), "ESRCH"),
        ((NOBODY, FAULTY, NO_HANG, FAULTY), "ECHILD"),
    ):
        with pytest.raises(OSError, match=error):
            host.wait4(*arguments)
    for waiting, error in (
        ((0, 0, None, 0, None), "EINVAL"),
        ((9, 0, None, EXITED, None), "EINVAL"),
        ((1, 0, None, EXITED, None), "EINVAL"),
        ((1, 0, FAULTY, EXITED, None), "EFAULT"),
        ((3, 999, None, EXITED, None), "EBADF"),
        ((1, NOBODY, None, EXITED, None), "ECHILD"),
    ):
        with pytest.raises(OSError, match=error):
            host.waitid(*waiting)


@booted
def test_a_program_may_ask_for_the_version_of_capabilities(machine: Machine) -> None:
    host = machine.host
    header = bytearray(struct.pack("<Ii", 0, 0))
    assert host.capget(header, None) == 0
    assert struct.unpack("<Ii", header)[0] == VERSION_3
    assert host.capget(struct.pack("<Ii", VERSION_3, NOBODY), None) == 0  # without sets nothing else is looked at
    out = bytearray(24)
    host.capget(struct.pack("<Ii", VERSION_3, 0), out)
    assert struct.unpack_from("<II", out)[0] != 0
    for version, pid, error in ((5, -1, "EINVAL"), (VERSION_3, -1, "EINVAL"), (VERSION_3, NOBODY, "ESRCH")):
        with pytest.raises(OSError, match=error):
            host.capget(struct.pack("<Ii", version, pid), FAULTY)


@booted
def test_capabilities_are_given_up(machine: Machine) -> None:
    def child(program: Program) -> None:
        header = struct.pack("<Ii", VERSION_3, 0)
        with pytest.raises(OSError, match="EPERM"):
            program.capset(struct.pack("<Ii", VERSION_3, 1), FAULTY)
        program.capset(header, bytes(24))
        with pytest.raises(OSError, match="EPERM"):
            program.sethostname("x", 1)
        with pytest.raises(OSError, match="EPERM"):
            program.capset(header, struct.pack("<6I", 1, 1, 0, 0, 0, 0))

    assert machine.run(child) == 0


@booted
def test_groups(machine: Machine) -> None:
    host = machine.host
    host.setgroups(3, struct.pack("<III", 30, 10, 20))
    out = bytearray(12)
    assert host.getgroups(3, out) == 3
    assert struct.unpack("<III", out) == (10, 20, 30)
    assert host.getgroups(0, FAULTY) == 3
    for size in (-1, 2):
        with pytest.raises(OSError, match="EINVAL"):
            host.getgroups(size, FAULTY)
    for size in (-1, 65537):
        with pytest.raises(OSError, match="EINVAL"):
            host.setgroups(size, FAULTY)


@booted
def test_what_two_processes_share(machine: Machine) -> None:
    host = machine.host
    descriptor = host.open("/tmp", os.O_RDONLY)
    copy = host.dup(descriptor)
    other = host.open("/tmp", os.O_RDONLY)
    assert host.kcmp(1, 1, 0, descriptor, copy) == 0
    assert host.kcmp(1, 1, 0, descriptor, other) in (1, 2)
    assert host.kcmp(1, 1, 0, 1 << 32 | descriptor, copy) == 0  # descriptors have 32 bits
    for arguments, error in (
        ((NOBODY, 1, 99, 0, 0), "ESRCH"),
        ((1, 1, 99, 0, 0), "EINVAL"),
        ((1, 1, 0, 999, descriptor), "EBADF"),
        ((1, 1, 0, -1, descriptor), "EBADF"),
    ):
        with pytest.raises(OSError, match=error):
            host.kcmp(*arguments)


@booted
def test_the_slack_of_timers_has_no_sign(machine: Machine) -> None:
    host = machine.host
    usual = host.prctl(READ_TIMER_SLACK, 0, 0, 0, 0)
    for slack in (123, 1 << 40, -5000):
        host.prctl(TIMER_SLACK, slack, 0, 0, 0)
        assert host.prctl(READ_TIMER_SLACK, 0, 0, 0, 0) == slack
    host.prctl(TIMER_SLACK, 0, 0, 0, 0)
    assert host.prctl(READ_TIMER_SLACK, 0, 0, 0, 0) == usual


@booted
def test_a_lack_of_privilege_comes_before_further_arguments(machine: Machine) -> None:
    host = machine.host
    host.prctl(FLUSHER, 1, 0, 0, 0)
    assert host.prctl(READ_FLUSHER, 0, 0, 0, 0) == 1
    with pytest.raises(OSError, match="EINVAL"):
        host.prctl(FLUSHER, 1, 1, 0, 0)

    def child(program: Program) -> None:
        program.setuid(1000)
        for option in (FLUSHER, READ_FLUSHER):
            with pytest.raises(OSError, match="EPERM"):
                program.prctl(option, 1, 1, 0, 0)

    assert machine.run(child) == 0


@booted
def test_a_personality_is_kept_and_shown(machine: Machine) -> None:
    host = machine.host
    assert host.personality(0x0800_0008) == 0
    assert host.personality(0xFFFF_FFFF) == 0x0800_0008
    out = bytearray(390)
    host.uname(out)
    assert bytes(out[260:264]) == b"i686"


@booted
def test_names_of_the_machine(machine: Machine) -> None:
    host = machine.host
    host.sethostname(b"krait\0rest", 10)
    out = bytearray(390)
    host.uname(out)
    assert bytes(out[65:71]) == b"krait\0"
    for length in (-1, 65):
        with pytest.raises(OSError, match="EINVAL"):
            host.sethostname(FAULTY, length)
    with pytest.raises(OSError, match="EFAULT"):
        host.sethostname(FAULTY, 64)


@booted
def test_random_bytes(machine: Machine) -> None:
    host = machine.host
    one, other = bytearray(32), bytearray(32)
    assert host.getrandom(one, 32, 0) == 32
    assert host.getrandom(other, 32, 1) == 32
    assert one != other and one != bytes(32)
    assert host.getrandom(FAULTY, 0, 0) == 0
    for flags in (8, 6):
        with pytest.raises(OSError, match="EINVAL"):
            host.getrandom(FAULTY, 1, flags)
    with pytest.raises(OSError, match="EFAULT"):
        host.getrandom(FAULTY, -1, 0)
