"""Types of keys beyond those that hold what they were given; on a booted machine."""

import struct

import pytest

from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program

SESSION = -3
JOIN, UPDATE, SEARCH, READ, DH_COMPUTE = 1, 2, 10, 11, 23


def read(program: Program, key: int) -> bytes:
    buffer = bytearray(1000)
    size = program.keyctl(READ, key, buffer, len(buffer), 0)
    return bytes(buffer[:size])


def seal(program: Program, name: str, text: bytes) -> int:
    return program.add_key("encrypted", name, text, len(text), SESSION)


@booted
def test_a_sealed_key_is_loaded_from_its_text(machine: Machine) -> None:
    host = machine.host
    host.keyctl(JOIN, 0, 0, 0, 0)
    host.add_key("user", "master", b"secret", 6, SESSION)
    text = read(host, seal(host, "one", b"new user:master 32"))
    assert text.startswith(b"default user:master 32 ") and len(text) == 23 + 2 * (16 + 1 + 32 + 32)
    assert read(host, seal(host, "two", b"load " + text)) == text
    with pytest.raises(OSError, match="EINVAL"):
        seal(host, "three", b"load " + text[:-1] + (b"0" if text[-1:] != b"0" else b"1"))


@booted
def test_a_sealed_key_gets_another_master(machine: Machine) -> None:
    host = machine.host
    host.keyctl(JOIN, 0, 0, 0, 0)
    host.add_key("user", "master", b"secret", 6, SESSION)
    host.add_key("user", "other", b"another secret", 14, SESSION)
    key = seal(host, "one", b"new user:master 20")
    before = read(host, key)
    host.keyctl(UPDATE, key, b"update user:other", 17, 0)
    assert read(host, key).startswith(b"default user:other 20 ")
    host.keyctl(UPDATE, key, b"update user:master", 18, 0)
    assert read(host, key) == before
    with pytest.raises(OSError, match="EINVAL"):
        host.keyctl(UPDATE, key, b"update trusted:other", 20, 0)


@booted
def test_a_shared_secret_is_the_same_on_both_sides(machine: Machine) -> None:
    host = machine.host
    host.keyctl(JOIN, 0, 0, 0, 0)
    prime = host.add_key("user", "prime", b"\xff" * 192, 192, SESSION)
    two = host.add_key("user", "two", b"\2", 1, SESSION)
    secrets = []
    privates = [host.add_key("user", f"private{index}", bytes([7 + index] * 8), 8, SESSION) for index in range(2)]
    publics = []
    for private in privates:
        number = bytearray(192)
        assert host.keyctl(DH_COMPUTE, struct.pack("<iii", private, prime, two), number, 192, 0) == 192
        assert int.from_bytes(number, "big") == pow(2, int.from_bytes(read(host, private), "big"), (1 << 1536) - 1)
        publics.append(host.add_key("user", f"public{private}", bytes(number), 192, SESSION))
    for index in range(2):
        secret = bytearray(192)
        host.keyctl(DH_COMPUTE, struct.pack("<iii", privates[index], prime, publics[1 - index]), secret, 192, 0)
        secrets.append(bytes(secret))
    assert secrets[0] == secrets[1]


@booted
def test_a_shared_key_is_found_by_the_beginning_of_its_name(machine: Machine) -> None:
    host = machine.host
    host.keyctl(JOIN, 0, 0, 0, 0)
    key = host.add_key("psk", "NVMe one two", b"x", 1, SESSION)
    assert host.keyctl(SEARCH, SESSION, b"psk\0", b"NVMe one\0", 0) == key
    with pytest.raises(OSError, match="ENOKEY"):
        host.keyctl(SEARCH, SESSION, b"psk\0", b"NVMe two\0", 0)
