"""Mounting in steps: open_tree, move_mount, fsopen and its kin, mount_setattr; on a booted machine."""

import os
import struct

import pytest

from kernel.fs.path import MOUNTS
from kernel.fs.tmpfs.base import Tmpfs
from tests.unit.booted import booted
from tests.unit.fs.test_shared_mounts import (
    MS_PRIVATE,
    MS_SHARED,
    MS_SLAVE,
    MS_UNBINDABLE,
    bind,
    change,
    fields,
    is_marked,
    mark,
    prepare,
)
from tests.unit.syscalls.test_files import names_in, read_all, write_new
from tools.simulated.machine import Machine
from tools.simulated.program import Program

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000
OPEN_TREE_CLONE = 1
MOVE_MOUNT_F_EMPTY_PATH = 4
MOVE_MOUNT_SET_GROUP = 0x100
MOVE_MOUNT_BENEATH = 0x200
SET_FLAG, SET_STRING, CREATE, RECONFIGURE = 0, 1, 6, 7


def attach(program: Program, descriptor: int, path: str) -> None:
    program.move_mount(descriptor, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH)


def set_attributes(program: Program, path: str, set_: int, cleared: int, flags: int = 0, propagation: int = 0) -> None:
    program.mount_setattr(AT_FDCWD, path, flags, bytearray(struct.pack("<4Q", set_, cleared, propagation, 0)), 32)


def flags_of(program: Program, path: str) -> str:
    """The mount's own flags, as mountinfo shows them."""
    lines = [line.split() for line in read_all(program, "/proc/self/mountinfo").decode().splitlines()]
    return {line[4]: line[5] for line in lines}[path]


@booted
def test_a_copy_of_a_tree_is_attached_when_it_is_ready(machine: Machine) -> None:
    host = machine.host
    prepare(host)
    mark(host, "/a/x")
    before = len(MOUNTS)
    tree = host.open_tree(AT_FDCWD, "/a", OPEN_TREE_CLONE | AT_RECURSIVE)
    assert len(MOUNTS) == before + 2 and b"/c" not in read_all(host, "/proc/self/mounts")
    with pytest.raises(OSError, match="EBADF"):
        host.read(tree, bytearray(1), 1)
    inside = host.openat(tree, "x/mark", os.O_RDONLY)
    host.close(inside)
    attach(host, tree, "/c")
    assert is_marked(host, "/c/x") and fields(host)["/c"] == "shared:1"
    host.close(tree)
    assert is_marked(host, "/c/x")
    host.close(host.open_tree(AT_FDCWD, "/a/x", OPEN_TREE_CLONE))
    assert len(MOUNTS) == before + 2


@booted
def test_a_new_file_system_is_mounted_in_steps(machine: Machine) -> None:
    host = machine.host
    prepare(host)
    context = host.fsopen("tmpfs", 0)
    host.fsconfig(context, SET_STRING, "source", "here", 0)
    host.fsconfig(context, SET_STRING, "size", "64k", 0)
    with pytest.raises(OSError, match="EINVAL"):
        host.fsmount(context, 0, 0)
    host.fsconfig(context, CREATE, None, None, 0)
    with pytest.raises(OSError, match="EBUSY"):
        host.fsconfig(context, SET_FLAG, "ro", None, 0)
    mounted = host.fsmount(context, 0, 0x9)  # MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOEXEC
    with pytest.raises(OSError, match="EBUSY"):
        host.fsmount(context, 0, 0)
    attach(host, mounted, "/b/y")
    assert flags_of(host, "/a/y") == "ro,noexec,relatime"  # its parent is shared
    assert b"here /a/y tmpfs ro,noexec,relatime,size=64k" in read_all(host, "/proc/self/mounts")
    with pytest.raises(OSError, match="ENODEV"):
        host.fsopen("none-such", 0)
    unused = host.fsopen("tmpfs", 0)
    with pytest.raises(OSError, match="EINVAL"):
        host.fsconfig(unused, SET_STRING, "nothing", "here", 0)
    host.fsconfig(unused, CREATE, None, None, 0)
    host.close(unused)


@booted
def test_a_mounted_one_is_changed(machine: Machine) -> None:
    host = machine.host
    prepare(host)
    context = host.fspick(AT_FDCWD, "/a", 0)
    host.fsconfig(context, SET_FLAG, "ro", None, 0)
    host.fsconfig(context, SET_STRING, "size", "128k", 0)
    host.fsconfig(context, RECONFIGURE, None, None, 0)
    assert b" /a tmpfs ro,relatime,size=128k" in read_all(host, "/proc/self/mounts")
    with pytest.raises(OSError, match="EBUSY"):
        host.fsconfig(context, CREATE, None, None, 0)
    with pytest.raises(OSError, match="EINVAL"):
        host.fspick(AT_FDCWD, "/a/x", 0)


