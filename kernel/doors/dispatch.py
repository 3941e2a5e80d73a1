"""Entering and leaving a system call: find the handler, call it, do pending work before the program goes on.

`krait_syscall` is called by entry.S on the task's kernel stack, with the program's registers. Handlers may change these
(execve, sigreturn), may sleep, and may not return at all (exit). `krait_finish_call` follows quick forms that return
FINISH.
"""

from typing import Final

from arch import CALL_LIMIT, TrapFrame
from kernel.doors.table import SYSCALLS
from kernel.doors.trace import describe_call, report_result
from kernel.lang import ENOSYS, ERESTART_RESTARTBLOCK, ERESTARTSYS, export, inline, noinline, on_stack
from kernel.lib import log
from kernel.mm.reclaim import reclaim_if_due
from kernel.perf.observer import call_begins, call_ends
from kernel.sched.processor import RUNNING
from kernel.sched.scheduler import has_work, watches_calls
from kernel.task.blocking import note_changed_mask
from kernel.task.deliver import before_user_mode
from kernel.task.diversion import diverts
from kernel.task.seccomp import permits
from kernel.task.send import rewatch
from kernel.task.task import TRACING, Task, current
from kernel.task.trace_stops import end_call, enter_call

_NO_CALL: Final = 0xFFFF_FFFF
# Results that ask for a restart; no other errno is that large.
_FIRST_RESTART: Final = -ERESTARTSYS
_LAST_RESTART: Final = -ERESTART_RESTARTBLOCK


@export("krait_syscall")
@on_stack(16384)
def krait_syscall(frame: TrapFrame) -> None:
    """One system call. The result, or a negative errno, goes to the frame."""
    number = frame.call_number
    result = _watched_call(number, frame) if watches_calls() else call(number, frame)
    frame.set_result(result)
    reclaim_if_due()
    if has_work() or _LAST_RESTART <= result <= _FIRST_RESTART:
        before_user_mode(current(), frame)


@inline
def call(number: int, frame: TrapFrame) -> int:
    """Run a handler with the registers of the call."""
    if number < CALL_LIMIT:
        row = SYSCALLS[number]
        if row is not None:
            return row.handler(frame.first, frame.second, frame.third, frame.fourth, frame.fifth, frame.sixth)
    _report_missing(number)
    return -ENOSYS


@export("krait_finish_call")
@on_stack(16384)
def krait_finish_call(frame: TrapFrame) -> None:
    """The rest of a call that has changed the running thread's signal mask without the kernel lock."""
    frame.set_result(0)
    note_changed_mask(current())
    if has_work():
        before_user_mode(current(), frame)


@noinline
def _watched_call(number: int, frame: TrapFrame) -> int:
    """A call of a thread that may not make all calls, handles some itself, or is traced."""
    task = current()
    dispatch = task.dispatch
    if dispatch is not None and diverts(task, dispatch, number, frame):
        return frame.result
    if task.tracee is not None:
        return _call_of_tracee(task, number, frame)
    if not permits(task, number, frame):
        return frame.result
    if TRACING.enabled or RUNNING.is_observed:
        return _seen_call(number, frame)
    if task.calls.seccomp_mode == 0 and dispatch is None:
        rewatch(task)  # the observer of all tasks' calls has gone
    return call(number, frame)


@noinline
def _call_of_tracee(task: Task, number: int, frame: TrapFrame) -> int:
    """Tracer and filters may each change the number, and refuse the call. Some work remains for the way out."""
    tracee = task.tracee
    is_made = tracee is None or enter_call(task, tracee, frame)
    number = frame.traced_call
    is_made = is_made and number != _NO_CALL and permits(task, number, frame)
    if is_made:
        number = frame.traced_call
        frame.set_result(_seen_call(number, frame))
    end_call(task)
    return frame.result


@noinline
def _seen_call(number: int, frame: TrapFrame) -> int:
    """A call between its tracepoints, and with a line in the log if `trace=` asks for it."""
    text = _description(number, frame)
    if RUNNING.is_observed:
        call_begins(current(), number, frame)
    result = call(number, frame)
    if RUNNING.is_observed:
        call_ends(current(), number, result)
    _report(text, result)
    return result


@noinline
def _description(number: int, frame: TrapFrame) -> str:
    """The call as text, "" if no one wants to see it or there is no room: it goes on without its line."""
    if not TRACING.enabled:
        return ""
    try:
        return describe_call(number, [frame.first, frame.second, frame.third, frame.fourth, frame.fifth, frame.sixth])
    except MemoryError:
        return ""


@noinline
def _report(text: str, result: int) -> None:
    """Print its line, once it is done."""
    if len(text) == 0:
        return
    try:
        report_result(text, result)
    except MemoryError:
        return  # the call is done, whether or not its line is printed


@noinline
def _report_missing(number: int) -> None:
    """Report a missing call, once for each number."""
    try:
        log.once(number, f"system call {number} is not implemented")
    except MemoryError:
        return  # no room for the message
