"""Whatever a stranger sends: nothing traps, numbers stay consistent, memory stays bounded; guesses do not end
connections.
"""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.lang import ECONNRESET, span_of
from kernel.net.link.packet import Packet
from kernel.net.tcp.connection import FOREVER, Connection, State
from kernel.net.tcp.header import ACK, FIN, RST, SYN, URG, OutgoingHeader, Segment
from kernel.net.tcp.time_wait import TimeWait, Verdict
from tests.unit.net.tcp.simulation import MS, SECOND, World


def raw_packet(data: bytes) -> Packet:
    packet = Packet(len(data))
    packet.put(len(data)).copy_from(span_of(data))
    return packet


def forged(sequence: int, acknowledgment: int, flags: int, payload: bytes = b"", window: int = 1000) -> Packet:
    header = OutgoingHeader()
    header.sequence = sequence
    header.acknowledgment = acknowledgment
    header.flags = flags
    header.window = window
    packet = raw_packet(payload)
    header.put_before(packet)
    return packet


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=100))
def test_any_bytes_are_a_header_or_not(data: bytes) -> None:
    segment = Segment()
    packet = raw_packet(data)
    if segment.parse(packet):
        assert len(packet) <= len(data) - 20
        assert 0 <= segment.sack_count <= 4


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=40, max_size=40), st.integers(0, 255))
def test_any_options(options: bytes, flags: int) -> None:
    data = bytes(12) + bytes([0xF0, flags]) + bytes(6) + options
    segment = Segment()
    segment.forget_syn_options()
    assert segment.parse(raw_packet(data))
    assert -1 <= segment.scale <= 14


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 1 << 30), timestamps=st.booleans())
def test_random_segments_near_the_window(seed: int, timestamps: bool) -> None:
    world = World(seed)
    world.open()
    chance = random.Random(seed)
    b = world.b.connection
    assert b is not None
    if timestamps:
        b.agreed.timestamps = False
    world.b.write(b"x" * 5000)
    for _ in range(60):
        distance = chance.choice([0, 0, 0, 1, -1, 100, 1460, 5000, 65535, 1 << 20, -70000, 1 << 31])
        behind = chance.choice([0, 0, 0, 1, -1, 1448, 5000, -5000, 1 << 20, 1 << 31])
        flags = chance.choice([ACK, ACK, ACK, ACK | FIN, ACK | URG, SYN, RST, RST | ACK, SYN | ACK, FIN, URG, 0x3F, 0])
        packet = forged(
            (b.receiver.nxt + distance) & 0xFFFFFFFF,
            (b.sender.una + behind) & 0xFFFFFFFF,
            flags,
            chance.randbytes(chance.choice([0, 0, 1, 10, 1448, 60000])),
            chance.choice([0, 1, 100, 65535]),
        )
        if chance.random() < 0.2:
            header = packet.span()
            header.store_be16(18, chance.randrange(65536))
        world.b.deliver(packet)
        if chance.random() < 0.3:
            world.b.read(chance.randrange(1, 3000))
        world.run(chance.choice([0, MS, 300 * MS]))
        assert b.receive.memory <= 2 * b.receiver.buffer + (1 << 18)
        if b.state == State.CLOSED:
            assert b.queue.memory == 0
            break


def test_a_reset_must_hit_the_exact_number() -> None:
    world = World()
    world.open()
    b = world.b.connection
    assert b is not None
    sent = len(world.trace)
    for distance in (1, 100, 30_000, -1):
        world.b.deliver(forged(b.receiver.nxt + distance, b.sender.una, RST))
    assert world.b.state == State.ESTABLISHED
    assert len(world.trace) == sent + 1  # one challenge, and no more for half a second
    world.b.deliver(forged(b.receiver.nxt, b.sender.una, RST))
    assert b.state == State.CLOSED and b.error == ECONNRESET


def test_a_syn_in_a_connection_is_challenged() -> None:
    world = World()
    world.open()
    b = world.b.connection
    assert b is not None
    world.b.deliver(forged(b.receiver.nxt + 5, 0, SYN))
    world.run(100 * MS)
    assert (world.a.state, b.state) == (State.ESTABLISHED, State.ESTABLISHED)


def test_an_acknowledgment_of_the_future_is_ignored() -> None:
    world = World()
    world.open()
    b = world.b.connection
    assert b is not None
    b.agreed.timestamps = False
    world.b.write(b"data")
    una = b.sender.una
    world.b.deliver(forged(b.receiver.nxt, b.sender.nxt + 1, ACK))
    assert b.sender.una == una


@pytest.mark.parametrize("count", [5000])
def test_gaps_are_bounded(count: int) -> None:
    world = World()
    world.open()
    b = world.b.connection
    assert b is not None
    b.agreed.timestamps = False
    for i in range(count):
        world.b.deliver(forged(b.receiver.nxt + 2 + 2 * (i * 7919 % 25_000), b.sender.una, ACK, b"x"))
    assert len(b.receive.pieces) <= 256
    assert b.receive.memory <= 2 * b.receiver.buffer + (1 << 17)


def closed_pair() -> tuple[TimeWait, Connection]:
    world = World()
    world.open()
    world.a.close()
    world.b.close()
    world.run(SECOND)
    a = world.a.connection
    assert a is not None and a.state == State.CLOSED and a.next_deadline() == FOREVER
    return TimeWait(a, 2, 0), a


def parsed(packet: Packet) -> Segment:
    segment = Segment()
    segment.forget_syn_options()
    assert segment.parse(packet)
    return segment


def test_time_wait() -> None:
    wait, c = closed_pair()
    wait.timestamps = False
    old_fin = parsed(forged(c.receiver.nxt - 1, c.sender.nxt, FIN | ACK))
    assert wait.judge(old_fin, 0, 10 * SECOND) == Verdict.ACKNOWLEDGE
    assert wait.deadline_ns == 70 * SECOND
    assert wait.judge(parsed(forged(c.receiver.nxt, 0, SYN)), 0, 0) == Verdict.ACKNOWLEDGE
    assert wait.judge(parsed(forged(c.receiver.nxt + 1, 0, SYN)), 0, 0) == Verdict.BEGIN
    assert wait.judge(parsed(forged(c.receiver.nxt + 5, 0, RST)), 0, 0) == Verdict.DROP
    assert wait.judge(parsed(forged(c.receiver.nxt, 0, RST)), 0, 0) == Verdict.FORGET
    assert wait.judge(parsed(forged(c.receiver.nxt, c.sender.nxt, ACK)), 0, 0) == Verdict.DROP
    assert (wait.next_initial_sequence() - c.sender.nxt) & 0xFFFFFFFF > 65535
