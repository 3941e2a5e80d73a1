"""Wait queues: who hears of a wake."""

import pytest

from kernel.sched import long_wakes, wait
from kernel.sched.long_wakes import Marks
from kernel.sched.poller import PollWaiter
from kernel.sched.thread import Thread
from kernel.sched.wait import REST, WAITERS_AT_ONCE, Waiter, WaitQueue


class Listener(Waiter):
    def __init__(self, once: bool) -> None:
        super().__init__()
        self.once = once
        self.heard = 0

    def notify(self) -> None:
        self.heard += 1


def test_wake_one_takes_the_first_sleeper_and_tells_watchers() -> None:
    queue = WaitQueue()
    watcher, first, second = Listener(False), Listener(True), Listener(True)
    for each in (watcher, first, second):
        queue.add(each)
    queue.wake_one()
    assert (watcher.heard, first.heard, second.heard) == (1, 1, 0)
    assert first.queue is None and second.queue is queue
    queue.wake_all()
    assert (watcher.heard, second.heard) == (2, 1)
    watcher.leave()
    assert queue.is_empty()


def test_removal_from_the_middle() -> None:
    queue = WaitQueue()
    waiters = [Listener(True) for _ in range(4)]
    for each in waiters:
        queue.add(each)
    waiters[1].leave()
    waiters[3].leave()
    waiters[3].leave()
    queue.wake_all()
    assert [each.heard for each in waiters] == [1, 0, 1, 0]
    assert queue.is_empty() and queue.tail is None


def test_poll_waiter_stands_on_each_queue_once() -> None:
    class Counter(PollWaiter):
        count = 0

        def notified(self) -> None:
            self.count += 1

    queues = [WaitQueue() for _ in range(3)]
    waiter = Counter()
    for queue in queues + queues:
        waiter.wait_on(queue)
    queues[0].wake_all()
    queues[2].wake_one()
    assert waiter.count == 2
    waiter.close()
    assert all(queue.is_empty() for queue in queues)


@pytest.fixture
def marks(monkeypatch: pytest.MonkeyPatch) -> Marks:
    """Marks of the test's own, whose thread is woken only in its mind."""
    made = Marks()
    made.thread = Thread(b"wakes")
    made.make_marks()
    for _ in range(made.count - 2):
        made.free = made.free.next_mark if made.free is not None else None
    monkeypatch.setattr(REST, "rest", made)
    monkeypatch.setattr(long_wakes, "wake", lambda _thread: None)
    return made


def crowd(queue: WaitQueue, count: int, once: bool) -> list[Listener]:
    listeners = [Listener(once) for _ in range(count)]
    for each in listeners:
        queue.add(each)
    return listeners


def tell_the_rest(marks: Marks) -> None:
    mark = marks.first
    assert mark is not None and mark.queue is not None
    marks.go_on(mark, mark.queue)


@pytest.mark.parametrize("once", [False, True])
def test_a_long_queue_hears_in_two_parts(marks: Marks, once: bool) -> None:
    queue = WaitQueue()
    listeners = crowd(queue, 3 * WAITERS_AT_ONCE, once)
    queue.wake_all()
    assert sum(each.heard for each in listeners) == WAITERS_AT_ONCE
    assert all(each.heard for each in listeners[:WAITERS_AT_ONCE])
    listeners[WAITERS_AT_ONCE].leave()  # the mark keeps its place
    latest = Listener(once)
    queue.add(latest)
    tell_the_rest(marks)
    assert [each.heard for each in listeners] == [1] * WAITERS_AT_ONCE + [0] + [1] * (2 * WAITERS_AT_ONCE - 1)
    assert latest.heard == 1 and marks.first is None and marks.last is None
    assert queue.is_empty() == once


def test_a_wake_that_comes_meanwhile_is_heard_by_all(marks: Marks) -> None:
    queue = WaitQueue()
    listeners = crowd(queue, 2 * WAITERS_AT_ONCE, once=False)
    queue.wake_all()
    queue.wake_all()
    tell_the_rest(marks)
    tell_the_rest(marks)
    assert [each.heard for each in listeners] == [3] * WAITERS_AT_ONCE + [2] * WAITERS_AT_ONCE
    assert marks.first is None


def test_one_sleeper_behind_many_watchers(marks: Marks) -> None:
    queue = WaitQueue()
    watchers = crowd(queue, WAITERS_AT_ONCE + 10, once=False)
    sleeper = crowd(queue, 1, once=True)[0]
    queue.wake_one()
    assert sleeper.heard == 0
    tell_the_rest(marks)
    assert sleeper.heard == 1 and all(each.heard == 1 for each in watchers)


def test_queues_take_turns(marks: Marks) -> None:
    first, second, third = WaitQueue(), WaitQueue(), WaitQueue()
    crowds = [crowd(queue, WAITERS_AT_ONCE + 1, once=False) for queue in (first, second, third)]
    for queue in (first, first, second, third):
        queue.wake_all()
    assert crowds[2][-1].heard == 1  # no mark was left for it: it was notified at once
    tell_the_rest(marks)
    assert (crowds[0][-1].heard, crowds[1][-1].heard) == (1, 0)
    tell_the_rest(marks)
    assert crowds[1][-1].heard == 1
    tell_the_rest(marks)
    assert crowds[0][-1].heard == 2 and marks.first is None


def test_there_are_marks_for_all_that_last(marks: Marks) -> None:
    for _ in range(10 * WAITERS_AT_ONCE):
        marks.add_lasting()
    assert marks.count >= marks.lasting // WAITERS_AT_ONCE


def test_a_pause_without_memory_for_its_end_lets_interrupts_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else may be ready: then only an interrupt can bring what the thread waits for."""
    done: list[str] = []

    def no_memory(queue: WaitQueue, deadline_ns: int, interruptible: bool = True) -> bool:
        assert not interruptible
        raise MemoryError

    monkeypatch.setattr(WaitQueue, "sleep_until", no_memory)
    monkeypatch.setattr(wait, "safe_point", lambda: done.append("interrupts"))
    monkeypatch.setattr(wait, "yield_now", lambda: done.append("others"))
    WaitQueue().pause(1)
    assert done == ["interrupts", "others"]
