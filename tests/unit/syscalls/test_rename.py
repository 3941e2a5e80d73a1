"""Calls that name files (kernel/syscalls/rename.py, link.py, open.py, mkdir.py, utimensat.py, mount.py), on a booted
machine.
"""

import os
import struct

import pytest

from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program

FAULTY = 16  # an address without memory
HERE = -100  # AT_FDCWD
NOREPLACE, EXCHANGE, WHITEOUT, UNKNOWN = 1, 2, 4, 8
FOLLOW, EMPTY_PATH = 0x400, 0x1000
TEMPORARY = 0o20000000 | os.O_DIRECTORY
NOW, OMIT = (1 << 30) - 1, (1 << 30) - 2


def new_file(program: Program, path: str, data: bytes = b"x") -> None:
    descriptor = program.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    program.write(descriptor, data, len(data))
    program.close(descriptor)


def content(program: Program, path: str) -> bytes:
    descriptor = program.open(path, os.O_RDONLY)
    out = bytearray(100)
    count = program.read(descriptor, out, 100)
    program.close(descriptor)
    return bytes(out[:count])


@booted
def test_a_file_gets_another_name(machine: Machine) -> None:
    host = machine.host
    new_file(host, "/tmp/a", b"a")
    new_file(host, "/tmp/b", b"b")
    with pytest.raises(OSError, match="EEXIST"):
        host.renameat2(HERE, "/tmp/a", HERE, "/tmp/b", NOREPLACE)
    host.renameat2(HERE, "/tmp/a", HERE, "/tmp/b", EXCHANGE)
    assert (content(host, "/tmp/a"), content(host, "/tmp/b")) == (b"b", b"a")
    host.rename("/tmp/a", "/tmp/b")
    assert content(host, "/tmp/b") == b"b"
    with pytest.raises(OSError, match="ENOENT"):
        content(host, "/tmp/a")


@booted
def test_what_is_replaced_ends_once_while_anything_is_watched(machine: Machine) -> None:
    host = machine.host
    host.mkdir("/tmp/place", 0o755)
    host.mount("none", "/tmp/place", "tmpfs", 0, "nr_inodes=20")

    def free_inodes() -> int:
        answer = bytearray(120)
        host.statfs("/tmp/place", answer)
        return int.from_bytes(answer[48:56], "little")  # f_ffree

    host.inotify_add_watch(host.inotify_init1(0), "/tmp", 0x100)
    new_file(host, "/tmp/place/b")
    before = free_inodes()
    for flags in (0, WHITEOUT):
        new_file(host, "/tmp/place/a")
        host.renameat2(HERE, "/tmp/place/a", HERE, "/tmp/place/b", flags)
    host.unlink("/tmp/place/a")  # the whiteout
    assert free_inodes() == before


@booted
def test_the_old_name_is_looked_at_before_the_new_one(machine: Machine) -> None:
    host = machine.host
    new_file(host, "/tmp/a")
    for flags in (UNKNOWN, NOREPLACE | EXCHANGE, WHITEOUT | EXCHANGE):
        with pytest.raises(OSError, match="EINVAL"):
            host.renameat2(HERE, FAULTY, HERE, FAULTY, flags)
    for old, new, error in (
        ("", FAULTY, "ENOENT"),
        ("/tmp/none/x", FAULTY, "ENOENT"),
        ("/tmp/a/x", FAULTY, "ENOTDIR"),
        ("/tmp/a/x", "x", "ENOTDIR"),
        ("/tmp/none", FAULTY, "EFAULT"),
        ("/tmp/none", "", "ENOENT"),
        ("/tmp/none", "x", "EBADF"),
        (FAULTY, "", "EFAULT"),
    ):
        with pytest.raises(OSError, match=error):
            host.renameat2(HERE, old, 999, new, 0)


