"""Connections between endpoints against a peer by script: what each packet changes and what is answered."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kernel.lang import ECONNRESET, EPROTO, span_of
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.link.thread import run_pending
from kernel.net.vsock import protocol, table
from kernel.net.vsock import socket as vsock_socket
from kernel.net.vsock.endpoint import BOTH, RECEIVING, SENDING, Endpoint, Phase, State
from kernel.net.vsock.memory import MEMORY
from kernel.net.vsock.packet import (
    END_OF_MESSAGE,
    HEADER_SIZE,
    OP_CREDIT_REQUEST,
    OP_CREDIT_UPDATE,
    OP_DATA,
    OP_REQUEST,
    OP_RESET,
    OP_RESPONSE,
    OP_SHUTDOWN,
    SEQUENCED,
    STREAM,
    VsockPacket,
    read_header,
)
from kernel.net.vsock.protocol import close, receive, send, tell, transport_lost
from kernel.net.vsock.table import TABLE, Cursor
from kernel.net.vsock.transport import TRANSPORTS, VsockTransport
from tests.unit.net.conftest import pass_time

pytestmark = pytest.mark.usefixtures("loopback")

CID, HOST = 42, 2


class Wire(VsockTransport):
    """Keeps what is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[VsockPacket] = []
        self.has_sequences = True

    def cid(self) -> int:
        return CID

    def takes_sequences(self) -> bool:
        return self.has_sequences

    def send(self, packet: VsockPacket) -> None:
        self.sent.append(packet)
        packet.was_sent()
        packet.release()

    def operations(self) -> list[int]:
        found = [packet.operation for packet in self.sent]
        self.sent.clear()
        return found


class SlowWire(Wire):
    """All waits, one after the other, until the test looks."""

    def send(self, packet: VsockPacket) -> None:
        packet.is_waiting = True
        super().send(packet)


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    wire = Wire()
    monkeypatch.setattr(TRANSPORTS, "guest", wire)
    yield wire
    while (endpoint := TABLE.all.first()) is not None:
        protocol.discard(endpoint)
    assert TABLE.count == 0 and MEMORY.orphans == 0 and MEMORY.connections == 0 and used() == 0


def used() -> int:
    return MEMORY.programs.used + MEMORY.host.used


def packets(endpoint: Endpoint) -> list[VsockPacket]:
    found = []
    each = endpoint.queue.first()
    while each is not None:
        found.append(each)
        each = each.after()
    return found


def listener(port: int = 1000, kind: int = STREAM, backlog: int = 3) -> Endpoint:
    endpoint = Endpoint(kind, FIRST_NETWORK)
    TABLE.add(endpoint)
    TABLE.bind(endpoint, 0xFFFF_FFFF, port)
    endpoint.backlog = backlog
    endpoint.state = State.LISTENING
    return endpoint


def packet(
    operation: int, remote: int = 5000, port: int = 1000, data: bytes = b"", flags: int = 0, kind: int = STREAM,
    buffer: int = 10_000, forwarded: int = 0,
) -> VsockPacket:  # fmt: skip
    made = VsockPacket(kind, operation)
    made.source_cid, made.source_port, made.target_cid, made.target_port = HOST, remote, CID, port
    made.flags, made.buffer_size, made.forwarded = flags, buffer, forwarded
    made.storage = bytearray(data)
    made.end = len(data)
    return made


def accepted(wire: Wire, kind: int = STREAM) -> Endpoint:
    """A connection that the host has opened."""
    waiting = listener(kind=kind)
    receive(wire, packet(OP_REQUEST, kind=kind))
    assert wire.operations() == [OP_RESPONSE]
    child = waiting.waiting.popleft()
    child.phase = Phase.CONNECTED
    return child


def connecting(wire: Wire) -> Endpoint:
    endpoint = Endpoint(STREAM, FIRST_NETWORK)
    TABLE.add(endpoint)
    TABLE.bind(endpoint, 0xFFFF_FFFF, 1000)
    endpoint.remote.cid, endpoint.remote.port = HOST, 5000
    protocol.choose_transport(endpoint)
    endpoint.state = State.CONNECTING
    endpoint.phase = Phase.CONNECTING
    send(endpoint, OP_REQUEST)
    assert wire.operations() == [OP_REQUEST]
    return endpoint


