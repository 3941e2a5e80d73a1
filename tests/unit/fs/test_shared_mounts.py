"""Shared mounts, slaves and private ones, on a booted machine."""

import os
import struct

import pytest

from kernel.fs.path import MOUNTS
from kernel.fs.peers import GROUPS
from tests.unit.booted import booted
from tests.unit.syscalls.test_files import names_in, read_all, write_new
from tools.simulated.machine import Machine
from tools.simulated.program import Program

MS_BIND = 0x1000
MS_MOVE = 0x2000
MS_REC = 0x4000
MS_UNBINDABLE = 1 << 17
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
CLONE_NEWNS = 0x2_0000
SECOND = struct.pack("<QQ", 1, 0)


def prepare(program: Program) -> None:
    """A shared mount at /a, with its peer at /b."""
    for name in ("/proc", "/a", "/b", "/c", "/other"):
        program.mkdir(name, 0o755)
    program.mount("proc", "/proc", "proc", 0, None)
    program.mount("none", "/a", "tmpfs", 0, None)
    for name in ("/a/x", "/a/y"):
        program.mkdir(name, 0o755)
    change(program, "/a", MS_SHARED)
    bind(program, "/a", "/b")


def change(program: Program, path: str, flags: int) -> None:
    program.mount("none", path, None, flags, None)


def bind(program: Program, source: str, target: str, flags: int = 0) -> None:
    program.mount(source, target, None, MS_BIND | flags, None)


def mark(program: Program, path: str) -> None:
    """Mount something there, to be recognised by a file."""
    program.mount("none", path, "tmpfs", 0, None)
    write_new(program, f"{path}/mark", b"")


def is_marked(program: Program, path: str) -> bool:
    return "mark" in names_in(program, path)


def fields(program: Program) -> dict[str, str]:
    """The optional fields of mountinfo, by mount point."""
    lines = [line.split() for line in read_all(program, "/proc/self/mountinfo").decode().splitlines()]
    return {line[4]: " ".join(line[6 : line.index("-")]) for line in lines}


@booted
def test_peers_show_the_same(machine: Machine) -> None:
    host = machine.host
    prepare(host)
    before = len(MOUNTS)
    mark(host, "/a/x")
    assert is_marked(host, "/b/x")
    mark(host, "/b/y")
    assert is_marked(host, "/a/y")
    assert len(MOUNTS) == before + 4
    assert fields(host)["/a"] == fields(host)["/b"] == "shared:1"
    assert fields(host)["/a/x"] == fields(host)["/b/x"] == "shared:2"
    host.umount2("/b/x", 0)
    assert not is_marked(host, "/a/x")
    host.umount2("/a/y", 0)
    assert len(MOUNTS) == before
    assert list(GROUPS.by_number) == [1]


@booted
def test_a_new_peer_does_not_receive_itself(machine: Machine) -> None:
    """It shows the place on which it is mounted, and joins the group before it is passed on."""
    host = machine.host
    prepare(host)
    before = len(MOUNTS)
    bind(host, "/a/x", "/a/x")
    assert len(MOUNTS) == before + 2
    assert fields(host)["/a/x"] == fields(host)["/b/x"] == "shared:1"
    host.umount2("/a/x", 0)
    assert len(MOUNTS) == before


@booted
def test_slaves_only_receive(machine: Machine) -> None:
    host = machine.host
    prepare(host)
    change(host, "/b", MS_SLAVE)
    assert fields(host)["/b"] == "master:1"
    mark(host, "/a/x")
    assert is_marked(host, "/b/x") and fields(host)["/b/x"] == "master:2"
    mark(host, "/b/y")
    assert not is_marked(host, "/a/y")
    bind(host, "/b", "/c")
    assert fields(host)["/c"] == "master:1"
    change(host, "/c", MS_SHARED)
    assert fields(host)["/c"] == "shared:3 master:1"
    host.umount2("/a/x", 0)
    assert not is_marked(host, "/b/x")
    mark(host, "/a/x")
    assert is_marked(host, "/c/x") and fields(host)["/c/x"] == "shared:4 master:2"
    change(host, "/a", MS_PRIVATE)
    assert fields(host)["/c"] == "shared:3" and fields(host)["/b"] == ""


