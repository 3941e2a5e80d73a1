"""bpf(2) on a booted machine: kinds of maps, objects in maps, commands on many keys. What is expected is what Linux
answers (the cases bpf_kinds and bpf_calls).
"""

from __future__ import annotations

import errno
import struct

import pytest

from kernel.bpf.kept_maps import MAPS
from kernel.bpf.program import KEPT
from tests.unit.booted import booted
from tests.unit.bpf.assembler import LEAVE, R0, R2, R3, call, map_, mov
from tests.unit.syscalls.test_bpf import Calls
from tools.simulated.machine import Machine

HASH, ARRAY, PROGRAMS, PERCPU_HASH, PERCPU_ARRAY, GROUPS, LRU, PREFIXES = 1, 2, 3, 5, 6, 8, 9, 11
ARRAY_OF_MAPS, HASH_OF_MAPS, QUEUE, STACK, BLOOM = 12, 13, 22, 23, 30
UNSUPPORTED = 524


def word(number: int) -> bytes:
    return struct.pack("<I", number & 0xFFFF_FFFF)


class Maps(Calls):
    """The same, with what these kinds need."""

    def look(self, fd: int, key: bytes, size: int = 8) -> bytes | int:
        result = self.element(1, fd, key, bytes(size))
        return self.value(size) if result == 0 else -result

    def put(self, fd: int, key: bytes, value: bytes, flags: int = 0) -> int:
        return -self.element(2, fd, key, value, flags)

    def take(self, fd: int, key: bytes, size: int = 8) -> bytes | int:
        result = self.element(21, fd, key, bytes(size))
        return self.value(size) if result == 0 else -result

    def drop(self, fd: int, key: bytes) -> int:
        return -self.element(3, fd, key)

    def keyless(self, command: int, fd: int, value: bytes, flags: int = 0) -> bytes | int:
        attributes = struct.pack("<QQQQ", fd, 0, self.at(1024, value), flags)
        result = self.answers.bpf(command, attributes, 32)
        return self.value(len(value)) if result == 0 else -result

    def create_like(self, kind: int, inner: int) -> int:
        return self.answers.bpf(0, struct.pack("<6I", kind, 4, 4, 2, 0, inner), 24)

    def batch(self, command: int, fd: int, count: int, first: int | None = None, flags: int = 0) -> tuple[int, int]:
        """The error, and how many keys were done: keys lie at 2048, values at 3072, the position at 1024."""
        start = 0 if first is None else self.at(1000, word(first))
        memory = self.memory
        attributes = bytearray(
            struct.pack("<QQQQIIQQ", start, memory + 1024, memory + 2048, memory + 3072, count, fd, flags, 0)
        )
        result = self.answers.bpf(command, attributes, 56)
        return -result, struct.unpack("<I", attributes[32:36])[0]

    def keys(self, count: int) -> list[int]:
        return list(struct.unpack(f"<{count}I", self.program.load(self.memory + 2048, 4 * count)))

    def position(self) -> int:
        return int(struct.unpack("<I", self.program.load(self.memory + 1024, 4))[0])


@booted
def test_values_of_processors(machine: Machine) -> None:
    maps = Maps(machine.host)
    for kind in (PERCPU_ARRAY, PERCPU_HASH):
        fd = maps.create(kind, 4, 5, 3)
        assert maps.put(fd, word(1), b"abcdefgh") == 0
        assert maps.look(fd, word(1)) == b"abcdefgh"
        assert maps.put(fd, word(1), b"abcdefgh", 1) == errno.EEXIST
        assert maps.put(fd, word(1), b"abcdefgh", 4) == errno.EINVAL
        assert maps.take(fd, word(1)) == (UNSUPPORTED if kind == PERCPU_ARRAY else b"abcdefgh")


