"""What one mount namespace may do to another's mounts and names, and mounts where memory ends, on a booted machine."""

import os

import pytest

from kernel.fs.dentry import Dentry
from kernel.fs.path import FIRST_MOUNTS, MOUNTS, NAMESPACES, FsContext, Mount, Path
from kernel.lang import UserAddr
from kernel.lib.pid import Pid
from kernel.syscalls import mount as mount_calls
from kernel.syscalls.path_arguments import path_at
from kernel.task import current
from tests.unit.booted import booted
from tests.unit.fs.test_shared_mounts import (
    CLONE_NEWNS,
    bind,
    is_marked,
    mark,
    prepare,
)
from tests.unit.syscalls.test_files import write_new
from tools.simulated.machine import Machine
from tools.simulated.program import Program

FAR = Pid(1 << 20)  # no thread has this number


class Full(dict[Dentry, Mount]):
    """Children of a mount, and no memory for one more."""

    def __setitem__(self, place: Dentry, mount: Mount) -> None:
        if place not in self:
            raise MemoryError
        super().__setitem__(place, mount)


def mount_at(name: bytes) -> Mount:
    """What is mounted on a directory of that name."""
    for mount in MOUNTS.values():
        if mount.mount_point is not None and mount.mount_point.name == name:
            return mount
    raise AssertionError(name)


@booted
def test_a_mount_in_another_namespace_does_not_keep_a_name(machine: Machine) -> None:
    host = machine.host
    prepare(host)
    host.mkdir("/other/one", 0o755)
    host.mkdir("/other/two", 0o755)
    host.mkdir("/other/three", 0o755)
    write_new(host, "/other/file", b"")
    before = len(MOUNTS)

    def child(program: Program) -> None:
        program.unshare(CLONE_NEWNS)
        inside = len(MOUNTS)
        mark(program, "/other/one")
        mark(program, "/other/two")
        mark(program, "/other/three")
        bind(program, "/proc/self/status", "/other/file")
        with pytest.raises(OSError, match="EBUSY"):
            program.rmdir("/other/one")
        with pytest.raises(OSError, match="EBUSY"):
            program.rename("/other/two", "/other/moved")
        pid = program.fork(outside)
        program.wait4(pid, None, 0, None)
        assert len(MOUNTS) == inside + 1
        assert is_marked(program, "/other/moved")
        program.umount2("/other/moved", 0)

    def outside(program: Program) -> None:
        program.setns(first, CLONE_NEWNS)
        program.rmdir("/other/one")
        program.unlink("/other/file")
        program.rename("/other/two", "/other/moved")
        program.mkdir("/other/empty", 0o755)
        program.rename("/other/empty", "/other/three")

    first = host.open("/proc/self/ns/mnt", os.O_RDONLY, 0)
    assert machine.wait(host.fork(child)) == 0
    assert len(MOUNTS) == before


@booted
def test_no_way_up_out_of_a_bind_mount(machine: Machine) -> None:
    host = machine.host
    host.mkdir("/part", 0o755)
    host.mkdir("/part/a", 0o755)
    host.mkdir("/part/a/b", 0o755)
    host.mkdir("/seen", 0o755)
    bind(host, "/part", "/seen")
    host.chdir("/seen/a/b")
    assert host.access("../../a", 0) == 0
    host.rename("/part/a/b", "/out")
    for name in ("..", "../part", "../.."):
        with pytest.raises(OSError, match="ENOENT"):
            host.access(name, 0)
    assert host.access(".", 0) == 0


@booted
def test_a_mount_that_cannot_be_moved_stays(machine: Machine) -> None:
    host = machine.host
    for name in ("/x", "/y"):
        host.mkdir(name, 0o755)
    mark(host, "/x")
    moved = mount_at(b"x")
    parent = moved.parent
    point = moved.mount_point
    assert parent is not None and point is not None
    parent.children = Full(parent.children)
    with pytest.raises(OSError, match="ENOMEM"):
        host.mount("/x", "/y", None, 0x2000, None)
    assert moved.parent is parent and parent.children[point] is moved and point.mounts is moved
    assert is_marked(host, "/x")