@booted
def test_a_slave_passes_on_to_its_peers(machine: Machine) -> None:
    host = machine.host
    prepare(host)
    change(host, "/b", MS_SLAVE)
    change(host, "/b", MS_SHARED)
    bind(host, "/b", "/c")
    assert fields(host)["/b"] == fields(host)["/c"] == "shared:2 master:1"
    mark(host, "/a/x")
    assert is_marked(host, "/b/x") and is_marked(host, "/c/x")
    assert fields(host)["/b/x"] == fields(host)["/c/x"] == "shared:4 master:3"
    mark(host, "/c/y")
    assert is_marked(host, "/b/y") and not is_marked(host, "/a/y")
    host.umount2("/a/x", 0)
    assert not is_marked(host, "/b/x") and not is_marked(host, "/c/x")


@booted
def test_what_a_peer_does_not_show_it_does_not_get(machine: Machine) -> None:
    host = machine.host
    prepare(host)
    bind(host, "/a/x", "/c")
    host.mkdir("/a/x/inner", 0o755)
    before = len(MOUNTS)
    mark(host, "/a/y")
    assert len(MOUNTS) == before + 2
    mark(host, "/c/inner")
    assert is_marked(host, "/a/x/inner") and is_marked(host, "/b/x/inner")


@booted
def test_trees_are_bound_and_moved_to_shared_mounts(machine: Machine) -> None:
    host = machine.host
    prepare(host)
    mark(host, "/other")
    host.mkdir("/other/inner", 0o755)
    mark(host, "/other/inner")
    bind(host, "/other", "/a/x", MS_REC)
    assert is_marked(host, "/b/x") and is_marked(host, "/b/x/inner")
    host.mount("/other", "/b/y", None, MS_MOVE, None)
    assert is_marked(host, "/a/y/inner") and not is_marked(host, "/other")
    with pytest.raises(OSError, match="EINVAL"):
        host.mount("/b/y", "/other", None, MS_MOVE, None)  # its parent is shared
    mark(host, "/other")
    change(host, "/other", MS_UNBINDABLE)
    with pytest.raises(OSError, match="EINVAL"):
        bind(host, "/other", "/c")
    with pytest.raises(OSError, match="EINVAL"):
        host.mount("/other", "/b/x", None, MS_MOVE, None)


@booted
def test_a_peer_that_is_covered_gets_it_below(machine: Machine) -> None:
    host = machine.host
    prepare(host)
    change(host, "/b", MS_SLAVE)
    mark(host, "/b/x")
    write_new(host, "/b/x/upper", b"")
    mark(host, "/a/x")
    assert "upper" in names_in(host, "/b/x")
    host.umount2("/b/x", 0)
    assert names_in(host, "/b/x") == [".", "..", "mark"]


@booted
def test_a_copy_that_is_used_keeps_the_others(machine: Machine) -> None:
    host = machine.host
    prepare(host)
    mark(host, "/a/x")
    descriptor = host.open("/b/x/mark", os.O_RDONLY)
    with pytest.raises(OSError, match="EBUSY"):
        host.umount2("/a/x", 0)
    assert is_marked(host, "/a/x")
    host.close(descriptor)
    host.umount2("/a/x", 0)
    assert not is_marked(host, "/b/x")


@booted
def test_mounts_pass_between_namespaces(machine: Machine) -> None:
    host = machine.host
    prepare(host)

    def child(program: Program) -> None:
        program.unshare(CLONE_NEWNS)
        change(program, "/b", MS_SLAVE)
        program.nanosleep(SECOND, None)
        assert is_marked(program, "/a/x") and is_marked(program, "/b/x")
        mark(program, "/a/y")
        program.umount2("/b/x", 0)

    pid = host.fork(child)
    host.nanosleep(struct.pack("<QQ", 0, 500_000_000), None)
    mark(host, "/a/x")
    assert machine.wait(pid) == 0
    assert is_marked(host, "/a/y") and is_marked(host, "/a/x") and is_marked(host, "/b/x")


@booted
def test_a_tree_for_which_there_is_no_room(machine: Machine) -> None:
    host = machine.host
    prepare(host)
    limit = host.open("/proc/sys/fs/mount-max", os.O_RDWR)
    text = str(len(MOUNTS) + 1)
    host.write(limit, text, len(text))
    before = len(MOUNTS)
    with pytest.raises(OSError, match="ENOSPC"):
        mark(host, "/a/x")
    assert len(MOUNTS) == before and list(GROUPS.by_number) == [1]
