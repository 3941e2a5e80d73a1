"""Every order of sleeping, waking, pulling and idling, and the mistakes that this must find."""

from __future__ import annotations

import pytest

from tests.models.explorer import STEP, Answer, ModelFailure, Steps, explore
from tests.models.run_queues import RunQueues, State, Thread, WakesHere

PROGRAMS = [
    (["s", "0"], [0, 1]),  # one wakes the other
    (["s1", "0s"], [0, 1]),  # and is woken
    (["s", "y0"], [0, 0]),  # on one processor, while the other pulls
    (["s", "a"], [0, 1]),  # a signal
    (["s", "0a"], [0, 1]),  # an event and a signal
    (["s", "0", "a"], [0, 1, 1]),  # at once
    (["s1s", "0s0"], [0, 0]),
]


@pytest.mark.parametrize("model", [RunQueues, WakesHere])
@pytest.mark.parametrize(("programs", "homes"), PROGRAMS)
def test_each_thread_runs_to_its_end_on_one_processor_at_a_time(
    model: type[RunQueues], programs: list[str], homes: list[int]
) -> None:
    assert explore(lambda: model(programs, homes)).states > 50


class PullsAnyThread(RunQueues):
    """Pulls a thread whose processor has not switched away from it."""

    def may_move(self, number: int) -> bool:
        return True


class LooksBeforeItEntersTheList(RunQueues):
    """Looks for the event before the thread is on the list."""

    def sleep(self, thread: Thread) -> Answer:
        yield STEP
        if thread.event.happened:
            thread.event.happened = False
            return False
        yield STEP
        thread.event.sleeper = thread
        thread.state = State.SLEEPING
        return True


class LooksForSignalsFirst(RunQueues):
    """Looks for signals before the thread is SLEEPING."""

    def sleep(self, thread: Thread) -> Answer:
        yield STEP
        if thread.has_signal:
            thread.has_signal = False
            return False
        yield STEP
        if thread.event.happened:
            thread.event.happened = False
            return False
        thread.event.sleeper = thread
        thread.state = State.SLEEPING
        return True


class WakesByLoadAndStore(RunQueues):
    """Two wakers may both find the thread asleep."""

    def end_sleep(self, index: int, number: int) -> Steps:
        thread = self.threads_[number]
        yield STEP
        if thread.state is State.SLEEPING:
            yield STEP
            thread.state = State.READY
            yield from self.make_ready(index, number)


class HaltsUnseen(RunQueues):
    """Says that it is idle only after it has given back the lock of its empty queue."""

    def wait_for_work(self, index: int) -> Steps:
        own = self.processors[index]
        own.lock_is_held = False
        yield STEP
        own.is_idle = True
        yield lambda: own.interrupted or self.is_over()
        own.interrupted = False
        own.is_idle = False


class ForgetsToInterrupt(RunQueues):
    """Queues a thread at an idle processor, and does not say so."""

    def make_ready(self, index: int, number: int) -> Steps:
        home = self.processors[self.threads_[number].home]
        yield from self.lock(home)
        self.enqueue(self.threads_[number].home, number)
        yield STEP
        home.lock_is_held = False


@pytest.mark.parametrize(
    ("model", "programs", "homes"),
    [
        (PullsAnyThread, ["s", "0"], [0, 1]),
        (LooksBeforeItEntersTheList, ["s", "0"], [0, 1]),
        (LooksForSignalsFirst, ["s", "a"], [0, 1]),
        (WakesByLoadAndStore, ["s", "0", "a"], [0, 1, 1]),
        (HaltsUnseen, ["s", "0"], [0, 1]),
        (ForgetsToInterrupt, ["s", "0"], [0, 1]),
    ],
)
def test_mistakes_are_found(model: type[RunQueues], programs: list[str], homes: list[int]) -> None:
    with pytest.raises(ModelFailure):
        explore(lambda: model(programs, homes))