def created(program: Program, kind: str) -> int:
    """A descriptor of fsopen(2) that has an instance."""
    context = program.fsopen(kind, 0)
    program.fsconfig(context, CREATE, None, None, 0)
    return context


@booted
@pytest.mark.parametrize("kind", ["sysfs", "binfmt_misc"])
def test_an_instance_lives_as_long_as_it_can_be_mounted(machine: Machine, kind: str) -> None:
    """Though others that have the same one mount it and unmount it, or give it up."""
    host = machine.host
    prepare(host)
    context = created(host, kind)
    host.close(created(host, kind))
    host.mount("none", "/other", kind, 0, None)
    names = names_in(host, "/other")
    host.umount2("/other", 0)
    attach(host, host.fsmount(context, 0, 0), "/c")
    host.close(context)
    assert len(names) > 2 and names_in(host, "/c") == names


@booted
def test_an_instance_ends_when_nobody_can_mount_or_change_it(machine: Machine) -> None:
    host = machine.host
    prepare(host)
    host.mount("none", "/other", "tmpfs", 0, None)
    instance = list(MOUNTS.values())[-1].file_system
    assert isinstance(instance, Tmpfs)
    picked = host.fspick(AT_FDCWD, "/other", 0)
    host.umount2("/other", 0)
    assert instance.top is not None
    host.fsconfig(picked, SET_STRING, "size", "64k", 0)
    host.fsconfig(picked, RECONFIGURE, None, None, 0)
    assert instance.page_limit == 16
    host.close(picked)
    assert instance.mounts == 0 and instance.top is None


@booted
def test_attributes_of_a_tree(machine: Machine) -> None:
    host = machine.host
    prepare(host)
    mark(host, "/other")
    host.mkdir("/other/inner", 0o755)
    mark(host, "/other/inner")
    set_attributes(host, "/other", 0x3, 0)
    assert (flags_of(host, "/other"), flags_of(host, "/other/inner")) == ("ro,nosuid,relatime", "rw,relatime")
    set_attributes(host, "/other", 0x10, 0x71, AT_RECURSIVE)  # NOATIME; no longer read-only
    assert (flags_of(host, "/other"), flags_of(host, "/other/inner")) == ("rw,nosuid,noatime", "rw,noatime")
    set_attributes(host, "/other", 0, 0, AT_RECURSIVE, MS_SHARED)
    assert fields(host)["/other/inner"] == "shared:3"
    set_attributes(host, "/other", 0, 0, 0, MS_PRIVATE)
    assert fields(host)["/other"] == ""
    for set_, cleared, propagation in ((0x10, 0, 0), (0, 0x10, 0), (0x40, 0x70, 0), (1 << 40, 0, 0), (0, 0, 3 << 18)):
        with pytest.raises(OSError, match="EINVAL"):
            set_attributes(host, "/other", set_, cleared, 0, propagation)
    with pytest.raises(OSError, match="EINVAL"):
        set_attributes(host, "/other/mark", 1, 0)
    tree = host.open_tree(AT_FDCWD, "/other", OPEN_TREE_CLONE)
    host.mount_setattr(tree, "", AT_EMPTY_PATH, bytearray(struct.pack("<4Q", 1, 0, 0, 0)), 32)
    attach(host, tree, "/c")
    assert flags_of(host, "/c") == "ro,nosuid,noatime"
    with pytest.raises(OSError, match="E2BIG"):
        host.mount_setattr(AT_FDCWD, "/c", 0, bytearray(b"\1" * 40), 40)


@booted
def test_a_private_mount_joins_the_peers_of_another(machine: Machine) -> None:
    host = machine.host
    prepare(host)

    def join(origin: str, target: str) -> None:
        host.move_mount(AT_FDCWD, origin, AT_FDCWD, target, MOVE_MOUNT_SET_GROUP)

    bind(host, "/a", "/c")
    change(host, "/c", MS_PRIVATE)
    for origin, target in (("/proc", "/c"), ("/a", "/b"), ("/c", "/a"), ("/a/x", "/c"), ("/a", "/other")):
        with pytest.raises(OSError, match="EINVAL"):
            join(origin, target)
    join("/a", "/c")
    mark(host, "/a/x")
    assert fields(host)["/c"] == fields(host)["/a"] == "shared:1" and is_marked(host, "/c/x")
    bind(host, "/a", "/other")
    change(host, "/c", MS_SLAVE)
    change(host, "/other", MS_PRIVATE)
    join("/c", "/other")
    assert fields(host)["/other"] == "master:1"
    change(host, "/other", MS_UNBINDABLE)
    join("/a", "/other")
    assert fields(host)["/other"] == "shared:1"


