"""Spin locks under CPython."""

import pytest

from kernel.lang import Errno, Panic, SpinLock, ranked


@ranked(10)
class DoorLock(SpinLock):
    pass


class Door:
    def __init__(self) -> None:
        self.lock = DoorLock()


def test_a_lock_is_given_back_whatever_ends_the_block() -> None:
    door, other = Door(), Door()
    for _ in range(2):
        with door.lock, other.lock:
            assert door.lock.word.held == 1
        assert door.lock.word.held == other.lock.word.held == 0
    with pytest.raises(Errno), door.lock:
        raise Errno(5)
    assert door.lock.word.held == 0


def test_waiting_for_oneself_is_a_panic() -> None:
    door = Door()
    with door.lock, pytest.raises(Panic, match="never given back"):
        door.lock.__enter__()
