"""What the search for unreachable unix sockets takes."""

import pytest

from kernel.net.unix import unreachable
from kernel.net.unix.datagram import DatagramSocket
from kernel.net.unix.rights import SOCKETS, SUSPICION
from kernel.net.unix.unreachable import collect
from tests.unit.effort import FEW, longest_stretch
from tests.unit.net.unix.test_rights import put, sockets

COUNT = 3000


def in_transit(count: int) -> tuple[DatagramSocket, list[DatagramSocket]]:
    """Sockets that only the queue of another one holds."""
    holder, *sent = sockets(1 + count)
    for each in sent:
        put(holder, [each])
        each.release()
    return holder, sent


def test_sockets_that_are_not_in_transit_are_not_looked_at() -> None:
    crowd = sockets(COUNT)
    put(crowd[0], [crowd[1]])
    collect()
    assert SOCKETS.steps < 20
    for each in crowd:
        each.release()
    assert SOCKETS.sockets_under_way == 0


def test_a_search_takes_safe_points_and_few_steps_for_each_one_in_transit() -> None:
    holder, sent = in_transit(COUNT)
    assert longest_stretch(collect) < FEW
    assert SOCKETS.steps < 10 * COUNT and not any(each.is_dead for each in sent)
    put(holder, [holder])
    holder.release()
    assert longest_stretch(collect) < FEW
    assert SOCKETS.steps < 10 * COUNT
    assert holder.is_dead and all(each.is_dead for each in sent) and SOCKETS.flight[0] is None


def test_closing_does_not_search_each_time_where_very_many_are_in_transit(monkeypatch: pytest.MonkeyPatch) -> None:
    """All closes take a number of steps that grows with their own, and nobody looks later if nothing has changed."""
    holder, _ = in_transit(COUNT)
    monkeypatch.setattr(SUSPICION, "is_raised", False)
    collect()
    before = SOCKETS.runs
    for each in sockets(100):
        each.release()
    assert SOCKETS.runs - before < 10 and not SUSPICION.is_raised
    one, *others = sockets(3)
    put(holder, [one])
    for each in (one, *others):
        each.release()
    assert SUSPICION.is_raised, "something was sent"
    put(holder, [holder])
    holder.release()
    collect()
    assert SOCKETS.sockets_under_way == 0


def test_a_close_finds_at_once_what_few_are_in_transit() -> None:
    ring = sockets(2)
    (other,) = sockets(1)
    put(ring[0], [ring[1]])
    put(ring[1], [ring[0]])
    ring[0].release()
    ring[1].release()
    assert not ring[0].is_dead
    SOCKETS.steps = 0
    other.release()
    assert all(each.is_dead for each in ring)


def test_what_a_dropped_queue_held_last_is_suspect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own queue holds it still."""
    holder, lost = sockets(2)
    put(lost, [lost])
    put(holder, [lost])
    lost.release()
    monkeypatch.setattr(unreachable, "_STEPS_A_CLOSE", 0)
    SOCKETS.steps = 1
    SOCKETS.credit = 0
    SOCKETS.was_changed = False
    monkeypatch.setattr(SUSPICION, "is_raised", False)
    holder.release()
    assert not lost.is_dead and SUSPICION.is_raised
    collect()
    assert lost.is_dead


def test_connections_that_wait_in_an_unreachable_listener_are_emptied() -> None:
    listener, connection, passed = sockets(3)
    put(connection, [listener])
    put(connection, [passed])
    connection.is_accepted = False
    listener.waiting.append(connection)
    passed.release()
    collect()
    assert not passed.is_dead and not listener.is_dead
    listener.release()
    collect()
    assert passed.is_dead and listener.is_dead
    listener.waiting.clear()
    connection.release()
