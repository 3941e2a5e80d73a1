"""Every order in which processors take the kernel lock, and the mistakes that this must find."""

from __future__ import annotations

import pytest

from tests.models.explorer import STEP, Answer, ModelFailure, Steps, explore
from tests.models.kernel_lock import KernelLock, LockModel


@pytest.mark.parametrize(("processors", "turns"), [(2, 2), (3, 1)])
def test_one_at_a_time_and_nobody_waits_for_ever(processors: int, turns: int) -> None:
    explored = explore(lambda: LockModel(KernelLock(processors), processors, turns))
    assert explored.states > 50


class LoadsAndStores(KernelLock):
    """Takes the lock by a load and a store instead of an exchange."""

    def try_it(self) -> Answer:
        yield STEP
        was_held = self.held
        yield STEP
        self.held = True
        return not was_held


class LooksAndThenHalts(KernelLock):
    """Announces that it halts only after its last look."""

    def halt(self, me: int) -> Steps:
        yield STEP
        if self.held:
            yield STEP
            self.halts[me] = True
            yield lambda: self.interrupted[me]
            self.interrupted[me] = False


class LooksAndThenGives(KernelLock):
    """Looks who halts before the lock is free: what a processor may do with a store and a later load."""

    def release(self) -> Steps:
        yield from self.wake_one()
        yield STEP
        self.held = False


class WakesNobody(KernelLock):
    """Leaves those that halt to other interrupts."""

    def wake_one(self) -> Steps:
        yield STEP


@pytest.mark.parametrize("lock", [LoadsAndStores, LooksAndThenHalts, LooksAndThenGives, WakesNobody])
def test_mistakes_are_found(lock: type[KernelLock]) -> None:
    with pytest.raises(ModelFailure):
        explore(lambda: LockModel(lock(2), 2, 2))
