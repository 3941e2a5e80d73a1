"""Sets of capabilities (capabilities(7)): capget(2), capset(2) and options of prctl(2), on a booted machine."""

from __future__ import annotations

import struct

from tests.unit.booted import booted
from tests.unit.errors import error_of
from tools.simulated.machine import Machine
from tools.simulated.program import Program

VERSION_1, VERSION_3 = 0x1998_0330, 0x2008_0522
KILL, SET_PCAP, NET_RAW, SYS_ADMIN = 5, 8, 13, 21
LAST = 40
ALL = (1 << LAST + 1) - 1
GET_KEEP, SET_KEEP, READ_BOUND, DROP_BOUND, GET_BITS, SET_BITS, AMBIENT = 7, 8, 23, 24, 27, 28, 47
IS_SET, RAISE, LOWER, CLEAR_ALL = 1, 2, 3, 4
NO_ROOT, NO_ROOT_LOCKED, KEEP, KEEP_LOCKED, NO_RAISE = 1, 2, 16, 32, 64

Sets = tuple[int, int, int]  # effective, permitted, inheritable


def header(pid: int = 0, version: int = VERSION_3) -> bytearray:
    return bytearray(struct.pack("<Ii", version, pid))


def sets(program: Program, pid: int = 0) -> Sets:
    raw = bytearray(24)
    program.capget(header(pid), raw)
    low, high = struct.unpack_from("<3I", raw), struct.unpack_from("<3I", raw, 12)
    effective, permitted, inheritable = (a | b << 32 for a, b in zip(low, high, strict=True))
    return effective, permitted, inheritable


def set_sets(program: Program, effective: int, permitted: int, inheritable: int) -> int:
    words = [each >> shift & 0xFFFF_FFFF for shift in (0, 32) for each in (effective, permitted, inheritable)]
    return program.capset(header(), struct.pack("<6I", *words))


def ask(program: Program, option: int, *arguments: int) -> int:
    return program.prctl(option, *arguments, *[0] * (4 - len(arguments)))


def bits(*capabilities: int) -> int:
    return sum(1 << each for each in capabilities)


@booted
def test_sets_only_shrink(machine: Machine) -> None:
    def main(program: Program) -> None:
        assert sets(program) == (ALL, ALL, 0)
        some = bits(KILL, SET_PCAP, LAST)
        set_sets(program, bits(KILL, SET_PCAP), some, 0)
        assert sets(program) == (bits(KILL, SET_PCAP), some, 0)
        assert error_of(set_sets, program, 0, some | bits(NET_RAW), 0) == "EPERM"  # no longer permitted
        assert error_of(set_sets, program, some, bits(KILL), 0) == "EPERM"  # effective without permission
        set_sets(program, some, some, bits(KILL, NET_RAW))  # CAP_SETPCAP: whatever is in the bounding set
        assert sets(program) == (some, some, bits(KILL, NET_RAW))
        set_sets(program, 0, some, bits(KILL))
        assert error_of(set_sets, program, 0, some, bits(KILL, NET_RAW)) == "EPERM"
        set_sets(program, 0, some, bits(KILL, LAST))  # it is permitted
        set_sets(program, some, some, 0)

    assert machine.run(main) == 0


@booted
def test_others_are_looked_at_and_not_changed(machine: Machine) -> None:
    host = machine.host
    child = host.fork(lambda program: program.pause())
    assert sets(host, child) == (ALL, ALL, 0)
    assert error_of(host.capset, header(child), bytes(24)) == "EPERM"
    assert error_of(sets, host, 30000) == "ESRCH"
    assert error_of(sets, host, -1) == "EINVAL"
    host.kill(child, 9)
    assert machine.wait(child) == 9


@booted
def test_versions_of_the_header(machine: Machine) -> None:
    host = machine.host
    raw = bytearray(12)
    host.capget(header(0, VERSION_1), raw)
    assert struct.unpack("<3I", raw)[:2] == (ALL & 0xFFFF_FFFF,) * 2
    unknown = header(0, 1)
    assert host.capget(unknown, None) == 0, "a program asks which one there is"
    assert struct.unpack_from("<I", unknown)[0] == VERSION_3
    unknown = header(0, 1)
    assert error_of(host.capget, unknown, raw) == "EINVAL"
    assert error_of(host.capset, header(0, 1), bytes(24)) == "EINVAL"
    assert error_of(host.capget, 16, raw) == "EFAULT"


