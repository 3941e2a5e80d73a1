"""Calls that make, remove and move names, and find no memory at whatever place: the directories are as they were, and
the same call succeeds afterwards.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from tests.unit.booted import booted
from tests.unit.scarcity import Scarcity, each_place
from tools.simulated.machine import Machine
from tools.simulated.program import Program

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
CREATE = 0o102
EXCLUSIVE = 0o302
UNNAMED = 0o20200002
DIRECTORY = 0o200000
S_IFIFO = 0o10000
S_IFCHR = 0o20000
NOREPLACE, EXCHANGE, WHITEOUT = 1, 2, 4
PLACE = "/tmp/place"
NAMES = ("old", "other", "above", "new")


def fill(host: Program) -> None:
    """A file, another, and a directory."""
    host.mkdir(PLACE, 0o700)
    for name in ("old", "other"):
        host.close(host.open(f"{PLACE}/{name}", CREATE, 0o600))
    host.mkdir(f"{PLACE}/above", 0o700)


def listed(host: Program) -> dict[bytes, int]:
    """The names of the place, with their inodes' numbers, as getdents64 tells."""
    descriptor = host.open(PLACE, DIRECTORY)
    found: dict[bytes, int] = {}
    while True:
        room = bytearray(4096)
        size = host.getdents64(descriptor, room, len(room))
        if size == 0:
            break
        at = 0
        while at < size:
            number, _, length, _ = struct.unpack_from("<QqHB", room, at)
            found[bytes(room[at + 19 : at + length]).split(b"\0")[0]] = number
            at += length
    host.close(descriptor)
    return found


def seen(host: Program) -> list[object]:
    """What a program sees of the place: what is listed, and what each name leads to."""
    answers: list[object] = [sorted(listed(host).items())]
    for name in (".", *NAMES):
        status = bytearray(144)
        try:
            host.lstat(f"{PLACE}/{name}", status)
        except OSError as error:
            answers.append((name, error.errno))
        else:
            answers.append((name, bytes(status[:40])))  # number, links, mode, owners
    return answers


def check(host: Program, call: Callable[[], int], undo: Callable[[int], object], fewest: int = 1) -> None:
    """The same call, until it succeeds: it has done nothing as long as it fails, and can do it after that."""

    def attempt(scarcity: Scarcity) -> None:
        before = seen(host)
        try:
            with scarcity:
                result = call()
        except OSError:
            assert scarcity.where
            assert seen(host) == before, scarcity.where
            result = call()
        undo(result)

    each_place(attempt, fewest)


def watch(host: Program) -> int:
    """An instance of inotify that is notified of all that happens to names of the place."""
    instance = host.inotify_init1(0o4000)
    host.inotify_add_watch(instance, PLACE, 0x7C0)
    return instance


def drain(host: Program, instance: int) -> None:
    if instance >= 0:
        host.read(instance, bytearray(4096), 4096)


def remove(host: Program, name: str = "new") -> None:
    host.unlink(f"{PLACE}/{name}")


def close_and_remove(host: Program, descriptor: int) -> None:
    host.close(descriptor)
    remove(host)


MAKING: dict[str, Callable[[Program], int]] = {
    "open": lambda host: host.open(f"{PLACE}/new", CREATE, 0o600),
    "open, exclusively": lambda host: host.open(f"{PLACE}/new", EXCLUSIVE, 0o600),
    "mknod, file": lambda host: host.mknod(f"{PLACE}/new", 0o100600, 0),
    "mknod, fifo": lambda host: host.mknod(f"{PLACE}/new", S_IFIFO | 0o600, 0),
    "mknod, device": lambda host: host.mknod(f"{PLACE}/new", S_IFCHR | 0o600, 0x103),
    "symlink": lambda host: host.symlink("old", f"{PLACE}/new"),
    "link": lambda host: host.link(f"{PLACE}/old", f"{PLACE}/new"),
    "mkdir": lambda host: host.mkdir(f"{PLACE}/new", 0o700),
}


@pytest.mark.parametrize("watched", [False, True], ids=["alone", "watched"])
@pytest.mark.parametrize("name", MAKING)
@booted
def test_a_name(machine: Machine, name: str, watched: bool) -> None:
    host = machine.host
    fill(host)
    instance = watch(host) if watched else -1

    def undo(result: int) -> None:
        if name.startswith("open"):
            host.close(result)
        if name == "mkdir":
            host.rmdir(f"{PLACE}/new")
        else:
            remove(host)
        drain(host, instance)

    check(host, lambda: MAKING[name](host), undo, fewest=3)


@booted
def test_a_name_whose_descriptor_lengthens_the_table(machine: Machine) -> None:
    fill(machine.host)

    def attempt(scarcity: Scarcity) -> None:
        def child(program: Program) -> None:
            before = seen(program)
            for _ in range(10):
                program.open("/", DIRECTORY)  # there is no gap any more
            try:
                with scarcity:
                    program.open(f"{PLACE}/new", CREATE, 0o600)
            except OSError:
                assert scarcity.where
                assert seen(program) == before, scarcity.where
                program.open(f"{PLACE}/new", CREATE, 0o600)
            remove(program)

        assert machine.run(child) == 0

    each_place(attempt, fewest=5)


