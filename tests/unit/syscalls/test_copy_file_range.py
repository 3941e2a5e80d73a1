"""copy_file_range(2), on a booted machine."""

from __future__ import annotations

import os
import struct

from tests.unit.booted import booted
from tests.unit.errors import error_of
from tools.simulated.machine import Machine
from tools.simulated.program import Program

TEXT = bytes(range(256)) * 40


def file_of(program: Program, name: str, text: bytes = b"", flags: int = os.O_RDWR) -> int:
    descriptor = program.open(f"/tmp/{name}", os.O_RDWR | os.O_CREAT, 0o600)
    program.write(descriptor, text, len(text))
    program.close(descriptor)
    return program.open(f"/tmp/{name}", flags)


def offset(value: int) -> bytearray:
    return bytearray(struct.pack("<q", value))


def content(program: Program, descriptor: int) -> bytes:
    raw = bytearray(3 * len(TEXT))
    return bytes(raw[: program.pread64(descriptor, raw, len(raw), 0)])


def position(program: Program, descriptor: int) -> int:
    return program.lseek(descriptor, 0, os.SEEK_CUR)


@booted
def test_positions_move_unless_offsets_are_given(machine: Machine) -> None:
    host = machine.host
    source, target = file_of(host, "source", TEXT), file_of(host, "target")
    assert host.copy_file_range(source, None, target, None, 5000, 0) == 5000
    assert (position(host, source), position(host, target)) == (5000, 5000)
    start, place = offset(1000), offset(6000)
    assert host.copy_file_range(source, start, target, place, 10, 0) == 10
    assert (start, place) == (offset(1010), offset(6010))
    assert (position(host, source), position(host, target)) == (5000, 5000)
    assert content(host, target) == TEXT[:5000] + bytes(1000) + TEXT[1000:1010]


@booted
def test_it_ends_with_the_source(machine: Machine) -> None:
    host = machine.host
    source, target = file_of(host, "source", TEXT), file_of(host, "target")
    assert host.copy_file_range(source, offset(len(TEXT) - 7), target, None, 1 << 40, 0) == 7
    assert host.copy_file_range(source, offset(len(TEXT)), target, None, 5, 0) == 0
    assert host.copy_file_range(source, offset(len(TEXT) + 9), target, None, 5, 0) == 0
    assert host.copy_file_range(source, None, target, None, 0, 0) == 0
    assert content(host, target) == TEXT[-7:]


@booted
def test_within_one_file_ranges_are_apart(machine: Machine) -> None:
    host = machine.host
    both = file_of(host, "both", TEXT)
    assert error_of(host.copy_file_range, both, offset(0), both, offset(99), 100, 0) == "EINVAL"
    assert error_of(host.copy_file_range, both, offset(99), both, offset(0), 100, 0) == "EINVAL"
    assert host.copy_file_range(both, offset(0), both, offset(100), 100, 0) == 100
    end = len(TEXT)
    assert host.copy_file_range(both, offset(end - 50), both, offset(end), 100, 0) == 50, "there are only 50 more"
    assert content(host, both) == TEXT[:100] * 2 + TEXT[200:] + TEXT[-50:]


@booted
def test_files_that_it_does_not_take(machine: Machine) -> None:
    host = machine.host
    source, target = file_of(host, "source", TEXT), file_of(host, "target")
    raw = bytearray(8)
    host.pipe2(raw, 0)
    inner, outer = struct.unpack("<ii", raw)
    folder = host.open("/tmp", os.O_RDONLY | os.O_DIRECTORY)
    host.mkdir("/tmp/other", 0o755)
    host.mount("none", "/tmp/other", "tmpfs", 0, None)
    elsewhere = file_of(host, "other/file")
    for one, other, error in (
        (source, outer, "EINVAL"), (inner, target, "EINVAL"), (folder, target, "EISDIR"), (source, folder, "EISDIR"),
        (99, target, "EBADF"), (source, 99, "EBADF"), (source, elsewhere, "EXDEV"),
        (file_of(host, "write", b"", os.O_WRONLY), target, "EBADF"),
        (source, file_of(host, "read", b"", os.O_RDONLY), "EBADF"),
        (source, file_of(host, "append", b"", os.O_RDWR | os.O_APPEND), "EBADF"),
    ):  # fmt: skip
        assert error_of(host.copy_file_range, one, None, other, None, 10, 0) == error, (one, other)
    assert content(host, target) == b""


@booted
def test_numbers(machine: Machine) -> None:
    host = machine.host
    source, target = file_of(host, "source", TEXT), file_of(host, "target")
    largest = (1 << 63) - 1
    assert error_of(host.copy_file_range, source, None, target, None, 1, 1) == "EINVAL"
    assert error_of(host.copy_file_range, source, offset(-1), target, None, 10, 0) == "EOVERFLOW"  # it wraps
    assert error_of(host.copy_file_range, source, offset(-100), target, None, 10, 0) == "EINVAL"
    assert error_of(host.copy_file_range, source, None, target, None, -1, 0) == "EINVAL"
    assert error_of(host.copy_file_range, source, None, target, offset(largest), 10, 0) == "EFBIG"
    assert error_of(host.copy_file_range, source, 16, target, None, 10, 0) == "EFAULT"


@booted
def test_the_limit_of_file_sizes(machine: Machine) -> None:
    def main(program: Program) -> None:
        source, target = file_of(program, "source", TEXT), file_of(program, "target")
        program.rt_sigaction(25, struct.pack("<4Q", 1, 0, 0, 0), None, 8)  # SIGXFSZ is ignored
        program.prlimit64(0, 1, struct.pack("<QQ", 100, 100), None)  # RLIMIT_FSIZE
        assert program.copy_file_range(source, None, target, None, 500, 0) == 100
        assert error_of(program.copy_file_range, source, None, target, None, 500, 0) == "EFBIG"

    assert machine.run(main) == 0
