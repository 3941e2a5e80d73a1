"""Mounting /sys in a user namespace, on a booted machine: it must not show what is hidden."""

import os

import pytest

from tests.unit.booted import booted
from tests.unit.task.test_namespaces import mount_proc
from tests.unit.task.test_user_namespaces import CLONE_NEWNS, CLONE_NEWUSER, become, enter_as_root, put
from tools.simulated.machine import Machine
from tools.simulated.program import Program

CLONE_NEWNET = 0x4000_0000
MTU = "/mnt/class/net/lo/mtu"


def numbers(program: Program, path: str) -> tuple[int, int]:
    """Mode and owner, as the program sees them."""
    status = bytearray(144)
    program.stat(path, status)
    return int.from_bytes(status[24:28], "little") & 0o777, int.from_bytes(status[28:32], "little")


def prepare(host: Program) -> None:
    mount_proc(host)
    for name in ("/mnt", "/sys"):
        try:
            host.mkdir(name, 0o755)
        except FileExistsError:
            pass
    host.mount("sys", "/sys", "sysfs", 0, None)


def may_mount(program: Program, namespaces: int) -> bool:
    """Whether an ordinary user may mount it in a user namespace of its own, with others."""

    def child(program: Program) -> int:
        become(program, 1000)
        enter_as_root(program, CLONE_NEWNS | namespaces)
        try:
            program.mount("none", "/mnt", "sysfs", 0, None)
        except PermissionError:
            return 1
        return 0

    status = bytearray(4)
    program.wait4(program.fork(child), status, 0, None)
    return status == bytes(4)


@booted
def test_it_is_for_the_administrator_of_the_network(machine: Machine) -> None:
    host = machine.host
    prepare(host)
    assert not may_mount(host, 0) and may_mount(host, CLONE_NEWNET)


@booted
def test_what_a_mount_hides_stays_hidden(machine: Machine) -> None:
    host = machine.host
    prepare(host)
    host.mount("none", "/sys/fs/cgroup", "tmpfs", 0, None)  # which is there for that
    assert may_mount(host, CLONE_NEWNET)
    host.mount("none", "/sys/class", "tmpfs", 0, None)
    assert not may_mount(host, CLONE_NEWNET)


@booted
def test_interfaces_belong_to_the_root_of_the_network(machine: Machine) -> None:
    host = machine.host
    prepare(host)

    def child(program: Program) -> None:
        become(program, 1000)
        enter_as_root(program, CLONE_NEWNS | CLONE_NEWUSER | CLONE_NEWNET)
        program.mount("none", "/mnt", "sysfs", 0, None)
        assert numbers(program, MTU) == (0o644, 0)
        assert numbers(program, "/mnt/class/net/lo/statistics/rx_bytes") == (0o444, 0)
        assert numbers(program, "/mnt/kernel") == (0o755, 65534)
        put(program, MTU, b"1500")
        with pytest.raises(OSError, match="EPERM"):
            program.chmod("/mnt/kernel", 0o700)
        with pytest.raises(OSError, match="EACCES"):
            program.open("/mnt/kernel/uevent_seqnum", os.O_WRONLY)

    assert machine.run(child) == 0
