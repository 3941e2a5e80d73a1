"""Broken memory on a booted machine: who loses it, who hears of it."""

import signal

import pytest

from kernel.mm.broken import BROKEN
from kernel.mm.frames import Frame, allocate_user_frame
from kernel.task import memory_failure
from kernel.task.task import current
from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program

PAGE = 4096
READ_WRITE = 3
PRIVATE_ANONYMOUS = 0x22
SHARED_ANONYMOUS = 0x21
HWPOISON = 100
SOFT_OFFLINE = 101
PR_MCE_KILL = 33
SA_RESTART = 0x1000_0000


def written(program: Program, flags: int = PRIVATE_ANONYMOUS) -> int:
    address = program.call("mmap", 0, 2 * PAGE, READ_WRITE, flags, -1, 0)
    program.store(address, b"first")
    program.store(address + PAGE, b"second")
    return address


@booted
def test_who_breaks_a_page_of_its_own_hears_of_it_at_once(machine: Machine) -> None:
    seen: list[int] = []

    def child(program: Program) -> None:
        program.handle(signal.SIGBUS, lambda _, signo: seen.append(signo))
        address = written(program)
        program.madvise(address, PAGE, HWPOISON)
        assert seen == [signal.SIGBUS]
        assert program.load(address + PAGE, 6) == b"second"
        with pytest.raises(OSError, match="EFAULT"):
            program.madvise(address, PAGE, HWPOISON)
        program.call("rt_sigaction", signal.SIGBUS, bytes(32), None, 8)
        program.load(address, 1)

    assert machine.run(child) == signal.SIGBUS
    assert BROKEN.count == 1


@booted
def test_forks_lose_what_they_share(machine: Machine) -> None:
    host = machine.host
    address = written(host)
    shared = written(host, SHARED_ANONYMOUS)

    def parent(program: Program) -> int:
        program.handle(signal.SIGBUS, lambda _, signo: None)
        program.madvise(address, PAGE, HWPOISON)
        program.madvise(shared, PAGE, HWPOISON)
        return 0

    def child(program: Program) -> None:
        assert program.load(address + PAGE, 6) == b"second"
        program.load(address, 1)

    assert machine.run(parent) == 0
    assert BROKEN.count == 2
    assert machine.run(child) == signal.SIGBUS
    assert host.load(shared + PAGE, 6) == b"second"


@booted
def test_an_early_warning(machine: Machine) -> None:
    host = machine.host
    address = written(host, SHARED_ANONYMOUS)
    seen: list[int] = []
    host.prctl(PR_MCE_KILL, 1, 1, 0, 0)
    host.handle(signal.SIGBUS, lambda _, signo: seen.append(signo), SA_RESTART)

    def child(program: Program) -> int:
        program.prctl(PR_MCE_KILL, 1, 0, 0, 0)
        program.handle(signal.SIGBUS, lambda _, signo: None)
        program.madvise(address, PAGE, HWPOISON)
        return 0

    assert machine.run(child) == 0
    assert seen == [signal.SIGBUS]


@booted
def test_contents_that_move_stay(machine: Machine) -> None:
    host = machine.host
    for flags in (PRIVATE_ANONYMOUS, SHARED_ANONYMOUS):
        address = written(host, flags)
        host.madvise(address, 2 * PAGE, SOFT_OFFLINE)
        assert host.load(address, 5) == b"first" and host.load(address + PAGE, 6) == b"second"
        host.store(address, b"later")
        assert host.load(address, 5) == b"later"
    assert BROKEN.count == 4
    address = written(host)

    def child(program: Program) -> int:
        program.madvise(address, PAGE, SOFT_OFFLINE)
        program.store(address, b"other")
        return 0 if program.load(address, 5) == b"other" else 1

    assert machine.run(child) == 0
    assert host.load(address, 5) == b"first"


@booted
def test_a_page_that_is_gone_once_there_is_a_frame_for_it(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    host = machine.host
    address = written(host)
    frames: list[Frame] = []

    def gone_first() -> Frame:
        if not frames:
            current().space.empty(address, address + PAGE)
        frames.append(allocate_user_frame())
        return frames[-1]

    monkeypatch.setattr(memory_failure, "allocate_user_frame", gone_first)
    host.madvise(address, PAGE, SOFT_OFFLINE)
    assert len(frames) == 2 and BROKEN.count == 1
    assert host.load(address, 5) == bytes(5) and host.load(address + PAGE, 6) == b"second"


@booted
def test_a_thread_that_is_killed_searches_no_further(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    host = machine.host
    address = written(host)
    monkeypatch.setattr(memory_failure, "is_dying", lambda: True)

    def child(program: Program) -> int:
        program.handle(signal.SIGBUS, lambda _, signo: None)
        with pytest.raises(OSError, match="EINTR"):
            program.madvise(address, PAGE, HWPOISON)
        return 0

    assert machine.run(child) == 0
    assert BROKEN.count == 1
    assert host.load(address, 5) == b"first"


@booted
def test_a_file_in_memory_keeps_its_broken_page(machine: Machine) -> None:
    host = machine.host
    file = host.memfd_create(b"file", 0)
    host.write(file, b"x" * (2 * PAGE), 2 * PAGE)
    address = host.call("mmap", 0, 2 * PAGE, READ_WRITE, 1, file, 0)
    host.handle(signal.SIGBUS, lambda _, signo: None)
    host.madvise(address, PAGE, HWPOISON)
    with pytest.raises(OSError, match="EIO"):
        host.pread64(file, bytearray(8), 8, 0)
    with pytest.raises(OSError, match="EIO"):
        host.pwrite64(file, b"y", 1, 0)
    assert host.pread64(file, bytearray(8), 8, PAGE) == 8
    host.fallocate(file, 3, 0, PAGE)
    assert host.pread64(file, bytearray(8), 8, 0) == 8
    assert host.load(address, 1) == b"\0"


@booted
def test_only_an_administrator_may(machine: Machine) -> None:
    def child(program: Program) -> int:
        address = written(program)
        program.setuid(1000)
        for advice in (HWPOISON, SOFT_OFFLINE):
            with pytest.raises(OSError, match="EPERM"):
                program.madvise(address, PAGE, advice)
        return 0

    assert machine.run(child) == 0
    assert BROKEN.count == 0
