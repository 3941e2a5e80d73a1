"""Every order of stores to words that belong together and of loads, and the mistakes that this must find."""

from __future__ import annotations

import pytest

from tests.models.explorer import STEP, ModelFailure, Steps, explore
from tests.models.sequence import Sequence


@pytest.mark.parametrize(("pairs", "readers"), [(1, 1), (3, 1), (2, 2)])
def test_words_that_are_used_belong_together(pairs: int, readers: int) -> None:
    assert explore(lambda: Sequence(pairs, readers)).states > 20


class UsesOddOnes(Sequence):
    """Does not ask whether the words are being stored."""

    def is_sound(self, before: int, after: int) -> bool:
        return before == after


class DoesNotLookAgain(Sequence):
    """Asks only before."""

    def is_sound(self, before: int, after: int) -> bool:
        return before & 1 == 0


class StoresFirst(Sequence):
    """Makes the sequence odd after the first store: what a missing order of stores amounts to."""

    def write(self) -> Steps:
        for value in range(1, self.pairs + 1):
            yield STEP
            self.words[0] = value
            yield STEP
            self.sequence += 1
            yield STEP
            self.words[1] = value
            yield STEP
            self.sequence += 1


@pytest.mark.parametrize("model", [UsesOddOnes, DoesNotLookAgain, StoresFirst])
def test_mistakes_are_found(model: type[Sequence]) -> None:
    with pytest.raises(ModelFailure):
        explore(lambda: model(2, 1))
