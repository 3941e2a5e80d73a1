"""What helpers tell programs of bpf(2) that trace: what they tell all programs, and of events
(bpf_perf_event_output and its kin).

An array of events keeps the files of those that are in it.

Context: any, between two threads and in interrupts too: nothing sleeps or allocates but `HeldEvent`.
Source: bpf-helpers(7).
"""

from typing import Final

from kernel.bpf.held import Held
from kernel.fs.bpf.devices import KernelWorld
from kernel.fs.file import File
from kernel.lang import EINVAL, ENOENT, ENOSPC, EOPNOTSUPP, Span, final, u8
from kernel.perf.attributes import INHERIT, TYPE_SOFTWARE
from kernel.perf.event import BPF_OUTPUT, Event
from kernel.perf.overflow import write_sample
from kernel.perf.programs import PROGRAMS
from kernel.perf.words import store_word
from kernel.sched.later import Job
from kernel.sched.processor import RUNNING, this_processor
from kernel.time.clock import monotonic_ns

_ENABLED_AT: Final = 8
_RUNNING_AT: Final = 16


@final
class EventDeparture(Job):
    """What lets go of an event's file: that may sleep."""

    def __init__(self, file: File) -> None:
        super().__init__()
        self.file: File | None = file

    def run(self) -> None:
        file = self.file
        self.file = None
        if file is not None:
            file.release()


@final
class HeldEvent(Held):
    """An event that an array has."""

    def __init__(self, file: File, event: Event) -> None:
        """Raises MemoryError."""
        self.file: File = file
        self.event: Event = event
        self._departure: EventDeparture = EventDeparture(file)

    def keep(self) -> None:
        self.file.acquire()

    def release(self) -> None:
        self._departure.schedule()


@final
class TracingWorld(KernelWorld):
    """The same for programs that trace."""

    def write_event(self, held: Held | None, data: Span[u8]) -> int:
        place = PROGRAMS.place
        if not isinstance(held, HeldEvent) or place is None:
            return -ENOENT
        event = held.event
        attributes = event.attributes
        if attributes.type != TYPE_SOFTWARE or attributes.config != BPF_OUTPUT:
            return -EINVAL
        if not _is_here(event):
            return -EOPNOTSUPP
        return 0 if write_sample(event, place, 0, 0, data) else -ENOSPC

    def read_event(self, held: Held | None, counts: Span[u8]) -> int:
        event = held.event if isinstance(held, HeldEvent) else PROGRAMS.event
        if event is None:
            return -ENOENT
        context = event.context
        if event.attributes.has(INHERIT):
            return -EOPNOTSUPP
        if context is None:
            return -EINVAL
        if context.task is None:
            if context.processor != this_processor().number:
                return -EINVAL
        elif context.task is not RUNNING.current:
            return -EINVAL
        event.update(monotonic_ns())
        store_word(counts, 0, event.total())
        store_word(counts, _ENABLED_AT, event.total_enabled_ns())
        store_word(counts, _RUNNING_AT, event.total_running_ns())
        return 0


def _is_here(event: Event) -> bool:
    """Whether it counts on this processor."""
    context = event.context
    return event.is_active and context is not None and context.processor == this_processor().number


PROGRAMS.world = TracingWorld()