@booted
def test_what_can_be_created(machine: Machine) -> None:
    maps = Maps(machine.host)
    refused = {
        (PERCPU_ARRAY, 4, 32769, 3, 0): errno.E2BIG, (PERCPU_HASH, 4, 8, 3, 2): errno.EINVAL,
        (LRU, 4, 8, 3, 1): UNSUPPORTED, (PREFIXES, 8, 8, 3, 0): errno.EINVAL, (PREFIXES, 261, 8, 3, 1): errno.EINVAL,
        (QUEUE, 4, 8, 3, 0): errno.EINVAL, (STACK, 0, 8, 3, 24): errno.EINVAL, (BLOOM, 4, 8, 3, 0): errno.EINVAL,
        (PROGRAMS, 4, 8, 3, 0): errno.EINVAL, (PROGRAMS, 4, 4, 3, 128): errno.EINVAL, (14, 4, 4, 3, 0): errno.EINVAL,
    }  # fmt: skip
    for form, error in refused.items():
        assert maps.create(*form) == -error, form
    for form in ((PREFIXES, 260, 8, 3, 1), (BLOOM, 0, 8, 3, 64), (PROGRAMS, 4, 4, 3, 8), (GROUPS, 4, 4, 3, 0)):
        assert maps.create(*form) >= 0, form


@booted
def test_queues_and_filters(machine: Machine) -> None:
    maps = Maps(machine.host)
    for kind, expected in ((QUEUE, [2, 3, 4]), (STACK, [4, 3, 2])):
        fd = maps.create(kind, 0, 4, 3)
        for number in (1, 2, 3):
            maps.keyless(2, fd, word(number))
        assert maps.keyless(2, fd, word(4)) == errno.E2BIG
        assert maps.put(fd, word(0), word(4), 2) == errno.EINVAL  # there are no keys
        assert maps.keyless(2, fd, word(4), 2) == word(4)
        assert maps.drop(fd, word(0)) == errno.EINVAL
        assert maps.keyless(1, fd, bytes(4)) == word(expected[0])
        assert [maps.keyless(21, fd, bytes(4)) for _ in range(4)] == [*map(word, expected), errno.ENOENT]
    fd = maps.create(BLOOM, 0, 4, 100)
    assert maps.keyless(1, fd, word(7)) == errno.ENOENT
    assert maps.keyless(2, fd, word(7), 2) == errno.EINVAL
    assert maps.keyless(2, fd, word(7)) == maps.keyless(1, fd, word(7)) == word(7)


@booted
@pytest.mark.parametrize("kind", [ARRAY_OF_MAPS, HASH_OF_MAPS])
def test_maps_in_maps(machine: Machine, kind: int) -> None:
    maps = Maps(machine.host)
    before = len(MAPS.by_number)
    inner, wrong, programs = maps.create(HASH, 4, 8, 3), maps.create(ARRAY, 4, 8, 3), maps.create(PROGRAMS, 4, 4, 3)
    assert maps.create_like(kind, programs) == -UNSUPPORTED
    assert maps.create_like(kind, 0) == -errno.EINVAL and maps.create_like(kind, 999) == -errno.EBADF
    outer = maps.create_like(kind, inner)
    assert maps.create_like(kind, outer) == -errno.EINVAL
    assert maps.put(outer, word(1), word(wrong)) == errno.EINVAL
    assert maps.put(outer, word(1), word(999)) == errno.EBADF
    assert maps.put(outer, word(1), word(inner)) == 0
    number = maps.look(outer, word(1), 4)
    assert isinstance(number, bytes)
    held = MAPS.by_number[struct.unpack("<I", number)[0]]
    assert held.users == 2 and held.openers == 1
    machine.host.close(inner)
    assert held.users == 1 and maps.take(outer, word(1), 4) == UNSUPPORTED
    assert maps.drop(outer, word(1)) == 0 and held.users == 0
    assert maps.drop(outer, word(1)) == errno.ENOENT
    for fd in (wrong, programs, outer):
        machine.host.close(fd)
    assert len(MAPS.by_number) == before


