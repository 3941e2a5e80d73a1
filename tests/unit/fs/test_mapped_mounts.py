"""Id-mapped mounts (mount_setattr(2)), on a booted machine: a file of user 1000 seems to be user 0's."""

import os
import struct

import pytest

from tests.unit.booted import booted
from tests.unit.fs.test_mount_api import AT_EMPTY_PATH, AT_FDCWD, AT_RECURSIVE, OPEN_TREE_CLONE, attach, flags_of
from tests.unit.syscalls.test_files import write_new
from tests.unit.task.test_user_namespaces import CLONE_NEWUSER, become, put
from tools.simulated.machine import Machine
from tools.simulated.program import Program

ATTR_IDMAP = 0x10_0000
KEPT, STRANGER = 1000, 7


def prepare(program: Program) -> None:
    """A tmpfs at /kept, whose files belong to user and group 1000 and to a stranger, and a place /seen."""
    program.umask(0)
    for name in ("/proc", "/kept", "/seen"):
        program.mkdir(name, 0o755)
    program.mount("proc", "/proc", "proc", 0, None)
    program.mount("none", "/kept", "tmpfs", 0, "mode=777")
    for name, owner in (("file", KEPT), ("stranger", STRANGER)):
        write_new(program, f"/kept/{name}", b"")
        program.chmod(f"/kept/{name}", 0o606)
        program.chown(f"/kept/{name}", owner, owner)
    program.chown("/kept", KEPT, KEPT)


def namespace(program: Program) -> int:
    """The file of a user namespace in which user and group 1000 are root outside."""
    to_parent, from_child = pipe(program)
    to_child, from_parent = pipe(program)

    def child(inner: Program) -> None:
        inner.unshare(CLONE_NEWUSER)
        put(inner, "/proc/self/setgroups", b"deny")
        put(inner, "/proc/self/uid_map", b"%d 0 1" % KEPT)
        put(inner, "/proc/self/gid_map", b"%d 0 1" % KEPT)
        inner.write(from_child, b"x", 1)
        inner.read(to_child, bytearray(1), 1)

    pid = program.fork(child)
    program.read(to_parent, bytearray(1), 1)
    found = program.open(f"/proc/{pid}/ns/user", os.O_RDONLY)
    program.write(from_parent, b"x", 1)
    program.wait4(pid, None, 0, None)
    return found


def pipe(program: Program) -> tuple[int, int]:
    ends = bytearray(8)
    program.pipe2(ends, 0)
    reader, writer = struct.unpack("<2I", ends)
    return reader, writer


def map_owners(program: Program, tree: int, space: int, flags: int = 0) -> None:
    request = bytearray(struct.pack("<4Q", ATTR_IDMAP, 0, 0, space))
    program.mount_setattr(tree, "", AT_EMPTY_PATH | flags, request, len(request))


def show_mapped(program: Program) -> None:
    tree = program.open_tree(AT_FDCWD, "/kept", OPEN_TREE_CLONE)
    map_owners(program, tree, namespace(program))
    attach(program, tree, "/seen")


def owners(program: Program, path: str) -> tuple[int, int]:
    status = bytearray(144)
    program.lstat(path, status)
    uid, gid = struct.unpack_from("<2I", status, 28)
    return uid, gid


@booted
def test_owners_are_seen_as_the_map_says(machine: Machine) -> None:
    host = machine.host
    prepare(host)
    show_mapped(host)
    assert flags_of(host, "/seen").endswith(",idmapped") and not flags_of(host, "/kept").endswith(",idmapped")
    assert owners(host, "/seen/file") == (0, 0) and owners(host, "/kept/file") == (KEPT, KEPT)
    assert owners(host, "/seen/stranger") == (65534, 65534)


@booted
def test_what_is_made_is_kept_for_the_counterpart(machine: Machine) -> None:
    host = machine.host
    prepare(host)
    show_mapped(host)
    write_new(host, "/seen/new", b"")
    assert owners(host, "/kept/new") == (KEPT, KEPT)
    host.chown("/seen/stranger", 0, 0)
    assert owners(host, "/kept/stranger") == (KEPT, KEPT)
    with pytest.raises(OSError, match="EOVERFLOW"):
        host.chown("/seen/new", 5, -1)


