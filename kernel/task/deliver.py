"""Work on the way back to user mode: ending, stopping, signals, yielding (signal(7)).

Runs whenever a system call or a fault of a program is done, with the program's registers in its frame. In a loop,
because each step may sleep and things change meanwhile, after handling a shortage of memory that was noticed:

1. the process must end, or another thread executes a new program: this thread exits; requests of io_uring(7) that
are due go on;
2. another thread's turn has come: yield;
3. the process must stop: sleep until it continues;
4. a signal is pending: take it. A handler gets a frame on the user stack, and perhaps another one on top of it;
without a handler the default action follows.

If a signal ended the system call (the results ERESTART…), it is repeated or returns EINTR, as the handler's
flags say.
"""

from typing import Final

from arch import TrapFrame, number_of_call
from kernel.lang import (
    EINTR,
    ERESTART_RESTARTBLOCK,
    ERESTARTNOHAND,
    ERESTARTNOINTR,
    ERESTARTSYS,
    Errno,
    final,
    noinline,
    noraise,
)
from kernel.lib.pace import pace, spend, take_rest
from kernel.lib.pid import FIRST, Pid
from kernel.mm.frames import SHORTAGE
from kernel.sched import ThreadState
from kernel.sched.processor import RUNNING, announce_work_of
from kernel.sched.scheduler import interrupt_sleep, need_resched, schedule, work_is_done
from kernel.task import restartable
from kernel.task.actions import SA_NODEFER, SA_RESETHAND, SA_RESTART, SIG_DFL, SIG_IGN, SignalAction, SignalActions
from kernel.task.blocking import change_blocked, set_blocked
from kernel.task.control_groups import freeze_running, note_rest
from kernel.task.exit import end_process, exit_task
from kernel.task.group_holdings import count_holdings
from kernel.task.group_shortage import relieve_group
from kernel.task.group_time import wait_for_time
from kernel.task.groups import is_orphaned
from kernel.task.handler_frame import call_handler, return_from_handler
from kernel.task.memory_shortage import find_memory, relieve
from kernel.task.notify import report_stopped
from kernel.task.observer import TASKS
from kernel.task.pids import next_thread
from kernel.task.process import Process
from kernel.task.send import (
    force,
    interrupt,
    is_protected,
    join_stop,
    may_come_from_above,
    trap_again,
    update_interrupted,
    wake_continued,
)
from kernel.task.siginfo import SignalInfo, from_kernel
from kernel.task.signals import (
    DUMPS_CORE,
    IGNORED_BY_DEFAULT,
    SIGKILL,
    SIGSEGV,
    SIGSTOP,
    STOP_SIGNALS,
    bit,
    contains,
)
from kernel.task.task import Task
from kernel.task.trace_stops import report_handler, stop_for_signal, stop_if_due

_RESTART: Final = number_of_call("restart_syscall")
_TOLD_AT_ONCE: Final = 256  # threads
# Instructions for a thread, for `pace`
_TELL_COST: Final = 450
_LOOK_COST: Final = 20
_FIND_COST: Final = 250  # for the next thread of a walk
_STOP_COST: Final = 1200


@noraise
def before_user_mode(task: Task, frame: TrapFrame) -> None:
    """Do pending work before the program goes on. May not return: the task may end here."""
    if task.calls.keeps_files:
        task.let_files_go()
    if SHORTAGE.is_felt:
        relieve(task)
    if task.membership.counts_holdings:
        count_holdings(task)
    if task.charges.is_over_limit:
        relieve_group(task)
    if task.signals.returns_from_handler:
        task.signals.returns_from_handler = False
        _return_from_handler(task, frame)
    while True:
        if task.interrupted:
            probed = task.probed
            if probed is not None:
                probed.undo_step(frame)
            process = task.process
            if process.ending.is_exiting:
                exit_task(task)
            if process.exec_task is not None and process.exec_task is not task:
                exit_task(task)
            if not _works(task) and not _stops(task, frame):
                if task.cgroup.freezes and not task.has_pending_kill():
                    _rest_or_die(task)
                else:
                    _take_signal(task, frame)
        elif need_resched():
            schedule()
        elif task.share is not None and wait_for_time(task):
            continue
        elif task.library.rseq.address != 0 and restartable.has_lost_processor(task):
            _restart_sequence(task, frame)
        elif not RUNNING.is_observed or not TASKS.observer.returns():
            if not task.signals.restores_blocked:
                break
            _settle_restart(frame)  # a handler that runs now does not interrupt the call any more
            task.signals.restores_blocked = False
            set_blocked(task, task.signals.saved_blocked)
    _settle_restart(frame)
    work_is_done()


