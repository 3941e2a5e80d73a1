"""Network namespaces as programs see them: unshare, setns, files that are mounted, /proc/PID/net, and pairs of
interfaces made by messages.
"""

from __future__ import annotations

import os
import socket
import struct

import pytest

from kernel.net.link.network import FIRST_NETWORK, as_network
from kernel.task.pids import find_task
from tests.unit.booted import booted
from tests.unit.syscalls.test_files import read_all, write_new
from tests.unit.task.test_namespaces import link_text, mount_proc
from tools.simulated.machine import Machine
from tools.simulated.program import Program

CLONE_NEWNET = 0x4000_0000
CLONE_NEWUSER = 0x1000_0000
MS_BIND = 4096
RTM_NEWLINK, RTM_DELLINK = 16, 17
NLM_F_REQUEST, NLM_F_ACK, NLM_F_EXCL, NLM_F_CREATE = 1, 4, 0x200, 0x400
IFLA_IFNAME, IFLA_LINKINFO, IFLA_NET_NS_FD = 3, 18, 28
NETLINK_ROUTE = 0


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("<HH", len(value) + 4, kind) + value + bytes(-len(value) % 4)


def link(kind: int, flags: int, attributes: bytes, index: int = 0, up: int = 0) -> bytes:
    """A message about an interface."""
    body = struct.pack("<BBHiII", 0, 0, 0, index, up, up) + attributes
    return struct.pack("<IHHII", 16 + len(body), kind, flags | NLM_F_REQUEST | NLM_F_ACK, 1, 0) + body


def ask(program: Program, message: bytes) -> int:
    """Send a message; the errno of its answer."""
    fd = program.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_ROUTE)
    address = struct.pack("<HHII", socket.AF_NETLINK, 0, 0, 0)
    assert program.sendto(fd, message, len(message), 0, address, len(address)) == len(message)
    reply = bytearray(4096)
    size = program.recvfrom(fd, reply, len(reply), 0, None, None)
    program.close(fd)
    assert size >= 20 and struct.unpack_from("<H", reply, 4)[0] == 2
    return -int(struct.unpack_from("<i", reply, 16)[0])


def pair(name: bytes, peer: bytes) -> bytes:
    told = bytes(16) + attribute(IFLA_IFNAME, peer + b"\0")
    information = attribute(1, b"veth\0") + attribute(2, attribute(1, told))
    attributes = attribute(IFLA_IFNAME, name + b"\0") + attribute(IFLA_LINKINFO, information)
    return link(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, attributes)


def names(program: Program, path: str = "/proc/self/net/dev") -> list[str]:
    """The interfaces that a table shows."""
    return [line.split(":")[0].strip() for line in read_all(program, path).decode().splitlines()[2:]]


@booted
def test_an_own_network(machine: Machine) -> None:
    host = machine.host
    mount_proc(host)
    assert link_text(host, "/proc/self/ns/net") == b"net:[4026531840]"

    def child(program: Program) -> None:
        before = names(program)
        original = program.open("/proc/self/ns/net", os.O_RDONLY)
        program.unshare(CLONE_NEWNET)
        assert link_text(program, "/proc/self/ns/net") != b"net:[4026531840]"
        assert names(program) == ["lo"] and names(program, "/proc/1/net/dev") == before
        setting = program.open("/proc/sys/net/ipv4/ip_forward", os.O_WRONLY)
        assert program.write(setting, b"1\n", 2) == 2
        assert read_all(program, "/proc/sys/net/ipv4/ip_forward") == b"1\n"
        assert ask(program, pair(b"left", b"right")) == 0
        assert names(program) == ["lo", "right", "left"]
        assert ask(program, pair(b"left", b"other")) == 17
        moved = attribute(IFLA_IFNAME, b"right\0") + attribute(IFLA_NET_NS_FD, struct.pack("<I", original))
        assert ask(program, link(RTM_NEWLINK, 0, moved)) == 0
        assert names(program) == ["lo", "left"] and "right" in names(program, "/proc/1/net/dev")
        inside = program.open("/proc/self/ns/net", os.O_RDONLY)  # else it would end, and the pair with it
        program.setns(original, CLONE_NEWNET)
        assert read_all(program, "/proc/sys/net/ipv4/ip_forward") == b"0\n"
        assert ask(program, link(RTM_DELLINK, 0, attribute(IFLA_IFNAME, b"right\0"))) == 0
        assert ask(program, link(RTM_DELLINK, 0, attribute(IFLA_IFNAME, b"right\0"))) == 19
        program.setns(inside, CLONE_NEWNET)
        assert names(program) == ["lo"]

    assert machine.run(child) == 0


