"""The stops of a traced task, with notifications to its tracer (ptrace(2), "Stopped states").

The running task calls these: for a signal that it takes, before and after a system call, at events, when its process
stops. It sleeps as TRACED until its tracer lets it go on, goes away, or SIGKILL comes. SIGCONT does not wake it.

Context: sleeps. Never raises.
"""

from typing import Final

from arch import TrapFrame
from arch.programs import end_step
from kernel.lang import ENOSYS, Errno, noinline, noraise
from kernel.lib.pid import Pid
from kernel.sched import ThreadState
from kernel.sched.scheduler import announce_work, schedule
from kernel.task.accounting import NS_PER_CLOCK_TICK, thread_usage
from kernel.task.actions import SIG_DFL, SIG_IGN
from kernel.task.control_groups import note_rest
from kernel.task.send import (
    force,
    hears_of_stops,
    join_stop,
    report_job_control,
    send_from_kernel,
    send_to_task,
    update_interrupted,
)
from kernel.task.siginfo import SignalInfo, from_child, from_fault, from_kernel, from_process
from kernel.task.signals import (
    CLD_STOPPED,
    CLD_TRAPPED,
    SI_USER,
    SIGCHLD,
    SIGKILL,
    SIGTRAP,
    STOP_SIGNALS,
    TRAP_BRKPT,
    contains,
)
from kernel.task.task import Task, uid_shown_to
from kernel.task.tracee import EVENT_EXEC, EVENT_EXIT, EVENT_STOP, EVENT_VFORK_DONE, MARKS_CALLS, CallWatch, Tracee
from kernel.task.words import signed_32

_BEFORE_CALL: Final = 1  # PTRACE_EVENTMSG_SYSCALL_…
_AFTER_CALL: Final = 2
_CALL_MARK: Final = 0x80

# Stopping -------------------------------------------------------------------------------------------------------------


def _must_die(task: Task) -> bool:
    """Whether the thread must end, so that no tracer can hold it."""
    process = task.process
    executing = process.exec_task
    return process.ending.is_exiting or (executing is not None and executing is not task) or task.has_pending_kill()


def _stop(task: Task, tracee: Tracee, code: int, why: int, info: SignalInfo | None, message: int) -> int:
    """Stop until the tracer lets the task go on; returns the signal that it must take then, or 0."""
    process = task.process
    tracee.stop_code = code
    tracee.info = info
    tracee.message = message
    tracee.resume_signal = 0
    tracee.traps_soon = False
    if code >> 8 == EVENT_STOP:
        tracee.notifies_soon = False
    completes = why == CLD_STOPPED and process.stop.signal != 0 and not task.signals.is_stopped and join_stop(task)
    note_rest(task)
    task.state = ThreadState.TRACED
    status = process.stop.signal if why == CLD_STOPPED else code & 0x7F
    tell_tracer(tracee, why, status)
    if completes and not tracee.is_of_parent():
        report_job_control(process, CLD_STOPPED, process.stop.last_signal)
    schedule()
    tracee.is_listening = False
    update_interrupted(task)
    return tracee.resume_signal


def tell_tracer(tracee: Tracee, code: int, status: int) -> None:
    """Send SIGCHLD about one thread, and wake the waits."""
    process = tracee.tracer.process
    if tracee.is_dead or hears_of_stops(process):
        try:
            send_from_kernel(process, _thread_information(tracee, code, status))
        except MemoryError:
            send_from_kernel(process, from_kernel(SIGCHLD))
    process.family.tell()


def _thread_information(tracee: Tracee, code: int, status: int) -> SignalInfo:
    """siginfo_t that reports a thread's change of state to a tracer. Raises MemoryError."""
    task = tracee.task
    usage = thread_usage(task)
    user_ticks = usage.user_ns // NS_PER_CLOCK_TICK
    system_ticks = usage.system_ns // NS_PER_CLOCK_TICK
    number = tracee.tracer.pids.shown(task.tid)
    uid = uid_shown_to(tracee.tracer.process, task.credentials.uid)
    return from_child(SIGCHLD, code, number, uid, status, user_ticks, system_ticks)


def _event_information(task: Task, tracee: Tracee, signo: int, code: int) -> SignalInfo:
    """What PTRACE_GETSIGINFO shows at a stop other than for a signal."""
    info = tracee.event_info
    info.signo = signo
    info.error = 0
    info.code = code
    info.first = task.own_tid
    info.second = signed_32(task.own_uid)
    info.third = 0
    info.fourth = 0
    info.fifth = 0
    return info


def _notify(task: Task, tracee: Tracee, code: int, message: int) -> int:
    """Stop for an event of the task's own."""
    return _stop(task, tracee, code, CLD_TRAPPED, _event_information(task, tracee, SIGTRAP, code), message)


# Signals and job control ----------------------------------------------------------------------------------------------


@noinline
@noraise
def stop_for_signal(task: Task, info: SignalInfo | None) -> SignalInfo | None:
    """Show the tracer a signal that the task takes; returns the one to take instead, None for none."""
    tracee = task.tracee
    if tracee is None or info is None or info.signo == SIGKILL:
        return info
    if _must_die(task):
        return None
    tracee.cancels = task.process.stop.cancels
    signo = _stop(task, tracee, info.signo, CLD_TRAPPED, info, 0)
    if signo == 0 or _must_die(task):
        return None
    shown = tracee.info
    if shown is not None and shown.signo == signo:
        info = shown
    else:
        tracer = tracee.tracer
        try:
            uid = uid_shown_to(task.process, tracer.credentials.uid)
            info = from_process(signo, SI_USER, task.pids.shown(tracer.pid), uid)
        except MemoryError:
            info = from_kernel(signo)
    if contains(task.signals.blocked, signo):
        try:
            send_to_task(task, info)
        except Errno:
            pass  # no room for a real-time signal's information: it is lost, as if sent without
        return None
    handler = task.process.actions.action(signo).handler
    if handler != SIG_DFL and handler != SIG_IGN:
        _suspend_step(task, tracee)
    elif handler == SIG_DFL and contains(STOP_SIGNALS, signo):
        if tracee.cancels != task.process.stop.cancels:
            return None
    return info


