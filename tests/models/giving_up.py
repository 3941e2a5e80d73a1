"""System calls without the kernel lock that touch the program's memory: what happens at a page that is not there.

Such a call is a section (unlocked.py). Interrupts are off in it, so its processor answers no shoot-down before it ends;
whoever unmaps a page waits for the answer, and gives the frame back afterwards. So what a section has translated is
there until it ends, as for the program itself. If it finds no page it cannot serve the fault: that takes the lock. It
gives up: it leaves the section, then waits for the lock, where it answers, and makes the call again from its beginning,
with the lock, under which pages come.

A call of the model writes two words, each to a page of its own, or reads them. A call that did both could find its own
half result when it is made again.
"""

from __future__ import annotations

from tests.models.explorer import STEP, Model, Steps

NOTHING = -1
NEW = (7, 8)  # what the call writes


class Frame:
    """Memory of two words, each on a page of its own."""

    def __init__(self) -> None:
        self.is_free = False
        self.word = 0


class Processor:
    """A processor that runs a thread of the program."""

    def __init__(self) -> None:
        self.sections = 0  # odd while it is in one
        self.translations: list[Frame | None] = [None, None]
        self.is_asked = False
        self.has_answered = True


class GivingUp(Model):
    """Processors with programs of letters.

    w(rite both words in a call without the lock), r(ead them in one), m (unmap the second page, with the lock),
    p(ass of the reclaimer).
    """

    def __init__(self, programs: list[str], absent: tuple[int, ...] = ()) -> None:
        self.programs = programs
        self.processors = [Processor() for _ in programs]
        self.table: list[Frame | None] = [None if page in absent else Frame() for page in range(2)]
        self.lock_is_held = False
        self.running = len(programs)
        self.given_up = 0

    def threads(self) -> dict[str, Steps]:
        return {f"processor {index}": self.run(index) for index in range(len(self.programs))}

    def run(self, index: int) -> Steps:
        processor = self.processors[index]
        actions = {"w": self.write, "r": self.read, "m": self.unmap, "p": self.reclaim}
        for _position, letter in enumerate(self.programs[index]):
            yield from self.answer(processor)  # in user mode interrupts are on
            yield from actions[letter](processor)
        self.running -= 1
        while self.running > 0:
            yield lambda: processor.is_asked or self.running == 0
            yield from self.answer(processor)

    def answer(self, processor: Processor) -> Steps:
        if processor.is_asked:
            processor.is_asked = False
            processor.translations = [None, None]
            yield STEP
            processor.has_answered = True

    def acquire(self, processor: Processor) -> Steps:
        """Take the kernel lock; answer while it is held by another."""
        while True:
            yield lambda: not self.lock_is_held or processor.is_asked
            if not self.lock_is_held:
                self.lock_is_held = True
                return
            yield from self.answer(processor)

    def frame_of(self, processor: Processor, page: int) -> Frame | None:
        """What the processor finds, by what it remembers or by a walk of the table."""
        if processor.translations[page] is None:
            processor.translations[page] = self.table[page]
        found = processor.translations[page]
        assert found is None or not found.is_free, "a section uses a frame that was given back"
        return found

    # Calls without the lock -------------------------------------------------------------------------------------------

    def write(self, processor: Processor) -> Steps:
        processor.sections += 1
        for page, value in enumerate(NEW):
            yield STEP
            frame = self.frame_of(processor, page)
            if frame is None:
                yield from self.give_up(processor)
                yield from self.write_with_the_lock()
                return
            frame.word = value
        yield STEP
        processor.sections += 1

    def read(self, processor: Processor) -> Steps:
        processor.sections += 1
        for page in range(2):
            yield STEP
            if self.frame_of(processor, page) is None:
                yield from self.give_up(processor)
                yield STEP
                self.lock_is_held = False
                return
        yield STEP
        processor.sections += 1

    def give_up(self, processor: Processor) -> Steps:
        self.given_up += 1
        yield STEP
        processor.sections += 1
        yield from self.acquire(processor)

    def write_with_the_lock(self) -> Steps:
        """From the beginning; absent pages come."""
        for page, value in enumerate(NEW):
            yield STEP
            frame = self.table[page]
            if frame is None:
                frame = self.table[page] = Frame()
            frame.word = value
        yield STEP
        self.lock_is_held = False

    # Calls with the lock ----------------------------------------------------------------------------------------------

    def unmap(self, processor: Processor) -> Steps:
        yield from self.acquire(processor)
        yield STEP
        frame = self.table[1]
        self.table[1] = None
        processor.translations = [None, None]
        if frame is not None:
            yield from self.ask_others(processor)
            yield STEP
            frame.is_free = True
        yield STEP
        self.lock_is_held = False

    def ask_others(self, processor: Processor) -> Steps:
        for other in self.processors:
            if other is not processor and self.must_ask(other):
                yield STEP
                other.has_answered = False
                other.is_asked = True
                yield lambda other=other: other.has_answered  # type: ignore[misc]  # bound now

    def must_ask(self, other: Processor) -> bool:
        return True

    def reclaim(self, processor: Processor) -> Steps:
        """A pass: it waits for all sections (unlocked.py)."""
        yield from self.acquire(processor)
        for each in self.processors:
            yield STEP
            seen = each.sections
            if seen & 1 != 0:
                yield lambda each=each, seen=seen: each.sections != seen  # type: ignore[misc]  # bound now
        yield STEP
        self.lock_is_held = False

    # What holds -------------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        assert not self.lock_is_held, "the lock is not given back"
        assert all(each.sections & 1 == 0 for each in self.processors), "a section has no end"
        if "w" in "".join(self.programs):
            for frame, value in zip(self.table, NEW, strict=True):
                assert frame is None or frame.word == value, "half a result"
