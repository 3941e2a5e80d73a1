"""Locks, leases, marks and other things that belong to open files: calls that find no memory, at whatever place, change
nothing and lose nothing, and can be made again.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from tests.unit.booted import booted
from tests.unit.scarcity import Scarcity, check_each, each_place
from tools.simulated.machine import Machine
from tools.simulated.program import Program

CREATE = 0o102
F_DUPFD, F_SETFL, F_SETLK, F_SETOWN, F_OFD_GETLK, F_OFD_SETLK = 0, 4, 6, 8, 36, 37
F_SETLEASE, F_NOTIFY, F_SETPIPE_SZ = 1024, 1026, 1031
F_RDLCK, F_WRLCK, F_UNLCK = 0, 1, 2
LOCK_SH, LOCK_EX, LOCK_UN = 1, 2, 8


def lock(kind: int, start: int, length: int) -> bytes:
    return struct.pack("<hhxxxxqqixxxx", kind, 0, start, length, 0)


def file(host: Program, name: str = "file") -> int:
    return host.open(f"/tmp/{name}", CREATE, 0o600)


def held(host: Program, onlooker: int) -> list[tuple[int, int, int]]:
    """The locks of records on the file, as another description of it sees them: kind, start, length. That stays open: a
    process loses its locks when it closes any.
    """
    found: list[tuple[int, int, int]] = []
    start = 0
    while start < 1000:
        record = bytearray(lock(F_WRLCK, start, 0))
        host.fcntl(onlooker, F_OFD_GETLK, record)
        kind, at, length = struct.unpack_from("<hxxxxxxqq", record)
        if kind == F_UNLCK:
            break
        found.append((kind, at, length))
        start = at + length if length else 1000
    return found


LOCKS = {
    "first": ([], (F_WRLCK, 10, 10)),
    "another": ([(F_WRLCK, 10, 10)], (F_RDLCK, 100, 10)),
    "in the middle": ([(F_WRLCK, 10, 100)], (F_RDLCK, 50, 10)),
    "over others": ([(F_WRLCK, 10, 10), (F_RDLCK, 30, 10), (F_WRLCK, 60, 10)], (F_RDLCK, 15, 50)),
    "unlock in the middle": ([(F_WRLCK, 10, 100)], (F_UNLCK, 50, 10)),
    "unlock over two": ([(F_WRLCK, 10, 10), (F_RDLCK, 30, 10)], (F_UNLCK, 15, 20)),
}


@pytest.mark.parametrize("command", [F_SETLK, F_OFD_SETLK], ids=["of a process", "of a description"])
@pytest.mark.parametrize("name", LOCKS)
@booted
def test_a_lock_of_records(machine: Machine, name: str, command: int) -> None:
    host = machine.host
    before, change = LOCKS[name]
    descriptor = file(host)
    onlooker = file(host)

    def attempt(scarcity: Scarcity) -> None:
        for each in before:
            host.fcntl(descriptor, command, lock(*each))
        seen = held(host, onlooker)
        assert len(seen) == len(before)
        try:
            with scarcity:
                host.fcntl(descriptor, command, lock(*change))
        except OSError:
            assert scarcity.where
            assert held(host, onlooker) == seen, scarcity.where
            host.fcntl(descriptor, command, lock(*change))
        host.fcntl(descriptor, command, lock(F_UNLCK, 0, 0))

    each_place(attempt)


@pytest.mark.parametrize("before", [LOCK_UN, LOCK_SH])
@booted
def test_a_lock_of_a_file(machine: Machine, before: int) -> None:
    host = machine.host
    descriptor = file(host)
    other = file(host)

    def attempt(scarcity: Scarcity) -> None:
        host.flock(descriptor, before)
        host.flock(other, LOCK_SH)
        host.flock(other, LOCK_UN)
        try:
            with scarcity:
                host.flock(descriptor, LOCK_EX)
        except OSError:
            assert scarcity.where
            if before == LOCK_SH:
                with pytest.raises(OSError):
                    host.flock(other, LOCK_EX | 4)  # it has its shared lock still
            host.flock(descriptor, LOCK_EX)
        host.flock(descriptor, LOCK_UN)

    each_place(attempt, fewest=0)


@booted
def test_a_lease(machine: Machine) -> None:
    host = machine.host
    host.close(file(host))
    descriptor = host.open("/tmp/file", 0)
    check_each(
        lambda: host.fcntl(descriptor, F_SETLEASE, F_RDLCK), lambda _: host.fcntl(descriptor, F_SETLEASE, F_UNLCK)
    )


@booted
def test_a_directory_that_tells(machine: Machine) -> None:
    host = machine.host
    descriptor = host.open("/tmp", 0)
    check_each(lambda: host.fcntl(descriptor, F_NOTIFY, 0x8000_0004), lambda _: host.fcntl(descriptor, F_NOTIFY, 0))


MARKS = {"inode": 0, "mount": 0x10, "file system": 0x100}


@pytest.mark.parametrize("name", MARKS)
@booted
def test_a_mark(machine: Machine, name: str) -> None:
    host = machine.host
    group = host.fanotify_init(0x2, 0)  # FAN_NONBLOCK
    flags = MARKS[name]
    check_each(
        lambda: host.fanotify_mark(group, 1 | flags, 0x2, -100, "/tmp"),
        lambda _: host.fanotify_mark(group, 2 | flags, 0x2, -100, "/tmp"),
    )


@booted
def test_more_watches(machine: Machine) -> None:
    host = machine.host
    file(host)
    instance = host.inotify_init1(0)
    host.inotify_add_watch(instance, "/tmp", 0x2)
    check_each(
        lambda: host.inotify_add_watch(instance, "/tmp/file", 0x2),
        lambda number: host.inotify_rm_watch(instance, number),
    )


def make_event(host: Program) -> int:
    return host.eventfd2(1, 0)


COPIES: dict[str, Callable[[Program, int], int]] = {
    "dup": lambda host, descriptor: host.dup(descriptor),
    "dup3": lambda host, descriptor: host.dup3(descriptor, 300, 0),
    "dupfd": lambda host, descriptor: host.fcntl(descriptor, F_DUPFD, 200),
}


@pytest.mark.parametrize("name", COPIES)
@booted
def test_a_copy_of_a_descriptor(machine: Machine, name: str) -> None:
    host = machine.host
    descriptor = make_event(host)
    check_each(lambda: COPIES[name](host, descriptor), host.close, fewest=0)


@booted
def test_signals_of_a_pipe(machine: Machine) -> None:
    host = machine.host
    array = bytearray(8)
    host.pipe2(array, 0)
    reading, writing = struct.unpack("<ii", array)
    host.fcntl(reading, F_SETOWN, host.getpid())
    check_each(lambda: host.fcntl(reading, F_SETFL, 0o20000), lambda _: host.fcntl(reading, F_SETFL, 0))
    check_each(
        lambda: host.fcntl(reading, F_SETPIPE_SZ, 1 << 18), lambda _: host.fcntl(reading, F_SETPIPE_SZ, 1 << 16), 0
    )
    check_each(lambda: host.write(writing, bytes(9000), 9000), lambda _: host.read(reading, bytearray(9000), 9000))
    host.write(writing, b"text", 4)
    second = bytearray(8)
    host.pipe2(second, 0)
    behind, before = struct.unpack("<ii", second)
    check_each(lambda: host.tee(reading, before, 4, 0), lambda _: host.read(behind, bytearray(4), 4))

    def splice(scarcity: Scarcity) -> None:
        try:
            with scarcity:
                host.splice(reading, 0, before, 0, 4, 0)
        except OSError:
            assert scarcity.where
            host.splice(reading, 0, before, 0, 4, 0)
        host.read(behind, bytearray(4), 4)
        host.write(writing, b"text", 4)

    each_place(splice, fewest=0)


@booted
def test_contents(machine: Machine) -> None:
    host = machine.host
    descriptor = file(host)

    def size() -> int:
        status = bytearray(144)
        host.fstat(descriptor, status)
        found: int = struct.unpack_from("<q", status, 48)[0]
        return found

    def attempt(call: Callable[[], object], scarcity: Scarcity) -> None:
        before = size()
        try:
            with scarcity:
                call()
        except OSError:
            assert scarcity.where
            assert size() == before, scarcity.where
            call()
        host.ftruncate(descriptor, 0)

    for call in (
        lambda: host.pwrite64(descriptor, b"text", 4, 0),
        lambda: host.pwrite64(descriptor, b"text", 4, 0x40000),
        lambda: host.ftruncate(descriptor, 0x3000),
        lambda: host.fallocate(descriptor, 0, 0, 0x4000),
    ):
        each_place(lambda scarcity, call=call: attempt(call, scarcity), fewest=0)  # type: ignore[misc]


@booted
def test_a_ruleset(machine: Machine) -> None:
    host = machine.host
    rights = struct.pack("<Q", 0x1FFF)
    check_each(lambda: host.landlock_create_ruleset(rights, 8, 0), host.close)
    ruleset = host.landlock_create_ruleset(rights, 8, 0)
    place = host.open("/tmp", 0o10000000)
    below = struct.pack("<Qi", 4, place)

    def attempt(scarcity: Scarcity) -> None:
        made = host.landlock_create_ruleset(rights, 8, 0)
        try:
            with scarcity:
                host.landlock_add_rule(made, 1, below, 0)
        except OSError:
            assert scarcity.where
            host.landlock_add_rule(made, 1, below, 0)
        host.close(made)

    each_place(attempt)

    def confine(scarcity: Scarcity) -> None:
        def child(program: Program) -> None:
            program.prctl(38, 1, 0, 0, 0)
            try:
                with scarcity:
                    program.landlock_restrict_self(ruleset, 0)
            except OSError:
                assert scarcity.where
                program.close(program.open("/tmp/confined", CREATE, 0o600))
                program.unlink("/tmp/confined")
                program.landlock_restrict_self(ruleset, 0)

        assert machine.run(child) == 0

    each_place(confine)


@booted
def test_mounts(machine: Machine) -> None:
    host = machine.host
    for name in ("one", "other"):
        host.mkdir(f"/tmp/{name}", 0o700)
    host.mount("none", "/tmp/one", "tmpfs", 0, 0)
    check_each(
        lambda: host.mount("/tmp/one", "/tmp/other", 0, 0x2000, 0),
        lambda _: host.mount("/tmp/other", "/tmp/one", 0, 0x2000, 0),
        fewest=1,
    )
    check_each(
        lambda: host.mount(0, "/tmp/one", 0, 1 << 20, 0),  # MS_SHARED
        lambda _: host.mount(0, "/tmp/one", 0, 1 << 18, 0),
    )
    host.mount(0, "/tmp/one", 0, 1 << 20, 0)
    host.mkdir("/tmp/one/below", 0o700)
    host.mount("/tmp/one", "/tmp/other", 0, 0x1000, 0)
    check_each(lambda: host.mount("none", "/tmp/one/below", "tmpfs", 0, 0), lambda _: host.umount2("/tmp/one/below", 0))