@booted
def test_programs_in_maps(machine: Machine) -> None:
    maps = Maps(machine.host)
    before = len(KEPT.programs), len(MAPS.by_number)
    array = maps.create(PROGRAMS, 4, 4, 3)
    program = maps.load(mov(R0, 1) + LEAVE)
    assert maps.put(array, word(1), word(array)) == errno.EINVAL
    assert maps.put(array, word(3), word(program)) == errno.E2BIG
    assert maps.put(array, word(1), word(program), 1) == errno.EINVAL
    assert maps.put(array, word(1), word(program)) == 0
    assert maps.look(array, word(0), 4) == errno.ENOENT
    assert isinstance(maps.look(array, word(1), 4), bytes)
    # One that goes on in itself is let go of with the last descriptor of the array.
    again = maps.load(map_(R2, array) + mov(R3, 2) + call(12) + mov(R0, 1) + LEAVE)
    assert again >= 0 and maps.put(array, word(2), word(again)) == 0
    for fd in (program, again, array):
        machine.host.close(fd)
    machine.host.nanosleep(struct.pack("<qq", 0, 1_000_000), None)  # the thread "async" lets go of them
    assert (len(KEPT.programs), len(MAPS.by_number)) == before


@booted
def test_many_keys_of_an_array(machine: Machine) -> None:
    maps = Maps(machine.host)
    fd = maps.create(ARRAY, 4, 8, 10)
    maps.at(2048, b"".join(map(word, range(16))))
    maps.at(3072, b"".join(struct.pack("<Q", 10 * number) for number in range(16)))
    assert maps.batch(26, fd, 16) == (errno.E2BIG, 10)
    assert maps.batch(26, fd, 5, flags=1) == (errno.EINVAL, 5)
    assert maps.batch(26, fd, 0) == (0, 0)
    assert maps.batch(24, fd, 4) == (0, 4) and maps.keys(4) == [0, 1, 2, 3] and maps.position() == 3
    assert maps.batch(24, fd, 4, first=3) == (0, 4) and maps.keys(4) == [4, 5, 6, 7]
    assert maps.batch(24, fd, 4, first=7) == (errno.ENOENT, 2) and maps.position() == 9
    assert maps.batch(27, fd, 4) == (UNSUPPORTED, 4) and maps.batch(25, fd, 4) == (UNSUPPORTED, 4)


@booted
@pytest.mark.parametrize("kind", [HASH, LRU])
def test_many_keys_of_a_table(machine: Machine, kind: int) -> None:
    maps = Maps(machine.host)
    fd = maps.create(kind, 4, 8, 10)
    maps.at(2048, b"".join(map(word, range(10))))
    assert maps.batch(26, fd, 10) == (0, 10)
    found: list[int] = []
    error, count = maps.batch(24, fd, 3)
    while True:
        found += maps.keys(count)
        if error != 0:
            break
        error, count = maps.batch(24, fd, 3, first=maps.position())
    assert error == errno.ENOENT and sorted(found) == list(range(10))
    assert maps.batch(24, fd, 3, first=0xFFFF_FFF0) == (errno.ENOENT, 0)
    maps.at(2048, b"".join(map(word, (1, 2, 77, 3))))
    assert maps.batch(27, fd, 4) == (errno.ENOENT, 2)
    assert maps.batch(25, fd, 16) == (errno.ENOENT, 8)
    assert maps.batch(25, fd, 16) == (errno.ENOENT, 0)


@booted
def test_prefixes(machine: Machine) -> None:
    maps = Maps(machine.host)
    fd = maps.create(PREFIXES, 8, 8, 2, 1)
    wide, narrow = word(8) + bytes([10, 9, 8, 7]), word(24) + bytes([10, 0, 0, 0])
    assert maps.put(fd, wide, b"wide....") == maps.put(fd, narrow, b"narrow..") == 0
    assert maps.put(fd, word(0) + bytes(4), bytes(8)) == errno.ENOSPC
    assert maps.look(fd, word(32) + bytes([10, 0, 0, 5])) == b"narrow.."
    assert maps.look(fd, word(32) + bytes([10, 0, 1, 5])) == b"wide...."
    assert maps.look(fd, word(33) + bytes([10, 0, 1, 5])) == errno.ENOENT
    assert maps.take(fd, wide) == UNSUPPORTED and maps.drop(fd, wide) == 0
