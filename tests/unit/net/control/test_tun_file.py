"""/dev/net/tun, bridges and macvlan as programs use them: descriptors, messages of rtnetlink, files of /sys."""

from __future__ import annotations

import os
import struct

import pytest

from kernel.net.link.network import FIRST_NETWORK
from kernel.net.netlink import new_link
from tests.unit.booted import booted
from tests.unit.net.link.test_tun import echo_request
from tests.unit.syscalls.test_files import read_all
from tests.unit.task.test_namespaces import mount_proc
from tests.unit.task.test_network_namespaces import (
    IFLA_IFNAME,
    IFLA_LINKINFO,
    NLM_F_CREATE,
    NLM_F_EXCL,
    RTM_DELLINK,
    RTM_NEWLINK,
    ask,
    attribute,
    link,
    names,
    pair,
)
from tools.simulated.machine import Machine
from tools.simulated.program import Program

TUNSETIFF = 0x4004_54CA
TUNSETPERSIST = 0x4004_54CB
TUNGETFEATURES = 0x8004_54CF
TUNGETIFF = 0x8004_54D2
IFF_TUN, IFF_TAP, IFF_NO_PI = 1, 2, 0x1000
IFLA_LINK, IFLA_MASTER, IFLA_PROTINFO = 5, 10, 12
RTM_NEWADDR, RTM_SETLINK, RTM_NEWNEIGH, RTM_DELNEIGH = 20, 19, 28, 29
CLONE_NEWNET = 0x4000_0000
AF_BRIDGE = 7
EOPNOTSUPP, ELOOP, EBUSY, EINVAL, ENOENT, EEXIST, EADDRINUSE = 95, 40, 16, 22, 2, 17, 98


def set_interface(program: Program, file: int, name: bytes, flags: int) -> bytes:
    request = bytearray(struct.pack("<16sH22x", name, flags))
    program.ioctl(file, TUNSETIFF, request)
    return bytes(request[:16]).rstrip(b"\0")


def index_of(name: bytes) -> int:
    return FIRST_NETWORK.by_name[name].index


def give(program: Program, name: bytes, address: bytes) -> int:
    body = struct.pack("<BBBBI", 2, 24, 0, 0, index_of(name)) + attribute(2, address) + attribute(1, address)
    return ask(program, struct.pack("<IHHII", 16 + len(body), RTM_NEWADDR, 0x605, 1, 0) + body)


def up(program: Program, name: bytes) -> int:
    return ask(program, link(RTM_NEWLINK, 0, attribute(IFLA_IFNAME, name + b"\0"), up=1))


def make(program: Program, name: bytes, kind: bytes, data: bytes = b"", more: bytes = b"") -> int:
    information = attribute(1, kind + b"\0") + (attribute(2, data) if data else b"")
    attributes = attribute(IFLA_IFNAME, name + b"\0") + more + attribute(IFLA_LINKINFO, information)
    return ask(program, link(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, attributes))


def delete(program: Program, name: bytes) -> int:
    return ask(program, link(RTM_DELLINK, 0, attribute(IFLA_IFNAME, name + b"\0")))


def change(program: Program, name: bytes, attributes: bytes) -> int:
    return ask(program, link(RTM_NEWLINK, 0, attribute(IFLA_IFNAME, name + b"\0") + attributes))


def master(program: Program, name: bytes, bridge: int) -> int:
    return change(program, name, attribute(IFLA_MASTER, struct.pack("<I", bridge)))


def entry(program: Program, kind: int, flags: int, name: bytes, state: int) -> int:
    body = struct.pack("<BxHIHBB", AF_BRIDGE, 0, index_of(name), state, 4, 0) + attribute(2, b"\x02\0\0\0\0\x77")
    return ask(program, struct.pack("<IHHII", 16 + len(body), kind, flags | 5, 1, 0) + body)


def devices(program: Program) -> None:
    program.mount("dev", "/dev", "devtmpfs", 0, None)