def test_a_header_is_read_as_it_was_written() -> None:
    made = packet(OP_DATA, data=b"12345", flags=3, buffer=77, forwarded=0xFFFF_FFFF)
    header = bytearray(HEADER_SIZE)
    made.write_header(span_of(header))
    assert len(header) == 44 and header[24:28] == b"\5\0\0\0"
    found = read_header(span_of(header))
    assert found is not None
    for name in ("source_cid", "source_port", "target_cid", "target_port", "flags", "buffer_size", "forwarded", "kind"):
        assert getattr(found, name) == getattr(made, name)
    header[4] = 1
    assert read_header(span_of(header)) is None


def test_nobody_listens(wire: Wire) -> None:
    for operation in range(1, 12):
        receive(wire, packet(operation))
    assert wire.operations() == [OP_RESET] * 10, "all but the reset itself are answered"


def test_a_full_backlog_refuses(wire: Wire) -> None:
    waiting = listener(backlog=1)
    for remote in range(4):
        receive(wire, packet(OP_REQUEST, remote))
    assert wire.operations() == [OP_RESPONSE, OP_RESPONSE, OP_RESET, OP_RESET]
    assert len(waiting.waiting) == 2
    for child in list(waiting.waiting):
        close(child)


def test_a_wrong_kind_is_refused(wire: Wire) -> None:
    listener()
    receive(wire, packet(OP_REQUEST, kind=SEQUENCED))
    receive(wire, packet(OP_REQUEST, kind=7))
    wire.has_sequences = False
    listener(1001, SEQUENCED)
    receive(wire, packet(OP_REQUEST, port=1001, kind=SEQUENCED))
    assert wire.operations() == [OP_RESET] * 3


def test_a_context_of_this_machine_does_not_come_from_outside(wire: Wire) -> None:
    waiting = listener()
    for source in (1, CID):
        lie = packet(OP_REQUEST)
        lie.source_cid = source
        receive(wire, lie)
    assert wire.operations() == [OP_RESET] * 2 and not waiting.waiting


def test_an_answer_connects(wire: Wire) -> None:
    endpoint = connecting(wire)
    receive(wire, packet(OP_RESPONSE))
    assert endpoint.state == State.ESTABLISHED and endpoint.phase == Phase.CONNECTED and endpoint.room() == 10_000


@pytest.mark.parametrize(("operation", "error"), [(OP_RESET, ECONNRESET), (OP_DATA, EPROTO), (99, EPROTO)])
def test_an_answer_refuses(wire: Wire, operation: int, error: int) -> None:
    endpoint = connecting(wire)
    receive(wire, packet(operation))
    assert endpoint.state == State.CLOSED and endpoint.error == error
    assert wire.operations() == ([] if operation == OP_RESET else [OP_RESET])


def test_data_are_queued_and_small_packets_joined(wire: Wire) -> None:
    endpoint = accepted(wire)
    for i in range(2000):
        receive(wire, packet(OP_DATA, data=bytes([i & 0xFF])))
    assert endpoint.received.bytes == 2000 and endpoint.queue.count < 10
    content = b"".join(bytes(each.storage[each.start : each.end]) for each in packets(endpoint))
    assert content == bytes(i & 0xFF for i in range(2000))
    assert used() == endpoint.received.memory


def test_messages_keep_their_boundaries(wire: Wire) -> None:
    endpoint = accepted(wire, SEQUENCED)
    receive(wire, packet(OP_DATA, data=b"be", kind=SEQUENCED))
    assert endpoint.received.messages == 0
    receive(wire, packet(OP_DATA, data=b"gin", flags=END_OF_MESSAGE, kind=SEQUENCED))
    receive(wire, packet(OP_DATA, data=b"next", flags=END_OF_MESSAGE, kind=SEQUENCED))
    assert endpoint.received.messages == 2 and endpoint.received.bytes == 9
    endpoint.forget_data()


def test_more_than_the_credit_ends_the_connection(wire: Wire) -> None:
    endpoint = accepted(wire)
    endpoint.options.buffer_size = 100
    receive(wire, packet(OP_DATA, data=bytes(100)))
    assert wire.operations() == [] and endpoint.received.bytes == 100
    receive(wire, packet(OP_DATA, data=bytes(1)))
    assert wire.operations() == [OP_RESET] and endpoint.closing.is_done and endpoint.received.bytes == 100


