"""utimensat(2) and its kin, on a booted machine."""

from __future__ import annotations

import os
import struct

from tests.unit.booted import booted
from tests.unit.errors import error_of
from tools.simulated.machine import Machine
from tools.simulated.program import Program

HERE, NO_FOLLOW, EMPTY_PATH = -100, 0x100, 0x1000
NOW, OMIT = (1 << 30) - 1, (1 << 30) - 2
NS = 10**9


def make(program: Program, path: str = "/tmp/file", mode: int = 0o644) -> int:
    return program.open(path, os.O_RDWR | os.O_CREAT, mode)


def times(program: Program, path: str) -> tuple[int, int]:
    """When it was accessed and modified, in nanoseconds."""
    raw = bytearray(144)
    program.lstat(path, raw)
    accessed_s, accessed_ns, modified_s, modified_ns = struct.unpack_from("<4q", raw, 72)
    return accessed_s * NS + accessed_ns, modified_s * NS + modified_ns


def now(program: Program) -> int:
    raw = bytearray(16)
    program.clock_gettime(0, raw)
    seconds, nanoseconds = struct.unpack("<qq", raw)
    return int(seconds * NS + nanoseconds)


def pair(accessed: tuple[int, int], modified: tuple[int, int]) -> bytes:
    return struct.pack("<4q", *accessed, *modified)


@booted
def test_both_times_one_or_none(machine: Machine) -> None:
    host = machine.host
    make(host)
    host.utimensat(HERE, "/tmp/file", pair((5, 6), (7, 8)), 0)
    assert times(host, "/tmp/file") == (5 * NS + 6, 7 * NS + 8)
    host.utimensat(HERE, "/tmp/file", pair((0, OMIT), (-3, 9)), 0)
    assert times(host, "/tmp/file") == (5 * NS + 6, -3 * NS + 9), "before 1970 there was time, too"
    start = now(host)
    host.utimensat(HERE, "/tmp/file", pair((0, NOW), (0, OMIT)), 0)
    accessed, modified = times(host, "/tmp/file")
    assert start - NS <= accessed <= now(host) and modified == -3 * NS + 9
    host.utimensat(HERE, "/tmp/file", None, 0)
    assert min(times(host, "/tmp/file")) >= start - NS


@booted
def test_the_older_calls(machine: Machine) -> None:
    host = machine.host
    make(host)
    host.utime("/tmp/file", struct.pack("<qq", 11, 12))
    assert times(host, "/tmp/file") == (11 * NS, 12 * NS)
    host.utimes("/tmp/file", pair((13, 14), (15, 999_999)))
    assert times(host, "/tmp/file") == (13 * NS + 14_000, 15 * NS + 999_999_000)
    host.futimesat(HERE, "/tmp/file", pair((1, 0), (2, 0)))
    assert times(host, "/tmp/file") == (NS, 2 * NS)
    for microseconds in (-1, 1_000_000):
        assert error_of(host.utimes, "/tmp/file", pair((0, microseconds), (0, 0))) == "EINVAL"
    assert times(host, "/tmp/file") == (NS, 2 * NS)


@booted
def test_a_descriptor_and_a_link(machine: Machine) -> None:
    host = machine.host
    descriptor = make(host)
    host.symlink("/tmp/file", "/tmp/link")
    host.utimensat(descriptor, None, pair((1, 0), (1, 0)), 0)
    host.utimensat(HERE, "/tmp/link", pair((2, 0), (2, 0)), NO_FOLLOW)
    assert times(host, "/tmp/file") == (NS, NS) and times(host, "/tmp/link")[1] == 2 * NS
    host.utimensat(HERE, "/tmp/link", pair((3, 0), (3, 0)), 0)
    assert times(host, "/tmp/file") == (3 * NS, 3 * NS)
    host.utimensat(descriptor, "", pair((4, 0), (4, 0)), EMPTY_PATH)
    assert times(host, "/tmp/file") == (4 * NS, 4 * NS)
    assert error_of(host.utimensat, descriptor, "", pair((4, 0), (4, 0)), 0) == "ENOENT"
    assert error_of(host.utimensat, descriptor, None, None, EMPTY_PATH) == "EINVAL"
    assert error_of(host.utimensat, HERE, None, None, 0) == "EFAULT"
    assert error_of(host.utimensat, 99, None, None, 0) == "EBADF"


@booted
def test_which_error_comes_first(machine: Machine) -> None:
    host = machine.host
    make(host)
    bad = pair((0, NS), (0, 0))
    assert error_of(host.utimensat, HERE, "/tmp/file", bad, 0) == "EINVAL"
    assert error_of(host.utimensat, HERE, "/tmp/none", bad, 0) == "ENOENT"
    assert error_of(host.utimensat, HERE, "/tmp/file", 16, 0) == "EFAULT"
    assert error_of(host.utimensat, HERE, "/tmp/file", pair((0, 0), (0, 0)), 0x200) == "EINVAL"
    assert host.utimensat(HERE, "/tmp/none", pair((0, OMIT), (0, OMIT)), 0x200) == 0, "nothing is to be done"


@booted
def test_who_may(machine: Machine) -> None:
    """The owner sets any times; whoever may write the file sets both to now, and no more."""
    host = machine.host
    make(host, "/tmp/open")
    make(host, "/tmp/closed")
    host.chmod("/tmp/open", 0o666)
    make(host, "/tmp/own")
    host.chown("/tmp/own", 1000, 1000)
    host.chmod("/tmp/own", 0o400)

    def plain(program: Program) -> None:
        program.setresgid(1000, 1000, 1000)
        program.setresuid(1000, 1000, 1000)
        assert program.utimensat(HERE, "/tmp/own", pair((1, 0), (1, 0)), 0) == 0
        assert program.utimensat(HERE, "/tmp/open", None, 0) == 0
        assert program.utimensat(HERE, "/tmp/open", pair((0, NOW), (0, NOW)), 0) == 0
        assert error_of(program.utimensat, HERE, "/tmp/open", pair((1, 0), (1, 0)), 0) == "EPERM"
        assert error_of(program.utimensat, HERE, "/tmp/open", pair((0, NOW), (0, OMIT)), 0) == "EPERM"
        assert error_of(program.utimensat, HERE, "/tmp/closed", None, 0) == "EACCES"

    assert machine.run(plain) == 0
    host.mkdir("/tmp/still", 0o755)
    host.mount("none", "/tmp/still", "tmpfs", 0, None)
    host.close(make(host, "/tmp/still/file"))
    host.mount("none", "/tmp/still", None, 32 | 1, None)  # MS_REMOUNT, MS_RDONLY
    assert error_of(host.utimensat, HERE, "/tmp/still/file", None, 0) == "EROFS"
