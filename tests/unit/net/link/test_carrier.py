"""Carriers of software interfaces: who sees a change when."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kernel.net.link import carrier
from kernel.net.link.carrier import change_carrier
from kernel.net.link.device import (
    IFF_LOWER_UP,
    IFF_RUNNING,
    IFF_UP,
    WATCHERS,
    DeviceWatcher,
    NetworkDevice,
    bring_down,
    bring_up,
    register_device,
)
from kernel.net.link.dummy import DummyDevice
from kernel.net.link.network import FIRST_NETWORK, remove_device
from kernel.net.link.thread import run_pending
from kernel.time import monotonic_ns


class Hearer(DeviceWatcher):
    def __init__(self) -> None:
        self.flags: list[int] = []
        self.lacks_memory = False

    def carrier_changed(self, device: NetworkDevice) -> None:
        if self.lacks_memory:
            raise MemoryError
        self.flags.append(device.visible_flags() & (IFF_UP | IFF_RUNNING | IFF_LOWER_UP))


@pytest.fixture
def hearer() -> Iterator[Hearer]:
    made = Hearer()
    WATCHERS.append(made)
    yield made
    WATCHERS.remove(made)


@pytest.fixture
def dummy(loopback: NetworkDevice) -> Iterator[DummyDevice]:
    device = DummyDevice(FIRST_NETWORK, b"bare", b"\2\0\0\0\0\6")
    register_device(device)
    bring_up(device)
    while run_pending(monotonic_ns()):
        pass  # what other tests have left to do
    yield device
    remove_device(device)


def test_programs_see_the_old_state_until_they_are_told(dummy: DummyDevice, hearer: Hearer) -> None:
    change_carrier(dummy, has_carrier=False)
    assert dummy.visible_flags() & (IFF_RUNNING | IFF_LOWER_UP) == IFF_RUNNING and hearer.flags == []
    run_pending(monotonic_ns())
    assert hearer.flags == [IFF_UP] and dummy.standing.device is None
    change_carrier(dummy, has_carrier=False)
    run_pending(monotonic_ns())
    assert hearer.flags == [IFF_UP], "it is no change"


def test_changes_in_one_turn_are_one(dummy: DummyDevice, hearer: Hearer) -> None:
    for has_carrier in (False, True):
        change_carrier(dummy, has_carrier=has_carrier)
    run_pending(monotonic_ns())
    assert hearer.flags == [IFF_UP | IFF_RUNNING | IFF_LOWER_UP]


def test_nobody_hears_of_one_that_is_down(dummy: DummyDevice, hearer: Hearer) -> None:
    change_carrier(dummy, has_carrier=False)
    bring_down(dummy)
    run_pending(monotonic_ns())
    assert hearer.flags == [] and dummy.standing.device is None


def test_without_memory_it_waits(dummy: DummyDevice, hearer: Hearer) -> None:
    change_carrier(dummy, has_carrier=False)
    hearer.lacks_memory = True
    with pytest.raises(MemoryError):
        carrier._WATCH.run(0)
    assert dummy.standing.device is dummy and dummy.is_live()
    hearer.lacks_memory = False
    carrier._WATCH.run(0)
    assert hearer.flags == [IFF_UP]


def test_nobody_hears_of_one_that_leaves(dummy: DummyDevice, hearer: Hearer) -> None:
    """It may still be up for a moment, while the other end of its pair goes down."""
    change_carrier(dummy, has_carrier=False)
    dummy.is_leaving = True
    run_pending(monotonic_ns())
    assert hearer.flags == [] and dummy.standing.device is None
    dummy.is_leaving = False
