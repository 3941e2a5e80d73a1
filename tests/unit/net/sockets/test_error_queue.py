"""Notices of sends with MSG_ZEROCOPY: each number is in one, in order, whatever fails in between."""

import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.lang import EAGAIN, Errno
from kernel.net.internet.sysctl import CORE
from kernel.net.internet.transport import NetworkError
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.sockets import error_queue
from kernel.net.sockets.error_queue import NOTHING_MORE, QueuedError, ZeroCopies, control_of_error

WRAP = 1 << 32


def numbers(errors: list[QueuedError]) -> list[tuple[int, int]]:
    return [(entry.error.info, entry.error.data) for entry in errors]


def test_unread_notices_join() -> None:
    copies = ZeroCopies([])
    copies.sent(1)
    copies.sent(2)
    assert numbers(copies.errors) == [(0, 2)]
    copies.errors.append(QueuedError(NetworkError(EAGAIN, is_hard=False), b"", b"", 0))
    copies.sent(1)
    assert numbers(copies.errors)[-1] == (3, 3)
    copies.errors.clear()
    copies.sent(1)
    assert numbers(copies.errors) == [(4, 4)]


def test_numbers_wrap() -> None:
    copies = ZeroCopies([])
    copies.next_number = WRAP - 1
    copies.sent(1)
    copies.sent(1)
    assert numbers(copies.errors) == [(WRAP - 1, 0)]


def test_a_stream_tells_what_the_peer_has() -> None:
    copies = ZeroCopies([])
    first = copies.begin(100)
    copies.taken(first, 200)
    second = copies.begin(200)
    assert second is not first
    copies.taken(second, 300)
    assert not copies.done(199) and copies.errors == []
    assert copies.done(250) and numbers(copies.errors) == [(0, 0)]
    assert copies.done(NOTHING_MORE) and numbers(copies.errors) == [(0, 1)]


def test_a_send_joins_one_that_still_waits() -> None:
    copies = ZeroCopies([])
    first = copies.begin(100)
    copies.taken(first, 200)
    assert copies.begin(150) is first
    assert not copies.done(NOTHING_MORE)  # it goes on
    copies.taken(first, 250)
    assert not copies.done(200)
    assert copies.done(250) and numbers(copies.errors) == [(0, 1)]


def test_what_nothing_was_taken_of_has_no_number() -> None:
    copies = ZeroCopies([])
    copies.abandon(copies.begin(100))
    assert copies.pending == [] and copies.next_number == 0
    sends = copies.begin(100)
    copies.taken(sends, 200)
    copies.abandon(copies.begin(150))
    assert copies.next_number == 1 and copies.done(200)
    assert numbers(copies.errors) == [(0, 0)]


def test_one_thread_fails_while_another_sends() -> None:
    """The number is used up, and reported."""
    copies = ZeroCopies([])
    failing = copies.begin(100)
    other = copies.begin(100)
    assert other is not failing  # it does not join one that goes on
    copies.abandon(failing)
    copies.taken(other, 200)
    assert copies.done(200) and numbers(copies.errors) == [(0, 1)]


@settings(max_examples=100)
@given(st.integers(0, 1 << 30))
def test_each_number_is_told_once(seed: int) -> None:
    chance = random.Random(seed)
    copies = ZeroCopies([])
    end = sent_to = acknowledged = 1000
    told = 0
    for _ in range(60):
        match chance.randrange(5):
            case 0 | 1:
                sends = copies.begin(sent_to)
                if chance.random() < 0.3:
                    copies.abandon(sends)
                else:
                    end += chance.randrange(1, 50)
                    copies.taken(sends, end)
            case 2:
                sent_to = chance.randint(sent_to, end)
            case 3:
                acknowledged = chance.randint(acknowledged, sent_to)
                copies.done(acknowledged)
            case _:
                for first, last in numbers(copies.errors):
                    assert first == told and last >= first
                    told = last + 1
                copies.errors.clear()
    copies.done(end)
    for first, last in numbers(copies.errors):
        assert first == told
        told = last + 1
    assert told == copies.next_number and copies.pending == []


def test_without_memory_a_notice_comes_later(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(list[QueuedError]):
        is_full = True

        def append(self, entry: QueuedError) -> None:
            if self.is_full:
                raise MemoryError
            super().append(entry)

    errors = Full()
    copies = ZeroCopies(errors)
    copies.sent(1)
    copies.sent(1)
    assert errors == []
    errors.is_full = False
    copies.tell_late()
    copies.tell_late()
    assert numbers(errors) == [(0, 1)]
    errors.clear()
    copies.taken(copies.begin(0), 10)
    errors.is_full = True
    assert not copies.done(10)
    errors.is_full = False
    assert copies.done(10) and numbers(errors) == [(2, 2)]

    def fail(first: int, last: int) -> QueuedError:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(error_queue, "_notice", fail)
        copies.sent(1)
        with pytest.raises(MemoryError):
            copies.begin(20)
    copies.tell_late()
    assert numbers(errors) == [(2, 3)]


def test_too_many_notices() -> None:
    copies = ZeroCopies([])
    before = CORE.optmem_max.of(FIRST_NETWORK)
    try:
        CORE.optmem_max.set(FIRST_NETWORK, 2000)
        for _ in range(2):
            copies.check_room(FIRST_NETWORK)
            copies.taken(copies.begin(0), 0)
        with pytest.raises(Errno):
            copies.check_room(FIRST_NETWORK)
        copies.done(0)
        copies.check_room(FIRST_NETWORK)  # both are in one notice
    finally:
        CORE.optmem_max.set(FIRST_NETWORK, before)


@pytest.mark.parametrize(("is_ip4", "level", "kind", "size"), [(True, 0, 11, 32), (False, 41, 25, 44)])
def test_how_a_notice_is_told(is_ip4: bool, level: int, kind: int, size: int) -> None:
    copies = ZeroCopies([])
    copies.next_number = 5
    copies.sent(3)
    (message,) = control_of_error(copies.errors[0].error, is_ip4=is_ip4)
    assert (message.level, message.kind, len(message.data)) == (level, kind, size)
    assert message.data == struct.pack("<IBBBBII", 0, 5, 0, 1, 0, 5, 7) + bytes(size - 16)
