"""Networks: what is in one is not in another, pairs of interfaces between them, and their end."""

from __future__ import annotations

import gc
import struct
import weakref
from collections.abc import Iterator

import pytest

from kernel.lang import EADDRINUSE, EEXIST, EINVAL, ENETUNREACH, ENFILE, ENOBUFS, Errno
from kernel.lib.credentials import Credentials
from kernel.lib.namespace import FIRST_USER
from kernel.lib.user import KernelBuffer
from kernel.net.control import networks
from kernel.net.datagram.raw_socket import RawSocket
from kernel.net.datagram.udp_socket import UdpSocket
from kernel.net.internet import interface_routes
from kernel.net.internet.addresses import InterfaceAddress, addresses_of, list_addresses, owner_of, solicited_node
from kernel.net.internet.fragments import reassembler_of
from kernel.net.internet.interface_settings import ACCEPT_REDIRECTS4
from kernel.net.internet.membership import groups_of, is_member, join, leave
from kernel.net.internet.output import resolve
from kernel.net.internet.routes import list_routes
from kernel.net.internet.sysctl import CORE, IP4_SETTINGS, OpenedSetting
from kernel.net.internet.transport import PROTOCOL_UDP
from kernel.net.link import device as device_module
from kernel.net.link import ethernet, veth
from kernel.net.link.device import (
    DeviceWatcher,
    NetworkDevice,
    bring_down,
    bring_up,
    device_by_index,
    device_by_name,
    register_device,
)
from kernel.net.link.dummy import DummyDevice
from kernel.net.link.neighbours import WAITING, neighbour_for, neighbours_of
from kernel.net.link.network import (
    ENDED,
    FIRST_NETWORK,
    LIMBO,
    LOOPBACK,
    Network,
    move_device,
    new_network,
    remove_device,
)
from kernel.net.link.network_ids import NETWORK_IDS, NOT_ASSIGNED, NetworkIds
from kernel.net.link.packet import Packet
from kernel.net.link.thread import run_pending
from kernel.net.link.veth import VethDevice
from kernel.net.packet.socket import SOL_PACKET, PacketSocket
from kernel.net.sockets.inet import encode_inet
from kernel.net.sockets.socket import AF_INET, SOCK_RAW, Message
from kernel.time import monotonic_ns
from tests.unit.net.conftest import Wire, give_address, pass_time, reset

ONE = b"\x0a\x01\x01\x01"
TWO = b"\x0a\x01\x01\x02"
BOTH = (ONE, TWO)


@pytest.fixture
def pair(loopback: NetworkDevice) -> Iterator[tuple[VethDevice, VethDevice]]:
    """Two networks, whose ends of a pair are up and have addresses."""
    ends = []
    for number, address in enumerate(BOTH):
        network = new_network(FIRST_USER)
        network.acquire()
        end = VethDevice(network, b"veth%d", b"\x02\0\0\0\0" + bytes([number]))
        register_device(end)
        give_address(end, address, 24)
        ends.append(end)
    veth.join(ends[0], ends[1])
    for end in ends:
        bring_up(end.network.loopback)
        bring_up(end)
    pass_time(3)
    yield ends[0], ends[1]
    for end in ends:
        end.network.release()
    end_networks()
    reset()


def end_networks() -> None:
    """The network thread takes those apart that nobody uses, a step at a time."""
    while ENDED.first is not None:
        run_pending(monotonic_ns())


def udp(network: Network, port: int = 0) -> UdpSocket:
    socket = UdpSocket(AF_INET, Credentials(), network)
    if port != 0:
        socket.take_port(port)
    return socket


def send(socket: UdpSocket, data: bytes, address: bytes, port: int) -> None:
    message = Message(KernelBuffer(bytearray(data)), 0)
    message.address = encode_inet(address, port)
    assert socket.send(message) == len(data)


def received(socket: UdpSocket) -> bytes | None:
    packet = socket.take_packet()
    return None if packet is None else packet.span().to_bytes()


