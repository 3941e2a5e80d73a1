"""A thread that a bug ended leaves nothing that others wait for."""

from collections.abc import Iterator

import pytest

from kernel.lang import EIO, Errno
from kernel.sched import Mutex, Obligation, ThreadState, lose_thread
from kernel.sched.processor import RUNNING, this_processor
from kernel.sched.thread import Thread, enter_list, leave_list


@pytest.fixture
def lost() -> Iterator[Thread]:
    """A thread that runs, and will be lost."""
    before = RUNNING.current
    RUNNING.current = Thread(b"lost")
    enter_list(RUNNING.current)
    yield RUNNING.current
    leave_list(RUNNING.current)
    RUNNING.current = before


def test_a_mutex_whose_owner_was_lost_answers_eio(lost: Thread) -> None:
    mutex = Mutex()
    mutex.acquire()
    lose_thread(lost)
    for _ in range(2):
        with pytest.raises(Errno) as caught:
            mutex.acquire()
        assert caught.value.code == EIO
    assert not mutex.try_acquire()


def test_a_thread_that_waits_for_the_lost_one_looks_again(lost: Thread) -> None:
    waiter, other = Thread(b"waiter"), Thread(b"other")
    for each in (waiter, other):
        each.state = ThreadState.WAITING
        enter_list(each)
    waiter.waits_for = lost
    try:
        lose_thread(lost)
        assert waiter.state == ThreadState.READY and other.state == ThreadState.WAITING
    finally:
        this_processor().queue.remove(waiter)
        for each in (waiter, other):
            leave_list(each)


class Noted(Obligation):
    def __init__(self, name: str, broken: list[str]) -> None:
        super().__init__()
        self.name = name
        self.broken = broken

    def broken_off(self) -> None:
        self.broken.append(self.name)


def test_what_it_owes_is_broken_off_and_what_was_settled_is_not(lost: Thread) -> None:
    broken: list[str] = []
    first, second, third = (Noted(name, broken) for name in ("first", "second", "third"))
    for each in (first, second, third):
        each.owe()
    second.settle()
    second.settle()  # fine if it is settled already
    lose_thread(lost)
    assert broken == ["third", "first"]
    assert lost.owed is None