@booted
def test_the_bounding_set(machine: Machine) -> None:
    def main(program: Program) -> None:
        assert ask(program, READ_BOUND, NET_RAW) == 1
        ask(program, DROP_BOUND, NET_RAW)
        assert ask(program, READ_BOUND, NET_RAW) == 0 and ask(program, READ_BOUND, KILL) == 1
        assert sets(program)[1] == ALL, "what it has it keeps"
        assert error_of(set_sets, program, ALL, ALL, bits(NET_RAW)) == "EPERM"
        for option in (READ_BOUND, DROP_BOUND):
            for unknown in (LAST + 1, -1):
                assert error_of(ask, program, option, unknown) == "EINVAL"
        set_sets(program, ALL & ~bits(SET_PCAP), ALL, 0)
        assert error_of(ask, program, DROP_BOUND, LAST + 1) == "EPERM"

    assert machine.run(main) == 0


@booted
def test_ambient_ones_need_both_sets(machine: Machine) -> None:
    def main(program: Program) -> None:
        assert error_of(ask, program, AMBIENT, RAISE, KILL) == "EPERM"  # not inheritable
        set_sets(program, ALL, ALL, bits(KILL, NET_RAW))
        for each in (KILL, NET_RAW):
            ask(program, AMBIENT, RAISE, each)
            assert ask(program, AMBIENT, IS_SET, each) == 1
        set_sets(program, ALL, ALL, bits(NET_RAW))
        assert ask(program, AMBIENT, IS_SET, KILL) == 0, "it goes with the inheritable one"
        ask(program, AMBIENT, LOWER, KILL)
        ask(program, AMBIENT, LOWER, NET_RAW)
        assert ask(program, AMBIENT, IS_SET, NET_RAW) == 0
        ask(program, AMBIENT, RAISE, NET_RAW)
        ask(program, AMBIENT, CLEAR_ALL)
        assert ask(program, AMBIENT, IS_SET, NET_RAW) == 0
        ask(program, SET_BITS, NO_RAISE)
        assert error_of(ask, program, AMBIENT, RAISE, NET_RAW) == "EPERM"

    assert machine.run(main) == 0


@booted
def test_ambient_arguments(machine: Machine) -> None:
    host = machine.host
    for arguments in ((IS_SET, LAST + 1), (5, KILL), (0, KILL), (CLEAR_ALL, 1), (IS_SET, KILL, 1)):
        assert error_of(ask, host, AMBIENT, *arguments) == "EINVAL", arguments


@booted
def test_secure_bits_and_their_locks(machine: Machine) -> None:
    def main(program: Program) -> None:
        ask(program, SET_BITS, NO_ROOT | NO_ROOT_LOCKED)
        assert ask(program, GET_BITS) == NO_ROOT | NO_ROOT_LOCKED
        assert error_of(ask, program, SET_BITS, NO_ROOT) == "EPERM"  # a lock stays
        assert error_of(ask, program, SET_BITS, NO_ROOT_LOCKED) == "EPERM"  # and what it locks
        assert error_of(ask, program, SET_BITS, NO_ROOT | NO_ROOT_LOCKED | 1 << 20) == "EPERM"
        ask(program, SET_KEEP, 1)
        assert ask(program, GET_BITS) == NO_ROOT | NO_ROOT_LOCKED | KEEP and ask(program, GET_KEEP) == 1
        ask(program, SET_KEEP, 0)
        assert error_of(ask, program, SET_KEEP, 2) == "EINVAL"
        ask(program, SET_BITS, NO_ROOT | NO_ROOT_LOCKED | KEEP_LOCKED)
        assert error_of(ask, program, SET_KEEP, 1) == "EPERM" and ask(program, GET_KEEP) == 0
        set_sets(program, 0, ALL, 0)
        assert error_of(ask, program, SET_BITS, NO_ROOT | NO_ROOT_LOCKED | KEEP_LOCKED) == "EPERM"  # CAP_SETPCAP

    assert machine.run(main) == 0


@booted
def test_a_capability_that_is_not_effective_does_nothing(machine: Machine) -> None:
    host = machine.host
    host.mkdir("/tmp/place", 0o755)

    def main(program: Program) -> None:
        set_sets(program, ALL & ~bits(SYS_ADMIN), ALL, 0)
        assert error_of(program.mount, "none", "/tmp/place", "tmpfs", 0, None) == "EPERM"
        set_sets(program, ALL, ALL, 0)
        assert program.mount("none", "/tmp/place", "tmpfs", 0, None) == 0

    assert machine.run(main) == 0