@noinline
@noraise
def stop_if_due(task: Task, tracee: Tracee, frame: TrapFrame) -> bool:
    """Stop after a system call, take part in a stop of the process, or stop because the tracer asked for it; returns
    whether there was a reason.
    """
    process = task.process
    if tracee.leaves_call:
        tracee.leaves_call = False
        if frame.is_of_call():
            _leave_call(task, tracee, frame)
        update_interrupted(task)
        return True
    signo = process.stop.signal
    if signo != 0 and not task.signals.is_stopped:
        tracee.traps_soon = True
    if not tracee.traps_soon and not tracee.notifies_soon:
        return False
    if tracee.is_seized:
        if signo == 0:
            signo = SIGTRAP
        code = EVENT_STOP << 8 | signo
        _stop(task, tracee, code, CLD_STOPPED, _event_information(task, tracee, signo, code), 0)
    elif signo != 0:
        _stop(task, tracee, signo, CLD_STOPPED, None, 0)
    else:
        tracee.traps_soon = False  # continued before it came here
        tracee.tracer.process.family.tell()  # `attach` waits for that
    return True


# System calls ---------------------------------------------------------------------------------------------------------


def _stop_for_call(task: Task, tracee: Tracee, message: int) -> None:
    code = SIGTRAP | (_CALL_MARK if tracee.options & MARKS_CALLS != 0 else 0)
    signo = _notify(task, tracee, code, message)
    if signo != 0:
        try:
            send_to_task(task, from_kernel(signo))
        except Errno:
            pass  # no room for it


@noraise
def enter_call(task: Task, tracee: Tracee, frame: TrapFrame) -> bool:
    """Before a system call; returns whether to make it. The tracer sees a result of ENOSYS, the call's if it is
    not made and the tracer sets no other one.
    """
    if tracee.calls == CallWatch.NOTHING:
        return True
    is_emulated = tracee.calls == CallWatch.EMULATED
    frame.set_result(-ENOSYS)
    if not _must_die(task):
        _stop_for_call(task, tracee, _BEFORE_CALL)
    return not is_emulated and not _must_die(task)


def end_call(task: Task) -> None:
    """A traced task has made a system call, and has not returned from it yet."""
    tracee = task.tracee
    if tracee is not None:
        tracee.leaves_call = True
        task.interrupted = True
        announce_work()


def _leave_call(task: Task, tracee: Tracee, frame: TrapFrame) -> None:
    """After a system call, before its signals: a step of the program ends here, too."""
    if tracee.calls == CallWatch.EMULATED:
        return
    if tracee.steps:
        try:
            force(task, from_fault(SIGTRAP, TRAP_BRKPT, frame.instruction_pointer))
        except MemoryError:
            force(task, from_kernel(SIGTRAP))
    elif tracee.calls == CallWatch.STOPS and not _must_die(task):
        _stop_for_call(task, tracee, _AFTER_CALL)


# Events ---------------------------------------------------------------------------------------------------------------


@noraise
def report_event(task: Task, event: int, message: int) -> bool:
    """Stop for an event, if the tracer asked for it; returns whether it did."""
    tracee = task.tracee
    if tracee is None or not tracee.wants(event):
        return False
    if not _must_die(task):
        _notify(task, tracee, event << 8 | SIGTRAP, message)
    if event == EVENT_VFORK_DONE or event == EVENT_EXEC:
        end_call(task)  # also if no one watched when the call began
    return True


@noraise
def report_exec(task: Task, old_tid: Pid) -> None:
    """A new program is about to begin. Tracers of the old kind that did not ask for the event get a signal."""
    tracee = task.tracee
    if tracee is None or report_event(task, EVENT_EXEC, tracee.tracer.pids.shown(old_tid)) or tracee.is_seized:
        return
    try:
        send_to_task(task, from_process(SIGTRAP, SI_USER, task.own_pid, task.own_uid))
    except Errno:
        return  # cannot be: a standard signal always finds room
    except MemoryError:
        force(task, from_kernel(SIGTRAP))


@noraise
def report_end(task: Task) -> None:
    """The thread ends; its memory is still there. Another SIGKILL ends the stop."""
    tracee = task.tracee
    if tracee is None:
        return
    process = task.process
    status = process.ending.status if process.ending.is_exiting else tracee.exit_status
    if tracee.wants(EVENT_EXIT) and not contains(task.pending.mask | task.process.pending.mask, SIGKILL):
        _notify(task, tracee, EVENT_EXIT << 8 | SIGTRAP, status)


# Steps ----------------------------------------------------------------------------------------------------------------


def _suspend_step(task: Task, tracee: Tracee) -> None:
    """A handler will run: its frame must not show the tracer's flag."""
    tracee.steps_into_handler = tracee.steps
    if tracee.steps:
        tracee.steps = False
        end_step(task.stack_top, task.registers)


@noinline
@noraise
def report_handler(task: Task) -> None:
    """A task that may have been stepping is at a handler's first instruction."""
    tracee = task.tracee
    if tracee is not None and tracee.steps_into_handler and not _must_die(task):
        _notify(task, tracee, SIGTRAP, 0)
