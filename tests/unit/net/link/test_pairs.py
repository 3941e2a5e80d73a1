"""The end of pairs: both go, in whatever state they are, and without memory, too."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kernel.net.link import veth
from kernel.net.link.device import WATCHERS, DeviceWatcher, NetworkDevice, bring_up, register_device
from kernel.net.link.network import FIRST_NETWORK, LIMBO, remove_device
from kernel.net.link.pairs import remove_pair
from kernel.net.link.thread import run_pending
from kernel.net.link.veth import VethDevice
from kernel.net.netlink.new_link import take_away
from kernel.time import monotonic_ns

Pair = tuple[VethDevice, VethDevice]


class Lack(DeviceWatcher):
    """Finds no memory where an interface of a name leaves."""

    def __init__(self) -> None:
        self.name = b""

    def device_removed(self, device: NetworkDevice) -> None:
        if device.name == self.name:
            raise MemoryError


@pytest.fixture
def pair(loopback: NetworkDevice) -> Pair:
    ends = tuple(VethDevice(FIRST_NETWORK, name, b"\2\0\0\0\0\6") for name in (b"one", b"other"))
    for end in ends:
        register_device(end)
    veth.join(*ends)
    for end in ends:
        bring_up(end)
    return ends[0], ends[1]


@pytest.fixture
def lack() -> Iterator[Lack]:
    made = Lack()
    WATCHERS.append(made)
    yield made
    WATCHERS.remove(made)


def have_gone(pair: Pair) -> bool:
    return all(end.network is LIMBO and end.peer is None and not end.is_up() for end in pair)


def test_both_go(pair: Pair) -> None:
    remove_pair(pair[1], pair[0])
    assert have_gone(pair)
    remove_pair(pair[1], pair[0])


def test_one_whose_other_has_gone_is_left_alone(pair: Pair) -> None:
    remove_device(pair[1])
    remove_pair(*pair)
    assert pair[0].network is FIRST_NETWORK and pair[0].peer is None and pair[1].peer is None
    take_away(pair[0])
    assert pair[0].network is LIMBO


def test_without_memory_they_stay_a_pair(pair: Pair, lack: Lack) -> None:
    lack.name = b"one"
    with pytest.raises(MemoryError):
        take_away(pair[0])
    assert pair[0].peer is pair[1] and not pair[0].is_leaving and not pair[1].is_changing
    assert [end.has_carrier for end in pair] == [False, False], "both went down before"
    lack.name = b""
    take_away(pair[0])
    assert have_gone(pair)


def test_the_second_follows_when_there_is_memory(pair: Pair, lack: Lack) -> None:
    lack.name = b"other"
    take_away(pair[0])
    assert pair[0].network is LIMBO and pair[1].network is FIRST_NETWORK and not pair[1].is_leaving
    lack.name = b""
    while run_pending(monotonic_ns()):
        pass
    assert have_gone(pair)
