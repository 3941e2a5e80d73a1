"""Where firewalls are, a window makes way for safe points: no packet comes so late that it is dropped for it."""

import random

import pytest

from kernel.lang import ENOTCONN, Errno
from kernel.lib.credentials import Credentials
from kernel.lib.pace import PACE, PACE_BUDGET, STRETCH_LIMIT, pace, spend
from kernel.lib.socket_group import PACKET_PROGRAMS
from kernel.lib.user import KernelBuffer
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.link.packet import Packet
from kernel.net.nftables.expression import MOST_BEHIND
from kernel.net.sockets.socket import AF_INET, SHUT_WR, Message
from kernel.net.tcp import output
from kernel.net.tcp.connection import FOREVER, Connection
from kernel.net.tcp.header import Segment
from kernel.net.tcp.socket import TcpSocket
from tests.unit.net.tcp.simulation import SECOND, Side, World

DATA = random.Random(5).randbytes(4_000_000)


class Firewall:
    """Goes through rules for each packet that leaves, unless it comes too late."""

    def __init__(self, side: Side, cost: int) -> None:
        self.side, self.cost = side, cost
        self.seen = self.dropped = self.most_behind = 0

    def send(self, connection: Connection, packet: Packet) -> None:
        self.seen += 1
        if PACE.left < -MOST_BEHIND:
            self.dropped += 1
            return
        spend(self.cost)
        self.most_behind = max(self.most_behind, -PACE.left)
        self.side.put(packet)


def opened(monkeypatch: pytest.MonkeyPatch, cost: int, onlookers: int) -> tuple[World, Firewall]:
    monkeypatch.setattr(PACE, "left", PACE_BUDGET)
    monkeypatch.setattr(FIRST_NETWORK, "onlookers", onlookers)
    world = World()
    world.a.link.cuts = world.b.link.cuts = False
    for side in (world.a, world.b):

        def configure(c: Connection) -> None:
            c.receiver.buffer = c.sender.buffer = 8_000_000
            c.receiver.buffer_fixed = c.sender.buffer_fixed = True

        side.configure = configure
    world.open()
    gate = Firewall(world.a, cost)
    monkeypatch.setattr(world.a, "send", gate.send)
    return world, gate


@pytest.mark.parametrize("cost", [20_000, 150_000, 550_000])
@pytest.mark.parametrize("read_size", [1_000_000, 4_000_000])
@pytest.mark.parametrize("who", ["a firewall", "a program"])
def test_a_window_goes_with_safe_points_between(
    monkeypatch: pytest.MonkeyPatch, cost: int, read_size: int, who: str
) -> None:
    """Programs of control groups judge packets without any hook of the network's."""
    monkeypatch.setattr(PACKET_PROGRAMS, "count", 1 if who == "a program" else 0)
    world, gate = opened(monkeypatch, cost, 1 if who == "a firewall" else 0)
    assert world.transfer(DATA, read_size=read_size) == DATA
    c = world.a.connection
    assert c is not None
    assert gate.seen > len(DATA) // 1460 and gate.dropped == 0 and c.counters.retransmitted == 0
    assert gate.most_behind + PACE_BUDGET < STRETCH_LIMIT
    assert c.timers.resume_ns == FOREVER


def test_what_was_lost_goes_again_with_safe_points_between(monkeypatch: pytest.MonkeyPatch) -> None:
    world, gate = opened(monkeypatch, 200_000, 1)
    count = 0

    def drop(segment: Segment, payload: int) -> bool:
        nonlocal count
        count += payload > 0
        return payload > 0 and 600 <= count < 900 and count % 3 != 0

    world.a.link.drop = drop
    assert world.transfer(DATA[:2_000_000], 120 * SECOND) == DATA[:2_000_000]
    c = world.a.connection
    assert c is not None and c.counters.retransmitted >= 200 and gate.dropped == 0


def test_without_a_firewall_a_window_goes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    world, gate = opened(monkeypatch, 0, 0)
    c = world.a.connection
    assert c is not None
    c.congestion.window = 1_000_000
    monkeypatch.setattr(PACE, "left", -1)
    world.a.write(DATA[:50_000])
    assert gate.seen == 35 and c.timers.resume_ns == FOREVER
    monkeypatch.setattr(FIRST_NETWORK, "onlookers", 1)
    world.a.write(DATA[:50_000])
    assert gate.seen == 35 and c.timers.resume_ns == c.next_deadline() == world.now
    pace(0)
    assert world.run(until=lambda: gate.seen == 69)


def test_a_flight_of_many_packets_goes_in_several_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer may choose small segments, and open its window, or lose much, all at once."""
    world, gate = opened(monkeypatch, 0, 0)
    c = world.a.connection
    assert c is not None
    c.congestion.window = c.sender.wnd = 2_000_000
    world.a.link.down = True
    world.a.write(DATA[: 400 * 1448])
    assert 0 < gate.seen < 100 and c.timers.resume_ns == c.next_deadline() == world.now
    assert -PACE.left + PACE_BUDGET < STRETCH_LIMIT
    pace(0)
    assert world.run(until=lambda: gate.seen == 400)
    assert c.timers.resume_ns == FOREVER
    pace(0)
    output.send_flight_again(c, world.now)
    assert 400 < gate.seen < 500 and c.timers.resume_ns == world.now
    assert -PACE.left + PACE_BUDGET < STRETCH_LIMIT


def test_a_packet_has_no_more_segments_than_are_cut_at_once() -> None:
    c = World(packet_limit=65_000).a.make()
    for mss, count in ((1448, 44), (536, 121), (36, 128), (65_400, 1)):
        c.sizes.mss = mss
        assert c.largest_payload() == count * mss


def test_reading_and_shutting_down_begin_with_a_safe_point_that_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    socket = TcpSocket(AF_INET, Credentials(), FIRST_NETWORK)
    for call in (lambda: socket.receive(Message(KernelBuffer(bytearray(1)), 0)), lambda: socket.shut_down(SHUT_WR)):
        monkeypatch.setattr(PACE, "left", -1)
        with pytest.raises(Errno) as raised:
            call()
        assert raised.value.code == ENOTCONN and PACE.left == PACE_BUDGET
