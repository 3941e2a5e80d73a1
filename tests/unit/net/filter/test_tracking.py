"""Which connection a packet belongs to, and how long it is remembered: as Linux 6.12 does it."""

from __future__ import annotations

import gc
import weakref

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel.net.filter.access import (
    STATE_ESTABLISHED,
    STATE_INVALID,
    STATE_NEW,
    STATE_RELATED,
    STATE_UNTRACKED,
)
from kernel.net.filter.connection import (
    STATUS_ASSURED,
    STATUS_CONFIRMED,
    STATUS_DYING,
    STATUS_SEEN_REPLY,
    Connection,
)
from kernel.net.filter.connection_table import LEFT, ConnectionTable, _Expiry
from kernel.net.filter.tcp_state import (
    CLOSE,
    CLOSE_WAIT,
    ESTABLISHED,
    FIN_WAIT,
    LAST_ACK,
    SYN_RECV,
    SYN_SENT,
    SYN_SENT2,
    TIME_WAIT,
)
from kernel.net.filter.tracking_settings import SETTINGS
from kernel.net.filter.tuples import Tuple
from kernel.net.link.hooks import FAMILY_IP4, INPUT, OUTPUT, POSTROUTING, PREROUTING, Hooks, Place
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.link.packet import UNTRACKED
from kernel.net.link.timers import TIMERS
from kernel.time import monotonic_ns
from tests.unit.net.conftest import pass_time
from tests.unit.net.filter.gate import (
    FORWARDED,
    RECEIVED,
    SENT,
    Gate,
    check_table,
    echo,
    error,
    ip,
    packet_of,
    tcp,
    udp,
)

A, B, C = b"\x0a\x00\x00\x09", b"\xc0\xa8\x00\x07", b"\xc0\xa8\x00\x08"
A6, B6 = bytes([0x20, 1]) + bytes(13) + b"\x01", bytes([0x20, 1]) + bytes(13) + b"\x02"
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


def seconds_left(connection: Connection) -> int:
    return round(connection.left_ns(monotonic_ns()) / 1e9)


def only(gate: Gate) -> Connection:
    check_table(gate.table)
    assert gate.table.count == 1 and gate.table.first is not None
    return gate.table.first


def first_hooks() -> Hooks | None:
    return FIRST_NETWORK.hooks4


def test_without_users_nobody_looks(gate: Gate) -> None:
    assert first_hooks() is None
    gate.use()
    hooks = first_hooks()
    assert hooks is not None and hooks.want_whole == 1


@pytest.mark.parametrize("ends", [(A, B), (A6, B6)])
def test_udp_is_new_then_established_then_a_stream(gate: Gate, ends: tuple[bytes, bytes]) -> None:
    gate.use()
    a, b = ends
    question, answer = udp(a, 1000, b, 53), udp(b, 53, a, 1000)
    assert gate.state(question) == STATE_NEW
    connection = only(gate)
    assert connection.status == STATUS_CONFIRMED and seconds_left(connection) == 30
    assert gate.state(question) == STATE_NEW
    assert gate.state(answer) == STATE_ESTABLISHED
    assert connection.status == STATUS_CONFIRMED | STATUS_SEEN_REPLY
    assert gate.state(question) == STATE_ESTABLISHED
    assert seconds_left(connection) == 30
    pass_time(3)
    assert gate.state(question) == STATE_ESTABLISHED
    assert seconds_left(connection) == 120 and connection.has(STATUS_ASSURED)
    pass_time(119)
    assert gate.table.count == 1
    pass_time(2)
    assert gate.table.count == 0 and connection.has(STATUS_DYING)


def test_a_dropped_first_packet_leaves_nothing(gate: Gate) -> None:
    gate.use()
    packet = packet_of(udp(A, 1, B, 2))
    assert gate.pass_packet(packet, (PREROUTING,))
    connection = packet.connection
    assert isinstance(connection, Connection) and not connection.has(STATUS_CONFIRMED)
    assert gate.table.count == 0
    gone = weakref.ref(connection)
    del packet, connection
    gc.collect()
    assert gone() is None


def test_a_packet_on_loopback_keeps_its_connection(gate: Gate) -> None:
    gate.use()
    packet = packet_of(udp(A, 1, A, 2))
    assert gate.pass_packet(packet, (OUTPUT, POSTROUTING))
    connection = packet.connection
    assert connection is only(gate)
    assert gate.pass_packet(packet, (PREROUTING, INPUT))
    assert packet.connection is connection and gate.table.count == 1
    assert gate.state(udp(A, 2, A, 1), SENT) == STATE_ESTABLISHED


