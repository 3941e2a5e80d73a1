"""Lists of hooks, and where a packet's transport header is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kernel.lang import span_of
from kernel.net.link.hooks import (
    FAMILY_IP4,
    FAMILY_IP6,
    INPUT,
    Hook,
    Place,
    Verdict,
    register_hook,
    unregister_hook,
    want_whole,
    want_whole_no_more,
)
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.link.packet import Packet


class Noted(Hook):
    def __init__(self, priority: int, seen: list[int], verdict: Verdict = Verdict.ACCEPT) -> None:
        super().__init__(priority)
        self.seen = seen
        self.verdict = verdict

    def look(self, packet: Packet, place: Place) -> Verdict:
        self.seen.append(self.priority)
        return self.verdict


def packet_of(data: bytes, address_size: int) -> Packet:
    packet = Packet(len(data))
    packet.put(len(data)).copy_from(span_of(data))
    packet.network_start = packet.start
    packet.source = packet.destination = bytes(address_size)
    return packet


IP4 = bytes([0x45, 0, 0, 28, 0, 1, 0x20, 2, 64, 17]) + bytes(10)


@pytest.fixture
def seen() -> Iterator[list[int]]:
    yield []
    assert FIRST_NETWORK.hooks4 is None and FIRST_NETWORK.hooks6 is None and FIRST_NETWORK.onlookers == 0


def test_hooks_look_by_priority_and_a_drop_ends_it(seen: list[int]) -> None:
    hooks = [Noted(10, seen), Noted(-5, seen), Noted(7, seen, Verdict.DROP)]
    for hook in hooks:
        register_hook(FIRST_NETWORK, FAMILY_IP4, INPUT, hook)
    assert FIRST_NETWORK.hooks4 is not None and FIRST_NETWORK.hooks6 is None and FIRST_NETWORK.onlookers == 1
    verdict = FIRST_NETWORK.hooks4.run(packet_of(IP4 + bytes(8), 4), Place(FIRST_NETWORK, FAMILY_IP4, INPUT))
    assert verdict == Verdict.DROP and seen == [-5, 7]
    for hook in hooks:
        unregister_hook(FIRST_NETWORK, FAMILY_IP4, INPUT, hook)


def test_equal_priorities_keep_their_order(seen: list[int]) -> None:
    hooks = [Noted(0, seen), Noted(0, seen)]
    for hook in hooks:
        register_hook(FIRST_NETWORK, FAMILY_IP6, INPUT, hook)
    assert FIRST_NETWORK.hooks6 is not None and FIRST_NETWORK.hooks6.lists[INPUT] == hooks
    for hook in hooks:
        unregister_hook(FIRST_NETWORK, FAMILY_IP6, INPUT, hook)


def test_whoever_wants_whole_packets_counts(seen: list[int]) -> None:
    want_whole(FIRST_NETWORK, FAMILY_IP4)
    assert FIRST_NETWORK.hooks4 is not None and FIRST_NETWORK.hooks4.want_whole == 1
    want_whole_no_more(FIRST_NETWORK, FAMILY_IP4)


def test_transport_of_ip4() -> None:
    packet = packet_of(IP4 + bytes(8), 4)
    place = Place(FIRST_NETWORK, FAMILY_IP4, INPUT)
    place.find_transport(packet)
    assert (place.protocol, place.offset, packet.transport_start - packet.network_start) == (17, 16, 20)


@pytest.mark.parametrize(
    ("first", "rest", "expected"),
    [
        (6, bytes(20), (6, 0, 40)),
        (0, bytes([6, 0, 1, 4, 0, 0, 0, 0]) + bytes(20), (6, 0, 48)),  # hop-by-hop options
        (44, bytes([17, 0, 0, 1, 0, 0, 0, 9]) + bytes(8), (17, 0, 48)),  # a first fragment
        (44, bytes([17, 0, 1, 1, 0, 0, 0, 9]) + bytes(8), (44, 256, 40)),  # a later one
        (60, bytes([6, 200, 0, 0, 0, 0, 0, 0]), (60, 0, 40)),  # a header that is longer than the packet
        (60, bytes([6]), (60, 0, 40)),  # one that is cut
    ],
)
def test_transport_of_ip6(first: int, rest: bytes, expected: tuple[int, int, int]) -> None:
    packet = packet_of(bytes([0x60, 0, 0, 0, 0, len(rest), first, 64]) + bytes(32) + rest, 16)
    place = Place(FIRST_NETWORK, FAMILY_IP6, INPUT)
    place.find_transport(packet)
    assert (place.protocol, place.offset, packet.transport_start - packet.network_start) == expected