@booted
def test_a_second_name_of_a_file(machine: Machine) -> None:
    host = machine.host
    new_file(host, "/tmp/a", b"a")
    host.linkat(HERE, "/tmp/a", HERE, "/tmp/b", 0)
    assert content(host, "/tmp/b") == b"a"
    host.symlink("/tmp/a", "/tmp/pointer")
    host.linkat(HERE, "/tmp/pointer", HERE, "/tmp/c", FOLLOW)
    assert content(host, "/tmp/c") == b"a"
    with pytest.raises(OSError, match="EINVAL"):
        host.linkat(HERE, FAULTY, HERE, FAULTY, 1)


@booted
def test_only_an_empty_name_needs_a_capability(machine: Machine) -> None:
    host = machine.host
    new_file(host, "/tmp/a")
    descriptor = host.open("/tmp/a", os.O_RDONLY)
    host.linkat(descriptor, "", HERE, "/tmp/b", EMPTY_PATH)

    def child(program: Program) -> None:
        program.setuid(1000)
        with pytest.raises(OSError, match="ENOENT"):
            program.linkat(descriptor, "", HERE, "/tmp/c", EMPTY_PATH)
        with pytest.raises(OSError, match="EFAULT"):
            program.linkat(HERE, FAULTY, 999, "x", EMPTY_PATH)
        new_file(program, "/tmp/mine")
        program.linkat(HERE, "/tmp/mine", HERE, "/tmp/yours", EMPTY_PATH)
        with pytest.raises(OSError, match="EBADF"):
            program.linkat(HERE, "/tmp/mine", 999, "x", EMPTY_PATH)

    assert machine.run(child) == 0


@booted
def test_flags_of_open_are_checked_before_the_path(machine: Machine) -> None:
    host = machine.host
    for flags in (
        os.O_CREAT | os.O_DIRECTORY,
        TEMPORARY | os.O_RDONLY,
        TEMPORARY | os.O_RDWR | os.O_CREAT,
        TEMPORARY & ~os.O_DIRECTORY | os.O_RDWR,
    ):
        with pytest.raises(OSError, match="EINVAL"):
            host.openat(999, FAULTY, flags, 0o644)
    with pytest.raises(OSError, match="EFAULT"):
        host.openat(999, FAULTY, os.O_PATH | os.O_CREAT | os.O_DIRECTORY, 0)  # the rest does not count
    descriptor = host.openat(HERE, "/tmp", TEMPORARY | os.O_RDWR, 0o644)
    assert host.write(descriptor, b"x", 1) == 1


@booted
def test_what_cannot_be_made_is_refused_before_the_path(machine: Machine) -> None:
    host = machine.host
    for mode, error in ((0o170000, "EINVAL"), (0o120000, "EINVAL"), (0o040000, "EPERM"), (0o010000, "EFAULT")):
        with pytest.raises(OSError, match=error):
            host.mknodat(999, FAULTY, mode, 0)
    host.mknod("/tmp/fifo", 0o010644, 0)
    state = bytearray(144)
    host.stat("/tmp/fifo", state)
    assert struct.unpack_from("<I", state, 24)[0] == 0o010644


@booted
def test_times_of_a_file(machine: Machine) -> None:
    host = machine.host
    new_file(host, "/tmp/a")
    host.utimensat(HERE, "/tmp/a", struct.pack("<qqqq", 1, 2, 3, 4), 0)
    host.utimensat(HERE, "/tmp/a", struct.pack("<qqqq", 9, OMIT, 5, 6), 0)
    state = bytearray(144)
    host.stat("/tmp/a", state)
    assert struct.unpack_from("<qqqq", state, 72) == (1, 2, 5, 6)


@booted
def test_errors_of_times_come_in_the_order_of_linux(machine: Machine) -> None:
    host = machine.host
    new_file(host, "/tmp/a")
    wrong = struct.pack("<qqqq", 0, -1, 0, 0)
    nothing = struct.pack("<qqqq", 0, OMIT, 0, OMIT)
    assert host.utimensat(999, FAULTY, nothing, 0x8000) == 0
    for arguments, error in (
        ((999, FAULTY, FAULTY, 0x8000), "EFAULT"),
        ((999, FAULTY, wrong, 0x8000), "EINVAL"),
        ((HERE, FAULTY, wrong, 0), "EFAULT"),
        ((HERE, "/tmp/none", wrong, 0), "ENOENT"),
        ((999, "x", wrong, 0), "EBADF"),
        ((999, None, wrong, 0), "EBADF"),
        ((HERE, "/tmp/a", wrong, 0), "EINVAL"),
    ):
        with pytest.raises(OSError, match=error):
            host.utimensat(*arguments)


