"""A host on a simulated wire: the whole stack under CPython, with a clock that the test moves."""

from collections.abc import Iterator

import pytest

from arch.x86_64.simulation import processor
from kernel.lib.pace import PACE, PACE_BUDGET
from kernel.net.control.start import start_network
from kernel.net.internet import path_mtu
from kernel.net.internet.addresses import addresses_of
from kernel.net.internet.fragments import reassembler_of
from kernel.net.internet.group_reports import REPORTERS
from kernel.net.internet.interface_settings import DISABLE6
from kernel.net.internet.membership import groups_of
from kernel.net.internet.ndp import DETECTION
from kernel.net.internet.router_discovery import EXPIRY
from kernel.net.internet.routes import tables_for
from kernel.net.link import ethernet, timers
from kernel.net.link.device import (
    NetworkDevice,
    bring_down,
    bring_up,
    register_device,
)
from kernel.net.link.loopback import BACKLOG
from kernel.net.link.neighbours import forget, neighbours_of
from kernel.net.link.network import FIRST_NETWORK, LOOPBACK
from kernel.time import clock, monotonic_ns
from tools.simulated.wire import OUR_MAC, Wire, give_address

__all__ = ["OUR_MAC", "Wire", "give_address", "start_network"]

PEER_MAC = b"\x02\x00\x00\x00\x00\x02"


def pass_time(seconds: float) -> None:
    """Let the clock run, and timers with it."""
    end = processor.tsc + int(seconds * 1e9)
    while True:
        due = timers.TIMERS.heap.entries[0].queued_ns if timers.TIMERS.heap.entries else None
        now = monotonic_ns()
        if due is None or due - now > end - processor.tsc:
            break
        processor.tsc += max(0, due - now) + 1000
        timers.TIMERS.run_due(monotonic_ns())
        turn()
    processor.tsc = max(processor.tsc, end)
    timers.TIMERS.run_due(monotonic_ns())
    turn()


def turn() -> int:
    """What the network thread does after a safe point: deliver. Returns how many instructions it spends by its account.
    """
    PACE.left = PACE_BUDGET
    ethernet.drain()
    return PACE_BUDGET - PACE.left


def reset() -> None:
    """A host without addresses, routes, neighbours."""
    for device in list(FIRST_NETWORK.devices):
        bring_down(device)
    addresses = addresses_of(FIRST_NETWORK)
    addresses.entries.clear()
    addresses.owned.clear()
    addresses.recent = None
    for size in (4, 16):
        tables = tables_for(FIRST_NETWORK, size)
        tables.local.clear()
        tables.main.clear()
    groups_of(FIRST_NETWORK).by_key.clear()
    for entry in list(neighbours_of(FIRST_NETWORK).entries.values()):
        forget(entry)
    path_mtu.path_mtus_of(FIRST_NETWORK).reports.clear()
    reassembler_of(FIRST_NETWORK).end()
    for timer in list(timers.TIMERS.heap.entries):
        timer.remove()
    DETECTION.proofs.clear()
    REPORTERS.clear()
    EXPIRY.networks.clear()
    BACKLOG.queue.clear()
    while BACKLOG.take_frame() is not None:
        pass
    BACKLOG.is_draining = False
    for device in FIRST_NETWORK.devices[1:]:
        del FIRST_NETWORK.by_index[device.index]
        del FIRST_NETWORK.by_name[device.name]
    del FIRST_NETWORK.devices[1:]
    FIRST_NETWORK.next_index = 2


@pytest.fixture
def loopback() -> Iterator[NetworkDevice]:
    """Only lo, and it is up."""
    processor.tsc = 1
    clock.start(1_000_000_000, 10**18)
    PACE.left = PACE_BUDGET
    reset()
    bring_up(LOOPBACK)
    yield LOOPBACK
    reset()


@pytest.fixture
def wire(loopback: NetworkDevice) -> Wire:
    """lo, and eth0 with 10.0.0.1/24 and without IPv6, whose neighbour 10.0.0.2 is the test."""
    device = Wire()
    register_device(device)
    DISABLE6.set(device, 1)
    try:
        bring_up(device)
    finally:
        DISABLE6.set(device, 0)  # nothing follows
    give_address(device, b"\x0a\x00\x00\x01", 24)
    pass_time(0.1)
    device.take()
    return device


@pytest.fixture
def wire6(loopback: NetworkDevice) -> Wire:
    """lo, and eth0 that has just come up with IPv6."""
    device = Wire()
    register_device(device)
    bring_up(device)
    return device
