"""Records beside samples: what tasks are called, what they map and make, when they end and get a processor.

They go to events that ask for them, on the processor and of the task that something happens to.

Context: system calls, where these records may sleep; but for switches, which are recorded between two threads. Names of
files are allocated.
"""

from typing import TYPE_CHECKING, Final

from kernel.lang import Span, span_of, u8
from kernel.lib.pace import pace, spend
from kernel.mm.area import MAP_LOCKED, MAP_SHARED, PROT_EXEC, Area
from kernel.mm.objects import FixedPages
from kernel.mm.space import AddressSpace, each_area
from kernel.perf.attributes import (
    COMM,
    COMM_EXEC,
    CONTEXT_SWITCH,
    INHERIT_STATISTICS,
    MMAP,
    MMAP2,
    MMAP_DATA,
    TASK,
)
from kernel.perf.context import PROCESSOR_CONTEXTS, EventContext
from kernel.perf.event import ANY_PROCESSOR, ON, Event
from kernel.perf.overflow import BUDGET, emit, lose
from kernel.perf.sample import (
    COMM_RECORD,
    EXIT,
    FORK,
    HEADER_BYTES,
    IN_USER,
    READ,
    RECORD,
    event_time_ns,
    shown_pid,
    shown_tid,
)
from kernel.sched.processor import this_processor
from kernel.task.process import Process
from kernel.task.task import Task

if TYPE_CHECKING:
    from kernel.sched.thread import Thread

_MMAP_RECORD: Final = 1
_MMAP2_RECORD: Final = 10
_SWITCH: Final = 14
_SWITCH_CPU_WIDE: Final = 15
_IS_DATA: Final = 1 << 13
_BY_EXEC: Final = 1 << 13
_SWITCH_OUT: Final = 1 << 13
_WAS_PREEMPTED: Final = 1 << 14
_TASK_RECORDS: Final = TASK | COMM | MMAP | MMAP2 | MMAP_DATA
_MOST_NAME: Final = 4000
_DEVICE_SHIFT: Final = 8
_RECORD_COST: Final = 500  # instructions, for `pace`
_SWITCH_COST: Final = 1000
_LOOK_COST: Final = 15


def context_of(task: "Task | None") -> EventContext | None:
    """The events of a task."""
    observation = None if task is None else task.observation
    return observation if isinstance(observation, EventContext) else None


def context_here() -> EventContext | None:
    """Those of this processor."""
    return PROCESSOR_CONTEXTS.at(this_processor().number)


def _hears(event: Event, flags: int) -> bool:
    """Whether an event wants such a record, now and here."""
    if not event.has(flags) or event.state < ON:
        return False
    return event.processor == ANY_PROCESSOR or event.processor == this_processor().number


# Tasks ----------------------------------------------------------------------------------------------------------------


def tell_name(task: Task, by_exec: bool) -> None:
    """A task has a new name."""
    _tell_name(context_of(task), task, by_exec)
    _tell_name(context_here(), task, by_exec)


def _tell_name(context: EventContext | None, task: Task, by_exec: bool) -> None:
    if context is None:
        return
    place = 0
    while place < len(context.events):
        event = context.events[place]  # others may come and go while this rests
        place += 1
        pace(_RECORD_COST)
        if _hears(event, COMM):
            RECORD.begin(COMM_RECORD, _BY_EXEC if by_exec and event.has(COMM_EXEC) else 0)
            RECORD.put_pair(shown_pid(event, task), shown_tid(event, task))
            RECORD.put_text(task.name)
            RECORD.put_identity(event, task)
            emit(event, RECORD)


def tell_fork(parent: Task, child: Task) -> None:
    """A task has a child."""
    _tell_life(context_of(parent), FORK, child, parent.process, parent, parent)
    _tell_life(context_here(), FORK, child, parent.process, parent, parent)


def tell_exit(context: EventContext | None, task: Task) -> None:
    """A task ends: its own events hear of it before they end, those of the processor afterwards."""
    parent = task.process.parent
    _tell_life(context, EXIT, task, task.process if parent is None else parent, None, task)


def _tell_life(
    context: EventContext | None, kind: int, task: Task, relative: Process, thread: Task | None, teller: Task
) -> None:
    if context is None:
        return
    place = 0
    while place < len(context.events):
        event = context.events[place]  # others may come and go while this rests
        place += 1
        pace(_RECORD_COST)
        if _hears(event, _TASK_RECORDS):
            relative_pid = event.pids.shown(relative.pid)
            RECORD.begin(kind, 0)
            RECORD.put_pair(shown_pid(event, task), relative_pid)
            RECORD.put_pair(shown_tid(event, task), relative_pid if thread is None else shown_tid(event, thread))
            RECORD.put(event_time_ns(event))
            RECORD.put_identity(event, teller)
            emit(event, RECORD)


