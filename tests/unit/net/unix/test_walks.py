"""Reports about all unix sockets: others run while they are made, and sockets come and go."""

from __future__ import annotations

import struct

from kernel.lib.namespace import FIRST_USER
from kernel.net.link.network import FIRST_NETWORK, Network
from kernel.net.netlink.unix_diagnosis import _socket_of
from kernel.net.proc.socket_tables import _unix_count
from kernel.net.proc.unix import _Lines, unix_table
from kernel.net.unix.addresses import abstract_names_of
from kernel.net.unix.rights import SOCKETS
from tests.unit.booted import booted
from tests.unit.meanwhile import meanwhile
from tools.simulated.machine import Machine
from tools.simulated.program import Program

AF_UNIX, AF_NETLINK, SOCK_STREAM, SOCK_RAW, SOCK_DIAGNOSIS = 1, 16, 1, 3, 4
BY_FAMILY, DUMP = 20, 0x301
COUNT = 12


def made(host: Program) -> list[int]:
    """Sockets; the newest, the last of these, comes first in each report."""
    return [host.socket(AF_UNIX, SOCK_STREAM, 0) for _ in range(COUNT)]


def dumped(host: Program) -> int:
    """How many sockets a dump reports."""
    socket = host.socket(AF_NETLINK, SOCK_RAW, SOCK_DIAGNOSIS)
    payload = struct.pack("=BBHIIIII", AF_UNIX, 0, 0, 0xFFFF_FFFF, 0, 0, 0xFFFF_FFFF, 0xFFFF_FFFF)
    message = struct.pack("=IHHII", 16 + len(payload), BY_FAMILY, DUMP, 1, 0) + payload
    host.sendto(socket, message, len(message), 0, None, 0)
    kinds: list[int] = []
    while 3 not in kinds:
        buffer = bytearray(8192)
        rest = bytes(buffer[: host.recvfrom(socket, buffer, len(buffer), 0, None, None)])
        while rest:
            length, kind = struct.unpack_from("=IH", rest)
            kinds.append(kind)
            rest = rest[length + 3 & ~3 :]
    host.close(socket)
    return kinds.count(BY_FAMILY)


def shown() -> int:
    """How many lines /proc/net/unix has, without the heading."""
    lines = unix_table()
    count = -1
    while lines.next() is not None:
        count += 1
    return count


@booted
def test_sockets_close_while_they_are_listed(machine: Machine) -> None:
    host = machine.host
    before = SOCKETS.count
    sockets = made(host)
    assert shown() == before + COUNT
    lines = unix_table()
    for _ in range(before + 3):  # the heading, and two of them
        assert lines.next() is not None
    host.close(sockets[0])
    host.close(sockets[2])  # the one that is next
    host.socket(AF_UNIX, SOCK_STREAM, 0)
    left = 0
    while lines.next() is not None:
        left += 1
    assert left == COUNT - 3 + 1
    count = before + COUNT - 1
    assert _unix_count(FIRST_NETWORK, is_stream=True) == count
    with meanwhile(lambda: host.close(sockets[4]), 2):
        assert _unix_count(FIRST_NETWORK, is_stream=True) in (count, count - 1)
    assert dumped(host) == count - 1
    with meanwhile(lambda: host.close(sockets[6]), count - 1):
        assert count - 2 <= dumped(host) <= count - 1
    assert dumped(host) == count - 2


@booted
def test_a_table_of_very_many_sockets_is_written_a_line_at_a_time(machine: Machine) -> None:
    """Those of another network are passed over with safe points."""
    host = machine.host
    made(host)
    with meanwhile(lambda: None, COUNT):
        assert all(text.count(b"\n") == 1 for text in iter(unix_table().next, None))
        others = unix_table()
        assert isinstance(others, _Lines)
        others.network = Network(1, FIRST_USER)
        assert others.next() is not None and others.next() is None


@booted
def test_a_socket_is_found_by_its_number_while_others_close(machine: Machine) -> None:
    host = machine.host
    sockets = made(host)
    last = SOCKETS.all.last_to(SOCKETS.serial)
    assert last is not None
    with meanwhile(lambda: host.close(sockets[1]), 2):
        assert _socket_of(FIRST_NETWORK, last.inode.ino) is last
    assert _socket_of(FIRST_NETWORK, 1 << 40) is None


@booted
def test_connections_that_wait_in_a_closing_socket_go_with_others_at_work(machine: Machine) -> None:
    """Others drop some meanwhile, too: they join the list, and whoever closes goes on with them."""
    host = machine.host
    before = SOCKETS.count
    name = struct.pack("=H", AF_UNIX) + b"\0listens"
    other = struct.pack("=H", AF_UNIX) + b"\0too"
    listeners = []
    clients = []
    for place in (name, other):
        listener = host.socket(AF_UNIX, SOCK_STREAM, 0)
        host.bind(listener, place, len(place))
        host.listen(listener, 20)
        listeners.append(listener)
        for _ in range(10):
            client = host.socket(AF_UNIX, SOCK_STREAM, 0)
            host.connect(client, place, len(place))
            clients.append(client)
    assert SOCKETS.count == before + 42
    with meanwhile(lambda: host.close(listeners[1]), 4):
        host.close(listeners[0])
    assert SOCKETS.count == before + 20 and SOCKETS.dropped is None and not SOCKETS.is_dropping
    for client in clients:
        host.close(client)
    assert SOCKETS.count == before


@booted
def test_a_name_is_looked_for_with_others_at_work(machine: Machine) -> None:
    host = machine.host
    any_name = struct.pack("=H", AF_UNIX)
    taken = host.socket(AF_UNIX, SOCK_STREAM, 0)
    host.bind(taken, any_name, 2)
    names = abstract_names_of(FIRST_NETWORK)
    names._next = 0
    for number in range(5):
        named = host.socket(AF_UNIX, SOCK_STREAM, 0)
        place = struct.pack("=H", AF_UNIX) + b"\0" + f"{number:05x}".encode()
        if names.find(SOCK_STREAM, place[2:]) is None:
            host.bind(named, place, len(place))
    fresh = host.socket(AF_UNIX, SOCK_STREAM, 0)
    own = struct.pack("=H", AF_UNIX) + b"\0own"
    with meanwhile(lambda: host.bind(fresh, own, len(own)), 3):
        host.bind(fresh, any_name, 2)
    assert names.find(SOCK_STREAM, b"\0own") is not None
    assert names.find(SOCK_STREAM, b"\x0000005") is None, "it has one name"
