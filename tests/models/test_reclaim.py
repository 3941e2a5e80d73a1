"""Every order of loads, stores, sleeps and a reclaim pass, and the mistakes that this must find."""

from __future__ import annotations

import pytest

from tests.models.explorer import STEP, ModelFailure, Steps, explore
from tests.models.reclaim import Processor, Reclaim

PROGRAMS = [
    ["lcu"],
    ["lcsu", "lu"],
    ["lcscu", "-lu"],
    ["lcs", "-lcu"],
    ["lczu"],
    ["lczsu", "lcu"],
    ["cgu", "lu"],
    ["lczu", "gu"],
    ["c", "lsu", "gu"],
]


@pytest.mark.parametrize("programs", PROGRAMS, ids=".".join)
def test_what_a_stack_holds_is_not_freed_and_nothing_is_lost(programs: list[str]) -> None:
    assert explore(lambda: Reclaim(programs)).states > 50


class DoesNotWait(Reclaim):
    """Frees what has no count and is on no sleeping stack."""

    def wait_for_others(self) -> Steps:
        yield STEP


class TracesLater(Reclaim):
    """Subtracts first, and marks in a second step."""

    def drop(self) -> Steps:
        self.object.count -= 1
        reached_zero = self.object.count == 0
        yield STEP
        if reached_zero and self.object.count == 0:
            self.object.is_traced = True


class TracesAlways(Reclaim):
    """Subtracts first, and marks in a second step, whatever the count is by then."""

    def drop(self) -> Steps:
        self.object.count -= 1
        reached_zero = self.object.count == 0
        yield STEP
        if reached_zero:
            self.object.is_traced = True
            yield STEP


class WaitsTwice(TracesAlways):
    """Marks in a second step; the pass waits for that before it frees what seems dead, and keeps all else."""

    def decide(self) -> Steps:
        seems_dead = self.object.count == 0 and not self.object.is_traced and not self.object.is_marked
        yield STEP
        if seems_dead:
            yield from self.wait_for_others()
            yield from super().decide()
        elif self.object.count == 0:
            self.object.is_traced = True  # it keeps its entry


@pytest.mark.parametrize("programs", PROGRAMS, ids=".".join)
def test_a_second_wait_does_instead_of_a_mark_in_the_same_step(programs: list[str]) -> None:
    assert explore(lambda: WaitsTwice(programs)).states > 50


class StoresByLoadAndStore(Reclaim):
    """Two processors drop the same old reference."""

    def store(self, refers: bool) -> Steps:
        if refers:
            self.object.count += 1
        yield STEP
        before = self.field
        yield STEP
        self.field = refers
        if before:
            yield STEP
            yield from self.drop()


class ForgetsSleepers(Reclaim):
    """A thread that sleeps is not looked at: a switch counts as having left the kernel."""

    def mark(self, processor: Processor) -> None:
        pass


class GoesOnUnseen(Reclaim):
    """A thread that goes on during a pass does not look at its stack."""

    def go_on(self, processor: Processor) -> Steps:
        processor.in_kernel = True
        yield STEP
        processor.sleeps = False


class LooksBeforeItIsInTheKernel(Reclaim):
    """A thread that goes on asks for a pass before it is counted as in the kernel."""

    def go_on(self, processor: Processor) -> Steps:
        if self.is_active:
            self.mark(processor)
        yield STEP
        processor.sleeps = False
        yield STEP
        processor.in_kernel = True


class GetsUntraced(Reclaim):
    """A weak reference gives its target away without a trace."""

    def get_weak(self, processor: Processor) -> Steps:
        if self.weak:
            processor.holds = True
        yield STEP


@pytest.mark.parametrize(
    ("model", "programs"),
    [
        (DoesNotWait, ["lcu"]),
        (TracesLater, ["lcs", "-lcu"]),
        (TracesAlways, ["lcs", "-lcu"]),
        (StoresByLoadAndStore, ["c", "c"]),
        (ForgetsSleepers, ["lczu"]),
        (GoesOnUnseen, ["lczu"]),
        (LooksBeforeItIsInTheKernel, ["lczu"]),
        (GetsUntraced, ["c", "-gu"]),
    ],
)
def test_mistakes_are_found(model: type[Reclaim], programs: list[str]) -> None:
    with pytest.raises(ModelFailure):
        explore(lambda: model(programs))
