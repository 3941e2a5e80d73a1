"""The DHCP client against a server made by hand."""

import struct

from kernel.lang import span_of
from kernel.net.control import dhcp
from kernel.net.control.dhcp import DhcpClient

MAC = b"\x02\x00\x00\x00\x00\x01"
SECOND = 1_000_000_000


def answer(request: bytes, kind: int, address: bytes = b"\x0a\x00\x00\x05", extra: bytes = b"") -> bytes:
    head = bytearray(236)
    head[0] = 2
    head[1] = 1
    head[2] = 6
    head[4:8] = request[4:8]
    head[16:20] = address
    head[28:34] = request[28:34]
    options = bytes([53, 1, kind, 54, 4]) + b"\x0a\x00\x00\x02" + bytes([51, 4]) + struct.pack(">I", 1000)
    options += bytes([1, 4]) + b"\xff\xff\xff\x00" + bytes([3, 4]) + b"\x0a\x00\x00\x02" + extra
    return bytes(head) + b"\x63\x82\x53\x63" + options + b"\xff"


def bound() -> DhcpClient:
    client = DhcpClient(MAC, 42, 0)
    discover = client.message(0)
    assert not client.receive(span_of(answer(discover, 2)), 1)
    request = client.message(1)
    assert client.state == dhcp.REQUESTING
    assert b"\x32\x04\x0a\x00\x00\x05" in request
    assert client.receive(span_of(answer(request, 5)), 2)
    return client


def test_a_lease_is_got() -> None:
    client = bound()
    assert client.state == dhcp.BOUND
    assert client.lease is not None
    assert client.lease.address == b"\x0a\x00\x00\x05"
    assert client.lease.router == b"\x0a\x00\x00\x02"
    assert client.message(3) == b""


def test_discoveries_are_repeated_with_longer_waits() -> None:
    client = DhcpClient(MAC, 42, 0)
    times = []
    now = 0
    for _ in range(5):
        assert client.message(now) != b""
        times.append(client.due_ns - now)
        now = client.due_ns
    assert times == [SECOND, 2 * SECOND, 4 * SECOND, 8 * SECOND, 16 * SECOND]


def test_a_lease_is_renewed_then_rebound_then_lost() -> None:
    client = bound()
    now = 500 * SECOND + 2
    renew = client.message(now)
    assert client.state == dhcp.RENEWING
    assert client.destination() == b"\x0a\x00\x00\x02"
    assert renew[12:16] == b"\x0a\x00\x00\x05"
    client.message(875 * SECOND + 2)
    assert client.state == dhcp.REBINDING
    assert client.destination() == b""
    client.message(1000 * SECOND + 2)
    assert client.state == dhcp.SELECTING
    assert client.lease is None


def test_a_refusal_begins_anew() -> None:
    client = bound()
    renew = client.message(500 * SECOND + 2)
    assert client.receive(span_of(answer(renew, 6)), 501 * SECOND)
    assert client.lease is None
    assert client.state == dhcp.SELECTING


def test_strangers_and_broken_messages_are_ignored() -> None:
    client = DhcpClient(MAC, 42, 0)
    good = answer(client.message(0), 2)
    assert not client.receive(span_of(good[:200]), 1)
    assert not client.receive(span_of(good[:4] + b"\0\0\0\0" + good[8:]), 1)
    assert not client.receive(span_of(good[:240] + b"\x35"), 1)
    assert not client.receive(span_of(answer(good, 2, address=bytes(4))), 1)
    assert client.state == dhcp.SELECTING


def test_names_that_could_break_a_file_are_cut() -> None:
    client = DhcpClient(MAC, 42, 0)
    evil = b"good\nnameserver"
    client.receive(span_of(answer(client.message(0), 2, extra=bytes([15, len(evil)]) + evil)), 1)
    assert client.offer is not None
    assert client.offer.domain == b"good"
