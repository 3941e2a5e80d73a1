"""BPF_OBJ_PIN and BPF_OBJ_GET on a booted machine."""

from __future__ import annotations

import errno
import os
import struct

import pytest

from kernel.bpf.kept_maps import MAPS
from kernel.bpf.program import KEPT
from tests.unit.booted import booted
from tests.unit.scarcity import check_each
from tests.unit.syscalls.test_bpf import ALLOW, Calls
from tests.unit.syscalls.test_files import read_all
from tools.simulated.machine import Machine
from tools.simulated.program import Program

PIN, GET = 6, 7
FROM_DESCRIPTOR, READ_ONLY, WRITE_ONLY = 0x4000, 8, 16


class PinCalls(Calls):
    """The same for names in a file system at /pins."""

    def __init__(self, program: Program) -> None:
        super().__init__(program)
        program.mkdir("/pins", 0o755)
        program.mount("none", "/pins", "bpf", 0, 0)

    def attributes(self, name: str, fd: int, flags: int, at: int) -> bytes:
        return struct.pack("<QiIi", self.at(0, name.encode() + b"\0"), fd, flags, at)

    def pin(self, fd: int, name: str, flags: int = 0, at: int = 0) -> int:
        return self.answers.bpf(PIN, self.attributes(name, fd, flags, at), 20)

    def get(self, name: str, flags: int = 0, at: int = 0) -> int:
        return self.answers.bpf(GET, self.attributes(name, 0, flags, at), 20)


@booted
def test_a_map_found_again(machine: Machine) -> None:
    calls = PinCalls(machine.host)
    answers = calls.answers
    before = len(MAPS.by_number)
    fd = calls.create(1, 4, 8, 2)
    key = struct.pack("<I", 1)
    assert calls.element(2, fd, key, b"ABCDEFGH") == 0
    assert calls.pin(fd, "/pins/map") == 0 and calls.pin(fd, "/pins/map") == -errno.EEXIST
    answers.close(fd)
    assert len(MAPS.by_number) == before + 1
    fd = calls.get("/pins/map", READ_ONLY)
    assert calls.element(1, fd, key, bytes(8)) == 0 and calls.value(8) == b"ABCDEFGH"
    assert calls.element(2, fd, key, bytes(8)) == -errno.EPERM
    answers.close(fd)
    fd = calls.get("/pins/map", WRITE_ONLY)
    assert calls.element(1, fd, key, bytes(8)) == -errno.EPERM and calls.element(3, fd, key) == 0
    answers.close(fd)
    assert calls.get("/pins/map", READ_ONLY | WRITE_ONLY) == -errno.EINVAL
    assert answers.umount2("/pins", 0) == 0 and len(MAPS.by_number) == before
    assert calls.get("/pins/map") == -errno.ENOENT


@booted
def test_arguments(machine: Machine) -> None:
    calls = PinCalls(machine.host)
    answers = calls.answers
    fd = calls.create(2, 4, 8, 2)
    directory = machine.host.open("/pins", os.O_RDONLY | os.O_DIRECTORY)
    assert [calls.pin(each, "/pins/x") for each in (0, -1, 700, directory)] == [-errno.EINVAL] * 4
    assert calls.pin(fd, "at", 0, directory) == calls.get("at", 0, directory) == -errno.EINVAL
    assert calls.pin(fd, "at", FROM_DESCRIPTOR, directory) == 0
    assert calls.get("at", FROM_DESCRIPTOR, directory) >= 0
    assert calls.get("at", FROM_DESCRIPTOR, fd) == -errno.ENOTDIR
    assert calls.get("at", FROM_DESCRIPTOR, 700) == -errno.EBADF
    assert calls.get("/pins/at", FROM_DESCRIPTOR | READ_ONLY, -100) >= 0
    assert calls.pin(fd, "/pins/x", READ_ONLY) == calls.get("/pins/at", 1) == -errno.EINVAL
    assert calls.pin(fd, "") == calls.get("") == -errno.ENOENT
    assert answers.bpf(GET, calls.attributes("/pins/at", 1, 0, 0), 20) == -errno.EINVAL
    assert answers.bpf(PIN, calls.attributes("/pins/y", fd, 0, 0), 16) == 0
    assert answers.bpf(PIN, calls.attributes("/pins/z", fd, 0, 0) + b"\1\0\0\0", 24) == -errno.EINVAL
    assert answers.bpf(PIN, struct.pack("<QiIi", 0, fd, 0, 0), 20) == -errno.EFAULT
    assert calls.get("/pins") == calls.get("/") == -errno.EACCES


@booted
def test_a_program_found_again(machine: Machine) -> None:
    calls = PinCalls(machine.host)
    before = len(KEPT.programs)
    fd = calls.load(ALLOW)
    assert calls.pin(fd, "/pins/program") == 0
    calls.answers.close(fd)
    for flags in (0, READ_ONLY, WRITE_ONLY):
        fd = calls.get("/pins/program", flags)
        assert fd >= 0 and calls.answers.fcntl(fd, 3, 0) & 3 == os.O_RDWR
        calls.answers.close(fd)
    assert calls.answers.unlink("/pins/program") == 0 and len(KEPT.programs) == before


@booted
def test_where_it_is_shown(machine: Machine) -> None:
    host = machine.host
    host.mkdir("/proc", 0o755)
    host.mount("none", "/proc", "proc", 0, 0)
    PinCalls(host)
    host.chmod("/pins", 0o750)
    assert b"none /pins bpf rw,relatime,mode=750 0 0\n" in read_all(host, "/proc/self/mounts")
    assert b"nodev\tbpf\n" in read_all(host, "/proc/filesystems")
    with pytest.raises(OSError) as caught:
        host.mount("none", "/pins", "bpf", 0, b"mode=9\0")
    assert caught.value.errno == errno.EINVAL


@booted
def test_short_of_memory(machine: Machine) -> None:
    calls = PinCalls(machine.host)
    host = machine.host
    fd = calls.create(1, 4, 8, 2)
    assert calls.pin(fd, "/pins/kept") == 0
    name = calls.attributes("/pins/new", fd, 0, 0)
    check_each(lambda: host.call("bpf", PIN, name, 20), lambda _: host.unlink("/pins/new"), fewest=3)
    kept = struct.pack("<QiIi", calls.at(512, b"/pins/kept\0"), 0, 0, 0)
    check_each(lambda: host.call("bpf", GET, kept, 20), host.close, fewest=2)
    host.mkdir("/pins/a", 0o755)
    renamed = ["/pins/kept", "/pins/a/b"]

    def move() -> int:
        return host.rename(renamed[0], renamed[1])

    check_each(move, lambda _: renamed.reverse(), fewest=1)
