"""Every order of a change of a thread's mask and of a signal that is sent, and mistakes that this must find."""

from __future__ import annotations

from functools import partial

import pytest

from tests.models.explorer import STEP, Answer, ModelFailure, Steps, explore
from tests.models.signal_masks import SignalMasks, TwoMasks

BLOCKS, UNBLOCKS = True, False
CHANGES = [[BLOCKS], [UNBLOCKS], [BLOCKS, UNBLOCKS], [UNBLOCKS, BLOCKS], [BLOCKS, UNBLOCKS, BLOCKS]]


@pytest.mark.parametrize("changes", CHANGES)
@pytest.mark.parametrize("other_blocks", [False, True])
def test_no_signal_is_lost(changes: list[bool], other_blocks: bool) -> None:
    assert explore(lambda: SignalMasks(changes, other_blocks)).states > 10


class NoFence(SignalMasks):
    """The thread looks while its mask may still be in its store buffer."""

    def fence(self) -> Steps:
        yield STEP


class SenderWithoutFence(SignalMasks):
    """The sender looks at the mask while the signal may still be in its store buffer."""

    def send_fence(self) -> Steps:
        yield STEP


class NeverLooks(SignalMasks):
    def finds(self, before: bool, mask: bool) -> Answer:
        yield STEP
        return False


class LooksFirst(SignalMasks):
    """Looks what is pending before it stores the mask."""

    def thread(self) -> Steps:
        for _number, mask in enumerate(self.changes):
            before = self.own_mask
            found = yield from self.finds(before, mask)
            yield STEP
            self.own_mask = mask
            yield from self.fence()
            if found:
                yield lambda: not self.lock_is_held
                self.settle()


class OnlyUnblocked(SignalMasks):
    """Looks only for what it does not block any more."""

    def finds(self, before: bool, mask: bool) -> Answer:
        yield STEP
        return self.pending and before and not mask


@pytest.mark.parametrize(
    ("model", "changes"),
    [
        (NoFence, [UNBLOCKS]), (NoFence, [BLOCKS]), (SenderWithoutFence, [UNBLOCKS]), (SenderWithoutFence, [BLOCKS]),
        (NeverLooks, [UNBLOCKS]), (NeverLooks, [BLOCKS]), (LooksFirst, [UNBLOCKS]), (OnlyUnblocked, [BLOCKS]),
    ],
)  # fmt: skip
def test_mistakes_are_found(model: type[SignalMasks], changes: list[bool]) -> None:
    with pytest.raises(ModelFailure):
        explore(lambda: model(changes, changes[-1] == UNBLOCKS))


BOTH = [([BLOCKS], [UNBLOCKS]), ([UNBLOCKS], [UNBLOCKS]), ([UNBLOCKS, BLOCKS], [UNBLOCKS])]


@pytest.mark.parametrize("changes", BOTH)
@pytest.mark.parametrize("ends", [(False, False), (True, False)])
def test_one_of_two_takes_it(changes: tuple[list[bool], list[bool]], ends: tuple[bool, bool]) -> None:
    assert explore(lambda: TwoMasks(changes, ends)).states > 100


class EndsSilently(TwoMasks):
    def leave(self, own: int) -> None:
        pass


class KeepsForItself(TwoMasks):
    def hand_over(self, own: int) -> None:
        pass


@pytest.mark.parametrize(("model", "ends"), [(EndsSilently, (True, False)), (KeepsForItself, (False, False))])
def test_mistakes_of_two_are_found(model: type[TwoMasks], ends: tuple[bool, bool]) -> None:
    with pytest.raises(ModelFailure):
        for changes in BOTH:
            explore(partial(model, changes, ends))
