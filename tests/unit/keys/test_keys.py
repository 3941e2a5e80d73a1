"""Keys and keyrings: who finds them, what they are charged, when they end; on a booted machine."""

import struct

import pytest

from kernel.keys.key import GC_DELAY, KEYS
from kernel.lib.ids import KernelUid
from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program

THREAD, PROCESS, SESSION = -1, -2, -3
JOIN, REVOKE, CHOWN, SETPERM, LINK, UNLINK, SEARCH, READ, TIMEOUT, INVALIDATE = 1, 3, 4, 5, 8, 9, 10, 11, 15, 21
SECOND_NS = 1_000_000_000


def add(program: Program, name: str, keyring: int, data: bytes = b"x", kind: str = "user") -> int:
    return program.add_key(kind, name, bytearray(data) if data else None, len(data), keyring)


def add_ring(program: Program, name: str, keyring: int) -> int:
    return add(program, name, keyring, b"", "keyring")


def run(machine: Machine, child: object) -> int:
    """Let a child run to its end, and return its status."""
    host = machine.host
    status = bytearray(4)
    host.wait4(host.fork(child), status, 0, None)  # type: ignore[arg-type]  # a function, as in the tests below
    return status[1] or status[0]


@booted
def test_keys_end_with_the_last_keyring_that_has_them(machine: Machine) -> None:
    def child(program: Program) -> int:
        program.keyctl(JOIN, 0, 0, 0, 0)
        before = len(KEYS.by_serial)
        ring = add_ring(program, "ring", SESSION)
        key = add(program, "key", ring)
        program.keyctl(LINK, key, SESSION, 0, 0)
        program.keyctl(UNLINK, ring, SESSION, 0, 0)
        assert len(KEYS.by_serial) == before + 1
        program.keyctl(UNLINK, key, SESSION, 0, 0)
        assert len(KEYS.by_serial) == before
        ring = SESSION
        for depth in range(5):
            ring = add_ring(program, f"ring{depth}", ring)
            add(program, "inside", ring)
        add(program, "of the thread", THREAD)
        add(program, "of the process", PROCESS)
        return 0

    before = len(KEYS.by_serial)
    assert run(machine, child) == 0
    assert len(KEYS.by_serial) == before and KEYS.ending is None


@booted
def test_quotas_are_those_of_the_owner_and_come_back(machine: Machine) -> None:
    def child(program: Program) -> int:
        program.setuid(1000)
        program.keyctl(JOIN, 0, 0, 0, 0)
        account = KEYS.accounts[KernelUid(1000)]
        charged = account.charged_bytes
        key = add(program, "name", SESSION, b"12345")
        assert account.charged_bytes - charged == len("name\0") + 5 + 4
        program.keyctl(REVOKE, key, 0, 0, 0)
        assert account.charged_bytes - charged == len("name\0") + 4
        program.keyctl(UNLINK, key, SESSION, 0, 0)
        assert account.charged_bytes == charged
        with pytest.raises(OSError, match="EDQUOT"):
            add(program, "large", SESSION, bytes(20000))
        count = 0
        with pytest.raises(OSError, match="EDQUOT"):
            for count in range(300):
                add(program, f"{count}", SESSION)
        assert 190 < count < 200 and account.charged_keys == 200
        return 0

    assert run(machine, child) == 0
    assert KernelUid(1000) not in KEYS.accounts


@booted
def test_an_invalidated_key_is_gone_at_once_and_an_expired_one_later(machine: Machine) -> None:
    host = machine.host
    host.keyctl(JOIN, 0, 0, 0, 0)
    key = add(host, "gone", SESSION)
    host.keyctl(INVALIDATE, key, 0, 0, 0)
    assert key not in KEYS.by_serial
    key = add(host, "late", SESSION)
    host.keyctl(TIMEOUT, key, 1, 0, 0)
    host.nanosleep(struct.pack("<QQ", 2, 0), None)
    with pytest.raises(OSError, match="EKEYEXPIRED"):
        host.keyctl(READ, key, 0, 0, 0)
    assert key in KEYS.by_serial
    GC_DELAY.values[0] = 0
    KEYS.next_dead_s = 0
    with pytest.raises(OSError, match="ENOKEY"):
        host.keyctl(READ, key, 0, 0, 0)
    assert key not in KEYS.by_serial


@booted
def test_a_key_that_changes_hands_is_charged_to_the_new_owner(machine: Machine) -> None:
    host = machine.host
    host.keyctl(JOIN, 0, 0, 0, 0)
    key = add(host, "name", SESSION, b"123")
    root = KEYS.accounts[KernelUid(0)].charged_bytes
    host.keyctl(CHOWN, key, 1234, 0xFFFFFFFF, 0)
    assert KEYS.accounts[KernelUid(1234)].charged_bytes == len("name\0") + 3
    assert KEYS.accounts[KernelUid(0)].charged_bytes == root - len("name\0") - 3
    host.keyctl(UNLINK, key, SESSION, 0, 0)
    assert KernelUid(1234) not in KEYS.accounts


@booted
def test_a_program_keeps_the_session_and_loses_the_rest(machine: Machine) -> None:
    host = machine.host
    host.keyctl(JOIN, 0, 0, 0, 0)
    add(host, "session's", SESSION)
    add(host, "process's", PROCESS)

    def child(program: Program) -> int:
        program.keyctl(SEARCH, SESSION, "user", "session's", 0)
        with pytest.raises(OSError, match="ENOKEY"):
            program.keyctl(SEARCH, PROCESS, "user", "process's", 0)
        return 0

    assert run(machine, child) == 0


@booted
def test_circles_are_refused(machine: Machine) -> None:
    host = machine.host
    host.keyctl(JOIN, 0, 0, 0, 0)
    outer = add_ring(host, "outer", SESSION)
    inner = add_ring(host, "inner", outer)
    with pytest.raises(OSError, match="EDEADL"):
        host.keyctl(LINK, outer, inner, 0, 0)
    with pytest.raises(OSError, match="EDEADL"):
        host.keyctl(LINK, outer, outer, 0, 0)