@booted
def test_a_name_for_a_nameless_file(machine: Machine) -> None:
    host = machine.host
    fill(host)
    check(host, lambda: host.open(PLACE, UNNAMED, 0o600), host.close, fewest=3)

    def attempt(scarcity: Scarcity) -> None:
        descriptor = host.open(PLACE, UNNAMED, 0o600)
        before = seen(host)
        try:
            with scarcity:
                host.linkat(descriptor, "", AT_FDCWD, f"{PLACE}/new", AT_EMPTY_PATH)
        except OSError:
            assert scarcity.where
            assert seen(host) == before, scarcity.where
            host.linkat(descriptor, "", AT_FDCWD, f"{PLACE}/new", AT_EMPTY_PATH)
        host.close(descriptor)
        remove(host)

    each_place(attempt, fewest=2)


MOVING = {
    "to a free name": ("old", "new", 0),
    "to a free name alone": ("old", "new", NOREPLACE),
    "over another": ("old", "other", 0),
    "exchange": ("old", "above", EXCHANGE),
    "of a directory": ("above", "new", 0),
    "into a directory": ("old", "above/new", 0),
    "leaving a whiteout": ("old", "new", WHITEOUT),
    "leaving a whiteout, over another": ("old", "other", WHITEOUT),
}


@pytest.mark.parametrize("watched", [False, True], ids=["alone", "watched"])
@pytest.mark.parametrize("name", MOVING)
@booted
def test_a_move(machine: Machine, name: str, watched: bool) -> None:
    host = machine.host
    old, new, flags = MOVING[name]
    host.mkdir(PLACE, 0o700)
    instance = watch(host) if watched else -1

    def attempt(scarcity: Scarcity) -> None:
        for each in ("old", "other"):
            host.close(host.open(f"{PLACE}/{each}", CREATE, 0o600))
        host.mkdir(f"{PLACE}/above", 0o700)
        before = seen(host)
        try:
            with scarcity:
                host.renameat2(AT_FDCWD, f"{PLACE}/{old}", AT_FDCWD, f"{PLACE}/{new}", flags)
        except OSError:
            assert scarcity.where
            assert seen(host) == before, scarcity.where
            host.renameat2(AT_FDCWD, f"{PLACE}/{old}", AT_FDCWD, f"{PLACE}/{new}", flags)
        for each in ("above/new", "old", "other", "above", "new"):
            for remove_at in (0, 0x200):
                try:
                    host.unlinkat(AT_FDCWD, f"{PLACE}/{each}", remove_at)
                except OSError:
                    continue
        drain(host, instance)

    each_place(attempt, fewest=2)


@booted
def test_a_name_of_a_socket(machine: Machine) -> None:
    host = machine.host
    fill(host)
    address = struct.pack("<H", 1) + f"{PLACE}/new".encode()

    def attempt(scarcity: Scarcity) -> None:
        descriptor = host.socket(1, 1, 0)
        before = seen(host)
        try:
            with scarcity:
                host.bind(descriptor, address + b"\0", len(address) + 1)
        except OSError:
            assert scarcity.where
            assert seen(host) == before, scarcity.where
            host.bind(descriptor, address + b"\0", len(address) + 1)
        host.close(descriptor)
        remove(host)

    each_place(attempt, fewest=3)


@booted
def test_a_removal(machine: Machine) -> None:
    host = machine.host
    fill(host)
    instance = watch(host)

    def make(_: int) -> None:
        host.close(host.open(f"{PLACE}/old", CREATE, 0o600))
        drain(host, instance)

    check(host, lambda: host.unlink(f"{PLACE}/old"), make, 0)

    def make_directory(_: int) -> None:
        host.mkdir(f"{PLACE}/above", 0o700)
        drain(host, instance)

    check(host, lambda: host.rmdir(f"{PLACE}/above"), make_directory, 0)


@booted
def test_an_attribute(machine: Machine) -> None:
    host = machine.host
    fill(host)
    name = f"{PLACE}/old"
    check(host, lambda: host.setxattr(name, "trusted.x", b"value", 5, 0), lambda _: host.removexattr(name, "trusted.x"))
    host.setxattr(name, "trusted.x", b"value", 5, 0)
    check(
        host, lambda: host.removexattr(name, "trusted.x"), lambda _: host.setxattr(name, "trusted.x", b"value", 5, 0), 0
    )
    nobody = 0xFFFF_FFFF
    fields = ((1, 6, nobody), (2, 4, 7), (4, 4, nobody), (0x10, 6, nobody), (0x20, 0, nobody))  # tag, rights, number
    entries = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *each) for each in fields)
    for kind, place in (("system.posix_acl_access", name), ("system.posix_acl_default", f"{PLACE}/above")):
        check(
            host,
            lambda kind=kind, place=place: host.setxattr(place, kind, entries, len(entries), 0),  # type: ignore[misc]
            lambda _, kind=kind, place=place: host.removexattr(place, kind),  # type: ignore[misc]
        )