@booted
def test_a_setting_is_of_whoever_opened_it(machine: Machine) -> None:
    host = machine.host
    mount_proc(host)
    path = "/proc/sys/net/ipv4/ip_default_ttl"
    setting = host.open(path, os.O_WRONLY)

    def child(program: Program) -> None:
        program.unshare(CLONE_NEWNET)
        assert program.write(setting, b"77\n", 3) == 3
        assert read_all(program, path) == b"64\n"
        with pytest.raises(OSError, match="EACCES"):
            program.open("/proc/sys/net/core/rmem_max", os.O_WRONLY)

    assert machine.run(child) == 0
    assert read_all(host, path) == b"77\n"
    host.pwrite64(setting, b"64\n", 3, 0)


@booted
def test_a_network_that_is_over_is_not_opened(machine: Machine) -> None:
    host = machine.host
    mount_proc(host)
    place = []

    def child(program: Program) -> None:
        program.unshare(CLONE_NEWNET)
        place.append(host.open(f"/proc/{program.task.pid}/ns/net", os.O_PATH))

    pid = host.fork(child)
    host.wait4(pid, None, 0, None)
    with pytest.raises(OSError, match="ENOENT"):
        host.open(f"/proc/self/fd/{place[0]}", os.O_RDONLY)


@booted
def test_a_child_of_clone_is_born_in_it(machine: Machine) -> None:
    host = machine.host
    mount_proc(host)
    task = find_task(host.task.pid)
    assert task is not None and as_network(task.namespaces.network) is FIRST_NETWORK
    users = FIRST_NETWORK.users

    def child(program: Program) -> None:
        assert names(program) == ["lo"] and FIRST_NETWORK.users == users

    pid = host.fork(child)
    host.wait4(pid, None, 0, None)
    assert FIRST_NETWORK.users == users


@booted
def test_a_mounted_file_keeps_it(machine: Machine) -> None:
    host = machine.host
    mount_proc(host)
    host.mkdir("/names", 0o755)
    write_new(host, "/names/kept", b"")

    def child(program: Program) -> None:
        original = program.open("/proc/self/ns/net", os.O_RDONLY)
        program.unshare(CLONE_NEWNET)
        inside = link_text(program, "/proc/self/ns/net")
        assert ask(program, pair(b"left", b"right")) == 0
        program.mount("/proc/self/ns/net", "/names/kept", "none", MS_BIND, None)
        program.setns(original, 0)
        kept = program.open("/names/kept", os.O_RDONLY)
        program.setns(kept, CLONE_NEWNET)
        assert link_text(program, "/proc/self/ns/net") == inside and "left" in names(program)
        program.setns(original, 0)
        program.close(kept)
        program.umount2("/names/kept", 2)
        plain = program.open("/names/kept", os.O_RDONLY)
        with pytest.raises(OSError, match="EINVAL"):
            program.setns(plain, 0)

    assert machine.run(child) == 0


def up(name: bytes) -> bytes:
    return link(RTM_NEWLINK, 0, attribute(IFLA_IFNAME, name + b"\0"), up=1)


def give(index: int, address: bytes) -> bytes:
    """A message that gives an interface an address, with a prefix of 24 bits."""
    body = struct.pack("<BBBBI", socket.AF_INET, 24, 0, 0, index) + attribute(2, address) + attribute(1, address)
    return struct.pack("<IHHII", 16 + len(body), 20, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE, 1, 0) + body


def name_of(address: bytes, port: int) -> bytes:
    return struct.pack("<H", socket.AF_INET) + struct.pack(">H", port) + address + bytes(8)


