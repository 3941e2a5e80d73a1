"""System calls that store references without the kernel lock, and the reclaimer: no object is freed too early or twice.

Such a call is a section, as in `unlocked.py`, and now it may change what it finds: it stores references and counts
them, so that counts come to zero, and follows weak references. So what a pass of the reclaimer finds would change while
it looks. It therefore closes the doors of all processors first, and waits for the sections that run:

- A section counts before it looks at its processor's door, with a fence in between; a pass closes the door before it
  looks at the count, with a fence in between. So the pass waits for the section, or the section finds the door closed.
- Who finds it closed has loaded nothing. The call is made with the lock, like all others, once the pass is over.
- Programs in user mode run on. What waits for the lock meanwhile has its references on its stack, where they are seen.
- While the doors are closed, only the pass touches the heap. So it needs no mark at objects whose count went up and
  down since it looked, and a zero and its mark may be two steps: no section is between them.

What sections do at the same time as each other, and as the lock's holder, is made of single steps:

- A reference is counted, then exchanged for the old one in the field, then the old one is dropped. With the exchange
  first, another processor could drop a reference that nobody had counted yet.
- Whoever brings a count to zero makes IN_TABLE of the zero by a compare and swap, and has to write an entry if that was
  done by nobody else. So an object has one entry.
- The table belongs to the processor, so nobody else writes to the same place; a pass goes through all of them.
- A new object is made of a slot in the processor's own stock. A call without the lock takes no more than a full stock
  has; it begins only if the stock is full, and takes the lock otherwise, whose holder fills it.
- What a pass holds for a sleeping stack is dropped like any other reference when the thread goes on.
"""

from __future__ import annotations

from tests.models.explorer import STEP, Model, Steps

FULL = 1  # slots; no call without the lock makes more new objects
NOTHING, OBJECT, ANOTHER = range(3)  # what an entry of a table refers to


class Object:
    """The object that is to be freed at the right time."""

    def __init__(self) -> None:
        self.count = 1
        self.in_table = False
        self.is_freed = False


class Processor:
    """A processor, whose programs make system calls."""

    def __init__(self) -> None:
        self.sections = 0  # odd while it is in one
        self.door_is_closed = False
        self.holds = False  # the object, on the stack
        self.sleeps = False  # the stack is that of a thread that waits
        self.has_lock = False
        self.stock = FULL
        self.link = 0  # what a pass holds for that stack
        self.table = [NOTHING] * 3
        self.next = 0


