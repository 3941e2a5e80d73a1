"""Announcing addresses to neighbours: in time, each once, and in memory that has a bound."""

from collections.abc import Iterator

import pytest

from kernel.net.internet import arp
from kernel.net.internet.addresses import delete_address
from kernel.net.internet.arp import ANNOUNCER
from kernel.net.internet.interface_settings import ARP_NOTIFY4
from kernel.net.link.device import device_changed
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.link.timers import TIMERS
from kernel.time import monotonic_ns
from tools.simulated.wire import Wire, give_address

MS = 1_000_000


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    now = [monotonic_ns()]
    TIMERS.run_due(now[0] + 2 * MS)  # what others left
    monkeypatch.setattr(arp, "monotonic_ns", lambda: now[0])
    before = FIRST_NETWORK.settings[:]
    yield now
    FIRST_NETWORK.settings[:] = before
    while not ANNOUNCER.pending.is_empty():
        ANNOUNCER.expire(now[0])
    ANNOUNCER.remove()


def announced(wire: Wire) -> list[bytes]:
    """The addresses that ARP requests asked for."""
    return [frame[38:42] for frame in wire.take() if frame[12:14] == b"\x08\x06" and frame[28:32] == frame[38:42]]


def change(wire: Wire, number: int) -> None:
    wire.address = b"\x02\x00" + number.to_bytes(4, "big")
    device_changed(wire)


def waiting() -> int:
    count = 0
    entry = ANNOUNCER.pending.first()
    while entry is not None:
        count += 1
        entry = entry.after()
    return count


def test_whoever_changes_all_the_time_puts_nothing_off_and_takes_no_memory(wire: Wire, clock: list[int]) -> None:
    ARP_NOTIFY4.set(wire, 1)
    announced(wire)
    deadline = clock[0] + MS
    for number in range(2, 1002):  # the first is not its own
        change(wire, number)
        clock[0] += MS // 2000
    assert waiting() == 1 and ANNOUNCER.deadline_ns == deadline
    TIMERS.run_due(deadline)
    assert announced(wire) == [b"\x0a\x00\x00\x01"] and waiting() == 0 and not ANNOUNCER.is_armed()
    change(wire, 2000)
    assert waiting() == 1 and ANNOUNCER.deadline_ns == clock[0] + MS


def test_many_are_announced_in_turn_a_few_at_a_time(wire: Wire, clock: list[int]) -> None:
    addresses = [b"\x0a\x00\x01" + bytes([number]) for number in range(1, 101)]
    for address in addresses:
        give_address(wire, address, 24)
    announced(wire)
    now = clock[0] + MS
    rounds = 0
    found: list[bytes] = []
    while ANNOUNCER.is_armed():
        ANNOUNCER.cancel()
        ANNOUNCER.expire(now)
        sent = announced(wire)
        assert len(sent) <= 16
        found += sent
        rounds += 1
    assert [address for address in found if address in addresses] == addresses and rounds >= 7


def test_an_address_that_went_is_not_announced(wire: Wire, clock: list[int]) -> None:
    TIMERS.run_due(clock[0] + MS)
    entry = give_address(wire, b"\x0a\x00\x02\x01", 24)
    other = give_address(wire, b"\x0a\x00\x03\x01", 24)
    announced(wire)
    delete_address(entry)
    assert waiting() == 1 and not entry.is_announced_soon and other.is_announced_soon
    TIMERS.run_due(clock[0] + MS)
    assert announced(wire) == [other.address]
