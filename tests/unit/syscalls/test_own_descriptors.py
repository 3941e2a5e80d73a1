"""Calls that fail after they have installed a descriptor, which another thread has closed in the meantime."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from kernel.fs.file import File
from kernel.lang import EFAULT, Errno
from kernel.lib import user
from kernel.task import current
from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program

UNIX, STREAM = 1, 1
SOL_SOCKET, RIGHTS, PEERPIDFD = 1, 1, 77
PAGE = 4096


class Rival:
    """Another thread: it closes a descriptor while the caller's memory is written, and may get another one there. The
    write fails then.
    """

    def __init__(self, patch: pytest.MonkeyPatch, name: str, victim: int, passes: int, reuses: bool) -> None:
        self.victim, self.passes, self.reuses = victim, passes, reuses
        self.file: File | None = None  # that had the descriptor
        self.write: Callable[[object, object], None] = getattr(user, name)
        patch.setattr(user, name, self.act)

    def act(self, address: object, value: object) -> None:
        if self.passes > 0:
            self.passes -= 1
            self.write(address, value)
            return
        table = current().files
        if self.file is None:
            self.file = table.get(self.victim)
            table.close(self.victim)
            if self.reuses:
                assert table.install(table.get(0).acquire(), cloexec=False) == self.victim
        raise Errno(EFAULT)


def pair(program: Program) -> tuple[int, int]:
    ends = bytearray(8)
    program.socketpair(UNIX, STREAM, 0, ends)
    first, second = struct.unpack("<ii", ends)
    return first, second


def make_pipe(program: Program) -> None:
    program.pipe2(bytearray(8), 0)


def make_pair(program: Program) -> None:
    pair(program)


@booted
@pytest.mark.parametrize("reuses", [False, True])
@pytest.mark.parametrize("second", [False, True])
@pytest.mark.parametrize(("make", "earlier"), [(make_pipe, 0), (make_pair, 2)])
def test_pairs(machine: Machine, make: Callable[[Program], None], earlier: int, second: bool, reuses: bool) -> None:
    """`earlier` is how many numbers the call writes before there are files."""
    host = machine.host
    table = current().files
    kept = host.dup(0)
    before = table.open_count()
    patch = pytest.MonkeyPatch()
    rival = Rival(patch, "write_i32", kept + 1 + second, earlier + second, reuses)
    with pytest.raises(OSError, match="EFAULT"):
        make(host)
    patch.undo()
    assert rival.file is not None and rival.file.users == 0
    assert table.open_count() == before + reuses
    assert (table.find(kept + 1 + second) is table.find(0)) == reuses


@booted
@pytest.mark.parametrize("reuses", [False, True])
def test_the_process_at_the_other_end(machine: Machine, reuses: bool) -> None:
    host = machine.host
    table = current().files
    first, second = pair(host)
    before = table.open_count()
    patch = pytest.MonkeyPatch()
    rival = Rival(patch, "write_bytes", second + 1, 0, reuses)
    with pytest.raises(OSError, match="EFAULT"):
        host.getsockopt(first, SOL_SOCKET, PEERPIDFD, bytearray(4), bytearray(struct.pack("<i", 4)))
    patch.undo()
    assert rival.file is not None and rival.file.users == 0
    assert table.open_count() == before + reuses


@booted
@pytest.mark.parametrize("reuses", [False, True])
def test_received_descriptors(machine: Machine, reuses: bool) -> None:
    """The first stays, although the second's number could not be written: nothing is released twice."""
    host = machine.host
    table = current().files
    first, second = pair(host)
    passed = [host.memfd_create("passed", 0) for _ in range(2)]
    files = [table.get(fd) for fd in passed]
    page = host.mmap(0, PAGE, 3, 0x22, -1, 0)
    host.store(page, struct.pack("<QQ", page + 64, 1) + struct.pack("<QiiiiQ", 24, SOL_SOCKET, RIGHTS, *passed, 0))

    def header() -> bytearray:
        return bytearray(struct.pack("<QQQQQQQ", 0, 0, page, 1, page + 16, 24, 0))

    assert host.sendmsg(first, header(), 0) == 1
    for fd in passed:
        host.close(fd)
    patch = pytest.MonkeyPatch()
    received = header()
    rival = Rival(patch, "write_i32", passed[1], 1, reuses)
    with pytest.raises(OSError, match="EFAULT"):  # of the flags, last
        host.recvmsg(second, received, 0)
    patch.undo()
    assert table.get(passed[0]) is files[0] and files[0].users == 1
    assert rival.file is files[1] and files[1].users == 0
    assert (table.find(passed[1]) is table.find(0)) == reuses
