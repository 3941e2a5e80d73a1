"""The shoot-down: no processor uses a translation after its frame was given back.

An unmapping processor holds the kernel lock. It clears the entry of the table, moves the space's generation on, and
asks each processor that has the space loaded to flush; it gives the frame back when all have answered. Processors that
run nothing of the space, but have it still loaded (`lazy`: idle, or in a kernel thread), are not asked: when they come
back they compare the generation with the one that they last flushed at. Whoever unmaps writes the generation and then
reads `lazy`; whoever comes back writes `lazy` and then reads the generation. So one of the two sees the other.

A processor that waits for the lock, or for answers, has interrupts off, and answers while it waits.
"""

from __future__ import annotations

from tests.models.explorer import STEP, Model, Steps

FRAME = 1
NOTHING = 0


class Space:
    """An address space of one page."""

    def __init__(self) -> None:
        self.entry = FRAME
        self.generation = 0
        self.free = False  # the frame was given back


class Processor:
    """A processor that has the space loaded."""

    def __init__(self) -> None:
        self.translation = NOTHING  # what its buffer holds
        self.flushed_at = 0
        self.lazy = False
        self.is_asked = False
        self.has_answered = True


class ShootDown(Model):
    """Processors that use the page, go idle and come back, and one or two that unmap it."""

    def __init__(self, programs: list[str]) -> None:
        self.space = Space()
        self.programs = programs  # for each processor: u(se), i(dle), b(ack), d(own: unmap)
        self.processors = [Processor() for _ in programs]
        self.lock_is_held = False

    def threads(self) -> dict[str, Steps]:
        return {f"processor {index}": self.run(index) for index in range(len(self.programs))}

    def run(self, index: int) -> Steps:
        processor = self.processors[index]
        actions = {"u": self.use, "i": self.go_idle, "b": self.come_back, "d": self.unmap}
        for _position, letter in enumerate(self.programs[index]):
            yield from self.answer(processor)  # in user mode and when idle, interrupts are on
            yield from actions[letter](processor)
        while not self.all_have_ended():
            yield lambda: processor.is_asked or self.all_have_ended()
            yield from self.answer(processor)

    def all_have_ended(self) -> bool:
        """Whether nothing is to be asked of anybody any more: the frame is free, and each has been answered."""
        return self.space.free and all(each.has_answered for each in self.processors)

    def answer(self, processor: Processor) -> Steps:
        """The interrupt handler, and what a processor does while it waits."""
        if processor.is_asked:
            processor.is_asked = False
            yield STEP
            processor.flushed_at = self.space.generation
            yield STEP
            processor.translation = NOTHING
            yield STEP
            processor.has_answered = True

    def use(self, processor: Processor) -> Steps:
        """A program loads from the page."""
        yield STEP
        if processor.translation == NOTHING:
            processor.translation = self.space.entry  # a walk of the table
        if processor.translation != NOTHING:
            assert not self.space.free, "a program reads a frame that was given back"

    def go_idle(self, processor: Processor) -> Steps:
        yield STEP
        processor.lazy = True

    def come_back(self, processor: Processor) -> Steps:
        yield STEP
        processor.lazy = False
        yield STEP  # with a fence: the store is seen by all before the load
        generation = self.space.generation
        if generation != processor.flushed_at:
            yield STEP
            processor.flushed_at = generation
            processor.translation = NOTHING

    def acquire(self, processor: Processor) -> Steps:
        """Take the kernel lock; answer while it is held by another."""
        while True:
            yield lambda: not self.lock_is_held or processor.is_asked
            if not self.lock_is_held:
                self.lock_is_held = True
                return
            yield from self.answer(processor)

    def unmap(self, processor: Processor) -> Steps:
        """munmap(2) of the page."""
        yield from self.acquire(processor)
        if self.space.entry != NOTHING:
            yield STEP
            self.space.entry = NOTHING
            yield STEP
            self.space.generation += 1
            yield STEP
            processor.translation = NOTHING
            processor.flushed_at = self.space.generation
            yield from self.ask_others(processor)
            yield STEP
            self.space.free = True
        yield STEP
        self.lock_is_held = False

    def ask_others(self, processor: Processor) -> Steps:
        asked = []
        for other in self.processors:
            if other is processor:
                continue
            yield STEP
            if not other.lazy:
                other.has_answered = False
                yield STEP
                other.is_asked = True
                asked.append(other)
        for other in asked:
            while not other.has_answered:
                yield lambda other=other: other.has_answered or processor.is_asked  # type: ignore[misc]  # bound now
                yield from self.answer(processor)

    def finish(self) -> None:
        assert self.space.free == any("d" in program for program in self.programs)
