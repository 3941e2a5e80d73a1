"""Large segments on their way down the stack, to a device that does not cut them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kernel.lang import EMSGSIZE, Errno
from kernel.net.internet import ipv4
from kernel.net.internet.output import resolve
from kernel.net.link.device import OFFLOAD_CHECKSUM, OFFLOAD_GATHER, NetworkDevice, Tap
from kernel.net.link.ethernet import ETHERTYPE_ARP
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.link.packet import CHECKSUM_PARTIAL, Packet
from tests.unit.net.conftest import OUR_MAC, PEER_MAC, Wire
from tests.unit.net.link.test_segmentation import WHOLE
from tests.unit.net.wire_packets import OURS, PEER, arp, frame, internet_sum

HEADERS = 14 + 20 + 32
FULL = HEADERS + 1448


@pytest.fixture
def met(wire: Wire) -> Wire:
    """The wire, whose peer is known."""
    wire.inject(frame(arp(1, PEER, OURS), ETHERTYPE_ARP, b"\xff" * 6))
    wire.take()
    return wire


class Listener(Tap):
    def __init__(self) -> None:
        self.frames: list[bytes] = []

    def saw(self, packet: Packet, device: NetworkDevice, is_outgoing: bool) -> None:
        self.frames.append(packet.span().to_bytes())


@pytest.fixture
def tap() -> Iterator[Listener]:
    made = Listener()
    FIRST_NETWORK.taps.append(made)
    yield made
    FIRST_NETWORK.taps.remove(made)


def send() -> None:
    """Send the segment with the stack's own IP header."""
    packet = WHOLE.packet()
    packet.pull(14 + 20)
    packet.checksum = CHECKSUM_PARTIAL
    packet.checksum_start = packet.start
    packet.checksum_offset = 16
    hop = resolve(FIRST_NETWORK, PEER)
    ipv4.send(packet, hop, hop.source, 6, dont_fragment=True)


def test_the_wire_sees_frames_and_the_counters_count_them(met: Wire) -> None:
    packets, sent_bytes, requests = met.traffic.sent_packets, met.traffic.sent_bytes, FIRST_NETWORK.ip4.out_requests
    send()
    frames = met.take()
    assert [len(sent) for sent in frames] == [FULL, FULL, FULL, HEADERS + 5000 - 3 * 1448]
    assert all(sent[:14] == PEER_MAC + OUR_MAC + b"\x08\x00" and internet_sum(sent[14:34]) == 0 for sent in frames)
    assert b"".join(sent[HEADERS:] for sent in frames) == WHOLE.data
    assert (met.traffic.sent_packets, met.traffic.sent_bytes) == (packets + 4, sent_bytes + sum(map(len, frames)))
    assert FIRST_NETWORK.ip4.out_requests == requests + 1


@pytest.mark.parametrize("gathers", [False, True])
def test_taps_see_what_goes_over_the_wire(met: Wire, tap: Listener, gathers: bool) -> None:
    met.offload = OFFLOAD_GATHER if gathers else 0
    send()
    assert tap.frames == met.take() and len(tap.frames) == 4


def test_a_driver_that_cuts_gets_the_whole(met: Wire) -> None:
    packets, sent_bytes = met.traffic.sent_packets, met.traffic.sent_bytes
    met.offload = OFFLOAD_GATHER | OFFLOAD_CHECKSUM
    send()
    [sent] = met.take()
    assert sent[HEADERS:] == WHOLE.data
    assert (met.traffic.sent_packets, met.traffic.sent_bytes) == (packets + 4, sent_bytes + 4 * HEADERS + 5000)


def test_a_segment_waits_for_its_neighbour_in_one_piece(wire: Wire) -> None:
    send()
    [question] = wire.take()
    assert question[12:14] == b"\x08\x06"
    wire.inject(frame(arp(2, PEER, OURS, PEER_MAC, OUR_MAC), ETHERTYPE_ARP))
    assert len(wire.take()) == 4


def test_segments_that_are_too_long_for_the_path_are_not_sent(met: Wire) -> None:
    """The path's MTU became smaller after they were made."""
    met.mtu = 1400
    with pytest.raises(Errno) as raised:
        send()
    assert raised.value.code == EMSGSIZE
    assert met.take() == []


def test_without_memory_frames_are_dropped_and_counted(met: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(capacity: int) -> Packet:
        raise MemoryError

    monkeypatch.setattr("kernel.net.link.segmentation.Packet", no_memory)
    send()
    assert met.take() == [] and met.traffic.sent_dropped == 4
