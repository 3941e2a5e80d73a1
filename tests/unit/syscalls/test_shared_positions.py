"""Several processes write to one file, or use one description, and each is interrupted in the middle of its call
(kernel/syscalls/read_write.py, kernel/fs/file.py), on a booted machine.
"""

import contextlib
import os
import signal
import struct
from collections.abc import Callable

import pytest

from kernel.lib.pace import PACE, Rest
from kernel.sched.scheduler import request_reschedule, safe_point
from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program

SIZE = 600  # of a record: copies of fewer than 512 bytes have no safe point
COUNT = 12  # records of each process
SECOND = struct.pack("<QQ", 1, 0)
RLIMIT_FSIZE = 1
APPEND = 16  # RWF_APPEND
ADD_SEALS, SEAL_WRITE, ALLOW_SEALING = 1033, 8, 2


class Turns(Rest):
    """Another thread runs at every safe point."""

    def __init__(self, rest: Rest) -> None:
        self.rest = rest

    def take(self) -> None:
        PACE.left = 0
        request_reschedule()
        safe_point()

    def wait_for_change(self) -> None:
        self.rest.wait_for_change()

    def report_change(self) -> None:
        self.rest.report_change()

    def is_interrupted(self) -> bool:
        return self.rest.is_interrupted()

    def is_dying(self) -> bool:
        return self.rest.is_dying()


def take_turns() -> None:
    PACE.rest = Turns(PACE.rest)
    PACE.left = 0


