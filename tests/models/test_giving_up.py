"""Every order of calls that come to absent pages, unmapping and passes, and the mistakes that this must find."""

from __future__ import annotations

import pytest

from tests.models.explorer import STEP, ModelFailure, Steps, explore
from tests.models.giving_up import NEW, Frame, GivingUp, Processor

PROGRAMS = [["w", "m"], ["ww", "m"], ["w", "mp"], ["w", "w", "m"], ["r", "m"], ["rw", "m"], ["w", "m", "p"]]


@pytest.mark.parametrize("absent", [(), (0,), (1,), (0, 1)], ids=str)
@pytest.mark.parametrize("programs", PROGRAMS, ids=".".join)
def test_a_call_is_made_as_a_whole(programs: list[str], absent: tuple[int, ...]) -> None:
    assert explore(lambda: GivingUp(programs, absent)).states > 10


class AsksNoSections(GivingUp):
    """Whoever unmaps does not ask processors that are in a section."""

    def must_ask(self, other: Processor) -> bool:
        return other.sections & 1 == 0


class WaitsInside(GivingUp):
    """Waits for the lock in the section: a pass waits for it in turn."""

    def give_up(self, processor: Processor) -> Steps:
        self.given_up += 1
        yield from self.acquire(processor)
        processor.sections += 1


class WaitsSilently(GivingUp):
    """Answers no shoot-down while it waits for the lock."""

    def give_up(self, processor: Processor) -> Steps:
        processor.sections += 1
        yield lambda: not self.lock_is_held
        self.lock_is_held = True


class FreesFirst(GivingUp):
    """Gives the frame back before the others have answered."""

    def unmap(self, processor: Processor) -> Steps:
        yield from self.acquire(processor)
        yield STEP
        frame = self.table[1]
        self.table[1] = None
        if frame is not None:
            frame.is_free = True
            yield from self.ask_others(processor)
        yield STEP
        self.lock_is_held = False


class GoesOnInTheMiddle(GivingUp):
    """Made with the lock, the call leaves the first word out: it may have given up there."""

    def write_with_the_lock(self) -> Steps:
        for page in range(2):
            if self.table[page] is None:
                self.table[page] = Frame()
        yield STEP
        second = self.table[1]
        assert second is not None
        second.word = NEW[1]
        yield STEP
        self.lock_is_held = False


class ReadsAndWrites(GivingUp):
    """Swaps the two words: what is in the second goes to the first, and the other way round."""

    def __init__(self, programs: list[str], absent: tuple[int, ...] = ()) -> None:
        super().__init__(programs, absent)
        for page, frame in enumerate(self.table):
            assert frame is not None
            frame.word = NEW[1 - page]

    def write(self, processor: Processor) -> Steps:
        """The second page may be written only under the lock: the processor faults there."""
        processor.sections += 1
        yield STEP
        first, second = self.table
        assert first is not None and second is not None
        first.word = second.word
        yield from self.give_up(processor)
        first.word, second.word = second.word, first.word
        self.lock_is_held = False


@pytest.mark.parametrize(
    ("model", "programs", "absent"),
    [
        (AsksNoSections, ["ww", "m"], ()),
        (WaitsInside, ["w", "p"], (1,)),
        (WaitsSilently, ["w", "m"], (0,)),
        (FreesFirst, ["ww", "m"], ()),
        (GoesOnInTheMiddle, ["w"], (0,)),
        (ReadsAndWrites, ["w"], ()),
    ],
)
def test_mistakes_are_found(model: type[GivingUp], programs: list[str], absent: tuple[int, ...]) -> None:
    with pytest.raises(ModelFailure):
        explore(lambda: model(programs, absent))
