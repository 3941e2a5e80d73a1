"""Every order of unlocked calls, stores and passes, and the mistakes that this must find."""

from __future__ import annotations

import pytest

from tests.models.explorer import STEP, ModelFailure, Steps, explore
from tests.models.unlocked import Object, Processor, Unlocked

PROGRAMS = [
    ["u", "rp"],
    ["uu", "rp"],
    ["uu", "rprp"],
    ["u", "u", "rp"],
    ["ur", "rp"],
    ["up", "rp"],
    ["b", "rp"],
    ["ub", "rrp"],
    ["u", "r", "p"],
]


@pytest.mark.parametrize("programs", PROGRAMS, ids=".".join)
def test_an_unlocked_call_follows_no_reference_to_a_freed_object(programs: list[str]) -> None:
    assert explore(lambda: Unlocked(programs)).states > 20


class LoadsBeforeItIsSeen(Unlocked):
    """Loads, and says only then that it is in a section: what a missing fence amounts to."""

    def enter_and_load(self, processor: Processor) -> Steps:
        processor.holds = self.field
        yield STEP
        processor.sections += 1


class DoesNotWait(Unlocked):
    """The pass frees at once."""

    def wait_for_sections(self) -> Steps:
        yield STEP


class WaitsBeforeItHasTheLock(Unlocked):
    """The pass waits first: fields still change then."""

    def take_lock(self) -> Steps:
        yield from super().wait_for_sections()
        yield STEP
        yield from super().take_lock()

    def wait_for_sections(self) -> Steps:
        yield STEP


class WaitsForAnEvenNumberOnce(Unlocked):
    """Sees that a processor is in a section, and asks only whether it ever was in another one."""

    def wait_for_sections(self) -> Steps:
        for each in self.processors:
            yield STEP
            seen = each.sections
            if seen & 1 != 0:
                yield lambda each=each: each.sections > 0  # type: ignore[misc]  # bound now


class TakesTheLockInside(Unlocked):
    """An unlocked call comes to need the lock."""

    def call(self, processor: Processor) -> Steps:
        yield from self.enter_and_load(processor)
        yield from self.take_lock()
        self.give_lock()
        self.leave(processor)


class FailsInside(Unlocked):
    """What went wrong in a section waits for the lock before it is out of it."""

    def fail(self, processor: Processor) -> Steps:
        yield from self.enter_and_load(processor)
        yield from self.take_lock()
        yield STEP
        self.leave(processor)
        self.give_lock()


class FailsWithWhatItHas(Unlocked):
    """What went wrong uses the section's references once it has the lock."""

    def fail(self, processor: Processor) -> Steps:
        yield from self.enter_and_load(processor)
        yield STEP
        processor.sections += 1
        yield from self.take_lock()
        self.use(processor)
        processor.holds = None
        self.give_lock()


class KeepsIt(Unlocked):
    """Uses a reference after the section."""

    def call(self, processor: Processor) -> Steps:
        yield from self.enter_and_load(processor)
        yield STEP
        processor.sections += 1
        yield STEP
        self.use(processor)
        processor.holds = None


class StoresInside(Unlocked):
    """An unlocked call replaces what the field refers to, and so writes to the table that the lock guards."""

    def call(self, processor: Processor) -> Steps:
        yield from self.enter_and_load(processor)
        yield STEP
        old = self.field
        self.field = Object()
        self.replaced += 1
        yield from self.note(old)
        self.leave(processor)


@pytest.mark.parametrize(
    ("model", "programs"),
    [
        (LoadsBeforeItIsSeen, ["u", "rp"]),
        (DoesNotWait, ["u", "rp"]),
        (WaitsBeforeItHasTheLock, ["u", "r", "p"]),
        (WaitsForAnEvenNumberOnce, ["u", "rp"]),
        (TakesTheLockInside, ["u", "rp"]),
        (FailsInside, ["b", "rp"]),
        (FailsWithWhatItHas, ["b", "rp"]),
        (KeepsIt, ["u", "rp"]),
        (StoresInside, ["u", "r"]),
    ],
)
def test_mistakes_are_found(model: type[Unlocked], programs: list[str]) -> None:
    with pytest.raises(ModelFailure):
        explore(lambda: model(programs))
