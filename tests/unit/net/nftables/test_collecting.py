"""Elements of sets whose time is up go in turns that say what they cost; those that packets take out are not kept."""

from __future__ import annotations

import pytest

from arch.x86_64.simulation import processor
from kernel.lib.pace import PACE, PACE_BUDGET
from kernel.net.link.device import NetworkDevice
from kernel.net.link.timers import TIMERS
from kernel.net.nftables.element_order import Element
from kernel.net.nftables.model import NOWHERE
from kernel.net.nftables.sets import SET_EVAL, SET_TIMEOUT, Collector, DataSet
from kernel.time import monotonic_ns
from tests.unit.net.conftest import loopback, pass_time

__all__ = ["loopback"]

SECOND = 1_000_000_000


def filled(found: DataSet, numbers: range, seconds: int) -> list[Element]:
    made = []
    now_ns = monotonic_ns()
    for i in numbers:
        element = Element(i.to_bytes(4), 0)
        element.expires_ns = now_ns + seconds * SECOND
        found.add(element)
        found.watch_time(element, now_ns)
        made.append(element)
    return made


def collector_of(found: DataSet) -> Collector:
    assert found.collector is not None
    return found.collector


@pytest.fixture
def found(loopback: NetworkDevice) -> DataSet:
    return DataSet(b"s", SET_TIMEOUT | SET_EVAL, 4)


def test_what_was_taken_out_behind_what_stays_is_not_kept(found: DataSet) -> None:
    filled(found, range(2500), 1000)
    for element in filled(found, range(2500, 12_500), 1000):
        found.remove(element)
        found.count -= 1
        element.absent = NOWHERE
    assert len(collector_of(found).queue) == 12_500
    pass_time(1.3)
    assert found.count == 2500 and len(collector_of(found).queue) <= 2 * 2500 + 2000
    found.end()


def test_a_turn_says_what_it_costs_and_ends_in_time(found: DataSet) -> None:
    filled(found, range(2000), 1)
    collector = collector_of(found)
    processor.tsc += 2 * SECOND
    PACE.left = PACE_BUDGET
    collector.expire(monotonic_ns())
    spent = PACE_BUDGET - PACE.left
    removed = 2000 - found.count
    assert removed > 100 and 2 * removed * found.effort() < spent < 205_000
    assert collector.deadline_ns - monotonic_ns() < SECOND // 400, "the others follow soon"
    pass_time(0.3)
    assert found.count == 0 and len(collector.queue) == 0
    found.end()


def test_a_turn_that_nothing_is_left_over_from_is_not_followed_soon(found: DataSet) -> None:
    filled(found, range(100), 1)
    filled(found, range(100, 200), 100)
    collector = collector_of(found)
    processor.tsc += 2 * SECOND
    PACE.left = PACE_BUDGET
    now_ns = monotonic_ns()
    collector.expire(now_ns)
    assert found.count == 100 and collector.deadline_ns == now_ns + SECOND
    found.end()


def test_the_end_of_a_set_drops_its_queue_as_a_whole(found: DataSet) -> None:
    filled(found, range(3000), 10)
    collector = collector_of(found)
    found.end()
    assert found.collector is None and collector.owner is None and collector not in TIMERS.heap.entries
    assert len(collector.queue) == 3000, "not one by one: whoever frees it does so in shares"