def record(who: int, number: int) -> bytes:
    return f"{who} {number:3}\n".encode() * (SIZE // 6)


def all_records() -> list[bytes]:
    return sorted(record(who, number) for who in range(2) for number in range(COUNT))


def records_of(program: Program, path: str) -> list[bytes]:
    descriptor = program.open(path, os.O_RDONLY)
    data = bytearray(4 * COUNT * SIZE)
    data = data[: program.read(descriptor, data, len(data))]
    return sorted(bytes(data[at : at + SIZE]) for at in range(0, len(data), SIZE))


def both(machine: Machine, act: Callable[[Program, int], None]) -> None:
    """Two children at once."""

    def start(who: int) -> int:
        return machine.host.fork(lambda program: act(program, who))

    for child in [start(0), start(1)]:
        assert machine.wait(child) == 0


def write_records(program: Program, descriptor: int, who: int) -> None:
    for number in range(COUNT):
        assert program.write(descriptor, record(who, number), SIZE) == SIZE


@booted
def test_two_appenders_lose_nothing(machine: Machine) -> None:
    def append(program: Program, who: int) -> None:
        write_records(program, program.open("/tmp/log", os.O_WRONLY | os.O_APPEND), who)

    machine.host.open("/tmp/log", os.O_WRONLY | os.O_CREAT, 0o600)
    take_turns()
    both(machine, append)
    assert records_of(machine.host, "/tmp/log") == all_records()


@booted
def test_two_appenders_stay_within_their_limit(machine: Machine) -> None:
    """The end of the file is known, and compared, when nobody else writes."""
    limit = COUNT * SIZE + SIZE // 2

    def append(program: Program, who: int) -> None:
        program.prlimit64(0, RLIMIT_FSIZE, struct.pack("<QQ", limit, limit), None)
        program.rt_sigaction(signal.SIGXFSZ, struct.pack("<QQQQ", 1, 0, 0, 0), None, 8)
        descriptor = program.open("/tmp/log", os.O_WRONLY | os.O_APPEND)
        with pytest.raises(OSError, match="EFBIG"):
            while True:
                program.write(descriptor, record(who, 0), SIZE)

    host = machine.host
    log = host.open("/tmp/log", os.O_RDWR | os.O_CREAT, 0o600)
    take_turns()
    both(machine, append)
    assert host.lseek(log, 0, os.SEEK_END) == limit


@booted
def test_neither_do_those_that_ask_for_each_write(machine: Machine) -> None:
    def append(program: Program, who: int) -> None:
        descriptor = program.open("/tmp/log", os.O_WRONLY)
        place = program.mmap(0, 4096, 3, 0x22, -1, 0)
        for number in range(COUNT):
            program.store(place, record(who, number))
            assert program.pwritev2(descriptor, struct.pack("<QQ", place, SIZE), 1, 0, 0, APPEND) == SIZE

    machine.host.open("/tmp/log", os.O_WRONLY | os.O_CREAT, 0o600)
    take_turns()
    both(machine, append)
    assert records_of(machine.host, "/tmp/log") == all_records()


@booted
def test_writers_of_one_description_lose_nothing(machine: Machine) -> None:
    log = machine.host.open("/tmp/log", os.O_WRONLY | os.O_CREAT, 0o600)
    take_turns()
    both(machine, lambda program, who: write_records(program, log, who))
    assert records_of(machine.host, "/tmp/log") == all_records()


@booted
def test_readers_of_one_description_share_its_bytes(machine: Machine) -> None:
    host = machine.host
    log = host.open("/tmp/log", os.O_RDWR | os.O_CREAT, 0o600)
    for who in range(2):
        write_records(host, log, who)
    host.lseek(log, 0, os.SEEK_SET)
    seen: list[bytes] = []

    def read(program: Program, who: int) -> None:
        buffer = bytearray(SIZE)
        while count := program.read(log, buffer, SIZE):
            seen.append(bytes(buffer[:count]))

    take_turns()
    both(machine, read)
    assert sorted(seen) == all_records()


@booted
def test_a_seek_comes_before_a_read_or_after_it(machine: Machine) -> None:
    host = machine.host
    log = host.open("/tmp/log", os.O_RDWR | os.O_CREAT, 0o600)
    contents = bytes(range(200)) * 300
    host.write(log, contents, len(contents))
    host.lseek(log, 0, os.SEEK_SET)
    seen = bytearray(50000)
    take_turns()

    def act(program: Program, who: int) -> None:
        if who == 0:
            assert program.read(log, seen, 50000) == 50000
        else:
            assert program.lseek(log, 5, os.SEEK_SET) == 5

    both(machine, act)
    end = host.lseek(log, 0, os.SEEK_CUR)
    assert (end, bytes(seen)) in ((5, contents[:50000]), (50005, contents[5:50005]))


@booted
def test_an_append_that_moves_nothing_leaves_the_position(machine: Machine) -> None:
    host = machine.host
    log = host.open("/tmp/log", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    host.write(log, b"abc", 3)
    host.lseek(log, 1, os.SEEK_SET)
    assert host.write(log, b"", 0) == 0
    with pytest.raises(OSError, match="EFAULT"):
        host.write(log, 16, 1)
    assert host.lseek(log, 0, os.SEEK_CUR) == 1


@booted
def test_a_file_is_cut_before_a_write_or_after_it(machine: Machine) -> None:
    host = machine.host
    log = host.open("/tmp/log", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    host.write(log, bytes(SIZE), SIZE)
    take_turns()

    def act(program: Program, who: int) -> None:
        if who == 0:
            assert program.write(log, b"x" * 20000, 20000) == 20000
        else:
            program.ftruncate(log, 0)

    both(machine, act)
    data = bytearray(30000)
    assert data[: host.pread64(log, data, len(data), 0)] in (b"", b"x" * 20000)


@booted
def test_nothing_is_written_once_a_file_is_sealed(machine: Machine) -> None:
    host = machine.host
    file = host.memfd_create(b"sealed\0", ALLOW_SEALING)
    host.ftruncate(file, 20000)
    last = bytearray(100)

    def act(program: Program, who: int) -> None:
        if who == 0:
            with contextlib.suppress(PermissionError):
                program.pwrite64(file, b"x" * 20000, 20000, 0)
        else:
            program.fcntl(file, ADD_SEALS, SEAL_WRITE)
            program.pread64(file, last, 100, 19900)

    take_turns()
    both(machine, act)
    now = bytearray(100)
    host.pread64(file, now, 100, 19900)
    assert now == last


@booted
@pytest.mark.parametrize("call", ["read", "write", "lseek", "getdents64"])
def test_a_kill_ends_the_wait_for_a_position(machine: Machine, call: str) -> None:
    host = machine.host
    path, flags = ("/tmp", os.O_RDONLY) if call == "getdents64" else ("/tmp/log", os.O_RDWR | os.O_CREAT)
    descriptor = host.open(path, flags, 0o600)
    file = host.task.files.get(descriptor)
    assert file.take_turn()
    turn = file.position_lock
    assert turn is not None
    arguments = (0, 0) if call == "lseek" else (bytearray(100), 100)
    child = host.fork(lambda program: program.call(call, descriptor, *arguments))
    host.nanosleep(SECOND, None)
    assert not turn.waiters.is_empty()
    host.kill(child, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(machine.wait(child)) == -signal.SIGKILL
    file.end_turn()
    assert file.users == 1


@booted
def test_nobody_waits_who_has_a_position_alone(machine: Machine) -> None:
    host = machine.host
    log = host.open("/tmp/log", os.O_RDWR | os.O_CREAT, 0o600)
    host.write(log, b"abc", 3)
    host.lseek(log, 0, os.SEEK_SET)
    host.read(log, bytearray(3), 3)
    file = host.task.files.get(log)
    assert file.position_lock is None and file.users == 1
    host.dup(log)
    host.lseek(log, 0, os.SEEK_SET)
    assert file.position_lock is not None and file.users == 2
    ends = bytearray(8)
    host.pipe2(ends, 0)
    writer = struct.unpack("<ii", ends)[1]
    host.dup(writer)
    host.write(writer, b"x", 1)
    assert not host.task.files.get(writer).take_turn()