@booted
def test_an_interface_lives_as_long_as_its_descriptor(machine: Machine) -> None:
    host = machine.host
    mount_proc(host)
    devices(host)
    file = host.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    buffer = bytearray(2000)
    with pytest.raises(OSError, match="EBADFD"):
        host.read(file, buffer, 100)
    with pytest.raises(OSError, match="EBADFD"):
        host.write(file, buffer, 100)
    features = bytearray(4)
    host.ioctl(file, TUNGETFEATURES, features)
    assert struct.unpack("<I", features)[0] & (IFF_TUN | IFF_TAP | IFF_NO_PI) == IFF_TUN | IFF_TAP | IFF_NO_PI
    assert set_interface(host, file, b"", IFF_TUN | IFF_NO_PI) == b"tun0"
    with pytest.raises(OSError, match="EEXIST"):
        set_interface(host, file, b"", IFF_TUN)
    with pytest.raises(OSError, match="EIO"):
        host.write(file, echo_request(), 28)
    assert give(host, b"tun0", b"\x0a\0\0\1") == 0 and up(host, b"tun0") == 0
    assert host.write(file, echo_request(), 28) == 28
    while (size := host.read(file, buffer, len(buffer))) and buffer[0] != 0x45:
        pass
    assert size == 28 and buffer[12:21] == b"\x0a\0\0\1\x0a\0\0\2\0"
    with pytest.raises(OSError, match="EAGAIN"):
        host.read(file, buffer, len(buffer))
    other = host.dup(file)
    host.close(file)
    assert "tun0" in names(host)
    host.close(other)
    assert "tun0" not in names(host)


@booted
def test_a_persistent_interface_waits_for_the_next_descriptor(machine: Machine) -> None:
    host = machine.host
    mount_proc(host)
    devices(host)
    file = host.open("/dev/net/tun", os.O_RDWR)
    set_interface(host, file, b"tap%d", IFF_TAP)
    host.ioctl(file, TUNSETPERSIST, 1)
    second = host.open("/dev/net/tun", os.O_RDWR)
    with pytest.raises(OSError, match="EBUSY"):
        set_interface(host, second, b"tap0", IFF_TAP)
    host.close(file)
    assert "tap0" in names(host)
    set_interface(host, second, b"tap0", IFF_TAP | IFF_NO_PI)
    shown = bytearray(40)
    host.ioctl(second, TUNGETIFF, shown)
    assert shown[:5] == b"tap0\0" and struct.unpack_from("<H", shown, 16)[0] == IFF_TAP | IFF_NO_PI | 0x800
    assert delete(host, b"tap0") == 0
    with pytest.raises(OSError, match="EBADFD"):
        host.ioctl(second, TUNGETIFF, shown)
    host.close(second)
    assert make(host, b"tap9", b"tun") == EOPNOTSUPP


@booted
def test_the_file_belongs_to_the_network_where_it_was_opened(machine: Machine) -> None:
    host = machine.host
    mount_proc(host)
    devices(host)

    def child(program: Program) -> None:
        file = program.open("/dev/net/tun", os.O_RDWR)
        program.unshare(CLONE_NEWNET)
        set_interface(program, file, b"tun5", IFF_TUN)
        assert names(program) == ["lo"] and "tun5" in names(program, "/proc/1/net/dev")

    assert machine.run(child) == 0
    assert "tun5" not in names(host), "the program has ended"


@booted
def test_bridges_by_messages(machine: Machine) -> None:
    host = machine.host
    mount_proc(host)
    assert make(host, b"br0", b"bridge", attribute(4, struct.pack("<I", 1000))) == 0
    assert make(host, b"br1", b"bridge", attribute(5, struct.pack("<I", 1))) == EOPNOTSUPP
    assert make(host, b"br1", b"bridge", attribute(7, b"\1")) == EOPNOTSUPP
    bridge = index_of(b"br0")
    assert ask(host, pair(b"left", b"right")) == 0
    assert make(host, b"sink", b"dummy", more=attribute(IFLA_MASTER, struct.pack("<I", bridge))) == 0
    for name in (b"br0", b"left", b"right", b"sink"):
        assert up(host, name) == 0
    assert master(host, b"left", bridge) == 0
    assert master(host, b"left", bridge) == 0
    assert master(host, b"lo", bridge) == EINVAL and master(host, b"br0", bridge) == ELOOP
    assert master(host, b"left", index_of(b"right")) == EOPNOTSUPP and FIRST_NETWORK.by_name[b"left"].master is None
    assert master(host, b"left", bridge) == 0
    told = attribute(IFLA_PROTINFO | 0x8000, attribute(4, b"\1"))
    body = struct.pack("<BBHiII", AF_BRIDGE, 0, 0, index_of(b"left"), 0, 0) + told
    assert ask(host, struct.pack("<IHHII", 16 + len(body), RTM_SETLINK, 5, 1, 0) + body) == 0
    for kind, flags, name, state, error in (
        (RTM_NEWNEIGH, 0, b"left", 0x40, ENOENT),
        (RTM_NEWNEIGH, 0x400, b"left", 0x40, 0),
        (RTM_NEWNEIGH, 0x600, b"left", 0x40, EEXIST),
        (RTM_NEWNEIGH, 0x400, b"right", 0x40, EOPNOTSUPP),
        (RTM_DELNEIGH, 0, b"sink", 0, ENOENT),
        (RTM_DELNEIGH, 0, b"left", 0, 0),
        (RTM_DELNEIGH, 0, b"left", 0, ENOENT),
    ):
        assert entry(host, kind, flags, name, state) == error
    assert change(host, b"br0", attribute(19, struct.pack("<I", 1))) == EINVAL, "it stays in its network"
    assert delete(host, b"br0") == 0
    assert FIRST_NETWORK.by_name[b"left"].handler is None and FIRST_NETWORK.by_name[b"sink"].promiscuous_users == 0
    assert delete(host, b"left") == 0 and delete(host, b"sink") == 0


