"""Every order of uses, absences and a shoot-down, and the mistakes that this must find."""

from __future__ import annotations

import pytest

from tests.models.explorer import STEP, ModelFailure, Steps, explore
from tests.models.shoot_down import NOTHING, Processor, ShootDown

PROGRAMS = [["uuu", "d"], ["uibu", "ud"], ["uibibu", "d"], ["ud", "ud"], ["uu", "ud", "u"], ["uib", "d", "d"]]


@pytest.mark.parametrize("programs", PROGRAMS, ids=".".join)
def test_no_frame_is_used_after_it_was_given_back(programs: list[str]) -> None:
    assert explore(lambda: ShootDown(programs)).states > 50


class DoesNotWait(ShootDown):
    """Gives the frame back as soon as all were asked."""

    def ask_others(self, processor: Processor) -> Steps:
        for other in self.processors:
            if other is not processor:
                yield STEP
                if not other.lazy:
                    other.is_asked = True


class ComparesBeforeItIsSeen(ShootDown):
    """Compares generations first, and says only then that it is back: what a missing fence amounts to."""

    def come_back(self, processor: Processor) -> Steps:
        yield STEP
        generation = self.space.generation
        if generation != processor.flushed_at:
            processor.flushed_at = generation
            processor.translation = NOTHING
        yield STEP
        processor.lazy = False


class WaitsSilently(ShootDown):
    """Waits for the lock with interrupts off, and answers nobody."""

    def acquire(self, processor: Processor) -> Steps:
        yield lambda: not self.lock_is_held
        self.lock_is_held = True


class ClearsTheEntryLast(ShootDown):
    """Asks for flushes before the entry of the table is cleared: a program may load it again."""

    def unmap(self, processor: Processor) -> Steps:
        yield from self.acquire(processor)
        yield STEP
        self.space.generation += 1
        processor.translation = NOTHING
        yield from self.ask_others(processor)
        yield STEP
        self.space.entry = NOTHING
        yield STEP
        self.space.free = True
        self.lock_is_held = False


@pytest.mark.parametrize(
    ("model", "programs"),
    [
        (DoesNotWait, ["uuu", "d"]),
        (ComparesBeforeItIsSeen, ["uibu", "d"]),
        (WaitsSilently, ["ud", "ud"]),
        (ClearsTheEntryLast, ["uuu", "d"]),
    ],
)
def test_mistakes_are_found(model: type[ShootDown], programs: list[str]) -> None:
    with pytest.raises(ModelFailure):
        explore(lambda: model(programs))
