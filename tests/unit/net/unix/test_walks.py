"""Reports about all unix sockets: others run while they are made, and sockets come and go."""

from __future__ import annotations

import struct

from kernel.lib.linked import FIRST, NEXT
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.netlink.unix_diagnosis import _socket_of
from kernel.net.proc.socket_tables import _unix_count
from kernel.net.proc.unix import unix_table
from kernel.net.unix.addresses import abstract_names_of
from kernel.net.unix.rights import SOCKETS, SocketWalk
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


@booted
def test_sockets_close_while_they_are_listed(machine: Machine) -> None:
    host = machine.host
    sockets = made(host)
    with meanwhile(lambda: host.close(sockets[-2]), 2):  # the one that is next
        assert unix_table().count(b"\n") == 1 + COUNT - 1

    def close_and_open() -> None:
        host.close(sockets[-1])
        host.close(sockets[-4])
        host.socket(AF_UNIX, SOCK_STREAM, 0)

    with meanwhile(close_and_open, 5):  # the report has two by then
        assert unix_table().count(b"\n") == 1 + COUNT - 2
    assert _unix_count(FIRST_NETWORK, is_stream=True) == COUNT - 2
    with meanwhile(lambda: host.close(sockets[-5]), 2):
        assert _unix_count(FIRST_NETWORK, is_stream=True) in (COUNT - 2, COUNT - 3)
    left = COUNT - 3
    assert dumped(host) == left
    before = SOCKETS.all[FIRST]
    with meanwhile(lambda: host.close(sockets[-6]), left):
        assert left - 1 <= dumped(host) <= left
    assert SOCKETS.all[FIRST] is before and SOCKETS.walk is None and dumped(host) == left - 1


@booted
def test_a_socket_is_found_by_its_number_while_others_close(machine: Machine) -> None:
    host = machine.host
    sockets = made(host)
    first = SOCKETS.all[FIRST]
    second = None if first is None else first.all_links[NEXT]
    wanted = None if second is None else second.all_links[NEXT]
    assert wanted is not None
    with meanwhile(lambda: host.close(sockets[-2]), 2):
        assert _socket_of(FIRST_NETWORK, wanted.inode.ino) is wanted
    assert _socket_of(FIRST_NETWORK, 1 << 40) is None


@booted
def test_walks_end_in_any_order(machine: Machine) -> None:
    host = machine.host
    sockets = made(host)
    walks = [SocketWalk() for _ in range(3)]
    assert [walk.take() for walk in walks] == [SOCKETS.all[FIRST]] * 3
    second = walks[1].following
    walks[1].end()
    host.close(sockets[-2])
    assert walks[0].following is walks[2].following is not second and walks[1].following is second
    walks[0].end()
    walks[2].end()
    assert SOCKETS.walk is None


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
