"""Overlays by system calls, on a booted machine: mounting in steps, and what the root of a user namespace may do."""

import os

import pytest

from tests.unit.booted import booted
from tests.unit.task.test_user_namespaces import become, enter_as_root
from tools.simulated.machine import Machine
from tools.simulated.program import Program

CLONE_NEWNS = 0x2_0000
AT_FDCWD = -100


def prepare(host: Program) -> None:
    host.mkdir("/proc", 0o755)
    host.mount("proc", "/proc", "proc", 0, None)
    host.mount("tmpfs", "/tmp", "tmpfs", 0, None)
    for name in ("l", "u", "w", "t"):
        host.mkdir(f"/tmp/{name}", 0o755)


def write(host: Program, name: str, data: bytes, mode: int = 0o644) -> None:
    fd = host.open(name, os.O_WRONLY | os.O_CREAT, mode)
    assert host.write(fd, data, len(data)) == len(data)
    host.close(fd)
    host.chmod(name, mode)


@booted
def test_the_root_of_a_user_namespace_gains_nothing(machine: Machine) -> None:
    host = machine.host
    prepare(host)
    for name in ("l", "u", "w", "t"):
        host.chown(f"/tmp/{name}", 1000, 1000)
    write(host, "/tmp/l/all", b"for all", 0o666)
    write(host, "/tmp/l/mine", b"mine", 0o644)
    host.chown("/tmp/l/mine", 1000, 1000)
    host.mknod("/tmp/l/null", 0o20666, 0x103)
    host.chown("/tmp/l/null", 1000, 1000)

    def child(program: Program) -> None:
        become(program, 1000)
        enter_as_root(program, CLONE_NEWNS)
        program.mount("overlay", "/tmp/t", "overlay", 0, "lowerdir=/tmp/l,upperdir=/tmp/u,workdir=/tmp/w,userxattr")
        with pytest.raises(OSError, match="EOVERFLOW"):
            program.open("/tmp/t/all", os.O_WRONLY, 0)
        with pytest.raises(OSError, match="EPERM"):
            program.chmod("/tmp/t/null", 0o600)
        program.close(program.open("/tmp/t/mine", os.O_WRONLY, 0))
        value = bytes.fromhex("0100000280000000000000000000000000000000")
        program.setxattr("/tmp/t/mine", "security.capability", value, len(value), 0)
        program.exit_group(0)

    pid = host.fork(child)
    assert host.wait4(pid, None, 0, None) == pid
    with pytest.raises(OSError, match="ENOENT"):
        host.access("/tmp/u/all", 0)
    assert host.getxattr("/tmp/u/mine", "security.capability", 0, 0) == 24  # for the root of that namespace alone


@booted
def test_in_steps(machine: Machine) -> None:
    host = machine.host
    prepare(host)
    host.mkdir("/tmp/a,b", 0o755)
    write(host, "/tmp/a,b/file", b"text")
    fs = host.fsopen("overlay", 0)
    host.fsconfig(fs, 1, "lowerdir+", "/tmp/a,b", 0)
    host.fsconfig(fs, 1, "lowerdir+", "/tmp/l", 0)
    host.fsconfig(fs, 1, "upperdir", "/tmp/u", 0)
    host.fsconfig(fs, 1, "workdir", "/tmp/w", 0)
    host.fsconfig(fs, 6, 0, 0, 0)
    tree = host.fsmount(fs, 0, 0)
    host.move_mount(tree, "", AT_FDCWD, "/tmp/t", 4)
    host.close(tree)
    host.close(fs)
    host.close(host.open("/tmp/t/file", os.O_RDWR, 0))
    host.access("/tmp/u/file", 0)
    host.umount2("/tmp/t", 0)