@booted
def test_wrong_moves(machine: Machine) -> None:
    host = machine.host
    prepare(host)
    write_new(host, "/file", b"")
    tree = host.open_tree(AT_FDCWD, "/b", OPEN_TREE_CLONE)
    before = len(MOUNTS)
    for target, error in (("/file", "EINVAL"), ("/none", "ENOENT")):
        with pytest.raises(OSError, match=error):
            attach(host, tree, target)
    inside = host.openat(tree, "x", os.O_PATH)
    with pytest.raises(OSError, match="EINVAL"):
        attach(host, inside, "/c")
    with pytest.raises(OSError, match="EINVAL"):
        host.move_mount(AT_FDCWD, "/", AT_FDCWD, "/c", 0)
    with pytest.raises(OSError, match="EINVAL"):
        host.mount("none", f"/proc/self/fd/{tree}", "tmpfs", 0, None)
    assert len(MOUNTS) == before
    host.close(inside)
    host.close(tree)
    assert len(MOUNTS) == before - 1

    def user(program: Program) -> None:
        program.setresuid(1000, 1000, 1000)
        for call in (
            lambda: program.open_tree(AT_FDCWD, "/", OPEN_TREE_CLONE), lambda: program.fsopen("tmpfs", 0),
            lambda: program.move_mount(AT_FDCWD, "/a", AT_FDCWD, "/c", 0), lambda: set_attributes(program, "/a", 1, 0),
        ):  # fmt: skip
            with pytest.raises(OSError, match="EPERM"):
                call()
        assert names_in(program, "/a") == [".", "..", "x", "y"]
        program.close(program.open_tree(AT_FDCWD, "/a", 0))

    assert machine.run(user) == 0


def slip(program: Program, descriptor: int, path: str) -> None:
    program.move_mount(descriptor, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_BENEATH)


def detached(program: Program, name: str) -> int:
    """A detached tmpfs with a file of that name."""
    context = program.fsopen("tmpfs", 0)
    program.fsconfig(context, CREATE, None, None, 0)
    tree = program.fsmount(context, 0, 0)
    program.close(program.openat(tree, name, os.O_CREAT | os.O_WRONLY, 0o600))
    program.close(context)
    return tree


@booted
def test_a_mount_slips_under_another(machine: Machine) -> None:
    host = machine.host
    prepare(host)
    with pytest.raises(OSError, match="EINVAL"):
        slip(host, detached(host, "under"), "/a")  # nothing comes onto the first file system below it
    host.mount("none", "/other", "tmpfs", 0, None)
    host.mkdir("/other/place", 0o755)
    host.mkdir("/other/place/in", 0o755)
    mark(host, "/other/place")
    tree = detached(host, "under")
    slip(host, tree, "/other/place")
    host.close(tree)
    assert is_marked(host, "/other/place")
    host.umount2("/other/place", 0)
    assert "under" in names_in(host, "/other/place")
    host.umount2("/other/place", 0)
    assert "in" in names_in(host, "/other/place")


@booted
def test_what_slips_under_another_is_propagated(machine: Machine) -> None:
    host = machine.host
    prepare(host)
    mark(host, "/a/x")
    slip(host, detached(host, "under"), "/a/x")
    assert is_marked(host, "/a/x") and is_marked(host, "/b/x")
    host.umount2("/a/x", 0)  # both of them: what they lie on now are peers
    for name in ("/a/x", "/b/x"):
        assert "under" in names_in(host, name)


@booted
def test_a_copy_is_passed_on_without_what_covers_it(machine: Machine) -> None:
    host = machine.host
    prepare(host)
    change(host, "/b", MS_SLAVE)
    change(host, "/b", MS_SHARED)
    mark(host, "/b/x")
    bind(host, "/b", "/c")
    before = len(MOUNTS)
    host.mount("none", "/a/x", "tmpfs", 0, None)
    assert len(MOUNTS) == before + 3 and is_marked(host, "/b/x") and not is_marked(host, "/c/x")


@booted
def test_what_cannot_slip_under_another(machine: Machine) -> None:
    host = machine.host
    prepare(host)
    tree = detached(host, "under")
    bind(host, "/a/x", "/a/x")  # a peer of what it stands on, showing its own place
    before = len(MOUNTS)
    for target in ("/", "/c", "/other", "/a/x", "/a/y"):
        with pytest.raises(OSError, match="EINVAL"):
            slip(host, tree, target)
    with pytest.raises(OSError, match="EINVAL"):
        host.move_mount(tree, "", AT_FDCWD, "/a", MOVE_MOUNT_BENEATH | MOVE_MOUNT_SET_GROUP | MOVE_MOUNT_F_EMPTY_PATH)
    assert len(MOUNTS) == before
