"""Keys that /sbin/request-key makes: its authority, and who waits; on a booted machine."""

import struct

import pytest

from kernel.keys.key import KEYS
from kernel.lang import EIO
from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program

PROCESS, SESSION, OF_USER, AUTHORITY, REQUESTOR = -2, -3, -4, -7, -8
GET_ID, JOIN, READ, INSTANTIATE, NEGATE, ASSUME, REJECT = 0, 1, 11, 12, 13, 16, 19
PATH = "/sbin/request-key"


def read(program: Program, key: int) -> bytes:
    buffer = bytearray(100)
    size = program.keyctl(READ, key, buffer, len(buffer), 0)
    return bytes(buffer[:size])


def install(machine: Machine, main: object) -> None:
    machine.host.mkdir("/sbin", 0o755)
    machine.install(PATH, main)  # type: ignore[arg-type]  # a function, as in the tests below


@booted
def test_a_program_makes_a_key_for_whoever_asked(machine: Machine) -> None:
    host = machine.host
    words: list[bytes] = []

    def helper(program: Program) -> int:
        words.extend(program.arguments())
        key = int(words[2])
        with pytest.raises(OSError, match="EPERM"):
            program.keyctl(INSTANTIATE, key, b"early", 5, 0)
        program.keyctl(ASSUME, key, 0, 0, 0)
        assert read(program, AUTHORITY) == b"a callout"
        assert program.request_key("user", "known", None, 0) == known
        assert program.add_key("user", "another", b"x", 1, REQUESTOR) > 0
        program.keyctl(INSTANTIATE, key, b"made", 4, 0)
        with pytest.raises(OSError, match="EPERM"):
            program.keyctl(INSTANTIATE, key, b"again", 5, 0)
        return 0

    install(machine, helper)
    host.keyctl(JOIN, 0, 0, 0, 0)
    known = host.add_key("user", "known", b"x", 1, PROCESS)
    host.keyctl(GET_ID, OF_USER, 0, 0, 0)  # they are made when they are first needed, and stay
    before = len(KEYS.by_serial)
    key = host.request_key("user", "wanted", "a callout", SESSION)
    assert words[:2] == [PATH.encode(), b"create"] and int(words[2]) == key and words[3:6] == [b"0", b"0", b"0"]
    assert read(host, key) == b"made"
    assert len(KEYS.by_serial) == before + 2  # the key, and the other one: authority and session have ended
    assert host.request_key("user", "wanted", "a callout", 0) == key


@booted
def test_a_key_that_was_refused_or_forgotten_is_negative(machine: Machine) -> None:
    host = machine.host
    runs: list[bytes] = []

    def helper(program: Program) -> int:
        key = int(program.arguments()[2])
        program.keyctl(ASSUME, key, 0, 0, 0)
        callout = read(program, AUTHORITY)
        runs.append(callout)
        if callout == b"reject":
            program.keyctl(REJECT, key, 30, EIO, 0)
        elif callout == b"negate":
            program.keyctl(NEGATE, key, 30, 0, 0)
        return 0

    install(machine, helper)
    host.keyctl(JOIN, 0, 0, 0, 0)
    for callout, error in (("reject", "EIO"), ("negate", "ENOKEY"), ("forget", "ENOKEY")):
        for _ in range(2):
            with pytest.raises(OSError, match=error):
                host.request_key("user", callout, callout, SESSION)
    assert runs == [b"reject", b"negate", b"forget"]


@booted
def test_there_may_be_no_program(machine: Machine) -> None:
    host = machine.host
    host.keyctl(JOIN, 0, 0, 0, 0)
    with pytest.raises(OSError, match="ENOENT"):
        host.request_key("user", "none", "info", SESSION)
    with pytest.raises(OSError, match="ENOKEY"):
        host.request_key("user", "none", "info", SESSION)


@booted
def test_others_wait_for_a_key_that_is_being_made(machine: Machine) -> None:
    host = machine.host
    read_end = bytearray(8)
    host.pipe2(read_end, 0)
    gate, opener = struct.unpack("<ii", read_end)
    asked: list[int] = []

    def helper(program: Program) -> int:
        key = int(program.arguments()[2])
        asked.append(key)
        program.keyctl(ASSUME, key, 0, 0, 0)
        program.nanosleep(struct.pack("<QQ", 1, 0), None)
        program.keyctl(INSTANTIATE, key, b"late", 4, 0)
        return 0

    def child(program: Program) -> int:
        key = program.request_key("user", "slow", "info", SESSION)
        assert read(program, key) == b"late"
        program.write(opener, b"x", 1)
        return 0

    install(machine, helper)
    host.keyctl(JOIN, 0, 0, 0, 0)
    for _ in range(2):
        host.fork(child)
    for _ in range(2):
        host.read(gate, bytearray(1), 1)
    assert len(asked) == 1
