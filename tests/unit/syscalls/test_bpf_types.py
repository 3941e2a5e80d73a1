"""Descriptions of types (BTF) on a booted machine: loaded, told of, and named by maps and programs. What is expected is
what Linux answers (the case bpf_types).
"""

from __future__ import annotations

import errno
import struct

from kernel.bpf.btf import DESCRIPTIONS
from tests.unit.booted import booted
from tests.unit.bpf.assembler import LEAVE, R0, mov, raw
from tests.unit.bpf.test_btf import DATASEC, FUNC, PROTO, SECTION_NAME, STRUCT, VAR, WORD, A, blob, kind
from tests.unit.syscalls.test_bpf import DEVICES, Calls
from tools.simulated.machine import Machine

ARRAY, HASH, QUEUE, BLOOM = 2, 1, 22, 30
TYPES = (
    WORD + kind(A, STRUCT, 8, A, 1, 0, 0, 1, 32, length=2) + kind(0, PROTO, 1) + kind(19, FUNC, 3)
    + kind(A, VAR, 1, 1) + kind(SECTION_NAME, DATASEC, 8, 5, 0, 4, length=1)
)  # fmt: skip
"""1 an integer, 2 a struct of 8 bytes, 3 a prototype, 4 a function, 5 a variable, 6 a section of 8 bytes."""
CALLING = raw(0x85, 0, 1, constant=1) + LEAVE + mov(R0, 1) + LEAVE


