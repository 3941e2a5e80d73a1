"""Words that only their own thread stores, in calls with the kernel lock or without (`@own`, compiler/lower/own.py).

A call exchanges the word: it returns what was there. Without the lock it may give up before it stores, and is made
again, with the lock; it stores last, so that it does not find its own store then. Others, with the lock, read the word
whenever they like, and find what was there before a store or after it. They do not store: a thread whose word they
changed could store at the same time, and one of the two would be lost.
"""

from __future__ import annotations

from tests.models.explorer import STEP, Model, Steps


class OwnWords(Model):
    """A thread that exchanges its word a number of times, and another that reads it as often."""

    def __init__(self, calls: int, reads: int) -> None:
        self.calls = calls
        self.reads = reads
        self.word = 0
        self.stored = 0  # what the program has stored last
        self.lock_is_held = False
        self.page_is_there = False

    def threads(self) -> dict[str, Steps]:
        return {"owner": self.exchange(), "other": self.read()}

    def exchange(self) -> Steps:
        for value in range(1, self.calls + 1):
            yield STEP
            before = self.word
            yield STEP
            if not self.page_is_there:  # where the call leaves what was there: it gives up
                yield lambda: not self.lock_is_held
                self.lock_is_held = True
                before = self.word
                yield STEP
                self.lock_is_held = False
            yield STEP
            self.word = value
            assert before == self.stored, "a call finds its own store"
            self.stored = value

    def read(self) -> Steps:
        for _turn in range(self.reads):
            yield lambda: not self.lock_is_held
            self.lock_is_held = True
            yield STEP
            found = self.word
            self.page_is_there = not self.page_is_there
            assert self.stored <= found <= self.stored + 1, "neither the old word nor the new one"
            yield from self.change(found)
            self.lock_is_held = False

    def change(self, found: int) -> Steps:
        """What else the lock's holder does with it: nothing."""
        yield STEP

    def finish(self) -> None:
        assert self.word == self.stored, "a store is lost"
