"""Events of places in a program: the processor stops there (PERF_TYPE_BREAKPOINT); and SIGTRAP for samples of any event
(`sigtrap`).

The debug registers are a task's own, so such an event belongs to a task, and what they find while the kernel runs
counts as nothing. A signal is only noted where a sample is taken, and sent by the task itself.

Context: the running task, on its way from an exception or to user mode.
Source: perf_event_open(2); sigaction(2) (TRAP_PERF).
"""

from typing import Final

from kernel.lang import Errno, noinline
from kernel.perf.event import Event
from kernel.perf.overflow import BUDGET, happened, is_excluded, lose
from kernel.perf.records import context_of
from kernel.perf.sample import PLACE
from kernel.perf.tracepoints import RAW
from kernel.task.send import send_to_task
from kernel.task.siginfo import SignalInfo
from kernel.task.signals import SIGTRAP
from kernel.task.task import Task

_TRAP_PERF: Final = 6
_ASYNCHRONOUS: Final = 1  # TRAP_PERF_FLAG_ASYNC


@noinline
def places_hit(task: Task) -> None:
    """The program of the running task touched places that are watched."""
    context = context_of(task)
    if context is None:
        return
    BUDGET.begin()
    PLACE.be_user(task)
    for event in context.events:
        watch = event.watch
        if watch is not None and watch.was_hit:
            watch.was_hit = False
            if event.is_active and not is_excluded(event, PLACE):
                happened(event, 1, PLACE, watch.address, RAW.nothing())
    send_traps(task)


def send_traps(task: Task) -> bool:
    """Send the signals that are due. Returns whether there were any."""
    context = context_of(task)
    if context is None or not context.traps_are_due:
        return False
    context.traps_are_due = False
    for event in context.events:
        if not event.throttle.trap_is_due:
            continue
        event.throttle.trap_is_due = False
        try:
            _send_trap(event, task)
        except (Errno, MemoryError):
            lose(event)  # as a sample without room
    return True


def _send_trap(event: Event, task: Task) -> None:
    """Raises EAGAIN, MemoryError."""
    info = SignalInfo(SIGTRAP, _TRAP_PERF)
    info.set_address(event.throttle.trap_address)
    info.third = event.attributes.signal_data
    is_blocked = task.signals.blocked >> (SIGTRAP - 1) & 1 != 0
    info.fourth = event.attributes.type | (_ASYNCHRONOUS << 32 if is_blocked else 0)
    send_to_task(task, info)
