"""Interfaces of programs: what waits for the program, what it writes, and struct virtio_net_hdr in both directions."""

from __future__ import annotations

import struct

import pytest

from kernel.lang import EINVAL, Errno, span_of
from kernel.net.link import ethernet
from kernel.net.link.device import NetworkDevice, bring_up, register_device
from kernel.net.link.loopback import BACKLOG
from kernel.net.link.network import FIRST_NETWORK, remove_device
from kernel.net.link.packet import CHECKSUM_NONE, CHECKSUM_PARTIAL, CHECKSUM_VERIFIED, Packet
from kernel.net.link.tun import (
    IFF_TAP,
    IFF_TUN,
    TUN_ROOM,
    TunDevice,
    TunQueue,
    attach,
    headers_said,
    note_offload,
    put_offload_header,
    receive_written,
    set_offload,
)
from kernel.net.sockets.packet_context import view_of
from tests.unit.net.conftest import give_address, pass_time


def device_of(mode: int) -> tuple[TunDevice, TunQueue]:
    device = TunDevice(FIRST_NETWORK, b"t%d", mode, b"\x02" + bytes(5) if mode == IFF_TAP else b"")
    queue = TunQueue(in_first=True)
    attach(device, queue)
    register_device(device)
    bring_up(device)
    return device, queue


def packet_of(data: bytes) -> Packet:
    packet = Packet(len(data))
    packet.put(len(data)).copy_from(span_of(data))
    return packet


def test_for_filters_a_link_header_of_no_bytes_is_where_the_packet_begins() -> None:
    """As on Linux, where SKF_LL_OFF means the same as SKF_NET_OFF there; a firewall finds no link header."""
    device, _ = device_of(IFF_TUN)
    packet = packet_of(bytes(range(40)))
    packet.device = device
    packet.link_start = packet.network_start = packet.start
    packet.pull(20)
    assert packet.ask(0xFFE0_0009, 2) == packet.ask(0xFFF0_0009, 2) == 9
    view = view_of(packet, packet.start)
    assert view.place_of(-0x20_0000 + 9, 1) == view.place_of(-0x10_0000 + 9, 1) == packet.link_start + 9
    assert packet.link_header() == -1
    packet.device, _ = device_of(IFF_TAP)
    assert packet.ask(0xFFE0_0009, 2) == -1 and view_of(packet, packet.start).place_of(-0x20_0000, 1) == -1


def everything(queue: TunQueue) -> list[Packet]:
    found = []
    while (packet := queue.take()) is not None:
        found.append(packet)
    return found


def checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total >> 16) + (total & 0xFFFF)
    return total ^ 0xFFFF


def echo_request() -> bytes:
    icmp = bytearray(b"\x08\0\0\0\0\1\0\1")
    struct.pack_into(">H", icmp, 2, checksum(bytes(icmp)))
    header = bytearray(struct.pack(">BBHHHBBH4s4s", 0x45, 0, 28, 0, 0, 64, 1, 0, b"\x0a\0\0\2", b"\x0a\0\0\1"))
    struct.pack_into(">H", header, 10, checksum(bytes(header)))
    return bytes(header + icmp)


def test_a_packet_without_a_link_header_is_answered_without_one(loopback: NetworkDevice) -> None:
    device, queue = device_of(IFF_TUN)
    give_address(device, b"\x0a\0\0\1", 24)
    pass_time(5)
    everything(queue)
    packet = packet_of(echo_request())
    packet.protocol = 0x0800
    receive_written(device, packet)
    (answer,) = everything(queue)
    data = answer.span().to_bytes()
    assert data[0] == 0x45 and data[9] == 1 and data[12:20] == b"\x0a\0\0\1\x0a\0\0\2" and data[20] == 0
    assert answer.protocol == 0x0800 and device.address == b""
    remove_device(device)
    assert queue.device is None


def test_what_waits_is_bounded_and_given_back(loopback: NetworkDevice) -> None:
    device, queue = device_of(IFF_TAP)
    everything(queue)
    dropped = device.traffic.sent_dropped
    for _ in range(device.queue_length + 20):
        ethernet.send_frame(packet_of(bytes(60)), device)
    assert queue.packets.count == device.queue_length == 1000 and device.traffic.sent_dropped == dropped + 20
    assert TUN_ROOM.of_first == queue.held_bytes > 0
    queue.clear()
    device.queue_length = 1 << 30
    large = 60_000
    sent = 0
    while device.transmit(packet_of(bytes(large))):
        sent += 1
    assert sent * large <= BACKLOG.of_first.most_bytes
    remove_device(device)
    assert TUN_ROOM.of_first == 0 and queue.packets.count == 0
    assert not device.transmit(packet_of(bytes(60))), "nobody reads"


