"""Words that belong together, read without the lock: the base of the clocks (kernel/time/base.py).

The lock's holder makes the sequence odd, stores the words one by one, and makes it even again. A reader loads the
sequence, the words, and the sequence once more. If it was odd, or is another one, the reader does not use what it has
loaded: it takes the lock. It does not try again, so it waits for nobody.
"""

from __future__ import annotations

from tests.models.explorer import STEP, Model, Steps


class Sequence(Model):
    """A writer that stores a number of pairs of equal words, and readers without the lock."""

    def __init__(self, pairs: int, readers: int) -> None:
        self.pairs = pairs
        self.readers = readers
        self.sequence = 0
        self.words = [0, 0]
        self.found: list[int | None] = [None] * readers  # by reader: what was used; None: it has taken the lock

    def threads(self) -> dict[str, Steps]:
        readers = {f"reader {index}": self.read(index) for index in range(self.readers)}
        return {"writer": self.write(), **readers}

    def write(self) -> Steps:
        for value in range(1, self.pairs + 1):
            yield STEP
            self.sequence += 1
            yield STEP
            self.words[0] = value
            yield STEP
            self.words[1] = value
            yield STEP
            self.sequence += 1

    def read(self, index: int) -> Steps:
        yield STEP
        before = self.sequence
        yield STEP
        first = self.words[0]
        yield STEP
        second = self.words[1]
        yield STEP
        if self.is_sound(before, self.sequence):
            assert first == second, "two words of different times are used"
            self.found[index] = first

    def is_sound(self, before: int, after: int) -> bool:
        return before & 1 == 0 and before == after