def test_a_new_network_has_lo_alone_which_is_down(loopback: NetworkDevice) -> None:
    network = new_network(FIRST_USER)
    assert [(device.name, device.index) for device in network.devices] == [(b"lo", 1)]
    assert not network.loopback.is_up() and network.loopback is not LOOPBACK
    with pytest.raises(Errno) as error:
        resolve(network, b"\x7f\0\0\1")
    assert error.value.code == ENETUNREACH
    bring_up(network.loopback)
    assert resolve(network, b"\x7f\0\0\1").device is network.loopback
    assert resolve(FIRST_NETWORK, b"\x7f\0\0\1").device is LOOPBACK


def test_datagrams_cross_a_pair(pair: tuple[VethDevice, VethDevice]) -> None:
    left, right = pair
    server = udp(right.network, 7000)
    client = udp(left.network)
    send(client, b"question", TWO, 7000)
    assert received(server) == b"question"
    send(server, b"answer", ONE, client.binding.port)
    assert received(client) == b"answer"
    assert left.network.udp4.out_datagrams == 1 and right.network.udp4.in_datagrams == 1
    server.close()
    send(client, b"again", TWO, 7000)
    assert right.network.udp4.no_ports == 1
    client.close()


def test_ports_are_each_networks_own(pair: tuple[VethDevice, VethDevice]) -> None:
    sockets = [udp(end.network, port=7000) for end in pair] + [udp(FIRST_NETWORK, port=7000)]
    for socket in sockets:
        with pytest.raises(Errno) as error:
            udp(socket.network, port=7000)
        assert error.value.code == EADDRINUSE
    for socket in sockets:
        socket.close()


def test_addresses_and_routes_are_each_networks_own(pair: tuple[VethDevice, VethDevice]) -> None:
    left, right = pair
    assert owner_of(left.network, ONE) is not None and owner_of(right.network, ONE) is None
    assert owner_of(FIRST_NETWORK, ONE) is None
    assert all(route.device in (left, left.network.loopback) for route in list_routes(left.network, 4))


def test_settings_are_each_networks_own(pair: tuple[VethDevice, VethDevice]) -> None:
    left, right = pair
    IP4_SETTINGS.ip_default_ttl.set(left.network, 7)
    assert IP4_SETTINGS.ip_default_ttl.of(right.network) == IP4_SETTINGS.ip_default_ttl.of(FIRST_NETWORK) == 64
    ACCEPT_REDIRECTS4.set(left, 0)
    assert ACCEPT_REDIRECTS4.of(right) == 1


def test_the_carrier_comes_with_the_other_end(pair: tuple[VethDevice, VethDevice]) -> None:
    left, right = pair
    carriers = [[end.has_carrier for end in pair]]
    for change in (bring_down, bring_up):
        change(left)
        carriers.append([end.has_carrier for end in pair])
    assert carriers == [[True, True], [False, False], [True, True]] and right.is_up()


def test_a_device_moves(loopback: NetworkDevice) -> None:
    network = new_network(FIRST_USER)
    device = DummyDevice(FIRST_NETWORK, b"dummy%d", bytes(5) + b"\x02")
    register_device(device)
    give_address(device, ONE, 24)
    bring_up(device)
    move_device(device, network, b"other", 0)
    assert device_by_name(FIRST_NETWORK, b"dummy0") is None and device_by_name(network, b"other") is device
    assert device_by_index(network, device.index) is device and not device.is_up()
    assert list_addresses(device, 0) == [] and owner_of(FIRST_NETWORK, ONE) is None
    assert all(route.device is not device for route in list_routes(FIRST_NETWORK, 4))
    third = DummyDevice(FIRST_NETWORK, b"other", bytes(6))
    register_device(third)
    with pytest.raises(Errno) as error:
        move_device(third, network, b"other", 0)
    assert error.value.code == EEXIST and third.network is FIRST_NETWORK
    remove_device(third)
    remove_device(device)
    assert third.network is LIMBO