@booted
def test_a_connection_from_one_to_another(machine: Machine) -> None:
    host = machine.host
    mount_proc(host)
    one, two = bytes([10, 1, 1, 1]), bytes([10, 1, 1, 2])

    def child(program: Program) -> None:
        inside = []
        for _ in range(2):
            program.unshare(CLONE_NEWNET)
            inside.append(program.open("/proc/self/ns/net", os.O_RDONLY))
        assert ask(program, pair(b"left", b"right")) == 0
        moved = attribute(IFLA_IFNAME, b"right\0") + attribute(IFLA_NET_NS_FD, struct.pack("<I", inside[0]))
        assert ask(program, link(RTM_NEWLINK, 0, moved)) == 0
        assert ask(program, give(3, one)) == 0 and ask(program, up(b"left")) == 0
        program.setns(inside[0], CLONE_NEWNET)
        assert ask(program, give(2, two)) == 0 and ask(program, up(b"right")) == 0
        listener = program.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
        program.bind(listener, name_of(two, 7000), 16)
        program.listen(listener, 4)
        with pytest.raises(OSError, match="EADDRNOTAVAIL"):
            program.bind(program.socket(socket.AF_INET, socket.SOCK_STREAM, 0), name_of(one, 7000), 16)
        program.setns(inside[1], CLONE_NEWNET)
        client = program.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
        program.connect(client, name_of(two, 7000), 16)
        accepted = program.accept4(listener, None, None, 0)
        sent = bytes(range(256)) * 64
        assert program.write(client, sent, len(sent)) == len(sent)
        got = b""
        while len(got) < len(sent):
            buffer = bytearray(len(sent))
            count = program.read(accepted, buffer, len(buffer))
            assert count > 0
            got += bytes(buffer[:count])
        assert got == sent
        assert b"0101010A" in read_all(program, "/proc/net/tcp") and b"0201010A:1B58 00000000" not in read_all(
            program, "/proc/net/tcp"
        )
        program.close(client)
        assert program.read(accepted, bytearray(1), 1) == 0

    assert machine.run(child) == 0


@booted
def test_who_rules_a_network(machine: Machine) -> None:
    host = machine.host
    mount_proc(host)
    original = host.open("/proc/self/ns/net", os.O_RDONLY)

    def alone(program: Program) -> None:
        program.setresuid(1000, 1000, 1000)
        with pytest.raises(OSError, match="EPERM"):
            program.unshare(CLONE_NEWNET)
        program.unshare(CLONE_NEWUSER)
        assert ask(program, up(b"lo")) == 1  # it is the first user namespace's
        with pytest.raises(OSError, match="EPERM"):
            program.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        with pytest.raises(OSError, match="EPERM"):
            program.setns(original, CLONE_NEWNET)

    def ruler(program: Program) -> None:
        program.setresuid(1000, 1000, 1000)
        program.unshare(CLONE_NEWUSER | CLONE_NEWNET)
        assert ask(program, up(b"lo")) == 0
        assert ask(program, pair(b"left", b"right")) == 0
        moved = attribute(IFLA_IFNAME, b"left\0") + attribute(IFLA_NET_NS_FD, struct.pack("<I", original))
        assert ask(program, link(RTM_NEWLINK, 0, moved)) == 1
        program.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        program.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        program.bind(program.socket(socket.AF_INET, socket.SOCK_STREAM, 0), name_of(bytes(4), 80), 16)
        setting = program.open("/proc/sys/net/ipv4/ip_forward", os.O_WRONLY)
        assert program.write(setting, b"1\n", 2) == 2

    assert machine.run(alone) == 0
    assert machine.run(ruler) == 0


@booted
@pytest.mark.parametrize("table", ["/proc/self/ns/net", "/proc/self/net/dev", "/proc/self/net/tcp"])
def test_there_is_a_limit(machine: Machine, table: str) -> None:
    """And whoever has a network's tables open keeps it, which counts."""
    host = machine.host
    mount_proc(host)
    setting = host.open("/proc/sys/user/max_net_namespaces", os.O_WRONLY)
    host.write(setting, b"3\n", 2)

    def child(program: Program) -> None:
        kept = []
        for _ in range(3):
            program.unshare(CLONE_NEWNET)
            kept.append(program.open(table, os.O_RDONLY))
        with pytest.raises(OSError, match="ENOSPC"):
            program.unshare(CLONE_NEWNET)
        program.close(kept[0])
        program.nanosleep(struct.pack("<QQ", 0, 10_000_000), None)
        program.unshare(CLONE_NEWNET)

    assert machine.run(child) == 0
