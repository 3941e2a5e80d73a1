"""Links of bpf(2) to events of perf_event_open(2), and to raw tracepoints: those of all system calls.

A link to an event keeps the event's file, so that the event lives as long.

Context: system calls. Nothing sleeps but `make_event_link`; may raise MemoryError.
Source: bpf(2) (BPF_LINK_CREATE, BPF_RAW_TRACEPOINT_OPEN).
"""

from kernel.bpf.link import OF_EVENT, OF_RAW_POINT, Link, enter_link, forget_link
from kernel.bpf.program import Program
from kernel.fs.file import File
from kernel.lang import EINVAL, ENOENT, Errno, final
from kernel.perf.attaching import attach, detach, enter_point, leave_point
from kernel.perf.event import Event
from kernel.perf.lifecycle import prepare
from kernel.perf.programs import ARGUMENTS, RAW_POINTS, PointProgram
from kernel.perf.world import EventDeparture
from kernel.sched.later import start_thread


@final
class EventLink(Link):
    """A link to an event, whose file is let go of a little later: it may be the last user of other links."""

    def __init__(self, program: Program, file: File, event: Event, cookie: int) -> None:
        super().__init__(program, OF_EVENT)
        self._departure: EventDeparture = EventDeparture(file)
        self.event: Event = event
        self.cookie: int = cookie

    def cut(self) -> None:
        detach(self.event)
        self._departure.schedule()


@final
class RawLink(Link):
    """A link to a raw tracepoint."""

    def __init__(self, program: Program, name: bytes, cookie: int) -> None:
        super().__init__(program, OF_RAW_POINT)
        self.name: bytes = name
        self.entry: PointProgram = PointProgram(program, cookie, None)

    def cut(self) -> None:
        leave_point(RAW_POINTS[self.name], self.entry, is_of_calls=True)

    def lines(self) -> bytes:
        return b"tp_name:\t" + self.name + b"\n"


def make_event_link(file: File, event: Event, program: Program, cookie: int) -> EventLink:
    """A new link, with one user. Raises what `attach` does."""
    start_thread()
    link = EventLink(program, file, event, cookie)
    enter_link(link)
    try:
        attach(event, program, cookie)
    except (Errno, MemoryError):
        forget_link(link)
        raise
    file.acquire()
    link.users = 1
    return link


def make_raw_link(name: bytes, program: Program, cookie: int) -> RawLink:
    """The same for a raw tracepoint. Raises ENOENT, EINVAL for a program that reads more than there is, E2BIG,
    MemoryError.
    """
    if name not in RAW_POINTS:
        raise Errno(ENOENT)
    if program.reach > ARGUMENTS:
        raise Errno(EINVAL)
    prepare()
    link = RawLink(program, name, cookie)
    enter_link(link)
    try:
        enter_point(RAW_POINTS[name], link.entry, is_of_calls=True)
    except (Errno, MemoryError):
        forget_link(link)
        raise
    link.users = 1
    return link
