"""Where events happen: in a task, or on a processor whatever it runs.

A task's context is on a processor while the task is; then its events count. One of a processor always is. Both hold
their events in the order in which they were opened, those that are off as well.

Context: `enter` and `leave` run between two threads: they neither sleep nor allocate.
"""

from typing import TYPE_CHECKING, Final

from kernel.lang import final
from kernel.task.observer import Observation

if TYPE_CHECKING:
    from kernel.perf.event import Event
    from kernel.task.task import Task

NO_PROCESSOR: Final = -1
EVENT_BYTES: Final = 750  # about what an event takes
CLOCK_BYTES: Final = 150  # … and its clock


@final
class EventContext(Observation):
    """Events of one task, or of one processor if it has no task."""

    def __init__(self, task: "Task | None", processor: int) -> None:
        self.task: Task | None = task
        self.events: list[Event] = []
        self.is_in: bool = task is None  # on a processor
        self.processor: int = processor  # that it is on, or was on last; NO_PROCESSOR: on none yet
        self.call_watchers: int = 0  # events that look at system calls
        self.clocks: int = 0  # events that take samples by time
        self.tick: int = 0  # in which they rang `rings` times
        self.rings: int = 0
        self.traps_are_due: bool = False  # an event's sample is to be a signal
        self.inherited: int = 0  # events that no descriptor stands for
        self.inherited_clocks: int = 0

    def enter(self, processor: int, now_ns: int) -> None:
        """The task gets a processor."""
        self.is_in = True
        self.processor = processor
        for event in self.events:
            event.settle(now_ns)

    def leave(self, now_ns: int) -> None:
        """It loses it."""
        for event in self.events:
            event.update(now_ns)
        self.is_in = False
        for event in self.events:
            event.settle(now_ns)

    def rings_in(self, tick: int) -> int:
        """A clock of it rings: how many did in this tick."""
        if tick != self.tick:
            self.tick = tick
            self.rings = 0
        self.rings += 1
        return self.rings

    def watches_calls(self) -> bool:
        """Whether an event of it looks at system calls."""
        return self.call_watchers > 0

    def looks_at(self, point: int) -> bool:
        for event in self.events:
            if event.point_number == point:
                return True
        return False

    def held_bytes(self) -> int:
        return self.inherited * EVENT_BYTES + self.inherited_clocks * CLOCK_BYTES

    def add(self, event: "Event") -> None:
        """One more event. Raises MemoryError."""
        self.events.append(event)
        event.context = self
        self._count(event, 1)

    def remove(self, event: "Event") -> None:
        """An event ends here."""
        self.events.remove(event)
        event.context = None
        self._count(event, -1)

    def _count(self, event: "Event", change: int) -> None:
        if event.clock is not None:
            self.clocks += change
        if event.parent is not None:
            self.inherited += change
            self.inherited_clocks += change if event.clock is not None else 0
        if event.is_of_calls():
            self.call_watchers += change


@final
class ProcessorContexts:
    """Those of processors, by number; created when the first event of one is opened."""

    def __init__(self) -> None:
        self.contexts: list[EventContext | None] = []

    def at(self, processor: int) -> EventContext | None:
        """That of a processor, if there are events."""
        return self.contexts[processor] if processor < len(self.contexts) else None

    def make(self, processor: int) -> EventContext:
        """The same. Raises MemoryError."""
        while len(self.contexts) <= processor:
            self.contexts.append(None)
        context = self.contexts[processor]
        if context is None:
            context = EventContext(None, processor)
            self.contexts[processor] = context
        return context


PROCESSOR_CONTEXTS: Final = ProcessorContexts()