def test_too_many_messages_end_the_connection(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kernel.net.vsock.endpoint.MOST_PACKETS", 50)
    endpoint = accepted(wire, SEQUENCED)
    for _ in range(50):
        receive(wire, packet(OP_DATA, data=b"x", flags=END_OF_MESSAGE, kind=SEQUENCED))
    assert endpoint.received.messages == 50 and wire.operations() == []
    receive(wire, packet(OP_DATA, data=b"x", flags=END_OF_MESSAGE, kind=SEQUENCED))
    assert wire.operations() == [OP_RESET] and endpoint.received.messages == 50


def test_a_stream_may_come_in_many_packets(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kernel.net.vsock.endpoint.MOST_PACKETS", 50)
    endpoint = accepted(wire)
    for _ in range(100):
        receive(wire, packet(OP_DATA, data=bytes(200)))
    assert endpoint.queue.count == 100 and endpoint.received.bytes == 20_000 and wire.operations() == []


def test_memory_that_is_used_up_ends_connections_that_hold_some(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = accepted(wire)
    monkeypatch.setattr(MEMORY.host, "limit", 0)
    receive(wire, packet(OP_DATA, data=bytes(1)))
    receive(wire, packet(OP_DATA, data=bytes(4096)))
    assert endpoint.received.bytes == 4097
    receive(wire, packet(OP_DATA, data=bytes(4096)))
    assert wire.operations() == [OP_RESET] and endpoint.closing.is_done


def test_who_does_not_read_loses_its_own_connection(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = listener()
    for remote in range(4):
        receive(wire, packet(OP_REQUEST, remote))
    assert wire.operations() == [OP_RESPONSE] * 4 and MEMORY.connections == 4
    monkeypatch.setattr(MEMORY.host, "limit", 200_000)
    idle, *others = waiting.waiting
    while not idle.closing.is_done:
        receive(wire, packet(OP_DATA, 0, data=bytes(4000)))
    assert wire.operations() == [OP_RESET] and MEMORY.host.is_exhausted() and idle.received.bytes == 192_000
    for remote, endpoint in enumerate(others, 1):
        for _ in range(10):
            receive(wire, packet(OP_DATA, remote, data=bytes(4000)))
        assert endpoint.received.bytes == 40_000
    assert wire.operations() == []
    receive(wire, packet(OP_DATA, 1, data=bytes(40_000)))
    assert wire.operations() == [OP_RESET], "more than a share"
    for child in list(waiting.waiting):
        child.forget_data()
        close(child)


def test_credit_counts_modulo(wire: Wire) -> None:
    endpoint = accepted(wire)
    endpoint.flow.sent = 0xFFFF_FFF0
    receive(wire, packet(OP_CREDIT_UPDATE, buffer=100, forwarded=0xFFFF_FFF0))
    assert endpoint.room() == 100
    data = packet(OP_DATA, data=bytes(60))
    endpoint.count_sent(data)
    assert endpoint.flow.sent == 0x2C and endpoint.room() == 40
    receive(wire, packet(OP_CREDIT_UPDATE, buffer=100, forwarded=0x2C))
    assert endpoint.room() == 100
    receive(wire, packet(OP_CREDIT_UPDATE, buffer=100, forwarded=0x2D))
    assert endpoint.room() == 0, "more was read than was sent: a lie"
    receive(wire, packet(OP_CREDIT_UPDATE, buffer=0xFFFF_FFFF, forwarded=0x2C))
    assert endpoint.room() == endpoint.options.buffer_size, "no more than this side would take"


def test_credit_is_told_when_asked(wire: Wire) -> None:
    accepted(wire)
    receive(wire, packet(OP_CREDIT_REQUEST))
    (answer,) = wire.sent
    assert answer.operation == OP_CREDIT_UPDATE and answer.buffer_size == 262_144
    wire.sent.clear()


def test_credit_is_owed_when_the_peer_sees_little(wire: Wire) -> None:
    endpoint = accepted(wire)
    for length in (1000, 196_000, 1000, 2000):
        receive(wire, packet(OP_DATA, data=bytes(length)))

    def read() -> bool:
        endpoint.received.bytes -= len(packets(endpoint)[0])
        endpoint.drop_first()
        return endpoint.owes_update()

    assert not read()
    assert read()
    endpoint.flow.reported = endpoint.flow.forwarded
    assert not read()
    assert read(), "all was read"
    assert endpoint.received.memory == 0


def test_halves_end_one_by_one(wire: Wire) -> None:
    endpoint = accepted(wire)
    receive(wire, packet(OP_SHUTDOWN, flags=SENDING))
    assert endpoint.closing.peer_ended == SENDING and wire.operations() == []
    receive(wire, packet(OP_SHUTDOWN, flags=RECEIVING))
    assert endpoint.closing.peer_ended == BOTH and wire.operations() == [OP_RESET]
    assert endpoint.state == State.CLOSING and endpoint.closing.is_done


def test_the_answer_to_an_end_waits_until_all_was_read(wire: Wire) -> None:
    endpoint = accepted(wire)
    receive(wire, packet(OP_DATA, data=b"unread"))
    receive(wire, packet(OP_SHUTDOWN, flags=BOTH))
    assert wire.operations() == [] and endpoint.state == State.ESTABLISHED
    close(endpoint)
    assert wire.operations() == [OP_RESET]


def test_closing_many_connections_has_safe_points(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    spent: list[int] = []
    monkeypatch.setattr(vsock_socket, "pace", spent.append)
    waiting = listener(backlog=100)
    for remote in range(100):
        receive(wire, packet(OP_REQUEST, remote))
    for child in list(waiting.waiting):
        vsock_socket._let_go(child)
    assert len(spent) == 100


def test_an_orphan_waits_for_its_answer(wire: Wire) -> None:
    endpoint = accepted(wire)
    close(endpoint)
    assert wire.operations() == [OP_SHUTDOWN] and MEMORY.orphans == 1
    receive(wire, packet(OP_DATA, data=b"too late"))
    assert used() == 0
    receive(wire, packet(OP_RESET))
    assert MEMORY.orphans == 0 and TABLE.find_connected(HOST, 5000, 1000) is None


def test_an_orphan_waits_eight_seconds_at_most(wire: Wire) -> None:
    endpoint = accepted(wire)
    close(endpoint)
    wire.operations()
    pass_time(7.9)
    assert MEMORY.orphans == 1 and wire.operations() == []
    pass_time(0.2)
    assert MEMORY.orphans == 0 and wire.operations() == [OP_RESET]


def test_connecting_without_waiting_takes_its_time_at_most(wire: Wire) -> None:
    endpoint = connecting(wire)
    protocol.start_timer(endpoint, 1_000_000_000)
    pass_time(1.1)
    assert endpoint.state == State.CLOSED and endpoint.phase == Phase.UNCONNECTED and endpoint.error != 0


def test_orphans_are_limited(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "MOST_ORPHANS", 0)
    close(accepted(wire))
    assert wire.operations() == [OP_RESET] and MEMORY.orphans == 0


def test_a_lost_transport_resets_all(wire: Wire) -> None:
    endpoint = accepted(wire)
    orphan_listener = listener(1001)
    receive(wire, packet(OP_REQUEST, port=1001))
    close(orphan_listener.waiting.popleft())
    assert MEMORY.orphans == 1
    transport_lost(wire)
    assert endpoint.error == ECONNRESET and endpoint.state == State.CLOSED and MEMORY.orphans == 0
    assert orphan_listener.state == State.LISTENING


def test_connections_are_found_by_the_peer_and_the_own_port(wire: Wire) -> None:
    waiting = listener(backlog=10_000)
    for remote in range(9000):
        receive(wire, packet(OP_REQUEST, remote))
    for i, child in enumerate(waiting.waiting):
        assert TABLE.find_connected(HOST, i, 1000) is child
    assert TABLE.find_connected(HOST, 0, 1001) is None and TABLE.find_connected(3, 0, 1000) is None
    for child in list(waiting.waiting)[::2]:
        protocol.discard(child)
    for i, child in enumerate(waiting.waiting):
        assert TABLE.find_connected(HOST, i, 1000) is (child if i % 2 else None)


def no_memory(kind: int, operation: int) -> VsockPacket:
    raise MemoryError


def test_what_finds_no_memory_is_told_later(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = accepted(wire)
    with monkeypatch.context() as shortage:
        shortage.setattr(protocol, "VsockPacket", no_memory)
        endpoint.count_forwarded(500)
        tell(endpoint, OP_CREDIT_UPDATE)
        endpoint.closing.ended = SENDING
        tell(endpoint, OP_SHUTDOWN, SENDING)
        with pytest.raises(MemoryError):
            protocol.DEBTS.run(0)
        assert wire.operations() == [] and endpoint.reports.owed != 0
    run_pending(0)
    assert [each.forwarded for each in wire.sent] == [500, 500] and endpoint.reports.owed == 0
    assert wire.operations() == [OP_SHUTDOWN, OP_CREDIT_UPDATE]
    run_pending(0)
    assert wire.operations() == []


def test_an_end_that_was_owed_is_told_once(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = accepted(wire)
    with monkeypatch.context() as shortage:
        shortage.setattr(protocol, "VsockPacket", no_memory)
        endpoint.closing.ended = SENDING
        tell(endpoint, OP_SHUTDOWN, SENDING)
        tell(endpoint, OP_CREDIT_UPDATE)

        def memory_for_an_end(kind: int, operation: int) -> VsockPacket:
            return VsockPacket(kind, operation) if operation == OP_SHUTDOWN else no_memory(kind, operation)

        shortage.setattr(protocol, "VsockPacket", memory_for_an_end)
        for _ in range(3):
            with pytest.raises(MemoryError):
                protocol.DEBTS.run(0)
    run_pending(0)
    assert wire.operations() == [OP_SHUTDOWN, OP_CREDIT_UPDATE]


def test_a_reset_needs_no_memory(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = accepted(wire)
    endpoint.options.buffer_size = 10
    too_much = packet(OP_DATA, data=bytes(11))
    monkeypatch.setattr(protocol, "VsockPacket", no_memory)
    receive(wire, too_much)
    assert endpoint.closing.is_done and wire.operations() == [OP_RESET]


def test_a_packet_that_waits_is_brought_up_to_date(wire: Wire) -> None:
    endpoint = accepted(wire)
    tell(endpoint, OP_CREDIT_UPDATE)
    (waiting,) = wire.sent
    waiting.is_waiting = True
    for _ in range(10):
        endpoint.count_forwarded(7)
        tell(endpoint, OP_CREDIT_UPDATE)
    assert wire.sent == [waiting] and waiting.forwarded == 70 and endpoint.flow.reported == 70
    waiting.is_waiting = False
    tell(endpoint, OP_CREDIT_UPDATE)
    assert len(wire.operations()) == 2
    for flags in (1, 2, 1, 2, 3, 1, 2):
        tell(endpoint, OP_SHUTDOWN, flags)
        wire.sent[-1].is_waiting = True
    assert [each.flags for each in wire.sent] == [1, 3]


@pytest.mark.parametrize("between", [OP_DATA, OP_SHUTDOWN])
def test_no_packet_takes_back_what_one_before_it_told(
    monkeypatch: pytest.MonkeyPatch, wire: Wire, between: int
) -> None:
    endpoint = accepted(wire)
    slow = SlowWire()
    monkeypatch.setattr(endpoint, "transport", slow)
    for _ in range(3):
        for _ in range(5):
            endpoint.count_forwarded(100)
            tell(endpoint, OP_CREDIT_UPDATE)
        tell(endpoint, OP_SHUTDOWN, SENDING) if between == OP_SHUTDOWN else send(endpoint, between)
    endpoint.count_forwarded(100)
    tell(endpoint, OP_CREDIT_UPDATE)
    told = [each.forwarded for each in slow.sent]
    assert told == sorted(told) and told[-1] == endpoint.flow.reported == endpoint.flow.forwarded == 1600
    updates = sum(each.operation == OP_CREDIT_UPDATE for each in slow.sent)
    assert updates <= len(slow.sent) - updates + 1


def test_an_end_that_waits_tells_no_credit(monkeypatch: pytest.MonkeyPatch, wire: Wire) -> None:
    endpoint = accepted(wire)
    slow = SlowWire()
    monkeypatch.setattr(endpoint, "transport", slow)
    tell(endpoint, OP_SHUTDOWN, SENDING)
    tell(endpoint, OP_CREDIT_UPDATE)
    endpoint.count_forwarded(100)
    tell(endpoint, OP_SHUTDOWN, SENDING)
    assert [each.forwarded for each in slow.sent] == [0, 0] and endpoint.flow.reported == 0
    tell(endpoint, OP_CREDIT_UPDATE)
    assert [each.forwarded for each in slow.sent] == [0, 100] and endpoint.flow.reported == 100


def test_an_update_that_was_owed_is_brought_up_to_date_too(monkeypatch: pytest.MonkeyPatch, wire: Wire) -> None:
    endpoint = accepted(wire)
    slow = SlowWire()
    monkeypatch.setattr(endpoint, "transport", slow)
    for _ in range(3):
        with monkeypatch.context() as shortage:
            shortage.setattr(protocol, "VsockPacket", no_memory)
            tell(endpoint, OP_CREDIT_UPDATE)
        run_pending(0)
        endpoint.count_forwarded(100)
    tell(endpoint, OP_CREDIT_UPDATE)
    assert [each.forwarded for each in slow.sent] == [300]


def test_small_pieces_of_a_message_are_joined_and_whole_ones_bounded(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = accepted(wire, SEQUENCED)
    monkeypatch.setattr(MEMORY.host, "limit", 0)
    for _ in range(3000):
        receive(wire, packet(OP_DATA, data=b"x", kind=SEQUENCED))
    assert endpoint.received.bytes == 3000 and used() < 6000 and not endpoint.closing.is_done
    receive(wire, packet(OP_DATA, data=b"x", flags=END_OF_MESSAGE, kind=SEQUENCED))
    for _ in range(3000):
        receive(wire, packet(OP_DATA, flags=END_OF_MESSAGE, kind=SEQUENCED))
    assert used() < 9000 and endpoint.closing.is_done


def test_a_stranger_does_not_reach_a_connection(wire: Wire) -> None:
    endpoint = connecting(wire)
    for operation in (OP_REQUEST, OP_RESPONSE, OP_DATA, OP_SHUTDOWN, OP_CREDIT_UPDATE):
        receive(wire, packet(operation, remote=5001, buffer=7))
    assert endpoint.phase == Phase.CONNECTING and endpoint.flow.peer_buffer == 0
    assert wire.operations() == [OP_RESET] * 5
    receive(wire, packet(OP_RESPONSE))
    receive(wire, packet(OP_REQUEST, buffer=7))
    receive(wire, packet(OP_SHUTDOWN, remote=5001, flags=BOTH))
    assert endpoint.state == State.ESTABLISHED
    assert endpoint.flow.peer_buffer == 10_000 and endpoint.closing.peer_ended == 0


def test_a_walk_survives_what_comes_and_goes(wire: Wire) -> None:
    made = [listener(port) for port in range(1000, 1010)]
    cursor = Cursor()
    cursor.start()
    assert cursor.take() is made[0]
    protocol.discard(made[0])
    protocol.discard(made[1])
    protocol.discard(made[2])
    assert cursor.take() is made[3]
    for port in range(2000, 2100):
        listener(port)
    rest = []
    while (found := cursor.take()) is not None:
        rest.append(found)
    assert rest[:6] == made[4:] and len(rest) == 8, "it ends"
    cursor.end()
    assert TABLE.cursors.is_empty()


def test_walks_cost_whoever_leaves(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    spent: list[int] = []
    monkeypatch.setattr(table, "spend", spent.append)
    endpoint = listener()
    walks = [Cursor() for _ in range(100)]
    for cursor in walks:
        cursor.start()
    protocol.discard(endpoint)
    assert len(spent) == 100 and walks[0].take() is None
    for cursor in walks:
        cursor.end()


def test_a_listener_knows_what_its_connections_hold(wire: Wire) -> None:
    waiting = listener()
    empty = waiting.held_bytes()
    receive(wire, packet(OP_REQUEST))
    child = waiting.waiting[0]
    with_one = waiting.held_bytes()
    assert with_one > empty
    receive(wire, packet(OP_DATA, data=bytes(5000)))
    assert waiting.held_bytes() == with_one + child.received.memory and child.received.memory >= 5000
    child.forget_data()
    assert waiting.held_bytes() == with_one
    receive(wire, packet(OP_DATA, data=bytes(5000)))
    waiting.waiting.popleft()
    child.was_taken()
    assert waiting.held_bytes() == empty and child.held_bytes() > 5000


def test_what_the_transport_has_is_held(wire: Wire) -> None:
    endpoint = accepted(wire)
    empty = endpoint.held_bytes()
    data = packet(OP_DATA, data=bytes(60))
    endpoint.count_sent(data)
    assert endpoint.held_bytes() > empty + 60
    data.was_sent()
    assert endpoint.held_bytes() == empty and endpoint.unsent.bytes == 0


def test_a_connection_of_after_the_loss_goes_on(wire: Wire) -> None:
    endpoint = accepted(wire)
    endpoint.generation = wire.generation + 1
    transport_lost(wire)
    assert endpoint.state == State.ESTABLISHED and endpoint.error == 0
