"""What becomes of events when their task makes another one, executes a program, or ends.

Context: the task's own system call. Inheriting and ending may sleep; inheriting may raise MemoryError.
"""

from typing import Final

from kernel.lang import Errno
from kernel.lib.pace import pace
from kernel.perf.attributes import ENABLE_ON_EXEC, INHERIT, INHERIT_THREAD, REMOVE_ON_EXEC
from kernel.perf.context import EventContext
from kernel.perf.event import EXITED, OFF, ON, Event
from kernel.perf.lifecycle import context_for, end_cost, enter, leave
from kernel.perf.records import context_of, tell_counts
from kernel.task.core_state import DUMPED_FOR_ITSELF
from kernel.task.task import Task
from kernel.time.clock import monotonic_ns

_EVENT_COST: Final = 2000  # instructions, for `pace`
_MEMBER_COST: Final = 100  # … of a group whose counts are reported
_LOOK_COST: Final = 100


def inherit_events(parent: Task, child: Task, is_thread: bool) -> None:
    """Give a child what its parent's events hand down. Raises MemoryError, and what there is then is withdrawn."""
    context = context_of(parent)
    if context is None:
        return
    leaders = [event for event in context.events if event.leader is None]
    try:
        for event in leaders:
            members = [sibling for sibling in event.siblings]
            leader = _inherit(event, child, is_thread, None)
            for sibling in members:
                _inherit(sibling, child, is_thread, leader)
    except (Errno, MemoryError):
        withdraw(child)
        raise


def _inherit(event: Event, child: Task, is_thread: bool, leader: Event | None) -> Event | None:
    pace(_EVENT_COST)  # others may close it meanwhile
    primary = event.primary()
    if event.context is None or primary.is_closed:
        return None
    if not event.has(INHERIT) or (event.has(INHERIT_THREAD) and not is_thread):
        return None
    fresh = Event(event.attributes, event.flags, event.processor, event.pids, primary)
    fresh.period.length = event.period.length
    fresh.period.frequency = event.period.frequency
    fresh.state = ON if event.state >= ON else OFF
    try:
        primary.add_child(fresh)
    except MemoryError:
        fresh.part()
        raise
    try:
        if leader is not None and leader.context is not None:
            leader.siblings.append(fresh)
            fresh.leader = leader
        enter(fresh, context_for(child, event.processor))
    except (Errno, MemoryError):
        fresh.leave_group()
        primary.lose_child(fresh)
        fresh.part()
        raise
    return fresh


def withdraw(child: Task) -> None:
    """A child that nobody has seen will not live."""
    context = context_of(child)
    while context is not None and len(context.events) > 0:
        event = context.events[len(context.events) - 1]
        cost = end_cost(event)
        _drop(event)
        pace(_EVENT_COST + cost)


def _drop(event: Event) -> None:
    """An inherited event ends without a trace."""
    primary = event.primary()
    event.leave_group()
    leave(event, EXITED)
    if primary is not event:
        primary.lose_child(event)
        event.part()


def end_events(task: Task, context: EventContext) -> None:
    """The task ends: inherited counts are added to those they came from; the watchers of the others are notified."""
    while len(context.events) > 0:
        event = context.events[len(context.events) - 1]
        _end(event, task)


def _end(event: Event, task: Task) -> None:
    """May sleep once it is done."""
    primary = event.primary()
    cost = _EVENT_COST + end_cost(event) + len(event.head().siblings) * _MEMBER_COST
    event.update(monotonic_ns())
    if primary is not event:
        tell_counts(event, task)  # of its group too
        event.leave_group()
    leave(event, EXITED)  # a group that a program opened is read as one afterwards, too
    if primary is not event:
        primary.lose_child(event)
        event.part()
    primary.waiters.wake_all()
    pace(cost)


def follow_exec(task: Task) -> None:
    """The task runs another program. One that others may not look into keeps no events."""
    context = context_of(task)
    if context is None:
        return
    if task.process.program.dumpable != DUMPED_FOR_ITSELF:
        end_events(task, context)
        return
    _end_with_program(context, task)
    now_ns = monotonic_ns()
    for event in context.events:
        if event.has(ENABLE_ON_EXEC):
            event.flags &= ~ENABLE_ON_EXEC
            if event.state == OFF:
                event.update(now_ns)
                event.state = ON
    for event in context.events:
        event.settle(now_ns)
    pace(len(context.events) * _LOOK_COST)


def _end_with_program(context: EventContext, task: Task) -> None:
    """End those that want it, from the last one on: so none is passed over when others come and go meanwhile."""
    place = len(context.events)
    while place > 0:
        place = min(place, len(context.events)) - 1
        if place >= 0 and context.events[place].has(REMOVE_ON_EXEC):
            _end(context.events[place], task)