@booted
def test_who_has_no_counterpart_is_nobody(machine: Machine) -> None:
    host = machine.host
    prepare(host)
    show_mapped(host)
    host.close(host.open("/seen/stranger", os.O_RDONLY))
    with pytest.raises(OSError, match="EACCES"):
        host.open("/seen/stranger", os.O_WRONLY)
    with pytest.raises(OSError, match="EOVERFLOW"):
        host.chmod("/seen/stranger", 0o600)
    with pytest.raises(OSError, match="EOVERFLOW"):
        host.unlink("/seen/stranger")

    def child(program: Program) -> None:
        become(program, KEPT)
        with pytest.raises(OSError, match="EOVERFLOW"):
            program.mkdir("/seen/dir", 0o755)
        with pytest.raises(OSError, match="EPERM"):
            program.chmod("/seen/file", 0o600)  # it is somebody else's here
        program.chmod("/kept/file", 0o600)

    assert machine.run(child) == 0


@booted
def test_a_map_is_refused(machine: Machine) -> None:
    host = machine.host
    prepare(host)
    space = namespace(host)
    tree = host.open_tree(AT_FDCWD, "/kept", OPEN_TREE_CLONE)
    writer = host.openat(tree, "file", os.O_WRONLY)
    with pytest.raises(OSError, match="EBUSY"):
        map_owners(host, tree, space)
    host.close(writer)
    own = host.open("/proc/self/ns/user", os.O_RDONLY)
    for wrong, error in ((own, "EPERM"), (tree, "EBADF"), (host.open("/proc/self/ns/mnt", os.O_RDONLY), "EINVAL")):
        with pytest.raises(OSError, match=error):
            map_owners(host, tree, wrong)
    map_owners(host, tree, space)
    with pytest.raises(OSError, match="EPERM"):
        map_owners(host, tree, space)  # it has one
    attached = host.open("/kept", os.O_PATH)
    with pytest.raises(OSError, match="EINVAL"):
        map_owners(host, attached, space)
    other = host.open_tree(AT_FDCWD, "/proc", OPEN_TREE_CLONE)
    with pytest.raises(OSError, match="EINVAL"):
        map_owners(host, other, space)


@booted
def test_a_tree_is_mapped_as_a_whole_or_not_at_all(machine: Machine) -> None:
    host = machine.host
    prepare(host)
    space = namespace(host)
    for name in ("/kept/inner", "/kept/other"):
        host.mkdir(name, 0o755)
    host.mount("none", "/kept/inner", "tmpfs", 0, None)
    host.mount("proc", "/kept/other", "proc", 0, None)
    tree = host.open_tree(AT_FDCWD, "/kept", OPEN_TREE_CLONE | AT_RECURSIVE)
    with pytest.raises(OSError, match="EINVAL"):
        map_owners(host, tree, space, AT_RECURSIVE)
    attach(host, tree, "/seen")
    assert owners(host, "/seen/file") == (KEPT, KEPT)
    host.umount2("/seen/other", 0)
    tree = host.open_tree(AT_FDCWD, "/seen", OPEN_TREE_CLONE | AT_RECURSIVE)
    map_owners(host, tree, space, AT_RECURSIVE)
    attach(host, tree, "/kept")
    assert flags_of(host, "/kept/inner").endswith(",idmapped") and owners(host, "/kept/file") == (0, 0)


@booted
def test_a_mount_that_is_written_to_stays_writable(machine: Machine) -> None:
    host = machine.host
    prepare(host)
    writer = host.open("/kept/file", os.O_WRONLY)
    read_only = bytearray(struct.pack("<4Q", 1, 0, 0, 0))
    with pytest.raises(OSError, match="EBUSY"):
        host.mount_setattr(AT_FDCWD, "/kept", 0, read_only, 32)
    with pytest.raises(OSError, match="EBUSY"):
        host.mount("none", "/kept", None, 0x1000 | 0x20 | 1, None)  # MS_BIND, MS_REMOUNT, MS_RDONLY
    host.close(writer)
    host.mount_setattr(AT_FDCWD, "/kept", 0, read_only, 32)
    assert flags_of(host, "/kept").startswith("ro,")
