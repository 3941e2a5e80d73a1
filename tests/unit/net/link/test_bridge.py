"""Bridges: who learns what, where frames go, what follows the ports, and that floods end in time."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest

from kernel.lang import EBUSY, EINVAL, ELOOP, ENOSPC, Errno, span_of
from kernel.lib.namespace import FIRST_USER
from kernel.lib.pace import PACE, PACE_BUDGET
from kernel.net.control.interface_ioctl import set_mtu
from kernel.net.link import bridge as bridges_module
from kernel.net.link import bridge_table, ethernet, macvlan, veth
from kernel.net.link.bridge import (
    FLOOD,
    HAIRPIN,
    ISOLATED,
    LEARNING,
    STATE_DISABLED,
    BridgeDevice,
    add_port,
    port_of,
    remove_port,
)
from kernel.net.link.device import (
    OFFLOAD_CHECKSUM,
    OFFLOAD_TCP4,
    WATCHERS,
    DeviceWatcher,
    NetworkDevice,
    bring_down,
    bring_up,
    device_changed,
    register_device,
)
from kernel.net.link.dummy import DummyDevice
from kernel.net.link.loopback import BACKLOG
from kernel.net.link.macvlan import MacvlanDevice
from kernel.net.link.network import FIRST_NETWORK, move_device, new_network, remove_device
from kernel.net.link.packet import CHECKSUM_PARTIAL, Packet
from kernel.net.link.thread import run_pending
from kernel.net.link.tun import note_offload
from kernel.net.link.veth import VethDevice
from kernel.net.netlink.new_link import take_away, take_off
from kernel.time import monotonic_ns
from tests.unit.meanwhile import meanwhile
from tests.unit.net.conftest import Wire, give_address, pass_time, turn

ALL = b"\xff" * 6
A, B, C = (b"\x02\0\0\0\0" + bytes([number]) for number in (0xA, 0xB, 0xC))
TURN = 1_000_000  # instructions: STRETCH_LIMIT


def settle() -> None:
    """Let the network thread do what it is to do."""
    while run_pending(monotonic_ns()):
        pass


def wire(number: int) -> Wire:
    """An interface with an address of its own, which is up."""
    made = Wire(f"wire{number}".encode())
    made.address = b"\x02\0\0\0\1" + bytes([number])
    register_device(made)
    bring_up(made)
    return made


@pytest.fixture
def bridge(loopback: NetworkDevice) -> Iterator[BridgeDevice]:
    """One with three wires, which is up."""
    made = BridgeDevice(FIRST_NETWORK, b"br%d", b"\x02\0\0\0\0\1")
    register_device(made)
    for number in (3, 1, 2):
        add_port(made, wire(number))
    bring_up(made)
    settle()
    pass_time(10)
    for each in wires(made):
        each.take()
    yield made
    while made.table.bridge is not None and take_off(made):
        pass
    if made.table.bridge is not None:
        take_away(made)


def wires(bridge: BridgeDevice) -> list[Wire]:
    found = [port.device for port in bridge.ports]
    return [device for device in found if isinstance(device, Wire)]


def carrier_of(device: NetworkDevice) -> bool:
    """Asked anew each time."""
    return device.has_carrier


def frame(destination: bytes, source: bytes, data: bytes = b"data", kind: int = 0x88B5) -> bytes:
    return destination + source + struct.pack(">H", kind) + data


def came(bridge: BridgeDevice) -> list[int]:
    """How many frames each port has sent."""
    return [len(each.take()) for each in wires(bridge)]


def test_frames_to_strangers_go_everywhere_and_then_where_they_belong(bridge: BridgeDevice) -> None:
    one, two, three = wires(bridge)
    one.inject(frame(B, A))
    assert came(bridge) == [0, 1, 1]
    two.inject(frame(A, B))
    assert came(bridge) == [1, 0, 0]
    one.inject(frame(B, A))
    assert came(bridge) == [0, 1, 0]
    three.inject(frame(C, A))  # A has moved
    assert came(bridge) == [1, 1, 0]
    two.inject(frame(A, B))
    assert came(bridge) == [0, 0, 1]
    two.inject(frame(B, A))  # A again, at the port where B is: nothing to do
    assert came(bridge) == [0, 0, 0]
    assert bridge.table.learned == 2


def test_groups_go_everywhere_and_come_in(bridge: BridgeDevice) -> None:
    before = bridge.traffic.received_packets
    wires(bridge)[0].inject(frame(ALL, A))
    wires(bridge)[0].inject(frame(b"\x01\0\x5e\1\2\3", A))
    assert came(bridge) == [0, 2, 2] and bridge.traffic.received_packets == before + 2


def test_groups_of_the_link_stay_there(bridge: BridgeDevice) -> None:
    before = bridge.traffic.received_packets
    for last in range(16):
        wires(bridge)[0].inject(frame(b"\x01\x80\xc2\0\0" + bytes([last]), A))
        # Without a spanning tree its own group is like any other.
        assert came(bridge) == ([0, 1, 1] if last == 0 else [0, 0, 0])
    assert bridge.traffic.received_packets == before + 1
    bridge.group_mask = 1 << 14
    wires(bridge)[0].inject(frame(b"\x01\x80\xc2\0\0\x0e", A))
    assert came(bridge) == [0, 1, 1]


def test_senders_that_cannot_be_are_ignored(bridge: BridgeDevice) -> None:
    for source in (bytes(6), ALL, b"\x01\0\x5e\1\2\3"):
        wires(bridge)[0].inject(frame(ALL, source))
    assert came(bridge) == [0, 0, 0] and bridge.table.learned == 0


def test_what_is_for_this_host_comes_in_by_the_bridge(bridge: BridgeDevice) -> None:
    one, two, _ = wires(bridge)
    give_address(bridge, b"\x0a\0\0\1", 24)
    pass_time(1)
    came(bridge)
    request = b"\0\1\x08\0\6\4\0\1" + A + b"\x0a\0\0\2" + bytes(6) + b"\x0a\0\0\1"
    one.inject(frame(ALL, A, request, 0x0806))
    reply = one.take()[-1]
    assert reply[:6] == A and reply[6:12] == bridge.address and reply[20:22] == b"\0\2"
    # A port's own address is the host's, too.
    before = bridge.traffic.received_packets
    one.inject(frame(two.address, A))
    assert bridge.traffic.received_packets == before + 1 and two.take()[-1:] != [frame(two.address, A)]


def test_what_this_host_sends_goes_the_same_ways(bridge: BridgeDevice) -> None:
    one, *_ = wires(bridge)
    one.inject(frame(ALL, A))
    came(bridge)
    for destination, expected in ((A, [1, 0, 0]), (B, [1, 1, 1]), (ALL, [1, 1, 1])):
        packet = Packet(64)
        packet.put(64).copy_from(span_of(frame(destination, bridge.address, bytes(50))))
        ethernet.send_frame(packet, bridge)
        turn()
        assert came(bridge) == expected


def test_checksums_are_left_to_the_last_device(bridge: BridgeDevice) -> None:
    packet = Packet(64)
    packet.put(64).copy_from(span_of(frame(ALL, bridge.address, bytes(50), 0x0800)))
    packet.checksum = CHECKSUM_PARTIAL
    packet.checksum_start = packet.start + 34
    packet.checksum_offset = 6
    ethernet.send_frame(packet, bridge)
    turn()
    assert [each.take()[-1][40:42] for each in wires(bridge)] == [b"\xff\xff"] * 3


@pytest.mark.parametrize("sum_at", [(34, 16), (3011, 1), (14, 16), (40, 12)])
def test_what_is_said_of_a_large_segment_is_not_believed(bridge: BridgeDevice, sum_at: tuple[int, int]) -> None:
    tcp = struct.pack(">HHIIBBHHH", 1, 2, 3, 4, 0x50, 0x10, 100, 0, 0)
    address = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 3000, 0, 0, 64, 6, 0, b"\x0a\0\0\2", b"\x0a\0\0\1")
    data = frame(B, A, address + tcp + bytes(2960), 0x0800)
    one, two, _ = wires(bridge)
    packet = Packet(len(data))
    packet.put(len(data)).copy_from(span_of(data))
    packet.device = one
    note_offload(packet, span_of(struct.pack("<BBHHHH", 1, 1, 0, 1400, *sum_at)), is_tap=True)
    two.offload = OFFLOAD_CHECKSUM | OFFLOAD_TCP4
    ethernet.receive(packet)
    turn()
    sent = two.take()
    assert [len(each) for each in sent] == ([len(data)] if sum_at == (34, 16) else [1454, 1454, 214])


def test_one_on_a_bridge_hears_what_the_bridge_would_pass_on(bridge: BridgeDevice) -> None:
    above = MacvlanDevice(FIRST_NETWORK, b"mac%d", C, bridge, macvlan.BRIDGE)
    macvlan.put_on(above)
    register_device(above)
    assert not bridge.wants_all()
    bring_up(above)
    assert bridge.wants_all()
    one, _, _ = wires(bridge)
    before = above.traffic.received_packets
    one.inject(frame(C, A))
    assert above.traffic.received_packets == before + 1
    bring_down(above)
    assert not bridge.wants_all()
    remove_device(above)


def test_entries_age(bridge: BridgeDevice) -> None:
    one, two, _ = wires(bridge)
    one.inject(frame(B, A))
    pass_time(200)
    two.inject(frame(A, B))
    pass_time(101)
    assert bridge.table.find(A) is None and bridge.table.find(B) is not None
    pass_time(200)
    assert bridge.table.learned == 0 and not bridge.table.is_armed()
    bridge.table.set_ageing(0, monotonic_ns())
    one.inject(frame(B, A))
    assert bridge.table.learned == 0


def test_inventing_addresses_fills_no_more_than_a_table(bridge: BridgeDevice) -> None:
    one = wires(bridge)[0]
    for number in range(bridge_table._MOST_OF_PORT + 100):
        one.inject(frame(B, b"\x02\1" + struct.pack(">I", number)))
    assert bridge.table.learned == bridge_table._MOST_OF_PORT
    came(bridge)
    pass_time(400)
    assert bridge.table.learned == 0
    assert len(bridge.table.entries) == 3, "the ports'"


def test_many_entries_end_in_turns(bridge: BridgeDevice) -> None:
    one = wires(bridge)[0]
    table = bridge.table
    for number in range(300):
        one.inject(frame(B, b"\x02\1" + struct.pack(">I", number)))
    assert table.learned == 300 and len(table.entries) == 303
    table.flush()
    assert table.learned == 0 and len(table.entries) == 253 and table.find(b"\x02\1\0\0\0\xff") is None
    came(bridge)
    wires(bridge)[1].inject(frame(b"\x02\1\0\0\0\xff", A))
    assert came(bridge) == [1, 0, 1], "one that is gone is a stranger"
    one.inject(frame(B, b"\x02\1\0\0\0\xff"))
    assert table.find(b"\x02\1\0\0\0\xff") is not None and table.learned == 2
    pass_time(1)
    assert len(table.entries) == 5 and table.learned == 2


def test_the_entries_of_a_bridge_that_ends_go_with_safe_points(bridge: BridgeDevice) -> None:
    table = bridge.table
    for number in range(10):
        table.enter(bridge_table.Entry(b"\x02\1" + struct.pack(">I", number), None, monotonic_ns()))
    before = len(table.entries)
    left: list[int] = []
    with meanwhile(lambda: left.append(len(table.entries)), 4):
        table.end()
    assert left == [before - 3] and len(table.entries) == 0


def test_a_table_has_room_for_so_many(bridge: BridgeDevice) -> None:
    table = bridge.table
    with pytest.raises(Errno) as error:
        for number in range(bridge_table._MOST_ENTRIES + 1):
            entry = bridge_table.Entry(b"\x02\1" + struct.pack(">I", number), None, monotonic_ns())
            entry.is_static = True
            table.enter(entry)
    assert error.value.code == ENOSPC and len(table.entries) == bridge_table._MOST_ENTRIES
    wires(bridge)[0].inject(frame(B, A))
    assert table.find(A) is None


def test_a_port_that_goes_down_is_forgotten(bridge: BridgeDevice) -> None:
    one, two, _ = wires(bridge)
    one.inject(frame(B, A))
    bring_down(one)
    assert bridge.table.learned == 0
    came(bridge)
    two.inject(frame(ALL, B))
    assert came(bridge) == [0, 0, 1]
    bring_up(one)
    two.inject(frame(ALL, B))
    assert came(bridge)[0] >= 1


def fail(*_arguments: object, **_named: object) -> None:
    raise MemoryError


def test_a_bridge_goes_down_without_memory(bridge: BridgeDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(bridge_table.ForwardingTable, "forget_port", fail)
        bring_down(bridge)
    settle()
    assert not bridge.is_up() and all(port.state() == STATE_DISABLED for port in bridge.ports)


def test_a_bridge_follows_a_loss_of_which_others_cannot_hear(bridge: BridgeDevice) -> None:
    class Deaf(DeviceWatcher):
        def device_changed(self, device: NetworkDevice) -> None:
            if device is not bridge:
                raise MemoryError

    deaf = Deaf()
    for device in wires(bridge):
        port = port_of(device)
        assert port is not None
        WATCHERS.append(deaf)
        with pytest.raises(MemoryError):
            remove_port(port)
        WATCHERS.remove(deaf)
    settle()
    assert not carrier_of(bridge)


def test_switches_of_ports(bridge: BridgeDevice) -> None:
    one, two, three = (port for port in bridge.ports)
    first, second, third = wires(bridge)
    two.switches &= ~FLOOD
    first.inject(frame(B, A))
    assert came(bridge) == [0, 0, 1]
    first.inject(frame(ALL, A))
    assert came(bridge) == [0, 1, 1]
    two.switches |= FLOOD
    one.switches |= HAIRPIN
    first.inject(frame(B, A))
    assert came(bridge) == [1, 1, 1]
    one.switches = one.switches & ~HAIRPIN | ISOLATED
    two.switches |= ISOLATED
    first.inject(frame(ALL, A))
    assert came(bridge) == [0, 0, 1]
    three.switches &= ~LEARNING
    third.inject(frame(ALL, C))
    assert bridge.table.find(C) is None
    second.inject(frame(A, B))  # A is known, but the ports are isolated from each other
    came(bridge)
    second.inject(frame(A, B))
    assert came(bridge) == [0, 0, 0]


def test_address_mtu_and_carrier_follow_the_ports(loopback: NetworkDevice) -> None:
    bridge = BridgeDevice(FIRST_NETWORK, b"br0", b"\x02\0\0\0\0\1")
    register_device(bridge)
    bring_up(bridge)
    assert carrier_of(bridge) and bridge.standing.is_unknown, "nothing has told it otherwise"
    two = wire(2)
    two.mtu = 1400
    add_port(bridge, two)
    settle()
    assert carrier_of(bridge) and bridge.address == two.address and bridge.mtu == 1400
    one = wire(1)
    add_port(bridge, one)
    settle()
    assert bridge.address == one.address and bridge.mtu == 1400
    one.address = b"\x02\0\0\0\1\x09"
    device_changed(one)
    settle()
    assert bridge.address == two.address and bridge.table.find(one.address) is not None
    assert bridge.table.find(b"\x02\0\0\0\1\1") is None
    for device in (one, two):
        port = port_of(device)
        assert port is not None
        remove_port(port)
    settle()
    assert not carrier_of(bridge) and bridge.address == bytes(6) and bridge.mtu == 1500
    assert bridge.table.entries == {} and one.promiscuous_users == 0 and one.handler is None
    take_away(bridge)


def test_who_may_be_a_port(bridge: BridgeDevice) -> None:
    other = BridgeDevice(FIRST_NETWORK, b"br%d", b"\x02\0\0\0\0\2")
    register_device(other)
    one = wires(bridge)[0]
    for device, code in ((other, ELOOP), (one, EBUSY), (FIRST_NETWORK.loopback, EINVAL)):
        with pytest.raises(Errno) as error:
            add_port(bridge, device)
        assert error.value.code == code
    # Nor what sends by the bridge itself, however far below it is.
    upper = MacvlanDevice(FIRST_NETWORK, b"mac0", C, bridge, macvlan.BRIDGE)
    macvlan.put_on(upper)
    register_device(upper)
    add_port(other, upper)
    above = MacvlanDevice(FIRST_NETWORK, b"mac1", B, other, macvlan.BRIDGE)
    macvlan.put_on(above)
    register_device(above)
    with pytest.raises(Errno) as error:
        add_port(bridge, above)
    assert error.value.code == EBUSY
    while take_off(other):
        pass
    take_away(other)
    remove_device(upper)


def test_a_port_that_ends_or_moves_leaves_its_bridge(bridge: BridgeDevice) -> None:
    one, two, _ = wires(bridge)
    one.inject(frame(B, A))
    remove_device(one)
    assert len(bridge.ports) == 2 and one.handler is None and bridge.table.find(A) is None
    other = new_network(FIRST_USER)
    move_device(two, other, two.name, 0)
    assert len(bridge.ports) == 1 and two.handler is None and two.master is None


def test_a_flood_to_many_ports_takes_turns(bridge: BridgeDevice) -> None:
    sinks = []
    for number in range(300):
        sink = DummyDevice(FIRST_NETWORK, b"sink%d", b"\x02\0\0\0" + struct.pack(">H", 1000 + number))
        register_device(sink)
        bring_up(sink)
        add_port(bridge, sink)
        sinks.append(sink)
    settle()
    before = [sink.traffic.sent_packets for sink in sinks]
    left = PACE.left
    wires(bridge)[0].inject(frame(ALL, A, bytes(1000)))
    assert left - PACE.left < TURN
    assert 0 < sum(sink.traffic.sent_packets for sink in sinks) - sum(before) < 300
    while bridge.flooding.count > 0:
        left = PACE.left
        bridge.flooding.run(monotonic_ns())
        assert left - PACE.left < TURN
    assert [sink.traffic.sent_packets for sink in sinks] == [count + 1 for count in before]
    for _ in range(200):
        wires(bridge)[0].inject(frame(ALL, A, bytes(1000)))
    assert bridge.flooding.count <= 64
    bring_down(bridge)
    assert bridge.flooding.count == 0


def test_bridges_in_a_ring_leave_others_their_turns(loopback: NetworkDevice) -> None:
    """Two bridges, joined twice: a broadcast goes round for ever, and no turn is longer for it."""
    bridges = []
    for number in (1, 2):
        made = BridgeDevice(FIRST_NETWORK, b"br%d", b"\x02\0\0\0\0" + bytes([number]))
        register_device(made)
        bring_up(made)
        bridges.append(made)
    for number in (1, 2):
        ends = [VethDevice(FIRST_NETWORK, b"veth%d", b"\x02\0\0\2" + bytes([side, number])) for side in (0, 1)]
        for end, made in zip(ends, bridges, strict=True):
            register_device(end)
            add_port(made, end)
        veth.join(ends[0], ends[1])
        for end in ends:
            bring_up(end)
    for _ in range(10):
        run_pending(monotonic_ns())  # until the carriers are there: there is no end to it
    packet = Packet(64)
    packet.put(64).copy_from(span_of(frame(ALL, A, bytes(50))))
    ethernet.send_frame(packet, bridges[0])
    for _ in range(50):
        assert turn() < TURN
    assert 0 < BACKLOG.frame_count <= 4000
    for made in bridges:
        bring_down(made)
        while take_off(made):
            pass
    for _ in range(200):
        turn()
    assert BACKLOG.frame_count == 0
    for made in bridges:
        take_away(made)


def test_a_port_that_invents_addresses_gives_up_its_own(bridge: BridgeDevice) -> None:
    one, two, _ = wires(bridge)
    two.inject(frame(A, B))
    for number in range(1500):
        one.inject(frame(B, b"\x02\0\0\7" + struct.pack(">H", number)))
        one.take()
        two.take()
    table = bridge.table
    assert table.learned == 1025 and table.find(B) is not None
    assert [table.find(b"\x02\0\0\7" + struct.pack(">H", number)) is not None for number in (0, 475, 476, 1499)] == [
        False, False, True, True,
    ]  # fmt: skip
    two.inject(frame(A, b"\x02\0\0\7" + struct.pack(">H", 1499)))  # it has moved
    assert len(table.of_ports[one.number]) == 1023 and len(table.of_ports[two.number]) == 2
    one.inject(frame(A, B))
    assert len(table.of_ports[one.number]) == 1024 and table.learned == 1025
    port = port_of(one)
    assert port is not None
    remove_port(port)
    pass_time(1)
    assert one.number not in table.of_ports and table.learned == 1
    pass_time(400)
    assert table.of_ports == {} and table.learned == 0


def test_a_full_table_learns_for_a_port_what_another_frame_of_it_gives_up(
    bridge: BridgeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge_table, "_MOST_LEARNED", 10)
    one, two, three = wires(bridge)
    three.inject(frame(A, C))
    for number in range(20):
        one.inject(frame(B, b"\x02\0\0\7\0" + bytes([number])))
    two.inject(frame(A, B))
    assert bridge.table.learned == 10
    assert bridge.table.find(C) is not None and bridge.table.find(B) is None
    assert bridge.table.find(b"\x02\0\0\7\0\x13") is not None
    bridge.table.most_learned = 10
    one.inject(frame(B, b"\x02\0\0\7\0\x20"))
    assert bridge.table.find(b"\x02\0\0\7\0\x20") is None, "where a program has set a limit, as on Linux"


def test_a_bridge_with_many_ports_goes_down_in_turns(bridge: BridgeDevice) -> None:
    for number in range(300):
        sink = DummyDevice(FIRST_NETWORK, b"sink%d", b"\x02\0\0\0" + struct.pack(">H", 1000 + number))
        register_device(sink)
        bring_up(sink)
        add_port(bridge, sink)
    settle()
    for change in (bring_down, bring_up):
        PACE.left = PACE_BUDGET
        change(bridge)
        assert PACE_BUDGET - PACE.left < TURN
        live = [port.was_live for port in bridge.ports]
        assert 0 < sum(live) < len(live)
        settle()
        assert {port.was_live for port in bridge.ports} == {change is bring_up}


def test_floods_of_all_bridges_wait_in_one_room(bridge: BridgeDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridges_module, "_MOST_SIZE", 20_000)
    monkeypatch.setattr(bridges_module, "_FLOOD_SHARE", 0)
    other = BridgeDevice(FIRST_NETWORK, b"br%d", b"\x02\0\0\0\0\2")
    register_device(other)
    for number in (4, 5, 6):
        add_port(other, wire(number))
    bring_up(other)
    settle()
    for _ in range(20):
        for made in (bridge, other):
            wires(made)[0].inject(frame(ALL, A, bytes(1000)))
    assert 0 < bridge.flooding.count + other.flooding.count < 20
    settle()
    assert bridge.flooding.of_all.size == 0 and bridge.flooding.of_all is other.flooding.of_all
    wires(bridge)[0].inject(frame(ALL, A, bytes(1000)))
    assert bridge.flooding.count == 1
    bring_down(other)
    bring_down(bridge)
    assert bridge.flooding.of_all.size == 0
    while take_off(other):
        pass
    take_away(other)


def test_a_bridge_for_which_there_is_no_memory_leaves_no_circle(
    loopback: NetworkDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[bridge_table.ForwardingTable] = []

    def table(in_first: bool) -> bridge_table.ForwardingTable:
        made.append(bridge_table.ForwardingTable(in_first))
        return made[0]

    def fail() -> None:
        raise MemoryError

    for part in ("Change", "Round"):
        made.clear()
        with monkeypatch.context() as patch:
            patch.setattr(bridges_module, "ForwardingTable", table)
            patch.setattr(bridges_module, part, fail)
            with pytest.raises(MemoryError):
                BridgeDevice(FIRST_NETWORK, b"br%d", b"\x02\0\0\0\0\1")
        assert made[0].bridge is None


def test_marks_stay_in_their_network(bridge: BridgeDevice) -> None:
    """Also in the copies of frames for groups."""
    other = new_network(FIRST_USER)
    uppers = []
    for number, network in enumerate((FIRST_NETWORK, FIRST_NETWORK, other)):
        upper = MacvlanDevice(network, b"mac%d", b"\x02\0\0\0\3" + bytes([number]), bridge, macvlan.BRIDGE)
        macvlan.put_on(upper)
        register_device(upper)
        bring_up(upper)
        uppers.append(upper)
    pass_time(10)

    def marks(send: bytes, by: NetworkDevice) -> list[tuple[NetworkDevice | None, int]]:
        packet = Packet(64)
        packet.put(64).copy_from(span_of(frame(send, uppers[0].address, bytes(50))))
        packet.mark = 7
        packet.device = by
        if by is bridge:
            handler = bridge.handler
            assert handler is not None
            handler.handle(packet)
        else:
            uppers[0].relay(packet)
        found = []
        while (waiting := BACKLOG.take_frame()) is not None:
            found.append((waiting.device, waiting.mark))
        return found

    assert dict(marks(ALL, uppers[0]))[uppers[1]] == 7 and dict(marks(ALL, uppers[0]))[uppers[2]] == 0
    assert marks(uppers[1].address, uppers[0]) == [(uppers[1], 7)]
    assert marks(uppers[2].address, uppers[0]) == [(uppers[2], 0)]
    for upper in uppers:
        macvlan.change_mode(upper, macvlan.VEPA)
    assert dict(marks(ALL, bridge)) == {uppers[1]: 7, uppers[2]: 0}  # networks take turns
    for upper in uppers:
        remove_device(upper)


def test_no_mtu_is_larger_than_that_below(loopback: NetworkDevice) -> None:
    lone = wire(9)
    upper = MacvlanDevice(FIRST_NETWORK, b"mac0", C, lone, macvlan.PRIVATE)
    macvlan.put_on(upper)
    register_device(upper)
    with pytest.raises(Errno) as error:
        set_mtu(upper, lone.mtu + 1)
    assert error.value.code == EINVAL and upper.mtu == lone.mtu
    set_mtu(upper, lone.mtu - 1)
    remove_device(upper)
