"""The texts under /proc/net: columns, and numbers in the order that programs expect (proc(5))."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.lib.credentials import Credentials
from kernel.lib.proc_files import TextPieces
from kernel.net.datagram.raw_socket import RawSocket
from kernel.net.datagram.udp import udp_sockets_of
from kernel.net.datagram.udp_socket import UdpSocket
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.proc import socket_tables, statistics, tables
from kernel.net.sockets.socket import AF_INET, AF_INET6
from tests.unit.net.conftest import Wire


def address4(digits: str) -> str:
    return socket.inet_ntop(socket.AF_INET, bytes.fromhex(digits)[::-1])


def address6(digits: str) -> str:
    words = [bytes.fromhex(digits[at : at + 8])[::-1] for at in range(0, 32, 8)]
    return socket.inet_ntop(socket.AF_INET6, b"".join(words))


@given(st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16))
def test_addresses_are_numbers_of_a_little_endian_machine(four: bytes, sixteen: bytes) -> None:
    assert address4(tables.hex4(four).decode()) == socket.inet_ntop(socket.AF_INET, four)
    assert address6(tables.hex6(sixteen).decode()) == socket.inet_ntop(socket.AF_INET6, sixteen)
    assert bytes.fromhex(tables.plain_hex(sixteen).decode()) == sixteen
    assert tables.dotted(four).decode() == socket.inet_ntop(socket.AF_INET, four)


def test_no_address_is_the_one_that_stands_for_any() -> None:
    assert address4(tables.hex4(b"").decode()) == "0.0.0.0"
    assert address6(tables.hex6(b"").decode()) == "::"
    assert address6(tables.hex6(b"\x7f\0\0\1").decode()) == "::ffff:127.0.0.1"


def test_interfaces_are_listed_with_a_number_for_each_column(wire: Wire) -> None:
    wire.traffic.received_bytes, wire.traffic.sent_packets = 123_456_789, 77
    head, names, *lines = tables.dev().decode().splitlines()
    assert [line.split(":")[0].strip() for line in lines] == ["lo", "eth0"]
    columns = names.split("|")[1].split() + names.split("|")[2].split()
    values = dict(zip([f"in {c}" if n < 8 else f"out {c}" for n, c in enumerate(columns)],
                      map(int, lines[1].split(":")[1].split()), strict=True))  # fmt: skip
    assert values["in bytes"] == 123_456_789 and values["out packets"] == 77
    assert len(head) > 0


def test_the_route_of_an_interface_s_network(wire: Wire) -> None:
    head, *lines = tables.route().decode().splitlines()
    [row] = [dict(zip(head.split(), line.split(), strict=True)) for line in lines if line.startswith("eth0")]
    assert (address4(row["Destination"]), address4(row["Mask"])) == ("10.0.0.0", "255.255.255.0")
    assert (row["Gateway"], int(row["Flags"], 16)) == ("00000000", 1)  # RTF_UP
    assert all(len(line) >= 127 for line in (head, *lines))


@pytest.mark.parametrize("family", [AF_INET, AF_INET6])
def test_a_udp_socket_is_in_its_family_s_table_alone(wire: Wire, family: int) -> None:
    udp_sockets_of(FIRST_NETWORK).by_port.clear()
    bound = UdpSocket(family, Credentials(), FIRST_NETWORK)
    bound.local = b"\x0a\x00\x00\x01"
    bound.remote, bound.remote_port = b"\x0a\x00\x00\x02", 53
    udp_sockets_of(FIRST_NETWORK).insert(bound, 68)
    bound.binding.port = 68
    texts = {AF_INET: tables.udp4(), AF_INET6: tables.udp6()}
    lines = {}
    for each, pieces in texts.items():
        whole = b""
        while (piece := pieces.next()) is not None:
            whole += piece
        lines[each] = whole.decode().splitlines()[1:]
    other = AF_INET6 if family == AF_INET else AF_INET
    assert lines[other] == []
    [row] = [line.split() for line in lines[family]]
    read = address4 if family == AF_INET else address6
    local, remote = (place.split(":") for place in row[1:3])
    assert read(local[0]).endswith("10.0.0.1") and int(local[1], 16) == 68
    assert read(remote[0]).endswith("10.0.0.2") and int(remote[1], 16) == 53
    assert row[3] == "01"  # connected
    udp_sockets_of(FIRST_NETWORK).by_port.clear()


def pairs(text: bytes) -> dict[str, dict[str, int]]:
    """Tables of two lines: names, then values."""
    lines = text.decode().splitlines()
    found = {}
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        label, *columns = names.split()
        assert values.split()[0] == label
        found[label] = dict(zip(columns, map(int, values.split()[1:]), strict=True))
    return found


def test_counters_stand_under_their_names(wire: Wire) -> None:
    FIRST_NETWORK.ip4.in_receives = 1_000_001
    FIRST_NETWORK.udp4.no_ports = 1_000_002
    FIRST_NETWORK.icmp4.in_types[8] = 1_000_003
    FIRST_NETWORK.tcp.retransmitted_segments = 1_000_004
    counters = pairs(statistics.snmp())
    assert counters["Ip:"]["InReceives"] == 1_000_001
    assert counters["Udp:"]["NoPorts"] == 1_000_002
    assert counters["Icmp:"]["InEchos"] == 1_000_003 == counters["IcmpMsg:"]["InType8"]
    assert counters["Tcp:"]["RetransSegs"] == 1_000_004
    assert set(pairs(statistics.netstat())) >= {"TcpExt:", "IpExt:"}


def test_protocols_have_a_letter_for_each_operation(wire: Wire) -> None:
    head, *lines = socket_tables.protocols().decode().splitlines()
    for line in lines:
        assert len(line.split()) == len(head.split()), line
        assert set(line.split()[8:]) <= {"y", "n"}, line


@pytest.mark.parametrize("make", [tables.raw4, tables.raw6, socket_tables.icmp4, socket_tables.icmp6,
                                  socket_tables.packet, socket_tables.netlink])  # fmt: skip
def test_a_piece_shows_one_socket(wire: Wire, make: Callable[[], TextPieces]) -> None:
    """However many sockets there are, no text of all of them is made at once."""
    before = len(list(iter(make().next, None)))
    kept = [RawSocket(AF_INET, 17, Credentials(), FIRST_NETWORK) for _ in range(3)] if make is tables.raw4 else []
    pieces = list(iter(make().next, None))
    assert len(pieces) == before + len(kept) and pieces[0].count(b"\n") == 1
    assert all(piece.count(b"\n") <= 1 for piece in pieces)
    for each in kept:
        each.close()