def _works(task: Task) -> bool:
    """Go on with requests that are due (io_uring(7)), if there are any."""
    work = task.async_work
    if work is None or not work.is_due():
        return False
    work.run()
    return not work.is_due()  # later ones let stops and signals go first


@noinline
def _rest_or_die(task: Task) -> None:
    """The group of the running thread freezes. A signal that only ends the process does so nevertheless."""
    signo = task.fatal_signal()
    if signo != 0:
        end_process(task.process, signo)
    else:
        freeze_running(task)


def _restart_sequence(task: Task, frame: TrapFrame) -> None:
    """Have the program restart an interrupted sequence (rseq(2))."""
    try:
        restartable.restart(task, frame)
        return
    except Errno:
        restartable.forget(task)
    force(task, from_kernel(SIGSEGV))


def _return_from_handler(task: Task, frame: TrapFrame) -> None:
    """rt_sigreturn: the program goes on where the signal interrupted it."""
    while not task.process.ending.is_exiting:
        try:
            return_from_handler(task, frame)
            return
        except Errno:
            break
        except MemoryError:
            find_memory(task)
    frame.forget_call()
    force(task, from_kernel(SIGSEGV))


# Restarting system calls ----------------------------------------------------------------------------------------------


def _interrupted_by(frame: TrapFrame) -> int:
    """The ERESTART… with which the system call ended; 0 if it ended otherwise, or this is not a system call."""
    if not frame.can_repeat_call():
        return 0
    result = frame.result
    error = -result if -ERESTART_RESTARTBLOCK <= result < 0 else 0
    if error == ERESTARTSYS or error == ERESTARTNOHAND or error == ERESTARTNOINTR or error == ERESTART_RESTARTBLOCK:
        return error
    return 0


def _settle_restart(frame: TrapFrame) -> None:
    """No handler ran: repeat the call."""
    error = _interrupted_by(frame)
    if error == 0:
        return
    frame.repeat_call(_RESTART if error == ERESTART_RESTARTBLOCK else frame.repeatable_call)


def _settle_for_handler(frame: TrapFrame, action: SignalAction) -> None:
    """A handler runs: the call is repeated after it only if its flags allow that."""
    error = _interrupted_by(frame)
    if error == 0:
        return
    if error == ERESTARTNOINTR or (error == ERESTARTSYS and action.flags & SA_RESTART != 0):
        frame.repeat_call(frame.repeatable_call)
    else:
        frame.set_result(-EINTR)
        frame.forget_call()


# Taking signals -------------------------------------------------------------------------------------------------------


def take_pending(task: Task, blocked: int) -> SignalInfo | None:
    """Take the next pending signal not in `blocked`: the thread's own before the process's. Threads that wait for
    signals take them here as well, and have SIGKILL and SIGSTOP in `blocked`: those are not theirs to take.
    """
    signo = task.pending.choose(blocked)
    if signo != 0:
        return task.pending.take(signo)
    shared = task.process.pending
    signo = shared.choose(blocked)
    if signo != 0:
        return shared.take(signo)
    return None


def _take_signal(task: Task, frame: TrapFrame) -> None:
    shared = task.process.pending
    killed = contains(shared.mask, SIGKILL)  # before all: a stop of the thread's own would come first and hold it
    info = shared.take(SIGKILL) if killed else take_pending(task, task.signals.blocked)
    if task.tracee is not None:
        info = stop_for_signal(task, info)
    if info is None:
        update_interrupted(task)
        return
    process = task.process
    signo = info.signo
    forced = task.signals.forced == signo
    if forced:
        task.signals.forced = 0
    action = process.actions.action(signo)
    if action.handler == SIG_IGN:
        pass
    elif action.handler != SIG_DFL:
        _run_handler(task, frame, action, info)
    elif not forced and is_protected(process, signo) and not may_come_from_above(process, signo):
        pass
    elif contains(STOP_SIGNALS, signo):
        _begin_stop(process, signo)
    elif not contains(IGNORED_BY_DEFAULT, signo):
        end_by_signal(task, info)
        return
    update_interrupted(task)


class CoreDumper:
    """Writes core files. Base class: kernel/task/core_dump.py has the implementation."""

    @noraise
    def dump(self, task: Task, info: SignalInfo) -> None:
        """A signal ends the process of the running task: dump its state. May sleep."""


@final
class CoreDumping:
    """Where core_dump.py registers itself."""

    def __init__(self) -> None:
        self.dumper: CoreDumper = CoreDumper()


CORE_DUMPING: Final = CoreDumping()