class ClosedDoors(Model):
    """Processors with programs: calls of letters, with spaces in between. One that begins with `!` takes the lock.

    l(oad the field), s(tore into it what the stack holds), c(lear it), g(et the weak reference's target), u(se what the
    stack holds), n(ew object, which nobody keeps); with the lock only: z(sleep and go on), p(ass of the reclaimer).
    """

    def __init__(self, programs: list[str]) -> None:
        self.programs = programs
        self.processors = [Processor() for _ in programs]
        self.object = Object()
        self.field = True  # refers to the object
        self.weak = True  # refers to the object, uncounted
        self.others = 0  # new objects
        self.lock_is_held = False

    def threads(self) -> dict[str, Steps]:
        return {f"processor {index}": self.run(index) for index in range(len(self.programs))}

    def run(self, index: int) -> Steps:
        processor = self.processors[index]
        for _position, call in enumerate(self.programs[index].split()):
            yield STEP
            if call.startswith("!"):
                yield from self.call_with_lock(processor, call[1:])
            else:
                yield from self.call(processor, call)

    # Calls ------------------------------------------------------------------------------------------------------------

    def call(self, processor: Processor, letters: str) -> Steps:
        """The door of a call that needs no lock."""
        processor.sections += 1
        yield STEP  # with a fence: the store is seen by all before the door is looked at
        if processor.door_is_closed or self.is_used_up(processor):
            processor.sections += 1
            yield from self.call_with_lock(processor, letters)
            return
        yield from self.act(processor, letters)
        processor.holds = False
        yield STEP
        processor.sections += 1

    def is_used_up(self, processor: Processor) -> bool:
        return processor.stock < FULL

    def call_with_lock(self, processor: Processor, letters: str) -> Steps:
        yield lambda: not self.lock_is_held
        self.lock_is_held = processor.has_lock = True
        yield from self.act(processor, letters)
        processor.holds = False
        processor.stock = FULL
        yield STEP
        self.lock_is_held = processor.has_lock = False

    def act(self, processor: Processor, letters: str) -> Steps:
        for _position, letter in enumerate(letters):
            yield STEP
            if letter == "l":
                processor.holds = self.field or processor.holds
            elif letter == "g":
                processor.holds = self.weak or processor.holds
            elif letter == "u":
                assert not (processor.holds and self.object.is_freed), "an object is used after it was freed"
            elif letter == "s":
                if processor.holds:
                    yield from self.store(processor, True)
            elif letter == "c":
                yield from self.store(processor, False)
            elif letter == "n":
                if not processor.has_lock:
                    assert processor.stock > 0, "a call without the lock finds no slot"
                    processor.stock -= 1
                self.others += 1
                yield from self.enter(processor, ANOTHER)
            elif letter == "z":
                yield from self.sleep(processor)
            elif letter == "p":
                yield from self.reclaim()

    def sleep(self, processor: Processor) -> Steps:
        processor.sleeps = True
        self.lock_is_held = False
        yield STEP
        yield lambda: not self.lock_is_held
        self.lock_is_held = True
        processor.sleeps = False
        if processor.link:
            processor.link = 0
            yield from self.let_go(processor)

    def let_go(self, processor: Processor) -> Steps:
        """Drop what a pass has held for the stack."""
        yield STEP
        yield from self.drop(processor)

    # References -------------------------------------------------------------------------------------------------------

    def store(self, processor: Processor, refers: bool) -> Steps:
        """Store a reference to the object, or none, into the field."""
        if refers:
            yield from self.count()
        before = self.field  # an exchange: one step
        self.field = refers
        if before:
            yield STEP
            yield from self.drop(processor)

    def count(self) -> Steps:
        assert not self.object.is_freed, "an object is referred to after it was freed"
        self.object.count += 1
        yield STEP

    def drop(self, processor: Processor) -> Steps:
        self.object.count -= 1
        assert self.object.count >= 0, "a reference is dropped that was not counted"
        if self.object.count == 0:
            yield STEP
            yield from self.reach_zero(processor)

    def reach_zero(self, processor: Processor) -> Steps:
        if self.object.count == 0 and not self.object.in_table:  # a compare and swap: one step
            self.object.in_table = True
            yield STEP
            yield from self.enter(processor, OBJECT)

    def enter(self, processor: Processor, entry: int) -> Steps:
        """An entry in the processor's own table."""
        table = self.table_of(processor)
        place = table.next
        yield STEP
        table.table[place] = entry
        table.next = place + 1

    def table_of(self, processor: Processor) -> Processor:
        return processor

    # The pass ---------------------------------------------------------------------------------------------------------

    def reclaim(self) -> Steps:
        """With the lock."""
        yield from self.close_and_wait()
        for processor in self.processors:
            yield STEP
            if processor.sleeps and processor.holds and not processor.link:
                self.object.count += 1
                processor.link = 1
        for processor in self.processors:
            yield from self.sweep(processor)
        for processor in self.processors:
            yield STEP
            processor.door_is_closed = False

    def close_and_wait(self) -> Steps:
        yield from self.close()
        yield from self.wait_for_sections()

    def close(self) -> Steps:
        for processor in self.processors:
            processor.door_is_closed = True
            yield STEP  # the last with a fence: it is seen before the counts are looked at

    def wait_for_sections(self) -> Steps:
        """Each processor is outside of a section once."""
        for each in self.processors:
            yield STEP
            seen = each.sections
            if seen & 1 != 0:
                yield lambda each=each, seen=seen: each.sections != seen  # type: ignore[misc]  # bound now

    def sweep(self, processor: Processor) -> Steps:
        """Free what has no count: no stack of a thread that waits refers to it, or it would have one."""
        for place in range(processor.next):
            yield STEP
            entry, count = processor.table[place], self.object.count
            yield STEP
            processor.table[place] = NOTHING
            if entry != OBJECT:
                self.others -= 1
                continue
            assert not self.object.is_freed, "an object is freed twice"
            if count > 0:
                self.object.in_table = False
            else:
                self.weak = False
                self.object.is_freed = True
        processor.next = 0

    # What holds -------------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        tables = [entry for processor in self.processors for entry in processor.table]
        entries = tables.count(OBJECT)
        assert tables.count(ANOTHER) == self.others, "a new object is lost"
        assert self.object.count == int(self.field), "the count is wrong"
        assert self.object.is_freed or entries == int(self.object.in_table), "an object has not one entry"
        assert self.object.count > 0 or self.object.in_table or self.object.is_freed, "an object is lost"