@booted
def test_macvlan_by_messages(machine: Machine) -> None:
    host = machine.host
    mount_proc(host)
    assert make(host, b"low", b"dummy") == 0
    on_low = attribute(IFLA_LINK, struct.pack("<I", index_of(b"low")))
    bridge_mode = attribute(1, struct.pack("<I", 4))
    assert make(host, b"m0", b"macvlan", bridge_mode) == EINVAL
    assert make(host, b"m0", b"macvlan", bridge_mode, on_low) == 0
    assert make(host, b"m1", b"macvlan", attribute(1, struct.pack("<I", 3)), on_low) == EINVAL
    on_upper = attribute(IFLA_LINK, struct.pack("<I", index_of(b"m0")))
    assert make(host, b"m1", b"macvlan", b"", on_upper) == 0
    assert make(host, b"m2", b"macvlan", attribute(1, struct.pack("<I", 8)), on_low) == EINVAL
    assert FIRST_NETWORK.by_name[b"m1"].below() == [FIRST_NETWORK.by_name[b"low"]]
    assert make(host, b"br0", b"bridge") == 0
    assert master(host, b"low", index_of(b"br0")) == EBUSY
    assert delete(host, b"m0") == 0 and delete(host, b"low") == 0
    assert names(host).count("m1") == 0 and names(host).count("m0") == 0
    assert delete(host, b"br0") == 0


@booted
def test_what_programs_see_of_it_in_files(machine: Machine) -> None:
    host = machine.host
    mount_proc(host)
    devices(host)
    host.mkdir("/sys", 0o755)
    host.mount("sys", "/sys", "sysfs", 0, None)
    file = host.open("/dev/net/tun", os.O_RDWR)
    set_interface(host, file, b"tap0", IFF_TAP)
    assert read_all(host, "/sys/class/net/tap0/tun_flags") == b"0x2\n"
    assert read_all(host, "/sys/class/net/tap0/owner") == b"-1\n"
    assert read_all(host, "/sys/class/misc/tun/dev") == b"10:200\n"
    assert read_all(host, f"/proc/self/fdinfo/{file}").endswith(b"iff:\ttap0\n")


@booted
def test_an_interface_that_cannot_go_up_is_not_left_behind(machine: Machine) -> None:
    host = machine.host
    mount_proc(host)
    assert make(host, b"low", b"dummy") == 0 and up(host, b"low") == 0
    kind = attribute(IFLA_LINKINFO, attribute(1, b"macvlan\0"))
    same = attribute(IFLA_IFNAME, b"mac0\0") + attribute(1, FIRST_NETWORK.by_name[b"low"].address)
    same += attribute(IFLA_LINK, struct.pack("<I", index_of(b"low"))) + kind
    assert ask(host, link(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, same, up=1)) == EADDRINUSE
    assert b"mac0" not in FIRST_NETWORK.by_name and FIRST_NETWORK.by_name[b"low"].handler is None
    assert delete(host, b"low") == 0


@booted
def test_what_a_killed_program_leaves_of_a_bridge_goes_later(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    host = machine.host
    mount_proc(host)
    assert make(host, b"br0", b"bridge") == 0
    for number in range(5):
        assert make(host, b"sink%d" % number, b"dummy") == 0
        assert master(host, b"sink%d" % number, index_of(b"br0")) == 0
    with monkeypatch.context() as patch:
        patch.setattr(new_link, "is_dying", lambda: True)
        assert delete(host, b"br0") == 0
    assert b"br0" not in FIRST_NETWORK.by_name  # the network thread went on with it
    for number in range(5):
        assert delete(host, b"sink%d" % number) == 0