@noraise
def end_by_signal(task: Task, info: SignalInfo) -> None:
    """The default action of most signals: the process of the running task ends, and some leave a core file. May
    sleep.
    """
    if contains(DUMPS_CORE, info.signo):
        CORE_DUMPING.dumper.dump(task, info)
    end_process(task.process, info.signo)


def _run_handler(task: Task, frame: TrapFrame, action: SignalAction, info: SignalInfo) -> None:
    _settle_for_handler(frame, action)
    if task.library.rseq.address != 0:
        _restart_sequence(task, frame)
    mask = task.signals.saved_blocked if task.signals.restores_blocked else task.signals.blocked
    if action.flags & SA_RESETHAND != 0:
        _reset_handler(task.process.actions, info.signo, action)  # before the frame, for which this may have to wait
    while True:
        try:
            call_handler(task, frame, action, info, mask)
            break
        except Errno:
            _force_fault(task, info.signo)
            return
        except MemoryError:
            find_memory(task)
        if task.process.ending.is_exiting:
            return
    task.signals.restores_blocked = False
    blocked = task.signals.blocked | action.mask
    if action.flags & SA_NODEFER == 0:
        blocked |= bit(info.signo)
    change_blocked(task, blocked)  # `_take_signal` sees the rest
    if task.tracee is not None:
        report_handler(task)


def _reset_handler(actions: SignalActions, signo: int, action: SignalAction) -> None:
    """SA_RESETHAND: the default from now on; sigaction(2) still shows the flags."""
    try:
        actions.set(signo, SIG_DFL, action.flags, action.restorer, action.mask)
    except MemoryError:
        actions.set_default(signo)


def _force_fault(task: Task, signo: int) -> None:
    """The frame cannot be written: force SIGSEGV, and if it was for SIGSEGV, without a handler."""
    if signo == SIGSEGV:
        task.process.actions.set_default(SIGSEGV)
    force(task, from_kernel(SIGSEGV))


# Stopping -------------------------------------------------------------------------------------------------------------


def _begin_stop(process: Process, signo: int) -> None:
    """A stop signal's default action: all threads must stop. Does nothing in an orphaned group, whose jobs no one
    would continue. Threads may run although others have stopped: those that a tracer let go on. Sleeps if there are
    very many.
    """
    group = process.job
    cancels = process.stop.cancels
    if len(process.threads) > _TOLD_AT_ONCE:
        take_rest()
    if signo != SIGSTOP and group is not None and is_orphaned(group, None):
        return
    if process.stop.cancels != cancels or process.ending.is_exiting or process.exec_task is not None:
        return  # others ran meanwhile
    process.stop.signal = signo
    process.stop.last_signal = signo
    process.stop.stopped_count = 0
    left = _TOLD_AT_ONCE
    for other in process.threads.values():
        if other.state == ThreadState.STOPPED:
            other.signals.is_stopped = True
            process.stop.stopped_count += 1
            continue
        other.signals.is_stopped = False
        if left > 0:
            tracee = other.tracee
            if tracee is not None and tracee.is_seized:
                trap_again(tracee)
            else:
                interrupt(other)
            spend(_TELL_COST)
            left -= 1
        else:
            other.interrupted = True
            announce_work_of(other)
            spend(_LOOK_COST)
    if left == 0:
        _wake_to_stop(process)


@noinline
def _wake_to_stop(process: Process) -> None:
    """Wake the rest of very many threads that must stop, and sleep. Sleeps; they may be continued meanwhile."""
    other = next_thread(process, FIRST)
    while other is not None and process.stop.signal != 0:
        number = Pid(int(other.tid) + 1)
        tracee = other.tracee
        if tracee is not None and tracee.is_seized and not other.signals.is_stopped:
            trap_again(tracee)
            spend(_TELL_COST)
        elif other.state == ThreadState.SLEEPING and other.interrupted:
            interrupt_sleep(other)
            spend(_TELL_COST)
        pace(_FIND_COST)
        other = next_thread(process, number)


def _stops(task: Task, frame: TrapFrame) -> bool:
    """Stop, for the tracer or with the process, if there is a reason; the last thread to stop notifies the parent."""
    pace(_STOP_COST)  # thousands may do so one after the other, and none of them reaches user mode
    tracee = task.tracee
    if tracee is not None:
        return stop_if_due(task, tracee, frame)
    process = task.process
    if process.stop.signal == 0:
        return False
    if not task.signals.is_stopped and join_stop(task):
        report_stopped(process)
    note_rest(task)
    task.state = ThreadState.STOPPED
    schedule()
    update_interrupted(task)
    if process.stop.has_sleepers:
        wake_continued(process)
    return True