def test_a_dialogue_with_oneself_is_one_connection(gate: Gate) -> None:
    gate.use()
    assert gate.state(udp(A, 7, A, 7), SENT) == STATE_NEW
    assert gate.state(udp(A, 7, A, 7), SENT) == STATE_NEW
    assert gate.table.count == 1
    pass_time(31)
    assert gate.table.count == 0 and gate.table.by_hash == {}


def test_what_is_not_to_be_tracked_is_not(gate: Gate) -> None:
    gate.use()
    packet = packet_of(udp(A, 1, B, 2))
    packet.tracking = UNTRACKED
    assert gate.pass_packet(packet, FORWARDED)
    assert packet.connection is None and gate.table.count == 0


def test_wrong_sums_and_lengths_are_invalid(gate: Gate) -> None:
    gate.use()
    good = udp(A, 1, B, 2)
    assert gate.state(good[:-1] + b"\0") == STATE_INVALID
    assert gate.state(good[:-1] + b"\0", SENT) == STATE_NEW  # what this host sends is not summed
    assert gate.state(ip(A, B, 17, b"\0\1\0\2\0\x08\0")) == STATE_INVALID
    assert gate.state(ip(A, B, 17, b"\0\1\0\2\0\x20\0\0")) == STATE_INVALID
    assert gate.state(ip(A, B, 6, bytes(19))) == STATE_INVALID
    assert gate.state(tcp(A, 1, B, 2, SYN | FIN)) == STATE_INVALID
    assert gate.state(tcp(A, 1, B, 2, 0)) == STATE_INVALID
    assert gate.table.statistics.invalid == 6


def test_other_protocols_have_one_connection_between_two_hosts(gate: Gate) -> None:
    gate.use()
    assert gate.state(ip(A, B, 47, b"gre")) == STATE_NEW
    assert seconds_left(only(gate)) == 600
    assert gate.state(ip(B, A, 47, b"back")) == STATE_ESTABLISHED
    assert gate.state(ip(B, A, 99, b"")) == STATE_NEW


def test_echoes_by_identifier(gate: Gate) -> None:
    gate.use()
    assert gate.state(echo(A, B, 5)) == STATE_NEW
    assert seconds_left(only(gate)) == 30
    assert gate.state(echo(B, A, 6, 0)) == STATE_INVALID
    assert gate.state(echo(B, A, 5, 0)) == STATE_ESTABLISHED
    assert gate.state(echo(A, B, 6)) == STATE_NEW
    assert gate.state(echo(A, B, 6, 19)) == STATE_INVALID  # no such type
    assert gate.state(echo(A6, B6, 5)) == STATE_NEW
    assert gate.state(echo(B6, A6, 5, 129)) == STATE_ESTABLISHED


def test_neighbour_discovery_is_untracked(gate: Gate) -> None:
    gate.use()
    for kind in (130, 133, 135, 136, 143):
        assert gate.state(echo(A6, B6, 5, kind)) == STATE_UNTRACKED


@pytest.mark.parametrize("ends", [(A, B, C), (A6, B6, A6[:15] + b"\x03")])
def test_errors_are_related_to_what_they_quote(gate: Gate, ends: tuple[bytes, bytes, bytes]) -> None:
    gate.use()
    a, b, router = ends
    question = udp(a, 1000, b, 53)
    assert gate.state(error(router, a, question)) == STATE_INVALID
    gate.through(question)
    assert gate.state(error(router, a, question)) == STATE_RELATED
    assert gate.state(error(router, b, question)) == STATE_INVALID  # not to its sender
    assert gate.state(error(router, a, udp(a, 1001, b, 53))) == STATE_INVALID
    assert gate.state(error(router, b, udp(b, 53, a, 1000))) == STATE_RELATED
    damaged = bytearray(error(router, a, question))
    damaged[-1] ^= 1
    assert gate.state(bytes(damaged)) == STATE_INVALID
    assert only(gate).status == STATUS_CONFIRMED
    gate.through(echo(a, b, 9))
    assert gate.state(error(router, a, echo(a, b, 9))) == STATE_RELATED