@pytest.mark.parametrize(
    ("wanted", "offload"),
    [(0, 0), (1, 1), (3, 3), (7, 7), (0xF, 7), (0x11, 1), (0x61, 1), (2, -1), (0x21, -1), (0x81, -1)],
)
def test_offload_that_there_is_and_is_not(loopback: NetworkDevice, wanted: int, offload: int) -> None:
    device, _ = device_of(IFF_TAP)
    if offload < 0:
        with pytest.raises(Errno) as error:
            set_offload(device, wanted)
        assert error.value.code == EINVAL
    else:
        set_offload(device, wanted)
        assert device.offload == offload
    remove_device(device)


def test_what_is_left_to_do_is_said_in_both_directions(loopback: NetworkDevice) -> None:
    tcp = struct.pack(">HHIIBBHHH", 1, 2, 3, 4, 0x50, 0x10, 100, 0, 0)
    address = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 3040, 0, 0, 64, 6, 0, b"\x0a\0\0\2", b"\x0a\0\0\1")
    data = bytes(12) + b"\x08\0" + address + tcp + bytes(3000)
    header = struct.pack("<BBHHHH", 1, 1, 54, 1000, 34, 16)
    packet = packet_of(data)
    assert headers_said(span_of(header)) == 54
    note_offload(packet, span_of(header), is_tap=True)
    assert packet.segment_size == 1000 and packet.checksum == CHECKSUM_VERIFIED
    assert (packet.checksum_start - packet.start, packet.checksum_offset) == (34, 16)
    packet.checksum = CHECKSUM_PARTIAL
    told = bytearray(10)
    put_offload_header(span_of(told), packet)
    assert bytes(told) == header


@pytest.mark.parametrize(
    "header",
    [
        struct.pack("<BBHHHH", 0, 3, 0, 1000, 0, 0),  # UDP's segments
        struct.pack("<BBHHHH", 0, 1, 0, 0, 0, 0),  # segments of no size
        struct.pack("<BBHHHH", 0, 1, 0, 100, 0, 0),  # … of what is no TCP
        struct.pack("<BBHHHH", 1, 0, 0, 0, 60, 3),  # a checksum after the end
        struct.pack("<BBHHHH", 1, 0, 0, 0, 65535, 65535),
    ],
)
def test_headers_that_do_not_fit_are_refused(loopback: NetworkDevice, header: bytes) -> None:
    with pytest.raises(Errno) as error:
        note_offload(packet_of(bytes(64)), span_of(header), is_tap=True)
    assert error.value.code == EINVAL


@pytest.mark.parametrize(
    ("first", "payload", "size"),
    [
        (0x40, 3000, 1000),  # an IP header of no length
        (0x42, 3000, 1000),
        (0x45, 60_000, 100),  # segments without end
        (0x45, 65_499, 65_535),  # a segment whose length no IP header can say
    ],
)
def test_segments_that_cannot_be_cut_are_refused(
    loopback: NetworkDevice, first: int, payload: int, size: int
) -> None:
    tcp = struct.pack(">HHIIBBHHH", 0x5000, 2, 3, 4, 0x50, 0x10, 100, 0, 0)
    address = struct.pack(">BBHHHBBH4s4s", first, 0, 0, 0, 0, 64, 6, 0, b"P\0\0\2", b"\x0a\0\0\1")
    header = struct.pack("<BBHHHH", 0, 1, 0, size, 0, 0)
    data = bytes(12) + b"\x08\0" + address + tcp + bytes(payload)
    with pytest.raises(Errno) as error:
        note_offload(packet_of(data), span_of(header), is_tap=True)
    assert error.value.code == EINVAL


@pytest.mark.parametrize("place", [(0, 16), (60, 16), (10, 10), (45, 1)])
def test_a_sum_outside_the_datagram_is_not_completed(loopback: NetworkDevice, place: tuple[int, int]) -> None:
    packet = packet_of(bytes(14) + echo_request() + bytes(50))
    note_offload(packet, span_of(struct.pack("<BBHHHH", 1, 0, 0, 0, *place)), is_tap=True)
    assert packet.checksum == CHECKSUM_VERIFIED
    packet.pull(14)
    packet.trim(28)
    packet.send_on()
    assert packet.checksum == CHECKSUM_NONE