def test_a_network_ends_with_its_last_user(wire: Wire) -> None:
    network = new_network(FIRST_USER)
    network.acquire()
    inside = VethDevice(network, b"veth%d", bytes(5) + b"\x02")
    outside = VethDevice(FIRST_NETWORK, b"veth%d", bytes(5) + b"\x04")
    register_device(inside)
    register_device(outside)
    veth.join(inside, outside)
    wire.is_hardware = True
    move_device(wire, network, b"card", 0)
    for device in (network.loopback, inside, outside):
        bring_up(device)
    give_address(inside, ONE, 24)
    give_address(outside, TWO, 24)
    assert NETWORK_IDS.find_or_assign(FIRST_NETWORK, network) != NOT_ASSIGNED
    socket = udp(network, port=7000)
    socket.hold_network()
    network.release()
    run_pending(monotonic_ns())
    assert len(network.devices) == 3, "the socket keeps it"
    socket.close()
    end_networks()
    assert network.devices == []
    assert device_by_name(FIRST_NETWORK, b"veth0") is None and owner_of(FIRST_NETWORK, TWO) is None
    assert device_by_name(FIRST_NETWORK, b"card") is wire
    assert addresses_of(network).entries == []
    assert NETWORK_IDS.find(FIRST_NETWORK, network) == NOT_ASSIGNED
    ethernet.drain()
    gone = weakref.ref(network)
    gc.disable()
    try:
        del network, socket, inside, outside, device
        assert gone() is None, "a circle keeps it"
    finally:
        gc.enable()


def test_ids_are_the_lowest_that_are_free(loopback: NetworkDevice) -> None:
    ids = NetworkIds()
    others = [new_network(FIRST_USER) for _ in range(4)]
    assert ids.assign(FIRST_NETWORK, others[0], 1) == 1
    assert ids.find_or_assign(FIRST_NETWORK, others[1]) == 0
    assert ids.find_or_assign(FIRST_NETWORK, others[2]) == 2
    for other, wanted in ((others[0], 5), (others[3], 2)):
        with pytest.raises(Errno) as error:
            ids.assign(FIRST_NETWORK, other, wanted)
        assert error.value.code == EEXIST
    assert ids.network_named(FIRST_NETWORK, 2) == others[2].number
    ids.forget(others[2])
    assert ids.network_named(FIRST_NETWORK, 2) == 0
    assert ids.find_or_assign(FIRST_NETWORK, others[3]) == 2


def test_what_waits_without_end_is_left_to_the_thread(pair: tuple[VethDevice, VethDevice]) -> None:
    left, right = pair
    server = udp(right.network, 7000)
    client = udp(left.network)
    send(client, b"", TWO, 7000)
    for _ in range(600):
        hop = resolve(left.network, TWO)
        hop.network.ip4.out_requests += 1
        send(client, b"", TWO, 7000)
    count = 0
    while received(server) is not None:
        count += 1
    assert count > 256
    server.close()
    client.close()


def test_raw_and_packet_sockets_see_their_network_alone(pair: tuple[VethDevice, VethDevice]) -> None:
    left, right = pair
    networks_ = [left.network, right.network, FIRST_NETWORK]
    raws = [RawSocket(AF_INET, PROTOCOL_UDP, Credentials(), network) for network in networks_]
    frames = [PacketSocket(SOCK_RAW, 0x0300, Credentials(), network) for network in networks_]  # ETH_P_ALL
    client = udp(left.network)
    send(client, b"question", TWO, 7000)
    assert [socket.queue.count for socket in raws] == [0, 1, 0]
    counts = [socket.queue.count for socket in frames]
    assert counts[0] == counts[1] > 0 and counts[2] == 0
    for socket in (*raws, *frames, client):
        socket.close()
    assert all(network.taps == [] for network in networks_)


