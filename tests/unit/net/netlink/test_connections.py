"""ctnetlink under CPython: lists and their filters, changes, ends, events, and whatever bytes a program may send."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel.lang import EEXIST, EINVAL, ENOENT, EOPNOTSUPP, Errno
from kernel.lib.credentials import Credentials
from kernel.net.filter.connection import STATUS_ASSURED, STATUS_CONFIRMED, STATUS_SEEN_REPLY
from kernel.net.filter.tcp_state import ESTABLISHED
from kernel.net.filter.tracking_settings import SETTINGS
from kernel.net.link.device import NetworkDevice
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.netlink.messages import NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, MessageWriter, Request
from kernel.net.netlink.socket import NetlinkSocket
from kernel.net.netlink.subsystems import message_of, subsystem_of
from kernel.net.proc import connections as proc
from kernel.net.sockets.socket import SOCK_RAW
from kernel.time import monotonic_ns
from tests.unit.net.conftest import pass_time
from tests.unit.net.filter.gate import Gate, check_table, echo, tcp, udp

A, B = b"\x0a\x00\x00\x09", b"\xc0\xa8\x00\x07"
A6, B6 = bytes([0x20, 1]) + bytes(13) + b"\x01", bytes([0x20, 1]) + bytes(13) + b"\x02"
NEW, GET, DELETE, GET_AND_CLEAR, STATISTICS_CPU, STATISTICS, DYING, UNCONFIRMED = range(8)
NETFILTER = 12
INET, INET6 = 2, 10
SYN, ACK = 2, 16


@pytest.fixture
def gate(loopback: NetworkDevice) -> Iterator[Gate]:
    made = Gate()
    made.use()
    yield made
    made.clear()


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("<HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def tuple_of(source: bytes, destination: bytes, protocol: int, port: int, to: int, kind: int = 1) -> bytes:
    first = 1 if len(source) == 4 else 3
    ends = attribute(first, source) + attribute(first + 1, destination)
    ports = attribute(2, struct.pack(">H", port)) + attribute(3, struct.pack(">H", to))
    ports = attribute(1, bytes([protocol])) + ports
    return attribute(kind | 0x8000, attribute(0x8001, ends) + attribute(0x8002, ports))


def be32(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack(">I", value))


Parsed = tuple[int, int, int, dict[int, bytes]]


def parsed(data: bytes) -> list[Parsed]:
    """Type, flags, family and attributes of all messages."""
    found = []
    while data:
        length, kind, flags, _, _ = struct.unpack_from("<IHHII", data)
        assert 20 <= length <= len(data)
        found.append((kind, flags, data[16], attributes(data[20:length])))
        data = data[(length + 3) & ~3 :]
    return found


def attributes(data: bytes) -> dict[int, bytes]:
    found = {}
    while data:
        length, kind = struct.unpack_from("<HH", data)
        assert 4 <= length <= len(data)
        found[kind & 0x3FFF] = data[4:length]
        data = data[(length + 3) & ~3 :]
    return found


def number(value: bytes) -> int:
    return int.from_bytes(value, "big")


def ask(message: int, flags: int, payload: bytes = b"", family: int = INET, subsystem: int = 1) -> list[Parsed]:
    body = bytes([family, 0, 0, 0]) + payload
    raw = struct.pack("<IHHII", 16 + len(body), subsystem << 8 | message, flags | 1, 7, 0) + body
    request = Request(raw, 0, FIRST_NETWORK, None)
    found = subsystem_of(request)
    assert found is not None
    assert message_of(request) == message
    writer = MessageWriter()
    if found.wants_dump(request):
        assert found.dump(request, writer) == 0
    else:
        found.carry_out(request, writer)
    return parsed(b"".join(writer.parts) + bytes(writer.data))


def fails(code: int, message: int, flags: int, payload: bytes = b"", family: int = INET) -> None:
    with pytest.raises(Errno) as raised:
        ask(message, flags, payload, family)
    assert raised.value.code == code


def test_a_connection_is_told_whole(gate: Gate) -> None:
    gate.through(tcp(A, 40000, B, 80, SYN, 5))
    gate.through(tcp(B, 80, A, 40000, SYN | ACK, 9, 6))
    gate.through(tcp(A, 40000, B, 80, ACK, 6, 10))
    [(kind, _, family, found)] = ask(GET, 0, tuple_of(B, A, 6, 80, 40000))
    assert (kind, family) == (0x100, INET)
    assert list(found) == [1, 2, 3, 8, 12, 11, 7, 4]
    assert number(found[3]) == STATUS_CONFIRMED | STATUS_SEEN_REPLY | STATUS_ASSURED
    assert number(found[8]) == 0 and number(found[7]) in (431999, 432000)
    original = attributes(found[1])
    assert attributes(original[1]) == {1: A, 2: B}
    assert attributes(original[2]) == {1: b"\x06", 2: struct.pack(">H", 40000), 3: b"\0\x50"}
    assert attributes(attributes(found[4])[1])[1] == bytes([ESTABLISHED])


def test_lists_are_filtered_by_family_mark_and_status(gate: Gate) -> None:
    for port in range(50):
        gate.through(udp(A, 1000 + port, B, 53))
        gate.through(udp(A6, 1000 + port, B6, 53))
    gate.through(udp(B, 53, A, 1007))
    for port in (7, 8):
        ask(NEW, 0, tuple_of(A, B, 17, 1000 + port, 53) + be32(8, 0x10 + port))
    assert len(ask(GET, NLM_F_DUMP, family=0)) == 100
    assert len(ask(GET, NLM_F_DUMP, family=INET)) == 50
    assert len(ask(GET, NLM_F_DUMP, family=INET6)) == 50
    assert len(ask(GET, NLM_F_DUMP, be32(8, 0x17), family=0)) == 1
    assert len(ask(GET, NLM_F_DUMP, be32(8, 0x10) + be32(21, 0xF0), family=0)) == 2
    assert len(ask(GET, NLM_F_DUMP, be32(3, STATUS_SEEN_REPLY), family=0)) == 1
    assert len(ask(GET, NLM_F_DUMP, be32(3, 0) + be32(26, STATUS_SEEN_REPLY), family=INET)) == 49
    fails(EINVAL, GET, NLM_F_DUMP, be32(3, 0) + be32(26, 0))
    for message in (DYING, UNCONFIRMED):
        assert ask(message, NLM_F_DUMP, family=0) == []
    assert ask(GET, NLM_F_DUMP, subsystem=2) == []


def test_connections_end_one_by_one_or_together(gate: Gate) -> None:
    for port in range(20):
        gate.through(udp(A, 1000 + port, B, 53))
    gate.through(udp(A6, 1, B6, 53))
    [(_, _, _, found)] = ask(GET, 0, tuple_of(A, B, 17, 1000, 53))
    wrong = be32(12, number(found[12]) ^ 1)
    fails(ENOENT, DELETE, 0, tuple_of(A, B, 17, 1000, 53) + wrong)
    assert ask(DELETE, 0, tuple_of(A, B, 17, 1000, 53) + attribute(12, found[12])) == []
    fails(ENOENT, DELETE, 0, tuple_of(A, B, 17, 1000, 53))
    fails(EINVAL, GET, 0)
    ask(NEW, 0, tuple_of(A, B, 17, 1005, 53) + be32(8, 5))
    ask(DELETE, 0, be32(8, 5))
    assert gate.table.count == 19
    ask(DELETE, 0, family=0)
    assert gate.table.count == 0


def test_changes(gate: Gate) -> None:
    gate.through(udp(A, 1000, B, 53))
    one = tuple_of(A, B, 17, 1000, 53)
    connection = gate.table.first
    assert connection is not None
    ask(NEW, 0, one + be32(7, 500) + be32(8, 0xFF))
    assert connection.mark == 0xFF and round(connection.left_ns(monotonic_ns()) / 1e9) == 500
    ask(NEW, 0, one + be32(8, 0x100) + be32(21, 0xF00))
    assert connection.mark == 0x1FF
    ask(NEW, 0, one + be32(3, STATUS_CONFIRMED | STATUS_SEEN_REPLY | STATUS_ASSURED))
    assert connection.has(STATUS_ASSURED)
    fails(16, NEW, 0, one + be32(3, STATUS_CONFIRMED))
    fails(EEXIST, NEW, NLM_F_CREATE | NLM_F_EXCL, one)
    fails(ENOENT, NEW, 0, tuple_of(A, B, 17, 1, 53))
    fails(EOPNOTSUPP, NEW, 0, one + attribute(6, b"\0\0\0\0"))
    pass_time(499)
    assert gate.table.count == 1
    pass_time(2)
    assert gate.table.count == 0


def test_a_program_makes_a_connection(gate: Gate) -> None:
    both = tuple_of(A, B, 17, 1000, 53) + tuple_of(B, A, 17, 53, 1000, kind=2)
    fails(EINVAL, NEW, NLM_F_CREATE, both)
    ask(NEW, NLM_F_CREATE | NLM_F_EXCL, both + be32(7, 100) + be32(8, 3))
    check_table(gate.table)
    assert gate.table.count == 1 and gate.table.first is not None and gate.table.first.mark == 3
    assert gate.connection(udp(B, 53, A, 1000)) is gate.table.first


def test_statistics(gate: Gate) -> None:
    gate.through(udp(A, 1000, B, 53))
    gate.through(udp(A, 1000, B, 53)[:-1] + b"\0")
    [(kind, _, family, found)] = ask(STATISTICS_CPU, NLM_F_DUMP, family=0)
    assert (kind, family) == (0x104, 0)
    assert number(found[8]) == 1 and number(found[4]) == 1
    [(kind, _, _, found)] = ask(STATISTICS, 0, family=0)
    assert kind == 0x105 and number(found[1]) == 1 and number(found[2]) == SETTINGS.most.value


def test_listeners_hear_of_what_begins_changes_and_ends(gate: Gate) -> None:
    gate.through(udp(A, 1, B, 53))  # nobody listens yet, so nobody will hear of this one
    socket = NetlinkSocket(SOCK_RAW, NETFILTER, Credentials(), FIRST_NETWORK)
    socket.bind(struct.pack("<HHII", 16, 0, 99, 0b111))
    try:

        def heard() -> list[tuple[int, int, int]]:
            """Type, flags and status."""
            found = []
            while socket.queue:
                for kind, flags, _, attrs in parsed(socket.queue.popleft().data):
                    found.append((kind, flags, number(attrs[3])))
            socket.queued_bytes = 0
            return found

        create = NLM_F_CREATE | NLM_F_EXCL
        gate.through(udp(A, 1000, B, 53))
        assert heard() == [(0x100, create, STATUS_CONFIRMED)]
        gate.through(udp(A, 1000, B, 53))
        assert heard() == []
        gate.through(udp(B, 53, A, 1000))
        assert heard() == [(0x100, 0, STATUS_CONFIRMED | STATUS_SEEN_REPLY)]
        gate.through(tcp(A, 40000, B, 80, SYN, 5))
        gate.through(tcp(B, 80, A, 40000, SYN | ACK, 9, 6))
        gate.through(tcp(A, 40000, B, 80, ACK, 6, 10))
        assert [kind for kind, _, _ in heard()] == [0x100, 0x100, 0x100]
        pass_time(31)
        assert [kind for kind, _, _ in heard()] == [0x102]
        ask(DELETE, 0, family=0)
        assert [kind for kind, _, _ in heard()] == [0x102]
    finally:
        socket.close()


@given(st.binary(max_size=120), st.integers(0, 9), st.sampled_from([0, INET, INET6, 7]), st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
def test_no_request_breaks_it(gate: Gate, payload: bytes, message: int, family: int, dumps: bool) -> None:
    gate.through(udp(A, 1000, B, 53))
    for body in (payload, tuple_of(A, B, 17, 1000, 53) + payload):
        try:
            ask(message, NLM_F_DUMP if dumps else NLM_F_CREATE, body, family)
        except (Errno, MemoryError):
            pass  # refused: what counts is that nothing else is raised
        check_table(gate.table)


def test_the_text_of_proc(gate: Gate) -> None:
    gate.through(udp(A, 1000, B, 53))
    gate.through(tcp(A, 40000, B, 80, SYN, 5))
    gate.through(echo(A6, B6, 9))
    pieces = proc.connections()
    text = b""
    while (piece := pieces.next()) is not None:
        text += piece
    assert text.splitlines() == [
        b"ipv4     2 udp      17 30 src=10.0.0.9 dst=192.168.0.7 sport=1000 dport=53 [UNREPLIED] src=192.168.0.7"
        b" dst=10.0.0.9 sport=53 dport=1000 mark=0 zone=0 use=2",
        b"ipv4     2 tcp      6 120 SYN_SENT src=10.0.0.9 dst=192.168.0.7 sport=40000 dport=80 [UNREPLIED]"
        b" src=192.168.0.7 dst=10.0.0.9 sport=80 dport=40000 mark=0 zone=0 use=2",
        b"ipv6     10 icmpv6   58 30 src=2001:0000:0000:0000:0000:0000:0000:0001"
        b" dst=2001:0000:0000:0000:0000:0000:0000:0002 type=128 code=0 id=9 [UNREPLIED]"
        b" src=2001:0000:0000:0000:0000:0000:0000:0002 dst=2001:0000:0000:0000:0000:0000:0000:0001"
        b" type=129 code=0 id=9 mark=0 zone=0 use=2",
    ]


def test_a_long_text_comes_in_pieces_while_connections_end(gate: Gate) -> None:
    for port in range(100):
        gate.through(udp(A, 1000 + port, B, 53))
    pieces = proc.connections()
    first = pieces.next()
    assert first is not None and first.count(b"\n") == 16
    for port in range(10, 40):
        ask(DELETE, 0, tuple_of(A, B, 17, 1000 + port, 53))
    rest = b""
    while (piece := pieces.next()) is not None:
        rest += piece
    assert [int(line.split(b"sport=")[1].split()[0]) for line in rest.splitlines()] == list(range(1040, 1100))
    assert len(gate.table.cursors) == 1


def test_counters_that_are_asked_for_begin_anew(gate: Gate) -> None:
    """Of one connection, as of all."""
    name = tuple_of(A, B, 17, 7, 9)
    SETTINGS.acct.set(FIRST_NETWORK, 1)
    try:
        for flags in (0, NLM_F_DUMP):
            gate.through(udp(A, 7, B, 9))
            told = [number(attributes(ask(GET_AND_CLEAR, flags, b"" if flags else name)[0][3][9])[1]) for _ in range(2)]
            assert told == [1, 0]
    finally:
        SETTINGS.acct.set(FIRST_NETWORK, 0)