@given(st.binary(max_size=80), st.sampled_from([1, 6, 17, 58, 136, 99]), st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
def test_no_packet_breaks_it(gate: Gate, payload: bytes, protocol: int, is_ip4: bool) -> None:
    gate.use()
    try:
        a, b = (A, B) if is_ip4 else (A6, B6)
        gate.forward(ip(a, b, protocol, payload))
        gate.forward(error(b, a, ip(a, b, protocol, payload)))
        gate.forward(error(b, a, payload))
        check_table(gate.table)
    finally:
        gate.clear()
        gate.is_used = [False, False]


# ---- TCP --------------------------------------------------------------------------------------------------------


class Talk:
    """Two ends whose segments pass."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.sequences = {A: 1000, B: 2**32 - 10}

    def send(self, source: bytes, flags: int, data: bytes = b"", *, window: int = 64240, options: bytes = b"") -> int:
        other = B if source == A else A
        ports = (40000, 80) if source == A else (80, 40000)
        ack = self.sequences[other] if flags & ACK else 0
        segment = tcp(
            source, ports[0], other, ports[1], flags, self.sequences[source], ack, data, window=window, options=options
        )
        self.sequences[source] += len(data) + bool(flags & (SYN | FIN))
        return self.gate.state(segment)

    def open(self) -> None:
        assert self.send(A, SYN) == STATE_NEW
        assert self.send(B, SYN | ACK) == STATE_ESTABLISHED
        assert self.send(A, ACK) == STATE_ESTABLISHED


def tcp_state(gate: Gate) -> int:
    tcp_ = only(gate).tcp
    assert tcp_ is not None
    return tcp_.state


def test_a_tcp_connection_from_its_beginning_to_its_end(gate: Gate) -> None:
    gate.use()
    talk = Talk(gate)
    steps = [
        (A, SYN, STATE_NEW, SYN_SENT, 120),
        (B, SYN | ACK, STATE_ESTABLISHED, SYN_RECV, 60),
        (A, ACK, STATE_ESTABLISHED, ESTABLISHED, 432000),
        (A, FIN | ACK, STATE_ESTABLISHED, FIN_WAIT, 120),
        (B, ACK, STATE_ESTABLISHED, CLOSE_WAIT, 60),
        (B, FIN | ACK, STATE_ESTABLISHED, LAST_ACK, 30),
        (A, ACK, STATE_ESTABLISHED, TIME_WAIT, 120),
    ]
    for source, flags, state, tcp_state_, timeout in steps:
        assert talk.send(source, flags) == state
        assert tcp_state(gate) == tcp_state_
        assert seconds_left(only(gate)) == timeout
        assert only(gate).has(STATUS_ASSURED) == (tcp_state_ not in (SYN_SENT, SYN_RECV))
    pass_time(121)
    assert gate.table.count == 0


def test_unacknowledged_data_shorten_the_time(gate: Gate) -> None:
    gate.use()
    talk = Talk(gate)
    talk.open()
    talk.send(A, PSH | ACK, b"x" * 100)
    assert seconds_left(only(gate)) == 300
    talk.send(B, ACK)
    assert seconds_left(only(gate)) == 432000


def test_a_reset_in_answer_to_a_syn_ends_it(gate: Gate) -> None:
    gate.use()
    talk = Talk(gate)
    talk.send(A, SYN)
    talk.sequences[B] = 0
    assert talk.send(B, RST | ACK) == STATE_ESTABLISHED
    assert gate.table.count == 0


def test_a_reset_beyond_the_window_is_invalid(gate: Gate) -> None:
    gate.use()
    talk = Talk(gate)
    talk.open()
    assert gate.state(tcp(B, 80, A, 40000, RST, talk.sequences[B] + 10_000_000)) == STATE_INVALID
    assert gate.state(tcp(B, 80, A, 40000, RST, talk.sequences[B] - 10)) == STATE_INVALID
    assert tcp_state(gate) == ESTABLISHED
    assert gate.state(tcp(B, 80, A, 40000, RST, talk.sequences[B])) == STATE_ESTABLISHED
    assert tcp_state(gate) == CLOSE and seconds_left(only(gate)) == 10


def test_data_beyond_the_window_and_acks_of_nothing_are_invalid(gate: Gate) -> None:
    gate.use()
    talk = Talk(gate)
    talk.open()
    here, there = talk.sequences[A], talk.sequences[B]
    assert gate.state(tcp(A, 40000, B, 80, ACK, here + 200_000, there, b"x")) == STATE_INVALID
    assert gate.state(tcp(A, 40000, B, 80, ACK, here, there + 5)) == STATE_INVALID
    assert gate.state(tcp(A, 40000, B, 80, ACK, here, there, b"x")) == STATE_ESTABLISHED
    SETTINGS.tcp_be_liberal.set(FIRST_NETWORK, 1)
    try:
        assert gate.state(tcp(A, 40000, B, 80, ACK, here + 200_000, there, b"x")) == STATE_ESTABLISHED
    finally:
        SETTINGS.tcp_be_liberal.set(FIRST_NETWORK, 0)


def test_windows_are_scaled_if_both_offer_it(gate: Gate) -> None:
    gate.use()
    talk = Talk(gate)
    scale = bytes([3, 3, 7, 0])
    talk.send(A, SYN, options=scale)
    talk.send(B, SYN | ACK, options=scale)
    talk.send(A, ACK, window=1000)
    assert gate.state(tcp(B, 80, A, 40000, ACK, talk.sequences[B] + 100_000, talk.sequences[A], b"x")) == (
        STATE_ESTABLISHED
    )
    assert gate.state(tcp(B, 80, A, 40000, ACK, talk.sequences[B] + 300_000, talk.sequences[A], b"x")) == STATE_INVALID


def test_a_connection_is_picked_up_in_the_middle_if_tcp_loose_says_so(gate: Gate) -> None:
    gate.use()
    SETTINGS.tcp_loose.set(FIRST_NETWORK, 0)
    try:
        assert gate.state(tcp(A, 40000, B, 80, ACK, 5, 6)) == STATE_INVALID
    finally:
        SETTINGS.tcp_loose.set(FIRST_NETWORK, 1)
    assert gate.state(tcp(A, 40000, B, 80, ACK, 5, 6)) == STATE_NEW
    assert tcp_state(gate) == ESTABLISHED and seconds_left(only(gate)) == 300
    assert gate.state(tcp(B, 80, A, 40000, ACK, 6, 5)) == STATE_ESTABLISHED
    assert not only(gate).has(STATUS_ASSURED) and seconds_left(only(gate)) == 300
    assert gate.state(tcp(A, 40000, B, 80, ACK, 5, 6)) == STATE_ESTABLISHED
    assert only(gate).has(STATUS_ASSURED) and seconds_left(only(gate)) == 432000
    for flags in (RST, SYN | ACK, FIN | ACK):
        assert gate.state(tcp(A, 40001, B, 80, flags, 5, 6)) == STATE_INVALID


def test_syns_of_both_ends(gate: Gate) -> None:
    gate.use()
    talk = Talk(gate)
    assert talk.send(A, SYN) == STATE_NEW
    assert talk.send(B, SYN) == STATE_ESTABLISHED
    assert tcp_state(gate) == SYN_SENT2
    talk.sequences[A] -= 1
    assert talk.send(A, SYN | ACK) == STATE_ESTABLISHED
    assert tcp_state(gate) == SYN_RECV
    assert talk.send(B, ACK) == STATE_ESTABLISHED
    assert tcp_state(gate) == ESTABLISHED


def test_a_syn_reopens_a_closed_connection(gate: Gate) -> None:
    gate.use()
    talk = Talk(gate)
    talk.open()
    first = only(gate)
    talk.send(A, FIN | ACK)
    talk.send(B, FIN | ACK)
    talk.send(A, ACK)
    assert tcp_state(gate) == TIME_WAIT
    talk.sequences[A] += 100_000
    assert talk.send(A, SYN) == STATE_NEW
    assert only(gate) is not first and tcp_state(gate) == SYN_SENT


def test_a_syn_in_an_open_connection_is_let_through_and_followed_if_it_is_answered(gate: Gate) -> None:
    gate.use()
    talk = Talk(gate)
    talk.open()
    talk.sequences[A] += 500_000
    assert talk.send(A, SYN) == STATE_ESTABLISHED
    assert tcp_state(gate) == ESTABLISHED
    talk.sequences[B] = 77
    assert talk.send(B, SYN | ACK) == STATE_ESTABLISHED
    assert tcp_state(gate) == SYN_RECV
    assert talk.send(A, ACK) == STATE_ESTABLISHED
    assert tcp_state(gate) == ESTABLISHED


def test_repeating_a_syn_keeps_nothing_alive(gate: Gate) -> None:
    gate.use()
    talk = Talk(gate)
    for _ in range(3):
        talk.sequences[A] = 1000
        talk.send(A, SYN)
        pass_time(30)
    assert seconds_left(only(gate)) == 30


def test_packets_and_bytes_are_counted_if_wanted(gate: Gate) -> None:
    gate.use()
    SETTINGS.acct.set(FIRST_NETWORK, 1)
    try:
        gate.through(udp(A, 1, B, 2, b"12345"))
    finally:
        SETTINGS.acct.set(FIRST_NETWORK, 0)
    gate.through(udp(A, 1, B, 2, b"12345"))
    gate.through(udp(B, 2, A, 1, b""))
    connection = only(gate)
    assert (connection.packets, connection.bytes) == (2, 66)
    assert (connection.reply_packets, connection.reply_bytes) == (1, 28)


# ---- The table --------------------------------------------------------------------------------------------------


def test_a_full_table_drops_those_that_nobody_answered(gate: Gate) -> None:
    gate.use()
    most = SETTINGS.most.value
    SETTINGS.most.value = 50
    try:
        for port in range(500):
            assert gate.forward(udp(A, 1000 + port, B, 53)) is not None
            assert gate.table.count <= 50
        assert gate.table.statistics.dropped_early == 450
        check_table(gate.table)
    finally:
        SETTINGS.most.value = most


def test_a_table_full_of_assured_connections_takes_no_more(gate: Gate) -> None:
    gate.use()
    most = SETTINGS.most.value
    SETTINGS.most.value = 20
    try:
        for port in range(20):
            gate.through(udp(A, 1000 + port, B, 53))
            gate.through(udp(B, 53, A, 1000 + port))
        pass_time(3)
        for port in range(20):
            gate.through(udp(A, 1000 + port, B, 53))
        assert gate.forward(udp(A, 999, B, 53)) is None
        assert gate.table.statistics.dropped == 1 and gate.table.count == 20
    finally:
        SETTINGS.most.value = most


def test_a_table_of_an_ended_network_is_taken_apart_in_shares(gate: Gate) -> None:
    gate.use()
    for port in range(300):
        gate.through(udp(A, 1000 + port, B, 53))
    table = gate.table
    table.end()
    LEFT.run(0)
    assert 0 < table.count < 300
    for _ in range(10):
        LEFT.run(0)
    assert table.count == 0 and table.by_hash == {} and LEFT.tables == []
    packet = packet_of(udp(A, 1, B, 2))
    assert not gate.pass_packet(packet, FORWARDED)
    assert isinstance(table, ConnectionTable) and table.network is None


def test_tuples_with_one_hash_are_kept_apart(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    def compute_hash(self: Tuple) -> None:
        self.hash = 7

    monkeypatch.setattr(Tuple, "compute_hash", compute_hash)
    gate.use()
    for port in range(20):
        gate.through(udp(A, 1000 + port, B, 53))
    check_table(gate.table)
    for port in (5, 0, 19, 7):
        assert gate.state(udp(B, 53, A, 1000 + port)) == STATE_ESTABLISHED
    pass_time(31)
    assert gate.table.count == 0 and gate.table.by_hash == {}


@pytest.mark.parametrize("failing", ["first", "second", "timer"])
def test_a_connection_that_finds_no_memory_leaves_nothing(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    gate.use()
    calls: list[object] = []
    enter = ConnectionTable._enter_tuple

    def enter_tuple(self: ConnectionTable, tuple_: Tuple) -> None:
        calls.append(tuple_)
        if len(calls) == (1 if failing == "first" else 2):
            raise MemoryError
        enter(self, tuple_)

    def start(self: object, deadline_ns: int) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        if failing == "timer":
            patch.setattr("kernel.net.filter.connection_table._Expiry.start", start)
        else:
            patch.setattr(ConnectionTable, "_enter_tuple", enter_tuple)
        with pytest.raises(MemoryError):
            gate.forward(udp(A, 1, B, 2))
    assert gate.table.count == 0 and gate.table.by_hash == {}
    assert all(not isinstance(timer, _Expiry) for timer in TIMERS.heap.entries)
    assert gate.state(udp(A, 1, B, 2)) == STATE_NEW
    check_table(gate.table)


def test_received_packets_end_at_input(gate: Gate) -> None:
    gate.use()
    assert gate.state(udp(A, 1, B, 2), RECEIVED) == STATE_NEW
    assert gate.state(udp(B, 2, A, 1), SENT) == STATE_ESTABLISHED
    place = Place(FIRST_NETWORK, FAMILY_IP4, INPUT)
    assert place.point == INPUT and only(gate).has(STATUS_SEEN_REPLY)