def test_no_network_takes_anothers_room(pair: tuple[VethDevice, VethDevice]) -> None:
    """Neighbours, groups and fragments are each network's own, and what one may have is limited."""
    left, right = pair
    hole = DummyDevice(left.network, b"hole", bytes(5) + b"\x02")
    register_device(hole)
    for number in range(3000):
        neighbour_for(hole, struct.pack(">I", 0x0B00_0000 + number))
    assert 0 < len(neighbours_of(left.network).entries) <= 1024
    assert len(neighbours_of(right.network).entries) < 10
    with pytest.raises(Errno) as error:
        for number in range(3000):
            join(hole, struct.pack(">I", 0xE100_0000 + number))
    assert error.value.code == ENOBUFS
    leave(join(right, b"\xe1\x02\x03\x04"))
    IP4_SETTINGS.ipfrag_high_bytes.set(left.network, 0)
    for end in pair:
        packet = Packet(8)
        packet.put(8)
        packet.device = end
        reassembler_of(end.network).add(bytes(20), packet, 0, False, monotonic_ns())
    assert [len(reassembler_of(end.network).datagrams) for end in pair] == [0, 1]
    remove_device(hole)
    assert all(entry.device is not hole for entry in neighbours_of(left.network).entries.values())
    assert all(membership.device is not hole for membership in groups_of(left.network).by_key.values())


def test_a_socket_may_leave_a_group_of_a_device_that_moved(pair: tuple[VethDevice, VethDevice]) -> None:
    left, right = pair
    group = b"\xe1\x02\x03\x04"
    membership = join(left, group)
    move_device(left, right.network, b"moved", 0)
    assert not is_member(left, group) and left.multicast.get(membership.link_address) is None
    fresh = join(left, group)
    leave(membership)
    assert is_member(left, group)
    leave(fresh)
    assert not is_member(left, group)


def test_who_rules_a_network_gives_it_no_more_memory(pair: tuple[VethDevice, VethDevice]) -> None:
    left, _ = pair
    for setting in (CORE.optmem_max, CORE.somaxconn):
        OpenedSetting(setting, left.network).store([0x7FFF_FFFF])
        assert setting.of(left.network) == 0x7FFF_FFFF
    assert CORE.optmem(left.network) == CORE.optmem(FIRST_NETWORK) == 131072
    assert CORE.longest_backlog(left.network) == 4096
    OpenedSetting(CORE.optmem_max, left.network).store([100])
    assert CORE.optmem(left.network) == 100


@pytest.mark.parametrize(
    ("pattern", "name", "code"),
    [
        (b"a%d", b"a1", 0),
        (b"a%db", b"a0b", 0),
        (b"a%s", b"", EINVAL),
        (b"a%d%d", b"", EINVAL),
        (b"a%", b"", EINVAL),
        (b"fifteen-bytes%d", b"fifteen-bytes0", 0),
        (b"sixteen-bytes-%d", b"sixteen-bytes-0", 0),
        (b"seventeen-bytes%d", b"", ENFILE),
    ],
)
def test_names_by_pattern(loopback: NetworkDevice, pattern: bytes, name: bytes, code: int) -> None:
    network = new_network(FIRST_USER)
    register_device(DummyDevice(network, b"a0", bytes(6)))
    device = DummyDevice(network, pattern, bytes(6))
    if code == 0:
        register_device(device)
        assert device.name == name
        return
    with pytest.raises(Errno) as error:
        register_device(device)
    assert error.value.code == code and len(network.devices) == 2


def test_a_network_ends_once(loopback: NetworkDevice) -> None:
    first, second = new_network(FIRST_USER), new_network(FIRST_USER)
    for network in (first, second):
        network.acquire()
        network.release()
        assert network.is_over()
    first.acquire()
    first.release()
    end_networks()
    assert first.devices == second.devices == []


def test_networks_are_made_by_clone() -> None:
    made = networks.make_network(FIRST_USER)
    assert isinstance(made, Network) and made.owner is FIRST_USER and made.users == 0