class Types(Calls):
    def types(self, data: bytes, level: int = 0) -> int:
        log, size = (self.memory + 8192, 1000) if level else (0, 0)
        attributes = struct.pack("<QQIIIIII", self.at(20000, data), log, len(data), size, level, 0, 0, 0)
        return self.answers.bpf(18, attributes, len(attributes))

    def information(self, fd: int, given: bytes) -> tuple[int, bytes]:
        result = self.answers.bpf(15, struct.pack("<IIQ", fd, len(given), self.at(30000, given)), 16)
        return result, self.program.load(self.memory + 30000, len(given))

    def described_map(self, form: int, key_size: int, value_size: int, fd: int, key: int, value: int) -> int:
        attributes = bytearray(80)
        struct.pack_into("<4I", attributes, 0, form, key_size, value_size, 1)
        struct.pack_into("<3I", attributes, 48, fd, key, value)
        return self.answers.bpf(0, bytes(attributes), 80)

    def described(self, fd: int, functions: list[int], lines: list[int], size: int = 8) -> int:
        attributes = bytearray(148)
        struct.pack_into("<IIQQ", attributes, 0, DEVICES, 4, self.at(4096, CALLING), self.at(0, b"GPL\0"))
        packed = struct.pack(f"<{len(functions)}I", *functions)
        struct.pack_into("<IIQI", attributes, 72, fd, size, self.at(9000, packed), len(packed) // max(size, 1))
        packed = struct.pack(f"<{len(lines)}I", *lines)
        struct.pack_into("<IQI", attributes, 92, 16, self.at(9500, packed), len(packed) // 16)
        return self.answers.bpf(5, bytes(attributes), 148)


@booted
def test_types_are_loaded_and_told_of(machine: Machine) -> None:
    calls = Types(machine.host)
    data = blob(TYPES)
    fd = calls.types(data)
    assert fd > 0
    result, seen = calls.information(fd, struct.pack("<QIIQII", calls.memory + 40000, 1000, 0, 0, 0, 9))
    _, size, number, _, name, of_kernel = struct.unpack("<QIIQII", seen)
    assert (result, size, name, of_kernel) == (0, len(data), 0, 0) and DESCRIPTIONS.by_number[number].data == data
    assert calls.program.load(calls.memory + 40000, len(data)) == data
    other = calls.answers.bpf(19, struct.pack("<I", number), 4)
    assert other > 0 and calls.answers.bpf(19, struct.pack("<I", number + 1), 4) == -errno.ENOENT
    calls.answers.close(fd)
    assert number in DESCRIPTIONS.by_number
    calls.answers.close(other)
    assert number not in DESCRIPTIONS.by_number
    assert calls.types(data[:-1]) == -errno.EINVAL
    assert calls.types(blob(kind(0, 31, 0)), level=1) == -errno.EINVAL
    assert "Invalid kind" in calls.log()


@booted
def test_types_of_maps(machine: Machine) -> None:
    calls = Types(machine.host)
    fd = calls.types(blob(TYPES))
    btf = next(iter(DESCRIPTIONS.by_number.values()))
    for form, key_size, value_size, key, value, expected in (
        (ARRAY, 4, 8, 1, 2, 0), (ARRAY, 4, 8, 1, 1, errno.EINVAL), (ARRAY, 4, 8, 2, 2, errno.EINVAL),
        (ARRAY, 4, 8, 1, 0, errno.EINVAL), (ARRAY, 4, 8, 0, 6, 0), (ARRAY, 4, 8, 0, 2, errno.EINVAL),
        (HASH, 4, 8, 1, 2, 0), (HASH, 4, 8, 0, 2, errno.EINVAL), (HASH, 4, 8, 99, 2, errno.EINVAL),
        (8, 4, 4, 1, 1, 524), (3, 4, 4, 1, 1, 0), (BLOOM, 0, 8, 0, 2, 0), (QUEUE, 0, 8, 0, 2, errno.EINVAL),
    ):  # fmt: skip
        made = calls.described_map(form, key_size, value_size, fd, key, value)
        assert made == -expected if expected else made > 0, (form, key, value)
        if made > 0:
            _, seen = calls.information(made, bytes(88))
            assert struct.unpack_from("<III", seen, 64) == (btf.identifier, key, value)
            calls.answers.close(made)
    assert btf.users == 1
    assert calls.described_map(ARRAY, 4, 8, 999, 1, 2) == -errno.EBADF


@booted
def test_types_of_programs(machine: Machine) -> None:
    calls = Types(machine.host)
    fd = calls.types(blob(TYPES))
    btf = next(iter(DESCRIPTIONS.by_number.values()))
    good, lines = [0, 4, 2, 4], [0, 5, 5, 1 << 10, 2, 5, 5, 2 << 10]
    program = calls.described(fd, good, lines)
    assert program > 0 and btf.users == 2
    given = bytearray(232)
    struct.pack_into("<IQII", given, 132, 8, calls.memory + 41000, 2, 2)
    struct.pack_into("<Q", given, 152, calls.memory + 42000)
    struct.pack_into("<I", given, 172, 16)
    result, seen = calls.information(program, bytes(given))
    assert result == 0 and struct.unpack_from("<I", seen, 128) == (btf.identifier,)
    assert struct.unpack_from("<II", seen, 144) == (2, 2)
    assert struct.unpack("<4I", calls.program.load(calls.memory + 41000, 16)) == tuple(good)
    assert struct.unpack("<8I", calls.program.load(calls.memory + 42000, 32)) == tuple(lines)
    struct.pack_into("<I", given, 132, 12)
    assert calls.information(program, bytes(given))[0] == -errno.EINVAL
    calls.answers.close(program)
    assert btf.users == 1
    for functions, said in (
        ([0, 4], errno.EINVAL), ([1, 4, 2, 4], errno.EINVAL), ([0, 4, 0, 4], errno.EINVAL),
        ([0, 3, 2, 4], errno.EINVAL), ([0, 4, 1, 4], errno.EINVAL),
    ):  # fmt: skip
        assert calls.described(fd, functions, []) == -said, functions
    for wrong in ([0, 5, 5, 1], [0, 5, 5, 1, 9, 5, 5, 1], [1, 5, 5, 1, 2, 5, 5, 1], [0, 5, 5, 1, 2, 4000, 5, 1]):
        assert calls.described(fd, good, wrong) == -errno.EINVAL, wrong
    assert calls.described(fd, [0, 4, 7, 2, 4, 0], [], size=12) == -errno.E2BIG
    assert calls.described(0, good, []) in (-errno.EINVAL, -errno.EBADF)
    assert btf.users == 1
