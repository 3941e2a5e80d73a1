"""System calls that run without the kernel lock, and the reclaimer: no such call follows a reference to a freed object.

An unlocked call is a section: it may load references, which are not counted, and drops them before it ends. A pass of
the reclaimer runs under the kernel lock, and frees objects that no field refers to. Before it does, it waits until each
processor was outside of a section once:

- A processor counts its ways into and out of sections. It says that it is in one before it loads anything, with a fence
  in between. So the pass sees the section, or the section sees what the fields are since the pass began, which no
  longer lead to the dead.
- That another section has begun meanwhile is as good: the one that the pass saw has ended.
- That needs no door which is closed meanwhile: a section that begins during the pass finds nothing that the pass frees.
- A section waits for nothing that the lock's holder has, so it ends.
- What a section ran into (a failed check) waits for the lock outside of it, and uses none of its references again.

Objects whose count became zero stand in a table, which the lock guards: a section stores no references.
"""

from __future__ import annotations

from tests.models.explorer import STEP, Model, Steps


class Object:
    """What the field refers to, or did."""

    def __init__(self) -> None:
        self.is_freed = False


class Processor:
    """A processor, whose programs make system calls."""

    def __init__(self) -> None:
        self.sections = 0  # odd while it is in one
        self.holds: Object | None = None  # on the stack of a section


class Unlocked(Model):
    """Processors with programs of letters.

    u(nlocked call that follows the field), b(ug in such a call), r(eplace what the field refers to, with the lock),
    p(ass of the reclaimer, with the lock).
    """

    def __init__(self, programs: list[str]) -> None:
        self.programs = programs
        self.processors = [Processor() for _ in programs]
        self.lock_is_held = False
        self.field = Object()
        self.table: list[Object | None] = [None] * 4
        self.entries = 0
        self.replaced = 0
        self.freed = 0

    def threads(self) -> dict[str, Steps]:
        return {f"processor {index}": self.run(index) for index in range(len(self.programs))}

    def run(self, index: int) -> Steps:
        processor = self.processors[index]
        actions = {"u": self.call, "b": self.fail, "r": self.replace, "p": self.reclaim}
        for _position, letter in enumerate(self.programs[index]):
            yield STEP
            yield from actions[letter](processor)

    def take_lock(self) -> Steps:
        yield lambda: not self.lock_is_held
        self.lock_is_held = True

    def give_lock(self) -> None:
        self.lock_is_held = False

    # Calls without the lock -------------------------------------------------------------------------------------------

    def call(self, processor: Processor) -> Steps:
        yield from self.enter_and_load(processor)
        yield STEP
        self.use(processor)
        yield STEP
        self.leave(processor)

    def enter_and_load(self, processor: Processor) -> Steps:
        processor.sections += 1
        yield STEP  # with a fence: the store is seen by all before the load
        processor.holds = self.field

    def use(self, processor: Processor) -> None:
        """Load a field of the object."""
        assert processor.holds is None or not processor.holds.is_freed, "a freed object is used"

    def leave(self, processor: Processor) -> None:
        processor.holds = None
        processor.sections += 1

    def fail(self, processor: Processor) -> Steps:
        """The exception's door: out of the section, then the lock."""
        yield from self.enter_and_load(processor)
        yield STEP
        self.leave(processor)
        yield from self.take_lock()
        yield STEP
        self.give_lock()

    # Calls with the lock ----------------------------------------------------------------------------------------------

    def replace(self, processor: Processor) -> Steps:
        """Store another reference; the old object has none then, and gets an entry in the table."""
        yield from self.take_lock()
        yield STEP
        old = self.field
        self.field = Object()
        self.replaced += 1
        yield STEP
        yield from self.note(old)
        yield STEP
        self.give_lock()

    def note(self, dead: Object) -> Steps:
        """An entry for the table."""
        place = self.entries
        yield STEP
        self.table[place] = dead
        self.entries = place + 1

    def reclaim(self, processor: Processor) -> Steps:
        yield from self.take_lock()
        yield STEP
        yield from self.wait_for_sections()
        for place in range(self.entries):
            yield STEP
            dead = self.table[place]
            assert dead is not None
            dead.is_freed = True
            self.table[place] = None
            self.freed += 1
        self.entries = 0
        yield STEP
        self.give_lock()

    def wait_for_sections(self) -> Steps:
        """Each processor is outside of a section once."""
        for each in self.processors:
            yield STEP
            seen = each.sections
            if seen & 1 != 0:
                yield lambda each=each, seen=seen: each.sections != seen  # type: ignore[misc]  # bound now

    # What holds -------------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        assert not self.lock_is_held, "the lock is not given back"
        assert self.freed + self.entries == self.replaced, "an object is lost"