def test_what_waits_for_neighbours_is_bounded(pair: tuple[VethDevice, VethDevice]) -> None:
    """For each entry, each network, and all networks but the first together; and nothing stays counted."""
    holes = []
    for end in pair:
        hole = VethDevice(end.network, b"hole", b"\x02\0\0\0\0\x07")
        register_device(hole)
        hole.mtu = 65535
        holes.append(hole)
    veth.join(holes[0], holes[1])
    for hole in holes:
        bring_up(hole)
    limit = WAITING.limit()
    for hole in holes:
        for number in range(40):
            neighbour = neighbour_for(hole, struct.pack(">I", 0x0B00_0000 + number))
            for _ in range(64):
                packet = Packet(65_000)
                packet.put(65_000)
                packet.source = bytes(4)
                neighbour.send(packet, ethernet.ETHERTYPE_IP4)
            assert neighbour.waiting.count <= 3
        assert 0 < WAITING.total <= limit + 2 * 2048
    # There is room for one small packet, whatever others have waiting.
    small = Packet(100)
    small.source = bytes(4)
    entry = neighbour_for(holes[1], b"\x0c\0\0\1")
    entry.send(small, ethernet.ETHERTYPE_IP4)
    assert entry.waiting.count == 1
    assert WAITING.total == sum(neighbours_of(end.network).waiting_bytes for end in pair)
    for hole in holes:
        remove_device(hole)
    assert WAITING.total == 0 and all(len(neighbours_of(end.network).waiting) == 0 for end in pair)


def test_a_packet_socket_asks_for_a_bounded_number_of_addresses(pair: tuple[VethDevice, VethDevice]) -> None:
    """And what it asks for is counted with it, and ends with it."""
    left, _ = pair
    socket = PacketSocket(SOCK_RAW, 0, Credentials(), left.network)
    usual, held = set(left.multicast), socket.held_bytes()
    added = 0
    with pytest.raises(Errno) as error:
        for number in range(5000):
            address = b"\x01\0" + struct.pack(">I", number)
            socket.set_option(SOL_PACKET, 1, struct.pack("=IHH6s2x", left.index, 0, 6, address))
            added += 1
    assert error.value.code == ENOBUFS and added > 100
    assert len(left.multicast) == len(usual) + added and socket.held_bytes() >= held + 200 * added
    socket.set_option(SOL_PACKET, 2, struct.pack("=IHH6s2x", left.index, 0, 6, b"\x01" + bytes(5)))  # makes room
    with pytest.raises(Errno) as error:  # one that is no address of the link asks for nothing
        socket.set_option(SOL_PACKET, 1, struct.pack("=IHH6s2x", left.index, 0, 3, b"\x01" + bytes(5)))
    assert error.value.code == EINVAL and len(left.multicast) == len(usual) + added - 1
    socket.close()
    assert set(left.multicast) == usual


def test_a_full_table_elsewhere_does_not_keep_an_end_down(pair: tuple[VethDevice, VethDevice]) -> None:
    """An end gets its link-local address once the other one is up: where there is no room for it, it goes without."""
    left, right = pair
    ends = [VethDevice(end.network, b"more%d", b"\x02\0\0\0\1" + bytes([i])) for i, end in enumerate(pair)]
    for end in ends:
        register_device(end)
    veth.join(ends[0], ends[1])
    bring_up(ends[1])
    with pytest.raises(Errno) as error:
        for number in range(300):
            give_address(right, struct.pack(">I", 0x0A02_0001 + (number << 8)), 24)
    assert error.value.code == ENOBUFS
    bring_up(ends[0])
    assert all(end.is_up() and end.has_carrier for end in ends)
    assert len(list_addresses(ends[0], 16)) == 1 and list_addresses(ends[1], 16) == []
    assert left.network is not right.network


def test_an_address_that_finds_no_group_is_taken_back(pair: tuple[VethDevice, VethDevice]) -> None:
    left, _ = pair
    address = b"\xfd" + bytes(14) + b"\x07"
    programs = join(left, solicited_node(b"\xfd" + bytes(14) + b"\x09"))
    routes = len(list_routes(left.network, 16))
    with pytest.raises(Errno):
        for number in range(600):
            join(left, struct.pack(">I", 0xE100_0000 + number))
    with pytest.raises(Errno) as error:
        give_address(left, address, 64)
    assert error.value.code == ENOBUFS
    assert owner_of(left.network, address) is None and len(list_routes(left.network, 16)) == routes
    assert is_member(left, programs.group) and programs.users == 1


