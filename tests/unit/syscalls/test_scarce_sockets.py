"""Calls about sockets that find no memory, at whatever place, change nothing and lose nothing."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from tests.unit.booted import booted
from tests.unit.scarcity import Scarcity, check_each, each_place
from tools.simulated.machine import Machine
from tools.simulated.program import Program

AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_VSOCK = 1, 2, 10, 16, 17, 40
STREAM, DATAGRAM, RAW, SEQPACKET = 1, 2, 3, 5
ETH_P_ALL = 0x0300

SOCKETS = {
    "udp": (AF_INET, DATAGRAM, 0),
    "udp6": (AF_INET6, DATAGRAM, 0),
    "tcp": (AF_INET, STREAM, 0),
    "tcp6": (AF_INET6, STREAM, 0),
    "ping": (AF_INET, DATAGRAM, 1),
    "raw": (AF_INET, RAW, 17),
    "raw6": (AF_INET6, RAW, 58),
    "packet": (AF_PACKET, RAW, ETH_P_ALL),
    "route": (AF_NETLINK, RAW, 0),
    "diagnosis": (AF_NETLINK, RAW, 4),
    "events": (AF_NETLINK, RAW, 15),
    "generic": (AF_NETLINK, RAW, 16),
    "firewall": (AF_NETLINK, RAW, 12),
    "unix stream": (AF_UNIX, STREAM, 0),
    "unix datagram": (AF_UNIX, DATAGRAM, 0),
    "unix seqpacket": (AF_UNIX, SEQPACKET, 0),
    "vsock": (AF_VSOCK, STREAM, 0),
    "vsock seqpacket": (AF_VSOCK, SEQPACKET, 0),
}


def bring_up(host: Program) -> None:
    """The loopback interface."""
    descriptor = host.socket(AF_INET, DATAGRAM, 0)
    host.ioctl(descriptor, 0x8914, b"lo" + bytes(14) + struct.pack("<h", 0x41) + bytes(22))  # SIOCSIFFLAGS
    host.close(descriptor)


def allow_ping(host: Program) -> None:
    host.mkdir("/tmp/proc", 0o755)
    host.mount("none", "/tmp/proc", "proc", 0, 0)
    descriptor = host.open("/tmp/proc/sys/net/ipv4/ping_group_range", 1)
    host.write(descriptor, b"0 1000", 6)
    host.close(descriptor)


@pytest.mark.parametrize("name", SOCKETS)
@booted
def test_a_socket(machine: Machine, name: str) -> None:
    host = machine.host
    bring_up(host)
    if name == "ping":
        allow_ping(host)
    check_each(lambda: host.socket(*SOCKETS[name]), host.close, fewest=3)


def inet(port: int) -> bytes:
    return struct.pack("<H", AF_INET) + struct.pack(">H", port) + bytes((127, 0, 0, 1)) + bytes(8)


def inet6(port: int) -> bytes:
    return struct.pack("<H", AF_INET6) + struct.pack(">H", port) + bytes(4) + bytes(15) + b"\1" + bytes(4)


ADDRESSES: dict[str, Callable[[], bytes]] = {
    "udp": lambda: inet(5000),
    "udp6": lambda: inet6(5000),
    "tcp": lambda: inet(5000),
    "tcp6": lambda: inet6(5000),
    "ping": lambda: inet(0),
    "raw": lambda: inet(0),
    "packet": lambda: struct.pack("<HHiHBB8s", AF_PACKET, ETH_P_ALL, 1, 0, 0, 0, bytes(8)),
    "route": lambda: struct.pack("<HHII", AF_NETLINK, 0, 0, 1),
    "events": lambda: struct.pack("<HHII", AF_NETLINK, 0, 77, 3),
    "unix stream": lambda: struct.pack("<H", AF_UNIX) + b"\0name",
    "unix datagram": lambda: struct.pack("<H", AF_UNIX) + b"\0name",
    "vsock": lambda: struct.pack("<HHIII", AF_VSOCK, 0, 5000, 0xFFFF_FFFF, 0),
}


def attempt_on_new(
    host: Program, name: str, prepare: Callable[[int], object], call: Callable[[int], object]
) -> Callable[[Scarcity], None]:
    """Make a call on a new socket, again if there was no memory for it, and close the socket."""

    def attempt(scarcity: Scarcity) -> None:
        descriptor = host.socket(*SOCKETS[name])
        prepare(descriptor)
        try:
            with scarcity:
                call(descriptor)
        except OSError as error:
            assert scarcity.where, error
            call(descriptor)
        host.close(descriptor)

    return attempt


@pytest.mark.parametrize("name", ADDRESSES)
@booted
def test_a_bound_socket(machine: Machine, name: str) -> None:
    """One that could not be bound can be bound later, to the same address."""
    host = machine.host
    bring_up(host)
    if name == "ping":
        allow_ping(host)
    address = ADDRESSES[name]()
    each_place(
        attempt_on_new(host, name, lambda _: None, lambda descriptor: host.bind(descriptor, address, len(address)))
    )


@pytest.mark.parametrize("name", [name for name in ADDRESSES if "stream" in name or name[:3] in ("tcp", "vso")])
@booted
def test_a_listening_socket(machine: Machine, name: str) -> None:
    host = machine.host
    bring_up(host)
    address = ADDRESSES[name]()
    each_place(
        attempt_on_new(
            host,
            name,
            lambda descriptor: host.bind(descriptor, address, len(address)),
            lambda descriptor: host.listen(descriptor, 5),
        ),
        fewest=0,
    )


@pytest.mark.parametrize("name", ["tcp", "tcp6"])
@booted
def test_a_listening_socket_that_shares_its_port(machine: Machine, name: str) -> None:
    host = machine.host
    bring_up(host)
    address = ADDRESSES[name]()
    one = (1).to_bytes(4, "little")

    def bind(descriptor: int) -> None:
        host.setsockopt(descriptor, 1, 15, one, 4)  # SO_REUSEPORT
        host.bind(descriptor, address, len(address))

    first = host.socket(*SOCKETS[name])
    bind(first)
    host.listen(first, 5)
    each_place(attempt_on_new(host, name, bind, lambda descriptor: host.listen(descriptor, 5)), fewest=2)


@pytest.mark.parametrize("name", ["udp", "udp6", "raw", "ping"])
@booted
def test_a_connected_socket(machine: Machine, name: str) -> None:
    host = machine.host
    bring_up(host)
    if name == "ping":
        allow_ping(host)
    address = ADDRESSES[name]()
    each_place(
        attempt_on_new(host, name, lambda _: None, lambda descriptor: host.connect(descriptor, address, len(address)))
    )


@pytest.mark.parametrize("name", ["tcp", "unix stream", "unix seqpacket", "vsock"])
@booted
def test_a_connection(machine: Machine, name: str) -> None:
    """A thread that could not connect, or accept, can do so later."""
    host = machine.host
    bring_up(host)
    address = ADDRESSES[name]() if name in ADDRESSES else struct.pack("<H", AF_UNIX) + b"\0name"
    if name == "vsock":
        address = struct.pack("<HHIII", AF_VSOCK, 0, 5000, 1, 0)
    listening = host.socket(*SOCKETS[name])
    host.bind(listening, address, len(address))
    host.listen(listening, 5)
    for fails_first in (True, False):

        def attempt(scarcity: Scarcity, *, first: bool = fails_first) -> None:
            descriptor = host.socket(*SOCKETS[name])
            accepted = -1
            idle = Scarcity(0)
            try:
                with scarcity if first else idle:
                    host.connect(descriptor, address, len(address))
            except OSError as error:
                assert scarcity.where, error
                if name == "vsock":
                    host.close(descriptor)
                    return
                host.connect(descriptor, address, len(address))
            try:
                with idle if first else scarcity:
                    accepted = host.accept4(listening, 0, 0, 0)
            except OSError as error:
                assert scarcity.where, error
                accepted = host.accept4(listening, 0, 0, 0)
            host.setsockopt(descriptor, 1, 13, struct.pack("<ii", 1, 0), 8)  # SO_LINGER: nothing is left
            host.close(descriptor)
            host.close(accepted)

        each_place(attempt, fewest=1 if fails_first else 0)


LEVEL_SOCKET, LEVEL_IP, LEVEL_IPV6, LEVEL_PACKET, LEVEL_NETLINK = 1, 0, 41, 263, 270
PROGRAM = struct.pack("<HBBI", 0x6, 0, 0, 0xFFFF)
GROUP4 = bytes((224, 0, 0, 9)) + bytes(4) + struct.pack("<i", 1)
SOURCE4 = bytes((224, 0, 0, 9)) + bytes((127, 0, 0, 1)) + bytes((10, 0, 0, 1))
GROUP6 = b"\xff\x02" + bytes(13) + b"\x09" + struct.pack("<i", 1)
OPTIONS: dict[str, tuple[str, int, int, bytes]] = {
    "group4": ("udp", LEVEL_IP, 35, GROUP4),
    "source4": ("udp", LEVEL_IP, 39, SOURCE4),
    "group6": ("udp6", LEVEL_IPV6, 20, GROUP6),
    "device": ("udp", LEVEL_SOCKET, 25, b"lo\0"),
    "header options": ("udp", LEVEL_IP, 4, bytes((1, 1, 1, 0))),
    "membership": ("packet", LEVEL_PACKET, 1, struct.pack("<iHH8s", 1, 1, 0, bytes(8))),
    "ring": ("packet", LEVEL_PACKET, 5, struct.pack("<IIII", 4096, 2, 2048, 4)),
    "netlink group": ("route", LEVEL_NETLINK, 1, struct.pack("<I", 5)),
    "congestion": ("tcp", 6, 13, b"reno"),
    "message filter": (
        "udp",
        LEVEL_IP,
        41,
        bytes((224, 0, 0, 9)) + bytes((127, 0, 0, 1)) + struct.pack("<II", 1, 1) + bytes((10, 0, 0, 1)),
    ),
}


@pytest.mark.parametrize("name", OPTIONS)
@booted
def test_an_option(machine: Machine, name: str) -> None:
    host = machine.host
    bring_up(host)
    kind, level, option, value = OPTIONS[name]

    def prepare(descriptor: int) -> None:
        if name == "message filter":
            host.setsockopt(descriptor, LEVEL_IP, 35, GROUP4, len(GROUP4))

    each_place(
        attempt_on_new(
            host, kind, prepare, lambda descriptor: host.setsockopt(descriptor, level, option, value, len(value))
        ),
        fewest=0,
    )


@booted
def test_a_message_with_descriptors(machine: Machine) -> None:
    """Descriptors under way, and what counts them."""
    host = machine.host
    array = bytearray(8)
    host.socketpair(AF_UNIX, DATAGRAM, 0, array)
    one, other = (int.from_bytes(array[i : i + 4], "little") for i in (0, 4))
    passed = host.eventfd2(1, 0)
    place = host.mmap(0, 0x1000, 3, 0x22, -1, 0)

    def send() -> int:
        host.store(place, b"text")
        host.store(place + 0x100, struct.pack("<QQ", place, 4))
        host.store(place + 0x200, struct.pack("<QiiI", 20, 1, 1, passed))
        header = struct.pack("<QIxxxxQQQQI", 0, 0, place + 0x100, 1, place + 0x200, 20, 0)
        return host.sendmsg(one, header, 0)

    def receive() -> int:
        host.store(place + 0x100, struct.pack("<QQ", place + 0x400, 100))
        header = bytearray(struct.pack("<QIxxxxQQQQI", 0, 0, place + 0x100, 1, place + 0x300, 64, 0))
        host.recvmsg(other, header, 0)
        descriptor: int = struct.unpack_from("<i", host.load(place + 0x300, 20), 16)[0]
        return descriptor

    check_each(send, lambda _: host.close(receive()), fewest=3)

    def attempt(scarcity: Scarcity) -> None:
        send()
        try:
            with scarcity:
                descriptor = receive()
        except OSError as error:
            assert scarcity.where, error
            descriptor = receive()
        host.close(descriptor)

    each_place(attempt, fewest=2)


@pytest.mark.parametrize("name", ["udp", "udp6", "raw"])
@booted
def test_a_datagram(machine: Machine, name: str) -> None:
    """Through the loopback interface: what the sender holds is given back. It may be lost."""
    host = machine.host
    bring_up(host)
    address = ADDRESSES[name]()
    receiver = host.socket(*SOCKETS["udp6" if name == "udp6" else "udp"], 0)
    target = inet6(5001) if name == "udp6" else inet(5001)
    host.bind(receiver, target, len(target))
    descriptor = host.socket(*SOCKETS[name])
    host.bind(descriptor, address, len(address))
    data = b"text" if name != "raw" else struct.pack(">HHHH", 5000, 5001, 12, 0) + b"text"

    def attempt(scarcity: Scarcity) -> None:
        try:
            with scarcity:
                host.sendto(descriptor, data, len(data), 0, target, len(target))
        except OSError as error:
            assert scarcity.where, error
        for _ in range(3):
            try:
                host.recvfrom(receiver, bytearray(100), 100, 0x40, 0, 0)
                host.recvfrom(descriptor, bytearray(100), 100, 0x40, 0, 0)
            except OSError:
                continue

    each_place(attempt, fewest=5)


SO_TIMESTAMP, SO_PASSCRED, IP_PKTINFO, NETLINK_PKTINFO, PACKET_AUXDATA = 29, 16, 8, 3, 8
DONTWAIT = 0x40
WAITING = {
    "udp": ((LEVEL_SOCKET, SO_TIMESTAMP), (LEVEL_IP, IP_PKTINFO)),
    "packet": ((LEVEL_SOCKET, SO_TIMESTAMP), (LEVEL_PACKET, PACKET_AUXDATA)),
    "route": ((LEVEL_NETLINK, NETLINK_PKTINFO), (LEVEL_SOCKET, SO_PASSCRED)),
    "unix datagram": ((LEVEL_SOCKET, SO_TIMESTAMP), (LEVEL_SOCKET, SO_PASSCRED)),
}


@pytest.mark.parametrize("name", WAITING)
@booted
def test_a_message_that_waits(machine: Machine, name: str) -> None:
    """It waits still if it could not be received."""
    host = machine.host
    bring_up(host)
    address = ADDRESSES[name]()
    receiver = host.socket(*SOCKETS[name])
    host.bind(receiver, address, len(address))
    for level, option in WAITING[name]:
        host.setsockopt(receiver, level, option, (1).to_bytes(4, "little"), 4)
    sender = host.socket(*SOCKETS["udp" if name == "packet" else name])
    target = inet(5000) if name == "packet" else address
    place = host.mmap(0, 0x4000, 3, 0x22, -1, 0)

    def send() -> None:
        if name == "route":
            request = struct.pack("<IHHII", 32, 18, 1, 1, 0) + struct.pack("<BxHiII", 0, 0, 1, 0, 0)  # RTM_GETLINK
            host.sendto(receiver, request, len(request), 0, 0, 0)
        else:
            host.sendto(sender, b"text", 4, 0, target, len(target))

    def receive() -> int:
        host.store(place, struct.pack("<QQ", place + 0x1000, 0x2000))
        header = struct.pack("<QIxxxxQQQQI", place + 0x100, 100, place, 1, place + 0x200, 200, 0)
        return host.recvmsg(receiver, bytearray(header), DONTWAIT)

    def attempt(scarcity: Scarcity) -> None:
        send()
        try:
            with scarcity:
                size = receive()
        except OSError:
            assert scarcity.where
            try:
                size = receive()
            except BlockingIOError:
                pytest.fail(f"{scarcity.where}: it is lost")
        assert size > 0
        while True:
            try:
                receive()
            except OSError:
                break

    each_place(attempt, fewest=4)
