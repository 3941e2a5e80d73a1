"""Events come and go: into contexts and out of them, enabled and disabled; who is observed because of them.

Context: system calls, and tasks that begin or end. What concerns an event's children may sleep; making contexts and
tables may raise MemoryError.
"""

from typing import Final

from kernel.lang import ENOSPC, Errno, final
from kernel.lib.pace import pace
from kernel.perf.context import NO_PROCESSOR, PROCESSOR_CONTEXTS, EventContext
from kernel.perf.event import EXITED, OFF, ON, Event
from kernel.perf.held_spaces import LATE
from kernel.perf.notices import NOTICES
from kernel.perf.records import context_of
from kernel.perf.sample import LOSS, LOSS_BYTES, MOST_BYTES, PLACE, RECORD
from kernel.sched.processor import PROCESSORS, RUNNING, running_on
from kernel.sched.thread import ThreadState
from kernel.task.send import rewatch
from kernel.task.task import TRACING, Task
from kernel.time.clock import monotonic_ns

_MOST_EVENTS: Final = 450  # of one context: a switch looks at all of them
_MOST_CLOCKS: Final = 96  # … and sets their clocks
_EVENT_COST: Final = 100  # instructions, for `pace`
_END_COST: Final = 1500
_SEARCH_COST: Final = 20  # … of an event among others: its context's, its group's


@final
class Population:
    """How many events there are."""

    def __init__(self) -> None:
        self.events: int = 0  # and programs of bpf(2) at tracepoints
        self.call_watchers: int = 0  # of processors, that look at system calls; and programs of bpf(2) that do


POPULATION: Final = Population()


def prepare() -> None:
    """Have what the first event needs. Raises MemoryError."""
    RECORD.prepare(MOST_BYTES)
    LOSS.prepare(LOSS_BYTES)
    NOTICES.prepare()


def context_for(task: Task | None, processor: int) -> EventContext:
    """Where an event is to be. Raises MemoryError."""
    if task is None:
        return PROCESSOR_CONTEXTS.make(processor)
    context = context_of(task)
    if context is None:
        context = EventContext(task, NO_PROCESSOR)
        if task.state == ThreadState.RUNNING:
            context.is_in = True
            context.processor = task.processor
        task.own().observation = context
    return context


def enter(event: Event, context: EventContext) -> None:
    """An event comes to be. Raises ENOSPC, MemoryError."""
    if len(context.events) >= _MOST_EVENTS or (event.clock is not None and context.clocks >= _MOST_CLOCKS):
        raise Errno(ENOSPC)
    try:
        context.add(event)
    except MemoryError:
        _forget_if_empty(context)
        raise
    task = context.task
    watch = event.watch
    if task is not None and watch is not None:
        try:
            task.registers.add_watch(watch)
        except (Errno, MemoryError):
            context.remove(event)
            _forget_if_empty(context)
            raise
    observe(1)
    _watch(event, context, change=1)
    event.settle(monotonic_ns())


def leave(event: Event, state: int) -> None:
    """An event counts no more, and belongs nowhere."""
    context = event.context
    if context is None:
        return
    task = context.task
    event.leave_context(state)
    watch = event.watch
    if task is not None and watch is not None:
        task.registers.remove_watch(watch)
    observe(-1)
    _watch(event, context, change=-1)
    _forget_if_empty(context)


def observe(change: int) -> None:
    """So many more events, or programs at tracepoints, want to hear of what happens."""
    POPULATION.events += change
    RUNNING.is_observed = POPULATION.events > 0 or len(LATE) > 0
    if POPULATION.events == 0:
        PLACE.forget()


def forget_observer() -> None:
    """What kept the observer beside events may have ended."""
    if POPULATION.events == 0:
        RUNNING.is_observed = len(LATE) > 0


def _forget_if_empty(context: EventContext) -> None:
    """A task without events has no context."""
    task = context.task
    if task is not None and len(context.events) == 0:
        belongings = task.belongings
        if belongings is not None:
            belongings.observation = None
        context.task = None


def _watch(event: Event, context: EventContext, change: int) -> None:
    """Let system calls be looked at, or no more."""
    if not event.is_of_calls():
        return
    task = context.task
    if task is not None:
        task.calls.are_observed = context.watches_calls()
        rewatch(task)
        return
    watch_all_calls(change)


def watch_all_calls(change: int) -> None:
    """So many more look at the system calls of all tasks."""
    POPULATION.call_watchers += change
    observes_all = POPULATION.call_watchers > 0
    if observes_all != TRACING.observes_all:
        TRACING.observes_all = observes_all
        for processor in PROCESSORS:
            thread = running_on(processor)
            if isinstance(thread, Task):
                rewatch(thread)  # others are asked when they get a processor


# Enabling -------------------------------------------------------------------------------------------------------------


def enable(event: Event) -> None:
    """Let an event count, as far as its leader does; with its children."""
    _set_all(event, ON)


def disable_all(event: Event) -> None:
    """Let it count no more, nor its children."""
    _set_all(event, OFF)


def _set_all(event: Event, state: int) -> None:
    """Its state first, which new children have from it; then theirs, from the last one on, so that none is passed over
    when one before it ends meanwhile. May sleep.
    """
    _set_state(event, state)
    pace(_EVENT_COST * (1 + len(event.siblings)))
    place = len(event.children)
    while place > 0:
        place = min(place, len(event.children)) - 1
        if place >= 0:
            child = event.children[place]
            _set_state(child, state)
            pace(_EVENT_COST * (1 + len(child.siblings)))


def _set_state(event: Event, state: int) -> None:
    now_ns = monotonic_ns()
    if event.state <= EXITED or event.state == state:
        return
    event.update(now_ns)
    event.state = state
    event.settle_group(now_ns)


def reset(event: Event) -> None:
    """Count from 0 on; what children counted that have ended stays. May sleep."""
    now_ns = monotonic_ns()
    event.update(now_ns)
    event.reset_own()
    place = len(event.children)
    while place > 0:
        place = min(place, len(event.children)) - 1
        if place >= 0:
            child = event.children[place]
            child.update(now_ns)
            child.reset_own()
            pace(_EVENT_COST)
    event.show()


# The end of one that a program opened ---------------------------------------------------------------------------------


def end_cost(event: Event) -> int:
    """About how many instructions it takes to end an event: it is looked for among others, and those that it leads are
    settled.
    """
    context = event.context
    others = len(event.head().siblings) + (0 if context is None else len(context.events))
    return _END_COST + others * _SEARCH_COST + len(event.siblings) * _EVENT_COST


def close(event: Event) -> None:
    """Nobody has it open any more. May sleep."""
    event.is_closed = True  # and has no further children
    cost = end_cost(event)
    event.leave_group()
    leave(event, EXITED)
    pace(cost)
    while len(event.children) > 0:
        child = event.children[len(event.children) - 1]
        cost = end_cost(child)
        event.lose_child(child)
        child.leave_group()
        leave(child, EXITED)
        child.part()
        pace(cost)
    use = event.target.use
    event.target.use = None
    if use is not None:
        use.release()
    ring = event.ring
    event.ring = None
    if ring is not None:
        ring.remove_user(event.place_in_ring)
    event.part()
