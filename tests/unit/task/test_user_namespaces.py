"""User namespaces, on a booted machine: ids, capabilities, limits, and what locked mounts leave behind."""

import os

import pytest

from kernel.fs.path import MOUNTS
from tests.unit.booted import booted
from tests.unit.syscalls.test_files import read_all, write_new
from tests.unit.task.test_namespaces import link_text, mount_proc
from tools.simulated.machine import Machine
from tools.simulated.program import Program

CLONE_NEWNS = 0x2_0000
CLONE_NEWUTS = 0x400_0000
CLONE_NEWUSER = 0x1000_0000
MS_BIND = 4096
MS_REC = 16384
MNT_DETACH = 2


def put(program: Program, path: str, text: bytes) -> None:
    file = program.open(path, os.O_WRONLY)
    try:
        program.write(file, bytearray(text), len(text))
    finally:
        program.close(file)


def become(program: Program, uid: int) -> None:
    program.setgroups(0, None)
    program.setresgid(uid, uid, uid)
    program.setresuid(uid, uid, uid)
    program.prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE


def enter_as_root(program: Program, more: int = 0) -> None:
    uid = program.getuid()
    program.unshare(CLONE_NEWUSER | more)
    put(program, "/proc/self/setgroups", b"deny")
    put(program, "/proc/self/uid_map", b"0 %d 1" % uid)
    put(program, "/proc/self/gid_map", b"0 %d 1" % uid)


@booted
def test_a_user_is_root_inside_and_itself_outside(machine: Machine) -> None:
    host = machine.host
    mount_proc(host)
    host.chmod("/tmp", 0o777)
    first = link_text(host, "/proc/self/ns/user")

    def child(program: Program) -> None:
        become(program, 1000)
        program.unshare(CLONE_NEWUSER)
        assert program.getuid() == program.getgid() == 65534
        with pytest.raises(OSError, match="EPERM"):
            put(program, "/proc/self/uid_map", b"0 0 1")
        put(program, "/proc/self/uid_map", b"0 1000 1")
        with pytest.raises(OSError, match="EPERM"):
            put(program, "/proc/self/uid_map", b"0 1000 1")
        assert program.getuid() == 0 and program.getgid() == 65534
        write_new(program, "/tmp/made", b"x")
        with pytest.raises(OSError, match="EPERM"):
            program.sethostname("mine", 4)
        program.unshare(CLONE_NEWUTS)
        program.sethostname("mine", 4)
        assert read_all(program, "/proc/self/uid_map") == b"         0       1000          1\n"
        assert link_text(program, "/proc/self/ns/user") != first

    assert machine.run(child) == 0
    made = bytearray(144)
    host.stat("/tmp/made", made)
    assert int.from_bytes(made[28:32], "little") == 1000


@booted
def test_namespaces_of_a_user_are_counted(machine: Machine) -> None:
    host = machine.host
    mount_proc(host)
    put(host, "/proc/sys/user/max_user_namespaces", b"2")

    def full(program: Program) -> None:
        for _ in range(2):
            enter_as_root(program)
        with pytest.raises(OSError, match="ENOSPC"):
            program.unshare(CLONE_NEWUSER)

    assert machine.run(full) == 0


@booted
def test_what_a_locked_mount_hides_stays_hidden_and_goes_in_the_end(machine: Machine) -> None:
    host = machine.host
    mount_proc(host)
    host.mkdir("/here", 0o777)
    host.mkdir("/below", 0o777)
    host.mkdir("/below/covered", 0o777)
    write_new(host, "/below/covered/secret", b"secret")
    host.mount("none", "/below/covered", "tmpfs", 0, None)
    before = len(MOUNTS)

    def child(program: Program) -> None:
        enter_as_root(program, CLONE_NEWNS)
        with pytest.raises(OSError, match="EINVAL"):
            program.umount2("/below/covered", MNT_DETACH)
        with pytest.raises(OSError, match="EINVAL"):
            program.mount("/below", "/here", None, MS_BIND, None)
        program.mount("/below", "/here", None, MS_BIND | MS_REC, None)
        kept = program.open("/here", os.O_RDONLY | os.O_DIRECTORY)
        program.umount2("/here", MNT_DETACH)
        with pytest.raises(OSError, match="ENOENT"):
            program.openat(kept, "covered/secret", os.O_RDONLY, 0)
        outer = program.open("/below", os.O_RDONLY | os.O_DIRECTORY)
        program.unshare(CLONE_NEWNS)
        with pytest.raises(OSError, match="ENOENT"):
            program.openat(outer, "covered/secret", os.O_RDONLY, 0)
        program.close(kept)
        program.close(outer)

    assert machine.run(child) == 0
    assert len(MOUNTS) == before
    assert read_all(host, "/proc/mounts").count(b" /below/covered ") == 1
    host.umount2("/below/covered", 0)
    assert read_all(host, "/below/covered/secret") == b"secret"
