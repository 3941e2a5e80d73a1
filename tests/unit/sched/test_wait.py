"""Wait queues: who hears of a wake."""

from kernel.sched.poller import PollWaiter
from kernel.sched.wait import Waiter, WaitQueue


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