@booted
def test_pivot_root_without_memory_changes_nothing(machine: Machine) -> None:
    host = machine.host
    host.mkdir("/new", 0o755)
    host.mount("none", "/new", "tmpfs", 0, None)
    host.mkdir("/new/old", 0o755)
    new = mount_at(b"new")
    root = FIRST_MOUNTS.top()
    assert root is not None
    new.children = Full()
    with pytest.raises(OSError, match="ENOMEM"):
        host.pivot_root("/new", "/new/old")
    assert FIRST_MOUNTS.top() is root and new.parent is root and not new.locks.in_place
    new.children = {}
    host.pivot_root("/new", "/new/old")
    assert FIRST_MOUNTS.top() is new and root.parent is new


@booted
def test_pivot_root_changes_the_root_that_its_names_are_of(machine: Machine) -> None:
    """Another thread with the same root changes it while the names are read, and a thread starts meanwhile."""
    host = machine.host
    for name in ("/r", "/r/new", "/r/new/old"):
        host.mkdir(name, 0o755)
        if name != "/r/new/old":
            host.mount("none", name, "tmpfs", 0, None)
    new = mount_at(b"new")
    follow = mount_calls._follow_root
    threads = current().process.threads

    def late(address: UserAddr) -> bytes:
        context = current().fs
        if context.root.mount is not mount_at(b"r"):
            context.set_root(Path(mount_at(b"r"), mount_at(b"r").root))
        return path_at(address)

    def beside(context: FsContext, old: Path, new: Path) -> None:
        threads[FAR] = current()
        follow(context, old, new)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mount_calls, "path_at", late)
        patch.setattr(mount_calls, "_follow_root", beside)
        host.pivot_root("/new", "/new/old")
    assert threads.pop(FAR) is current()
    assert current().fs.root.mount is new


@booted
def test_a_mounted_file_keeps_a_mount_namespace(machine: Machine) -> None:
    """`unshare --mount=FILE`. Only newer ones are mounted: none keeps itself, or the one that keeps it."""
    host = machine.host
    prepare(host)
    host.mkdir("/other/kept", 0o755)
    for name in ("/other/file", "/other/next"):
        write_new(host, name, b"")
    before = len(NAMESPACES)
    with pytest.raises(OSError, match="EINVAL"):
        bind(host, "/proc/self/ns/mnt", "/other/file")

    def child(program: Program) -> None:
        program.unshare(CLONE_NEWNS)
        mark(program, "/other/kept")
        pid = program.fork(grandchild)
        program.wait4(pid, None, 0, None)

    def grandchild(program: Program) -> None:
        """It mounts its parent's from the outside, and its own from its parent's."""
        program.unshare(CLONE_NEWNS)
        own = program.open("/proc/self/ns/mnt", os.O_RDONLY, 0)
        parents = program.open(f"/proc/{program.getppid()}/ns/mnt", os.O_RDONLY, 0)
        with pytest.raises(OSError, match="EINVAL"):
            bind(program, f"/proc/self/fd/{parents}", "/other/file")
        program.setns(first, CLONE_NEWNS)
        bind(program, f"/proc/self/fd/{parents}", "/other/file")
        program.setns(parents, CLONE_NEWNS)
        bind(program, f"/proc/self/fd/{own}", "/other/next")

    def visitor(program: Program) -> None:
        program.setns(program.open("/other/file", os.O_RDONLY, 0), CLONE_NEWNS)
        assert is_marked(program, "/other/kept")
        program.setns(program.open("/other/next", os.O_RDONLY, 0), CLONE_NEWNS)
        assert is_marked(program, "/other/kept")

    first = host.open("/proc/self/ns/mnt", os.O_RDONLY, 0)
    host.wait4(host.fork(child), None, 0, None)
    assert len(NAMESPACES) == before + 2
    host.wait4(host.fork(visitor), None, 0, None)
    host.umount2("/other/file", 0)
    assert len(NAMESPACES) == before
