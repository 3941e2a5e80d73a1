"""Every order of a thread's stores to its own words and of other threads' reads, and mistakes that this must find."""

from __future__ import annotations

import pytest

from tests.models.explorer import STEP, ModelFailure, Steps, explore
from tests.models.own_words import OwnWords


@pytest.mark.parametrize(("calls", "reads"), [(1, 1), (2, 2), (3, 3)])
def test_no_store_is_lost_and_none_is_made_twice(calls: int, reads: int) -> None:
    assert explore(lambda: OwnWords(calls, reads)).states > 10


class StoresFirst(OwnWords):
    """Stores before it comes to what may give it up."""

    def exchange(self) -> Steps:
        for value in range(1, self.calls + 1):
            yield STEP
            before = self.word
            self.word = value
            yield STEP
            if not self.page_is_there:
                yield lambda: not self.lock_is_held
                before = self.word
            assert before == self.stored, "a call finds its own store"
            self.stored = value


class OthersStore(OwnWords):
    """The lock's holder changes a bit of the word."""

    def change(self, found: int) -> Steps:
        yield STEP
        self.word = found


@pytest.mark.parametrize("model", [StoresFirst, OthersStore])
def test_mistakes_are_found(model: type[OwnWords]) -> None:
    with pytest.raises(ModelFailure):
        explore(lambda: model(2, 2))