@booted
def test_mounts_are_not_for_everybody(machine: Machine) -> None:
    host = machine.host
    with pytest.raises(OSError, match="EINVAL"):
        host.umount2(FAULTY, 0x100)
    with pytest.raises(OSError, match="EFAULT"):
        host.pivot_root(FAULTY, FAULTY)

    def child(program: Program) -> None:
        program.setuid(1000)
        with pytest.raises(OSError, match="EPERM"):
            program.pivot_root(FAULTY, FAULTY)
        with pytest.raises(OSError, match="EINVAL"):
            program.umount2(FAULTY, 0x100)

    assert machine.run(child) == 0


@pytest.mark.parametrize(
    ("kind", "old", "used", "plain", "answers"),
    [
        ("ramfs", "f", "g", "", "EEXIST EINVAL"),
        ("hugetlbfs", "f", "g", "", "EEXIST EINVAL"),
        ("cgroup2", "d", "e", "EPERM", "EEXIST EINVAL EINVAL"),
        ("sysfs", "kernel", "fs", "EPERM", "EEXIST EINVAL EINVAL"),
        ("proc", "uptime", "version", "EPERM", "EEXIST EPERM EPERM"),
        ("proc", "sys/kernel/ostype", "sys/kernel/osrelease", "EACCES", "EEXIST EACCES EACCES"),
        ("mqueue", "f", "g", "EPERM", "EEXIST EPERM EPERM"),
    ],
)
@booted
def test_how_names_move_elsewhere(machine: Machine, kind: str, old: str, used: str, plain: str, answers: str) -> None:
    """The answers to a rename to a name in use: without flags, and with each flag that fails."""
    host = machine.host
    host.mkdir("/tmp/place", 0o755)
    host.mount("none", "/tmp/place", kind, 0, 0)
    one, other = f"/tmp/place/{old}", f"/tmp/place/{used}"
    for name in (one, other):
        if old == "f":
            host.close(host.open(name, os.O_RDWR | os.O_CREAT, 0o600))
        elif old == "d":
            host.mkdir(name, 0o755)
    wanted = answers.split()
    flags = (NOREPLACE, EXCHANGE, WHITEOUT) if len(wanted) == 3 else (NOREPLACE, WHITEOUT)
    for flag, answer in zip(flags, wanted, strict=True):
        with pytest.raises(OSError, match=answer):
            host.renameat2(HERE, one, HERE, other, flag)
    if plain:
        with pytest.raises(OSError, match=plain):
            host.rename(one, other)
    else:
        host.renameat2(HERE, one, HERE, other, EXCHANGE)
        host.rename(one, other)
    if kind == "proc":
        with pytest.raises(OSError, match="ENOENT"):
            host.rename("/tmp/place/uptime", "/tmp/place/new")


@booted
def test_the_names_of_a_group_move_nowhere(machine: Machine) -> None:
    """Flags are refused before the rest, unless they say enough by themselves."""
    host = machine.host
    host.mkdir("/tmp/place", 0o755)
    host.mount("none", "/tmp/place", "cgroup2", 0, 0)
    host.mkdir("/tmp/place/one", 0o755)
    for flag, answer in ((0, "EPERM"), (NOREPLACE, "EINVAL"), (EXCHANGE, "ENOENT"), (WHITEOUT, "EINVAL")):
        with pytest.raises(OSError, match=answer):
            host.renameat2(HERE, "/tmp/place/one", HERE, "/tmp/place/new", flag)
    host.rmdir("/tmp/place/one")
