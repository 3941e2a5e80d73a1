"""The kernel lock: one word that says whether it is held, and processors that halt while they wait for it.

Whoever wants the lock exchanges the word. If it was held, the processor looks again for a while, then announces that it
halts, looks once more, and halts until an interrupt comes. Whoever gives the lock back clears the word, then looks who
halts, takes back one announcement and interrupts that processor. An interrupt that comes before the processor halts
stays pending, because interrupts are off until it halts.

A processor that has halted often is starving; in the model, once is often. While one is, those that come later do not
try before they have waited as long, and it does not halt any more: nobody else might take the lock, and wake it later.
That makes the lock fair enough; a queue would be fairer, but a processor that is a thread of a host can be away when
its turn comes, and then all the others wait for it.
"""

from __future__ import annotations

from tests.models.explorer import STEP, Answer, Model, Steps


class KernelLock:
    """The lock of arch/x86_64/lock.S. A while of looking is one look here."""

    def __init__(self, processors: int) -> None:
        self.held = False
        self.starving = False  # somebody is
        self.halts = [False] * processors
        self.interrupted = [False] * processors  # an interrupt is pending

    def acquire(self, me: int) -> Steps:
        """Wait until this processor has the lock."""
        yield STEP
        if not self.starving and (yield from self.try_it()):
            return
        starving = False
        while not (yield from self.poll(starving)):
            if starving:
                yield lambda: not self.held  # it looks on
            else:
                yield from self.halt(me)
            yield STEP
            starving = True
            self.starving = True
        if starving:
            yield STEP
            self.starving = False

    def try_it(self) -> Answer:
        """Exchange the word."""
        yield STEP
        was_held = self.held
        self.held = True
        return not was_held

    def poll(self, starving: bool) -> Answer:
        """Look, and try if it is this processor's turn."""
        yield STEP
        if self.held:
            return False
        yield STEP
        if self.starving and not starving:
            return False
        return (yield from self.try_it())

    def halt(self, me: int) -> Steps:
        """Wait for an interrupt without using the host's processor, unless the lock is free by now."""
        yield STEP
        self.halts[me] = True
        yield STEP
        if self.held:
            yield lambda: self.interrupted[me]
            self.interrupted[me] = False
        yield STEP
        self.halts[me] = False

    def release(self) -> Steps:
        """Give the lock back, and wake one that halts."""
        yield STEP
        self.held = False
        yield from self.wake_one()

    def wake_one(self) -> Steps:
        """Take back one announcement, and interrupt its processor."""
        yield STEP
        if True not in self.halts:
            return
        found = self.halts.index(True)
        yield STEP
        still_halts = self.halts[found]  # test and clear: one step
        self.halts[found] = False
        if still_halts:
            yield STEP
            self.interrupted[found] = True


class LockModel(Model):
    """Processors that take the lock a few times each."""

    def __init__(self, lock: KernelLock, processors: int, turns: int) -> None:
        self.lock = lock
        self.processors = processors
        self.turns = turns
        self.inside: list[int] = []

    def threads(self) -> dict[str, Steps]:
        return {f"processor {index}": self.processor(index) for index in range(self.processors)}

    def processor(self, index: int) -> Steps:
        for _turn in range(self.turns):
            yield from self.lock.acquire(index)
            self.inside.append(index)
            yield STEP
            self.inside.remove(index)
            yield from self.lock.release()

    def check(self) -> None:
        assert len(self.inside) <= 1, f"processors {self.inside} hold the lock"

    def finish(self) -> None:
        assert not self.lock.held, "the lock is still held"