def test_who_heard_of_an_interface_that_cannot_stay_hears_that_too(
    loopback: NetworkDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []

    class First(DeviceWatcher):
        def device_added(self, device: NetworkDevice) -> None:
            heard.append("added")

        def device_removed(self, device: NetworkDevice) -> None:
            heard.append("removed")

    class Second(DeviceWatcher):
        def device_added(self, device: NetworkDevice) -> None:
            raise MemoryError

    monkeypatch.setattr(device_module, "WATCHERS", [First(), Second()])
    with pytest.raises(MemoryError):
        register_device(DummyDevice(FIRST_NETWORK, b"short", bytes(6)))
    assert heard == ["added", "removed"] and device_by_name(FIRST_NETWORK, b"short") is None


def test_who_hears_that_an_interface_has_left_can_take_its_name(
    pair: tuple[VethDevice, VethDevice], monkeypatch: pytest.MonkeyPatch
) -> None:
    """RTM_DELLINK is sent then. The interface still says which network it left, and under which name and index."""
    left, right = pair
    elsewhere = right.network
    network = left.network
    name = left.name
    index = left.index
    heard: list[tuple[Network, bytes, int]] = []

    class Watcher(DeviceWatcher):
        def device_left(self, device: NetworkDevice) -> None:
            left = device.network
            assert device.name not in left.by_name and device.index not in left.by_index and device not in left.devices
            heard.append((left, device.name, device.index))

    monkeypatch.setattr(device_module, "WATCHERS", [*device_module.WATCHERS, Watcher()])
    move_device(left, elsewhere, b"moved%d", 77)
    assert (left.network, left.name, left.index) == (elsewhere, b"moved0", 77)
    assert elsewhere.by_name[b"moved0"] is left and elsewhere.by_index[77] is left
    move_device(left, network, name, index)
    remove_device(left)
    assert heard == [(network, name, index), (elsewhere, b"moved0", 77), (network, name, index)]


def test_an_interface_takes_its_addresses_along_at_once(
    pair: tuple[VethDevice, VethDevice], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not one after the other, with a walk over all routes for each; what others have stays."""
    left, _ = pair
    hole = DummyDevice(left.network, b"hole", b"\x02\0\0\0\0\7")
    register_device(hole)
    bring_up(hole)
    shared = b"\x0a\x05\0\1"
    for number in range(100):
        give_address(hole, struct.pack(">I", 0x0A05_0001 + (number << 8)), 24)
        give_address(hole, b"\xfd" + bytes(13) + bytes([number, 1]), 120)
    give_address(left, shared, 25)
    walks = 0

    def count(entry: InterfaceAddress) -> None:
        nonlocal walks
        walks += 1

    monkeypatch.setattr(interface_routes, "_withdraw", count)
    remove_device(hole)
    assert walks == 0
    entry = owner_of(left.network, shared)
    assert entry is not None and entry.device is left
    assert owner_of(left.network, b"\x0a\x05\1\1") is None
    assert all(route.device is not hole for size in (4, 16) for route in list_routes(left.network, size))
    assert {entry.device for entry in addresses_of(left.network).entries} >= {left}
    assert all(entry.device is not hole for entry in addresses_of(left.network).entries)


def test_a_number_with_zeros_in_front_is_no_number_of_a_name(loopback: NetworkDevice) -> None:
    network = new_network(FIRST_USER)
    for name in (b"a0", b"a01", b"a2", b"a1x", b"a", b"a999999", b"ax"):
        register_device(DummyDevice(network, name, bytes(6)))
    for wanted in (b"a1", b"a3", b"a4"):
        device = DummyDevice(network, b"a%d", bytes(6))
        register_device(device)
        assert device.name == wanted


def test_ids_are_forgotten_both_ways(loopback: NetworkDevice) -> None:
    ids = NetworkIds()
    one, other = new_network(FIRST_USER), new_network(FIRST_USER)
    ids.assign(one, other, 3)
    ids.assign(other, one, NOT_ASSIGNED)
    ids.assign(one, one, NOT_ASSIGNED)
    assert ids.list_ids(one) == [3, 0]
    ids.forget(other)
    assert ids.list_ids(one) == [0] and ids.list_ids(other) == []
    ids.forget(one)
    assert len(ids.by_owner) == 0 and len(ids.owners) == 0
