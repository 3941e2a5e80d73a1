"""A reclaim pass while other processors run: no object is freed that a stack still holds, and none is lost.

References on stacks are not counted. A count of zero therefore says only that no field refers to the object; stacks
have to be asked, and they change while other processors run. What makes it possible: nobody can get a reference out of
nothing. A processor that comes from user mode has an empty stack, and all that it then finds it loads from a field, so
the object's count is not zero at that time.

A count word that reaches zero gets the mark TRACED in the same step, and its object an entry in a table. A pass

1. says that it is active;
2. arms its candidates: clears TRACED of those whose count is zero;
3. waits until each processor has left the kernel once, or has switched threads, or is outside;
4. looks at the stacks of sleeping threads;
5. frees each candidate that nobody has marked and whose word is still zero: neither counted nor TRACED. Had its count
   gone up and down again meanwhile, it would be TRACED.

Whoever held a candidate at step 2 has left the kernel by step 5, or sleeps and is seen in step 4. A thread that goes on
after a sleep looks at its own stack first if a pass is active: `in_kernel` is written before `is_active` is read, and
`is_active` before `in_kernel` is read, so the pass waits for the thread or the thread sees the pass.

A weak reference is loaded, and its target TRACED, in one step (under a lock that the pass takes for step 5).
"""

from __future__ import annotations

from tests.models.explorer import STEP, Model, Steps


class Object:
    """The object that is to be freed at the right time."""

    def __init__(self) -> None:
        self.count = 1
        self.is_traced = False  # its table entry exists, or the entry's processor is about to write it
        self.is_marked = False  # a stack that was looked at holds it
        self.is_freed = False


class Processor:
    """A processor with the thread that it runs or that sleeps."""

    def __init__(self, program: str) -> None:
        self.program = program
        self.holds = False  # the object, on the thread's stack
        self.in_kernel = False
        self.departures = 0
        self.sleeps = False


class Reclaim(Model):
    """Processors with programs of letters, and one that reclaims.

    l(oad the field), s(tore into the field what the stack holds), c(lear the field), g(et the weak reference's target),
    u(se what the stack holds), z(sleep and go on), - (leave the kernel and enter it again).
    """

    def __init__(self, programs: list[str], passes: int = 1) -> None:
        self.object = Object()
        self.field = True  # refers to the object
        self.weak = True  # refers to the object, uncounted
        self.is_active = False
        self.passes = passes
        self.processors = [Processor(program) for program in programs]

    def threads(self) -> dict[str, Steps]:
        found = {f"processor {index}": self.run(processor) for index, processor in enumerate(self.processors)}
        return {**found, "reclaimer": self.reclaim()}

    # Programs --------------------------------------------------------------------------------------------------------

    def run(self, processor: Processor) -> Steps:
        yield STEP
        processor.in_kernel = True
        for _position, letter in enumerate(processor.program):
            yield STEP
            if letter == "l":
                processor.holds = self.field or processor.holds
            elif letter == "g":
                yield from self.get_weak(processor)
            elif letter == "u":
                assert not (processor.holds and self.object.is_freed), "an object is used after it was freed"
            elif letter == "s":
                if processor.holds:
                    yield from self.store(True)
            elif letter == "c":
                yield from self.store(False)
            elif letter == "z":
                yield from self.sleep(processor)
            elif letter == "-":
                yield from self.leave(processor)
                processor.in_kernel = True
        yield STEP
        yield from self.leave(processor)

    def leave(self, processor: Processor) -> Steps:
        processor.holds = False
        processor.departures += 1
        processor.in_kernel = False
        yield STEP

    def sleep(self, processor: Processor) -> Steps:
        """The processor idles: its stack holds what it held."""
        processor.sleeps = True
        processor.departures += 1
        processor.in_kernel = False
        yield STEP
        yield from self.go_on(processor)

    def go_on(self, processor: Processor) -> Steps:
        processor.in_kernel = True
        yield STEP
        if self.is_active:
            self.mark(processor)
        yield STEP
        processor.sleeps = False

    def mark(self, processor: Processor) -> None:
        """Look at a stack."""
        if processor.holds:
            self.object.is_marked = True

    def store(self, refers: bool) -> Steps:
        """Store a reference to the object, or none, into the field."""
        if refers:
            assert not self.object.is_freed, "an object is referred to after it was freed"
            self.object.count += 1
            yield STEP
        before = self.field  # an exchange: one step
        self.field = refers
        if before:
            yield STEP
            yield from self.drop()

    def drop(self) -> Steps:
        """A reference less. A compare and swap writes the mark with the zero."""
        self.object.count -= 1
        assert self.object.count >= 0, "a reference is dropped twice"
        if self.object.count == 0:
            self.object.is_traced = True
        yield STEP

    def get_weak(self, processor: Processor) -> Steps:
        if self.weak:
            processor.holds = True
            self.object.is_traced = True
        yield STEP

    # The pass --------------------------------------------------------------------------------------------------------

    def reclaim(self) -> Steps:
        for _turn in range(self.passes):
            yield STEP
            if self.object.is_traced and not self.object.is_freed:  # the table has an entry
                yield from self.run_pass()

    def run_pass(self) -> Steps:
        self.object.is_marked = False
        self.is_active = True
        yield STEP
        is_candidate = self.object.count == 0
        self.object.is_traced = False
        if is_candidate:
            yield from self.wait_for_others()
            for processor in self.processors:
                yield STEP
                if processor.sleeps:
                    self.mark(processor)
            yield STEP
            yield from self.decide()
        yield STEP
        self.is_active = False

    def wait_for_others(self) -> Steps:
        """Each processor has left the kernel once, or is outside."""
        for processor in self.processors:
            yield STEP
            departures = processor.departures
            yield lambda p=processor, d=departures: not p.in_kernel or p.departures != d  # type: ignore[misc]  # bound

    def decide(self) -> Steps:
        if self.object.count == 0 and not self.object.is_traced:
            if self.object.is_marked:
                self.object.is_traced = True  # it keeps its entry
            else:
                self.weak = False
                self.object.is_freed = True
        yield STEP

    # What holds ------------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        assert self.object.count == int(self.field), "the count is wrong"
        assert self.object.count > 0 or self.object.is_traced or self.object.is_freed, "an object is lost"
