"""What the end of a unix socket frees, counted with others at work."""

import pytest

from kernel.net.sockets.socket import SOCKET_BYTES
from kernel.net.unix.contents import _COUNTING
from kernel.net.unix.unreachable import collect
from kernel.sched import WaitQueue
from kernel.task.memory_shortage import COUNTS
from tests.unit.effort import FEW, longest_stretch
from tests.unit.meanwhile import meanwhile
from tests.unit.net.unix.test_rights import put, sockets, take_one

COUNT = 2000


def new_count() -> int:
    COUNTS.last += 1
    return COUNTS.last


def test_each_socket_counts_once_whatever_leads_to_it() -> None:
    first, second, held = sockets(3)
    for holder in (first, second):
        put(holder, [held])
    put(held, [first])
    alone = held.held_bytes()
    assert alone > SOCKET_BYTES and first.held_bytes() == alone
    count = new_count()
    assert first.counted_bytes(count) == 2 * alone
    assert first.counted_bytes(count) == held.counted_bytes(count) == 0
    assert second.counted_bytes(count) == alone
    assert second.counted_bytes(new_count()) == 3 * alone
    for file in take_one(first):
        file.release()
    assert first.held_bytes() == SOCKET_BYTES
    for each in (first, second, held):
        each.release()
    collect()


def test_great_contents_are_counted_with_safe_points() -> None:
    (holder,) = sockets(1)
    sent = sockets(COUNT)
    for each in sent:
        put(holder, [each])
        put(each, [holder])
    assert longest_stretch(lambda: holder.counted_bytes(new_count())) < FEW
    with meanwhile(lambda: None, 2 * COUNT):
        assert holder.counted_bytes(new_count()) == sum(each.held_bytes() for each in (holder, *sent))
    for each in (holder, *sent):
        each.release()
    collect()
    assert holder.is_dead


def test_what_is_counted_may_be_received_and_closed_meanwhile() -> None:
    holder, *sent = sockets(11)
    for each in sent:
        put(holder, [each])

    def others() -> None:
        for _ in range(10):
            for file in take_one(holder):
                file.release()
        for each in sent:
            each.release()

    with meanwhile(others, 4):
        held = holder.counted_bytes(new_count())
    assert 3 * SOCKET_BYTES < held < 11 * holder.held_bytes() + 10_000
    assert not _COUNTING.is_under_way and _COUNTING.found is None
    assert all(each.is_dead and each.next_counted is None for each in sent)
    holder.release()


def test_one_count_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another waits for the end of the first."""
    first, second = sockets(2)

    def wait(_: WaitQueue) -> None:
        seen.append(_COUNTING.is_under_way)
        _COUNTING.is_under_way = False

    seen: list[bool] = []
    monkeypatch.setattr(WaitQueue, "wait", wait)
    monkeypatch.setattr(_COUNTING, "is_under_way", True)
    assert second.counted_bytes(new_count()) == SOCKET_BYTES
    assert seen == [True] and not _COUNTING.is_under_way
    first.release()
    second.release()