def tell_counts(event: Event, task: Task) -> None:
    """An inherited event ends with its task: what it counted, where somebody asked for it."""
    if event.has(INHERIT_STATISTICS) and event.primary().ring is not None:
        RECORD.begin(READ, 0)
        RECORD.put_pair(shown_pid(event, task), shown_tid(event, task))
        RECORD.put_counts(event)
        RECORD.put_identity(event, task)
        emit(event, RECORD)


# Memory ---------------------------------------------------------------------------------------------------------------


def tell_space(task: Task, space: AddressSpace) -> None:
    """All areas of a program that begins. Raises MemoryError."""
    for area in each_area(space):
        tell_area(task, area)


def tell_area(task: Task, area: Area) -> None:
    """An area is mapped, or got another protection."""
    flags = _area_flags(area)
    if not _listens(context_of(task), flags) and not _listens(context_here(), flags):
        return
    name = _name_of(area)
    start = area.start
    end = area.end
    _tell_area(context_of(task), task, area, start, end, span_of(name))
    _tell_area(context_here(), task, area, start, end, span_of(name))


def _area_flags(area: Area) -> int:
    """What an event has that hears of it."""
    return MMAP | MMAP2 if area.prot & PROT_EXEC != 0 else MMAP_DATA


def _listens(context: EventContext | None, flags: int) -> bool:
    if context is None:
        return False
    spend(len(context.events) * _LOOK_COST)
    for event in context.events:
        if _hears(event, flags):
            return True
    return False


def _name_of(area: Area) -> bytes:
    if area.source is not None:
        try:
            name = area.source_name()
        except MemoryError:
            return b"//enomem"
        if len(name) > _MOST_NAME:
            return b"//toolong"
        if len(name) > 0:
            return name
    return area.label if len(area.label) > 0 else b"//anon"


def _offset_of(area: Area) -> int:
    """Where an area begins in what it shows. Memory of a program's own is shown as if it lay at its address."""
    source = area.source
    if source is None:
        return area.start
    return 0 if isinstance(source, FixedPages) else area.offset_of(area.start)


def _tell_area(context: EventContext | None, task: Task, area: Area, start: int, end: int, name: Span[u8]) -> None:
    if context is None:
        return
    is_code = area.prot & PROT_EXEC != 0
    source = area.source
    place = 0
    while place < len(context.events):
        event = context.events[place]  # others may come and go while this rests
        place += 1
        pace(_RECORD_COST)
        if not _hears(event, _area_flags(area)):
            continue
        with_details = event.has(MMAP2)
        RECORD.begin(_MMAP2_RECORD if with_details else _MMAP_RECORD, IN_USER if is_code else IN_USER | _IS_DATA)
        RECORD.put_pair(shown_pid(event, task), shown_tid(event, task))
        RECORD.put(start)
        RECORD.put(end - start)
        RECORD.put(_offset_of(area))
        if with_details:
            device = 0 if source is None else source.device_number()
            RECORD.put_pair(device >> _DEVICE_SHIFT, device & 0xFF)
            RECORD.put(0 if source is None else source.inode_number())
            RECORD.put(0)  # the inode's generation
            shared = MAP_SHARED if area.shared else 2
            RECORD.put_pair(area.prot, shared | area.flags & MAP_LOCKED)
        RECORD.put_bytes(name, len(name) // HEADER_BYTES * HEADER_BYTES + HEADER_BYTES)
        RECORD.put_identity(event, task)
        emit(event, RECORD)


# Switches -------------------------------------------------------------------------------------------------------------


def tell_switch(
    context: EventContext | None, thread: "Thread | None", other: "Thread | None", is_out: bool, was_preempted: bool
) -> None:
    """A thread gets or loses the processor; None is nobody."""
    if context is None:
        return
    misc = _SWITCH_OUT if is_out else 0
    if was_preempted:
        misc |= _WAS_PREEMPTED
    for event in context.events:
        if not _hears(event, CONTEXT_SWITCH):
            continue
        if BUDGET.left <= 0:
            lose(event)
            continue
        BUDGET.take(_SWITCH_COST)
        if context.task is not None:
            RECORD.begin(_SWITCH, misc)
        else:
            RECORD.begin(_SWITCH_CPU_WIDE, misc)
            RECORD.put_pair(shown_pid(event, other), shown_tid(event, other))
        RECORD.put_identity(event, thread)
        emit(event, RECORD)
