"""Calls that store references without the kernel lock beside a pass, in every order, and the mistakes to be found."""

from __future__ import annotations

import pytest

from tests.models.closed_doors import OBJECT, ClosedDoors, Processor
from tests.models.explorer import STEP, ModelFailure, Steps, explore

PROGRAMS = [
    ["lcu", "!p"],
    ["lcsu", "lu", "!p"],
    ["lcscu", "lsu"],
    ["lcs", "lcu", "!p"],
    ["lc lu", "!p !p"],
    ["!lczu", "!p"],
    ["!lczsu", "lc", "!p"],
    ["!lczu", "gsu", "!p"],
    ["c", "gu", "!p"],
    ["c", "gsu", "!p"],
    ["gscu", "lcu", "!p"],
    ["lcn", "!nc", "!p"],
    ["nlcu", "c !p", "gs"],
    ["n n n", "!p"],
]


@pytest.mark.parametrize("programs", PROGRAMS, ids=".".join)
def test_what_a_stack_holds_is_not_freed_and_nothing_is_lost(programs: list[str]) -> None:
    assert explore(lambda: ClosedDoors(programs)).states > 50


class StoresUnderALock(ClosedDoors):
    """A lock guards the field, for calls with the kernel lock as well: then a load and a store do for an exchange."""

    def __init__(self, programs: list[str]) -> None:
        super().__init__(programs)
        self.field_is_locked = False

    def store(self, processor: Processor, refers: bool) -> Steps:
        yield lambda: not self.field_is_locked
        self.field_is_locked = True
        before = self.field
        yield STEP
        if refers:
            yield from self.count()
        self.field = refers
        yield STEP
        if before:
            yield from self.drop(processor)
        self.field_is_locked = False


@pytest.mark.parametrize("programs", [["c", "c"], ["lsc", "lc"], ["lcs", "c", "!p"], ["!lczsu", "c !p"]], ids=".".join)
def test_what_a_lock_guards_needs_no_exchange(programs: list[str]) -> None:
    assert explore(lambda: StoresUnderALock(programs)).states > 50


class LeavesThemOpen(ClosedDoors):
    """Waits for the sections that run, and lets others begin."""

    def close(self) -> Steps:
        yield STEP


class DoesNotWait(ClosedDoors):
    """Closes the doors, with sections inside."""

    def wait_for_sections(self) -> Steps:
        yield STEP


class LooksBeforeItCloses(ClosedDoors):
    """The pass asks for sections before it closes the doors."""

    def close_and_wait(self) -> Steps:
        yield from self.wait_for_sections()
        yield from self.close()


class LooksBeforeItCounts(ClosedDoors):
    """A section looks at the door before it says that it is one."""

    def call(self, processor: Processor, letters: str) -> Steps:
        if processor.door_is_closed:
            yield from self.call_with_lock(processor, letters)
            return
        yield STEP
        processor.sections += 1
        yield from self.act(processor, letters)
        processor.holds = False
        yield STEP
        processor.sections += 1


class StoresByLoadAndStore(ClosedDoors):
    """Two processors drop the same old reference."""

    def store(self, processor: Processor, refers: bool) -> Steps:
        if refers:
            yield from self.count()
        before = self.field
        yield STEP
        self.field = refers
        if before:
            yield STEP
            yield from self.drop(processor)


class CountsAfterwards(ClosedDoors):
    """Others find the reference in the field before it is counted."""

    def store(self, processor: Processor, refers: bool) -> Steps:
        before = self.field
        self.field = refers
        yield STEP
        if refers:
            yield from self.count()
        if before:
            yield from self.drop(processor)


class MarksInTwoSteps(ClosedDoors):
    """Two processors that both saw a zero write an entry each."""

    def reach_zero(self, processor: Processor) -> Steps:
        if self.object.count == 0 and not self.object.in_table:
            yield STEP
            self.object.in_table = True
            yield STEP
            yield from self.enter(processor, OBJECT)


class SharesATable(ClosedDoors):
    """All processors write to the table of the first."""

    def table_of(self, processor: Processor) -> Processor:
        return self.processors[0]


class DoesNotAskForTheStock(ClosedDoors):
    """A call begins although an earlier one has used the stock."""

    def is_used_up(self, processor: Processor) -> bool:
        return False


class OverwritesTheWord(ClosedDoors):
    """A thread that goes on sees the count come to zero, and then stores the whole word."""

    def let_go(self, processor: Processor) -> Steps:
        yield STEP
        self.object.count -= 1
        if self.object.count == 0:
            yield STEP
            self.object.count = 0
            self.object.in_table = True
            yield from self.enter(processor, OBJECT)


@pytest.mark.parametrize(
    ("model", "programs"),
    [
        (LeavesThemOpen, ["c", "gu", "!p"]),
        (DoesNotWait, ["lcu", "!p"]),
        (LooksBeforeItCloses, ["c", "gu", "!p"]),
        (LooksBeforeItCounts, ["lcu", "!p"]),
        (StoresByLoadAndStore, ["c", "c"]),
        (CountsAfterwards, ["ls", "c c"]),
        (MarksInTwoSteps, ["lcsc", "lsc"]),
        (SharesATable, ["n", "!n"]),
        (DoesNotAskForTheStock, ["n n"]),
        (OverwritesTheWord, ["!lcz", "gs", "!p"]),
    ],
)
def test_mistakes_are_found(model: type[ClosedDoors], programs: list[str]) -> None:
    with pytest.raises(ModelFailure):
        explore(lambda: model(programs))
