"""Which socket a UDP datagram is for."""

from __future__ import annotations

import struct

import pytest

from kernel.lang import span_of
from kernel.lib.credentials import Credentials
from kernel.net.datagram.udp import HEADER, find_socket, udp_sockets_of
from kernel.net.datagram.udp_socket import UdpSocket
from kernel.net.link.checksum import checksum, pseudo_header
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.sockets.socket import AF_INET, AF_INET6
from tests.unit.net.conftest import OUR_MAC, PEER_MAC, Wire

OURS, PEER, STRANGER = b"\x0a\x00\x00\x01", b"\x0a\x00\x00\x02", b"\x0a\x00\x00\x03"
PORT, PEER_PORT = 500, 4000
UDP = 17


def bound(
    family: int = AF_INET, local: bytes = b"", remote: tuple[bytes, int] | None = None, device: Wire | None = None,
    reuse_port: bool = False,
) -> UdpSocket:  # fmt: skip
    """A socket in the table of ports, as bind(2), connect(2) and SO_BINDTODEVICE leave it."""
    socket = UdpSocket(family, Credentials(), FIRST_NETWORK)
    socket.local = local
    if remote is not None:
        socket.remote, socket.remote_port = remote
    socket.bound_device = 0 if device is None else device.index
    socket.binding.versions = 1 if family == AF_INET else 3
    socket.binding.reuse_port = reuse_port
    udp_sockets_of(FIRST_NETWORK).insert(socket, PORT)
    return socket


@pytest.fixture(autouse=True)
def ports() -> None:
    """No socket is bound."""
    udp_sockets_of(FIRST_NETWORK).by_port.clear()


def chosen(wire: Wire, source: bytes = PEER, source_port: int = PEER_PORT) -> object:
    return find_socket(OURS, PORT, source, source_port, wire)


def test_the_more_a_socket_insists_on_the_better_it_fits(wire: Wire) -> None:
    both = bound(AF_INET6)
    assert chosen(wire) is both
    any_address = bound()
    assert chosen(wire) is any_address
    here = bound(local=OURS)
    assert chosen(wire) is here
    connected = bound(local=OURS, remote=(PEER, PEER_PORT))
    assert chosen(wire) is connected
    assert chosen(wire, STRANGER) is here and chosen(wire, source_port=PEER_PORT + 1) is here
    on_the_wire = bound(local=OURS, device=wire)
    assert chosen(wire, STRANGER) is on_the_wire
    assert chosen(wire) is on_the_wire or chosen(wire) is connected


def test_another_address_or_interface_does_not_fit(wire: Wire) -> None:
    socket = bound(local=STRANGER)
    assert chosen(wire) is None
    socket.local = b""
    socket.bound_device = wire.index + 1
    assert chosen(wire) is None
    bound(local=STRANGER)
    assert chosen(wire) is None


def test_the_last_that_was_bound_wins_among_equals(wire: Wire) -> None:
    bound()
    second = bound()
    assert chosen(wire) is second


def test_a_group_shares_the_port_by_peer(wire: Wire) -> None:
    group = {bound(reuse_port=True) for _ in range(4)}
    by_peer = {port: chosen(wire, source_port=port) for port in range(1000, 1064)}
    assert set(by_peer.values()) == group
    assert all(chosen(wire, source_port=port) is socket for port, socket in by_peer.items())


def test_a_port_without_sockets_is_forgotten(wire: Wire) -> None:
    table = udp_sockets_of(FIRST_NETWORK)
    sockets = [bound(), bound(AF_INET6)]
    assert (table.count(AF_INET), table.count(AF_INET6)) == (1, 1)
    for socket in sockets:
        table.take_out(socket, PORT)
        table.take_out(socket, PORT)
    assert table.by_port == {}


def frame(data: bytes, length: int | None = None, checksum_xor: int = 0, destination: bytes = OURS) -> bytes:
    """An Ethernet frame with a datagram."""
    size = HEADER + len(data) if length is None else length
    udp = bytearray(struct.pack(">HHHH", PEER_PORT, PORT, size, 0) + data)
    total = checksum(span_of(udp), pseudo_header(PEER, destination, UDP, len(udp)))
    udp[6:8] = struct.pack(">H", total ^ checksum_xor)
    ip = bytearray(struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 1, 0, 64, UDP, 0) + PEER + destination)
    ip[10:12] = struct.pack(">H", checksum(span_of(ip)))
    link = b"\xff" * 6 if destination[3] == 255 else OUR_MAC
    return link + PEER_MAC + b"\x08\x00" + bytes(ip) + bytes(udp)


@pytest.mark.parametrize(
    ("bad", "checksum_errors"),
    [(frame(b"data", length=7), 0), (frame(b"data", length=13), 0), (frame(b"data", checksum_xor=1), 1)],
    ids=["shorter than its header", "longer than the packet", "damaged"],
)
def test_what_is_wrong_is_counted_and_not_delivered(wire: Wire, bad: bytes, checksum_errors: int) -> None:
    socket = bound()
    counters = FIRST_NETWORK.udp4
    before = (counters.in_errors, counters.in_checksum_errors, counters.in_datagrams)
    wire.inject(bad)
    assert socket.queue.head is None
    after = (counters.in_errors, counters.in_checksum_errors, counters.in_datagrams)
    assert after == (before[0] + 1, before[1] + checksum_errors, before[2])


def test_a_datagram_ends_where_its_header_says(wire: Wire) -> None:
    socket = bound()
    padded = bytearray(frame(b"datapad", length=HEADER + 4))
    padded[14 + 20 + 6 : 14 + 20 + 8] = bytes(2)  # no checksum: IPv4's senders may leave it out
    wire.inject(bytes(padded))
    packet = socket.take_packet()
    assert packet is not None and packet.span().to_bytes() == b"data"


def test_a_broadcast_is_for_all_that_fit(wire: Wire) -> None:
    sockets = [bound(), bound(), bound(local=STRANGER)]
    wire.inject(frame(b"all", destination=b"\x0a\x00\x00\xff"))
    assert [socket.queued_bytes > 0 for socket in sockets] == [True, True, False]


def test_a_closed_port_is_reported_to_the_sender(wire: Wire) -> None:
    before = FIRST_NETWORK.udp4.no_ports
    wire.inject(bytes([2, 0, 0, 0, 0, 1]) + frame(b"data")[6:])
    assert FIRST_NETWORK.udp4.no_ports == before + 1
