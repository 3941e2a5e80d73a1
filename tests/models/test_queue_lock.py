"""Every order in which processors take the kernel lock, and the mistakes that this must find."""

from __future__ import annotations

import pytest

from tests.models.explorer import STEP, ModelFailure, Steps, explore
from tests.models.queue_lock import LockModel, Node, QueueLock


@pytest.mark.parametrize("may_halt", [False, True])
@pytest.mark.parametrize(("processors", "turns"), [(2, 2), (3, 1)])
def test_one_at_a_time_and_nobody_waits_for_ever(processors: int, turns: int, may_halt: bool) -> None:
    explored = explore(lambda: LockModel(QueueLock(), processors, turns, may_halt))
    assert explored.states > 50


class ForgetsTheLateOne(QueueLock):
    """Frees the lock without a look at who has entered the queue meanwhile."""

    def release(self, node: Node) -> Steps:
        yield STEP
        if node.next is None:
            yield STEP
            self.tail = None
            return
        yield STEP
        node.next.waits = False


class LoadsAndStores(QueueLock):
    """Enters the queue by a load and a store instead of an exchange."""

    def acquire(self, node: Node, may_halt: bool) -> Steps:
        node.next = None
        node.waits = True
        yield STEP
        previous = self.tail
        yield STEP
        self.tail = node
        if previous is not None:
            yield STEP
            previous.next = node
            yield lambda: not node.waits


class LooksAndThenHalts(QueueLock):
    """Says that it halts only after its last look."""

    def halt(self, node: Node) -> Steps:
        while True:
            yield STEP
            if not node.waits:
                return
            yield STEP
            node.halts = True
            yield lambda: node.interrupted
            node.interrupted = False


@pytest.mark.parametrize("lock", [ForgetsTheLateOne, LoadsAndStores, LooksAndThenHalts])
def test_mistakes_are_found(lock: type[QueueLock]) -> None:
    with pytest.raises(ModelFailure):
        explore(lambda: LockModel(lock(), 2, 2, may_halt=lock is LooksAndThenHalts))
