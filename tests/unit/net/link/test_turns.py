"""How much the network does at once, and how much waits: none of it depends on what a network's ruler wishes."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest

from kernel.bpf.code import SOCKET_FILTER, Code
from kernel.bpf.program import KEPT, Program
from kernel.lang import EMSGSIZE, ENOBUFS, Errno
from kernel.lib.credentials import Credentials
from kernel.lib.namespace import FIRST_USER
from kernel.lib.pace import PACE, PACE_BUDGET, spend
from kernel.lib.user import KernelBuffer
from kernel.net.control import networks
from kernel.net.datagram.raw_socket import RawSocket
from kernel.net.datagram.udp_socket import UdpSocket
from kernel.net.internet import forwarding, router_discovery
from kernel.net.internet.addresses import InterfaceAddress, add_address, delete_address, find_on, list_addresses
from kernel.net.internet.fragments import SHARED_ROOM, reassembler_of
from kernel.net.internet.group_reports import REPORTERS
from kernel.net.internet.membership import join, leave
from kernel.net.internet.routes import Route, add_route
from kernel.net.internet.sysctl import IP4_SETTINGS
from kernel.net.internet.transport import PROTOCOL_UDP
from kernel.net.link import ethernet, veth
from kernel.net.link.device import NetworkDevice, bring_down, bring_up, register_device
from kernel.net.link.dummy import DummyDevice
from kernel.net.link.loopback import BACKLOG
from kernel.net.link.network import ENDED, FIRST_NETWORK, LOOPBACK, Network, new_network
from kernel.net.link.packet import Packet
from kernel.net.link.thread import run_pending
from kernel.net.link.timers import NEVER_NS, TIMERS, NetworkTimer
from kernel.net.link.veth import VethDevice
from kernel.net.packet.socket import PacketSocket
from kernel.net.sockets.bpf import ClassicFilter, ProgramFilter
from kernel.net.sockets.inet import encode_inet
from kernel.net.sockets.socket import AF_INET, SOCK_RAW, Message
from kernel.time import monotonic_ns
from tests.unit.bpf.assembler import LEAVE, R0, mov
from tests.unit.net.conftest import Wire, give_address, pass_time, reset, turn

assert forwarding and networks  # they register themselves

HERE = b"\x7f\0\0\1"
ONE = b"\x0a\x01\0\x01"
ELSEWHERE = b"\x0a\x02\0\x01"
_ALL = 0x0300  # ETH_P_ALL
TURN = 1_000_000  # instructions: STRETCH_LIMIT


@pytest.fixture
def network(loopback: NetworkDevice) -> Iterator[Network]:
    """One that is not the first; its lo is up."""
    made = new_network(FIRST_USER)
    made.acquire()
    bring_up(made.loopback)
    yield made
    made.release()
    while ENDED.first is not None:
        run_pending(monotonic_ns())
    reset()


def pair(left: Network, right: Network, mtu: int = 1500) -> tuple[VethDevice, VethDevice]:
    """Two ends that are up."""
    ends = []
    for number, network in enumerate((left, right)):
        end = VethDevice(network, b"veth%d", b"\x02\0\0\0\0" + bytes([number]))
        register_device(end)
        end.mtu = mtu
        ends.append(end)
    veth.join(ends[0], ends[1])
    for end in ends:
        bring_up(end)
    pass_time(3)
    return ends[0], ends[1]


def udp(network: Network, port: int = 0) -> UdpSocket:
    socket = UdpSocket(AF_INET, Credentials(), network)
    if port != 0:
        socket.take_port(port)
    return socket


def send(socket: UdpSocket, data: bytes, address: bytes, port: int) -> None:
    message = Message(KernelBuffer(bytearray(data)), 0)
    message.address = encode_inet(address, port)
    assert socket.send(message) == len(data)


def received(socket: UdpSocket) -> list[bytes]:
    found = []
    while (packet := socket.take_packet()) is not None:
        found.append(packet.span().to_bytes())
    return found


def frame(size: int) -> Packet:
    packet = Packet(size)
    packet.put(size)
    return packet


# ---- What is delivered at once --------------------------------------------------------------------------------------


def go_round(network: Network) -> UdpSocket:
    """A program routes by lo what is for others, and sends a thousand packets there that live long."""
    lo = network.loopback
    lo.mtu = 128
    give_address(lo, ONE, 32)
    add_route(network, Route(b"\x0a\x02\0\0", 16, lo))
    IP4_SETTINGS.ip_forward.set(network, 1)
    socket = udp(network)
    socket.options.ttl = 255
    send(socket, bytes(50_000), ELSEWHERE, 7)
    return socket


def test_packets_that_go_round_end_no_call_late(network: Network) -> None:
    socket = go_round(network)
    assert network.ip4.forwarded < 200
    assert BACKLOG.queue.count == 0 and BACKLOG.frame_count > 100
    turns = 0
    while BACKLOG.frame_count > 0:
        assert turn() < TURN
        turns += 1
    assert turns > 100 and network.loopback.waiting == 0
    assert network.ip4.forwarded > 100_000, "their TTL has ended them"
    socket.close()


def test_what_is_sent_late_is_delivered_after_a_safe_point(network: Network) -> None:
    """A firewall may take as long for receiving it as it took for sending it."""
    server, client = udp(network, 7000), udp(network)
    at_once: dict[int, list[bytes]] = {-250_000: [], -150_000: [b"one", b"other"]}
    for left, expected in at_once.items():
        BACKLOG.is_draining = True  # as within an operation
        send(client, b"one", HERE, 7000)
        send(client, b"other", HERE, 7000)
        BACKLOG.is_draining = False
        PACE.left = left
        ethernet.drain()
        assert received(server) == expected and left - PACE.left < 10_000
        while run_pending(monotonic_ns()):
            pass
        assert received(server) == [each for each in (b"one", b"other") if each not in expected]
    for socket in (server, client):
        socket.close()


def test_nobody_else_waits_for_packets_that_go_round(network: Network) -> None:
    ours, theirs = udp(FIRST_NETWORK, 7000), go_round(network)
    client = udp(FIRST_NETWORK)
    for number in range(5):
        send(client, bytes([number]), HERE, 7000)
        assert received(ours) == [bytes([number])] and BACKLOG.frame_count > 0
    for socket in (ours, theirs, client):
        socket.close()


def test_what_is_set_aside_is_not_overtaken(network: Network) -> None:
    server, client = udp(network, 7000), udp(network)
    BACKLOG.is_draining = True  # as within an operation
    for number in range(300):
        send(client, struct.pack(">H", number), HERE, 7000)
    BACKLOG.is_draining = False
    turn()
    assert 0 < server.queue.count < 200
    for number in range(300, 320):
        send(client, struct.pack(">H", number), HERE, 7000)
    while BACKLOG.frame_count > 0:
        run_pending(monotonic_ns())
    assert received(server) == [struct.pack(">H", number) for number in range(320)]
    for socket in (server, client):
        socket.close()


def test_long_filters_make_a_turn_shorter(network: Network) -> None:
    socket = PacketSocket(SOCK_RAW, _ALL, Credentials(), network)
    program = struct.pack("<HBBI", 0, 0, 0, 0) * 4000 + struct.pack("<HBBI", 6, 0, 0, 100)
    socket.set_filter(ClassicFilter(program))
    left, _ = pair(network, FIRST_NETWORK)
    give_address(left, ONE, 24)
    for _ in range(50):
        assert veth_frame(left)
    before = left.traffic.received_packets
    assert turn() < TURN
    assert 0 < left.traffic.received_packets - before < 20
    socket.close()


def test_programs_that_look_at_frames_are_bounded(network: Network) -> None:
    before = len(KEPT.programs)
    sockets = [PacketSocket(SOCK_RAW, _ALL, Credentials(), network) for _ in range(12)]
    code = Code(mov(R0, 1) * 255 + LEAVE)
    for socket in sockets:
        socket.set_filter(ProgramFilter(Program(SOCKET_FILTER, b"", code, []), network.owner))
    left, _ = pair(network, FIRST_NETWORK)
    give_address(left, ONE, 24)
    for _ in range(50):
        assert veth_frame(left)
    while BACKLOG.frame_count > 0:
        assert turn() < TURN
    assert 0 < sum(socket.queue.count for socket in sockets) < 12 * 50  # what would take too long is not shown
    for socket in sockets:
        socket.close()
    assert len(KEPT.programs) == before


def test_what_no_filter_had_time_for_is_counted(network: Network) -> None:
    code = Code(mov(R0, -1) + LEAVE)
    server = udp(network, 7000)
    watcher = PacketSocket(SOCK_RAW, _ALL, Credentials(), network)
    for socket in (server, watcher):
        socket.set_filter(ProgramFilter(Program(SOCKET_FILTER, b"", code, []), network.owner))
    packet = frame(100)
    packet.device = network.loopback
    for left, lost in ((PACE_BUDGET, 0), (-600_000, 1)):
        PACE.left = left
        server.enqueue(packet.copy())
        assert (server.queue.count, server.drops) == (1, lost)
        PACE.left = left
        watcher.saw(packet, network.loopback, is_outgoing=False)
        assert (watcher.queue.count, watcher.rings.counts.drops) == (1, lost)
        assert PACE.left < left - 1000, "a look costs something in any case"
    server.set_filter(ProgramFilter(Program(SOCKET_FILTER, b"", Code(mov(R0, 0) + LEAVE), []), network.owner))
    PACE.left = PACE_BUDGET
    server.enqueue(packet.copy())
    assert (server.queue.count, server.drops) == (1, 2), "nobody wanted it"
    server.close()
    watcher.close()


def veth_frame(end: VethDevice, size: int = 200) -> bool:
    """The other end sends a frame to nobody."""
    peer = end.peer
    assert peer is not None
    return peer.transmit(frame(size))


def test_tables_that_are_looked_through_count(network: Network) -> None:
    lo = network.loopback
    for number in range(2000):
        add_route(network, Route(struct.pack(">I", 0x0B00_0000 + (number << 8)), 24, lo))
    socket = go_round(network)
    assert network.ip4.forwarded < 20
    for _ in range(5):
        assert turn() < TURN
    bring_down(lo)
    assert BACKLOG.frame_count == 0
    socket.close()


def test_sockets_that_are_shown_packets_are_bounded(network: Network) -> None:
    program = struct.pack("<HBBI", 0, 0, 0, 0) * 4095 + struct.pack("<HBBI", 6, 0, 0, 100)
    shared = ClassicFilter(program)  # hundreds of the same would take ten seconds to check
    for make in (
        lambda: PacketSocket(SOCK_RAW, _ALL, Credentials(), network),
        lambda: RawSocket(AF_INET, PROTOCOL_UDP, Credentials(), network),
    ):
        sockets: list[PacketSocket | RawSocket] = []
        with pytest.raises(Errno) as error:
            while len(sockets) < 1000:
                sockets.append(make())
        assert error.value.code == ENOBUFS and len(sockets) >= 16
        for socket in sockets:
            socket.set_filter(shared)
        client = udp(network)
        before = PACE.left
        send(client, b"seen by few", HERE, 7)
        assert before - PACE.left < TURN
        while BACKLOG.frame_count > 0:
            assert turn() < TURN
        seen = sum(socket.queue.count > 0 for socket in sockets)
        assert 0 < seen < 10
        client.close()
        for socket in sockets:
            socket.close()


def test_ordinary_packet_sockets_miss_nothing(network: Network) -> None:
    sockets = [PacketSocket(SOCK_RAW, _ALL, Credentials(), network) for _ in range(20)]
    client = udp(network)
    for _ in range(20):
        send(client, bytes(1000), HERE, 7)
    for socket in sockets:
        assert socket.queue.count == 80, "each datagram and its error, going out and coming in"
        socket.close()
    client.close()


def test_a_datagram_is_not_cut_into_very_many(network: Network) -> None:
    network.loopback.mtu = 68
    socket = udp(network)
    with pytest.raises(Errno) as error:
        send(socket, bytes(60_000), HERE, 7)
    assert error.value.code == EMSGSIZE
    socket.close()


def test_cutting_ends_with_the_first_piece_that_nobody_takes(network: Network) -> None:
    left, _ = pair(network, FIRST_NETWORK, mtu=300)
    give_address(left, ONE, 24)
    socket = udp(network)
    send(socket, bytes(60_000), b"\x0a\x01\0\x63", 7)  # who does not answer, so 64 pieces wait
    assert network.ip4.fragment_creates == 65 and network.ip4.fragment_fails == 1
    socket.close()


# ---- What waits -----------------------------------------------------------------------------------------------------


def test_frames_that_wait_are_bounded_by_bytes(network: Network) -> None:
    other = new_network(FIRST_USER)
    ends = [pair(network, other, mtu=65535)[0] for _ in range(6)]
    first, _ = pair(FIRST_NETWORK, network)
    taken = 0
    for end in ends:
        for _ in range(1000):
            taken += veth_frame(end, 60_000)
    assert taken == BACKLOG.frame_count and 0 < taken * 60_000 <= BACKLOG.of_others.most_bytes
    # The first network has a place of its own.
    assert veth_frame(first)
    # What an end has not received is gone when it goes down.
    assert ends[0].waiting > 0
    bring_down(ends[0])
    assert ends[0].waiting == 0 and BACKLOG.frame_count == BACKLOG.of_others.queue.count + BACKLOG.of_first.queue.count
    while BACKLOG.frame_count > 0:
        turn()
    assert all(end.waiting == 0 for end in (*ends, first))
    assert BACKLOG.of_others.bytes_held == BACKLOG.of_first.bytes_held == 0


def test_frames_of_the_first_network_take_turns_with_others(network: Network) -> None:
    first, inside = pair(FIRST_NETWORK, network)
    other = new_network(FIRST_USER)
    flooded, _ = pair(network, other)
    for _ in range(900):
        assert veth_frame(flooded)
    assert veth_frame(first)
    before = first.traffic.received_packets
    turn()
    assert first.traffic.received_packets == before + 1 and flooded.waiting > 0 and inside.waiting == 0
    while BACKLOG.frame_count > 0:
        turn()


def test_fragments_of_other_networks_share_one_room(network: Network) -> None:
    others = [network, *(new_network(FIRST_USER) for _ in range(4))]
    held = SHARED_ROOM.bytes_held
    SHARED_ROOM.most_bytes = 256 << 10
    try:
        for number in range(1000):
            for each in others:
                packet = frame(1000)
                packet.device = each.loopback
                key = struct.pack(">I", number) + bytes(16)
                reassembler_of(each).add(key, packet, 0, False, monotonic_ns())
        kept = [reassembler_of(each) for each in others]
        assert sum(each.bytes_held for each in kept) == SHARED_ROOM.bytes_held <= 256 << 10
        assert min(len(each.datagrams) for each in kept) >= max(len(each.datagrams) for each in kept) - 1 > 10
        packet = frame(1000)
        packet.device = LOOPBACK
        reassembler_of(FIRST_NETWORK).add(bytes(20), packet, 0, False, monotonic_ns())
        assert len(reassembler_of(FIRST_NETWORK).datagrams) == 1
        for reassembler in kept:
            reassembler.end()
        assert SHARED_ROOM.bytes_held == held == 0 and len(SHARED_ROOM.waiting) == 0
    finally:
        SHARED_ROOM.most_bytes = 1 << 20


def test_no_network_keeps_fragments_longer_than_the_first(network: Network) -> None:
    IP4_SETTINGS.ipfrag_time_s.set(network, 3600)
    packet = frame(8)
    packet.device = network.loopback
    reassembler_of(network).add(bytes(20), packet, 0, False, monotonic_ns())
    pass_time(31)
    assert len(reassembler_of(network).datagrams) == 0


def test_fragments_whose_time_is_up_go_in_turns(network: Network) -> None:
    reassembler = reassembler_of(network)
    for number in range(700):
        packet = frame(8)
        packet.device = network.loopback
        reassembler.add(struct.pack(">I", number) + bytes(16), packet, 0, False, monotonic_ns())
    reassembler.expire(monotonic_ns() + 60_000_000_000)
    assert 0 < len(reassembler.datagrams) < 700 and reassembler.is_armed()
    pass_time(61)
    assert len(reassembler.datagrams) == 0


# ---- Timers ---------------------------------------------------------------------------------------------------------


class Costly(NetworkTimer):
    def __init__(self) -> None:
        super().__init__()
        self.times = 0

    def expire(self, now_ns: int) -> None:
        spend(50_000)
        self.times += 1


def test_timers_that_are_due_take_turns_with_others(loopback: NetworkDevice) -> None:
    timers = [Costly() for _ in range(100)]
    for timer in timers:
        timer.start(1)
    assert TIMERS.run_due(2) <= 2
    assert 0 < sum(timer.times for timer in timers) < 20
    rounds = 0
    while TIMERS.run_due(2) <= 2:
        rounds += 1
    assert rounds > 10 and all(timer.times == 1 for timer in timers) and TIMERS.announced_ns == NEVER_NS
    for timer in timers:
        timer.start(monotonic_ns())
    turns = 1
    while run_pending(monotonic_ns()):
        turns += 1
    assert turns > 10 and all(timer.times == 2 for timer in timers)


def test_no_network_moves_anothers_proofs_of_addresses(network: Network) -> None:
    wire = Wire()
    register_device(wire)
    bring_up(wire)
    hole = DummyDevice(network, b"hole", bytes(5) + b"\x07")
    register_device(hole)
    bring_up(hole)
    [entry] = list_addresses(wire, 16)
    probes: list[float] = []
    start_ns = monotonic_ns()
    for number in range(200):
        theirs = b"\xfd" + bytes(13) + struct.pack(">H", number + 1)
        add_address(InterfaceAddress(hole, theirs, 64))
        pass_time(0.009)
        found = find_on(hole, theirs)
        assert found is not None
        delete_address(found)
        asked = [sent for sent in wire.take() if sent[20] == 58 and sent[62:78] == entry.address]
        probes += [(monotonic_ns() - start_ns) / 1e9] * len(asked)
    assert len(probes) == 1 and probes[0] < 0.1
    assert entry.is_usable()


def test_no_network_ends_what_another_has(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Network] = []
    real = router_discovery._end_old

    def end_old(which: Network, now_ns: int) -> None:
        looked.append(which)
        real(which, now_ns)

    monkeypatch.setattr(router_discovery, "_end_old", end_old)
    other = new_network(FIRST_USER)
    for each, seconds in ((network, 10), (other, 1)):
        device = DummyDevice(each, b"hole", bytes(5) + b"\x07")
        register_device(device)
        bring_up(device)
        for number in range(40):
            entry = InterfaceAddress(device, b"\xfd" + bytes(14) + bytes([number + 1]), 64)
            entry.preferred_until_ns = entry.valid_until_ns = monotonic_ns() + seconds * 1_000_000_000
            add_address(entry)
        router_discovery.EXPIRY.plan(each)
    pass_time(5)
    assert set(looked) == {other} and len(looked) > 1, "a share at each turn"
    assert len(list_addresses(other.devices[1], 16)) == 1 and len(list_addresses(network.devices[1], 16)) == 41
    pass_time(10)
    assert set(looked) == {network, other} and len(router_discovery.EXPIRY.networks) == 0


def test_reports_are_each_networks_own(network: Network) -> None:
    other = new_network(FIRST_USER)
    left, right = pair(network, other)
    pass_time(20)
    assert len(REPORTERS) == 0
    groups = [b"\xe1\0" + struct.pack(">H", number) for number in range(300)]
    for group in groups:
        leave(join(left, group))
    leave(join(right, groups[0]))
    assert [len(REPORTERS[each.number].departures) for each in (network, other)] == [256, 1]
    pass_time(5)
    assert len(REPORTERS) == 0, "all has been reported"
