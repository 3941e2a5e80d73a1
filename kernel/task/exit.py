"""The end of tasks and processes, and the work that it leaves for others (exit(2), wait(2), prctl(2), setpgid(2)).

A task ends in its own context, on its own stack; the next thread to run frees the stack. When the last thread has
ended, the process is a zombie until its parent has waited for it, or is reaped at once if the parent ignores it.

Context: `exit_task` sleeps (closing files) and does not return.
"""

from typing import Final

from arch.programs import end_step
from kernel.cgroup.group import TOP
from kernel.lang import final, noraise, panic
from kernel.lib.credentials import Credentials
from kernel.lib.pace import pace, spend
from kernel.lib.pid import FIRST, UNSET
from kernel.sched import exit_thread
from kernel.sched.processor import RUNNING
from kernel.sched.runqueue import leave_slice
from kernel.sched.scheduler import charge_running, make_ready
from kernel.sched.thread import ThreadState
from kernel.task import futex_exit
from kernel.task.accounting import note_peak, retire
from kernel.task.actions import SA_NOCLDWAIT, SIG_IGN
from kernel.task.blocking import leave_signals
from kernel.task.child_information import exit_code, exit_value
from kernel.task.control_groups import leave_at_end, uncount
from kernel.task.family import enter_child, leave_parent
from kernel.task.futex_pi import leave_states
from kernel.task.groups import TERMINAL_HOOK, ProcessGroup, find_group, has_stopped_member, is_orphaned
from kernel.task.namespaces import leave_namespaces, undo_semaphores
from kernel.task.notify import final_signal, report_exit, report_stopped
from kernel.task.observer import TASKS
from kernel.task.pid_namespace import PidNamespace
from kernel.task.pids import (
    find_process,
    leave_group,
    next_process,
    uncount_user,
    unregister_process,
    unregister_task,
)
from kernel.task.process import Process
from kernel.task.process_accounting import end_account, note_end
from kernel.task.seccomp_listener import leave_filters
from kernel.task.send import hang_up_group, interrupt, may_signal, rewatch, send_from_kernel, wake_to_die
from kernel.task.siginfo import from_kernel
from kernel.task.signals import SIGCHLD, SIGKILL
from kernel.task.task import Task
from kernel.task.trace_stops import report_end, tell_tracer
from kernel.task.tracee import KILLS_AT_EXIT, Tracee, cut
from kernel.task.zombies import BIRTHS, enter_zombie, leave_zombies

_KILL_COST: Final = 1500  # instructions, for `pace`
_WAKE_COST: Final = 450  # instructions to wake a thread that must end
_EXIT_COST: Final = 15_000  # instructions, for `pace`
_GIVE_COST: Final = 1500
_TOLD_AT_ONCE: Final = 256  # threads
_LOOK_COST: Final = 10


class LastExitHandler:
    """Called when the first process ends. Base class."""

    def first_process_ended(self, status: int) -> None:
        """`status` is the one that wait(2) would report. Does not return."""


@final
class LastExit:
    """Where the boot code enters its handler."""

    def __init__(self) -> None:
        self.handler: LastExitHandler | None = None


LAST_EXIT: LastExit = LastExit()


def _powerless() -> Credentials:
    made = Credentials()
    made.effective = 0
    made.permitted = 0
    return made


_WITHOUT_DOMAIN: Final = _powerless()  # of a thread whose rights no longer matter


def end_process(process: Process, status: int) -> None:
    """All threads must end, with a status as wait(2) reports it. The first call decides. The running thread goes on
    until it checks its signals. If it dumps core, a thread that its tracer inspects before it ends is not disturbed.
    Sleeps if there are many.
    """
    if process.ending.is_exiting:
        return
    process.ending.is_exiting = True
    process.ending.status = status
    process.stop.signal = 0
    tell_to_end(process, None)


def tell_to_end(process: Process, spared: Task | None) -> None:
    """Let all threads of a process but one run to their end, whatever holds them: each is notified once. Sleeps if
    there are many; if they must all be notified anew meanwhile, that call goes on alone.
    """
    process.ending.round += 1
    number = process.ending.round
    while process.ending.round == number and _tell_some(process, spared, number):
        pace(len(process.threads) * _LOOK_COST)


def _tell_some(process: Process, spared: Task | None, number: int) -> bool:
    """Notify some threads that have not been notified in a round; returns whether there may be more."""
    left = _TOLD_AT_ONCE
    for task in process.threads.values():
        if task.signals.end_round == number:
            continue
        task.signals.end_round = number
        if task is not spared and not task.is_exiting and not (task.signals.is_past_dump and process.dump is not None):
            wake_to_die(task)
            spend(_WAKE_COST)
        left -= 1
        if left == 0:
            return True
    return False


def end_thread(task: Task, status: int) -> None:
    """End the running thread alone, with a status as wait(2) reports it: the status of the leader, or of the
    last thread left, is the process's. Does not return.
    """
    process = task.process
    is_last = process.ending.leaving + 1 == len(process.threads)
    if not process.ending.is_exiting and (process.leader is task or is_last):
        process.ending.status = status
        process.ending.is_exiting = is_last
    tracee = task.tracee
    if tracee is not None:
        tracee.exit_status = status
    exit_task(task)


@noraise
def exit_task(task: Task) -> None:
    """End the running task. Does not return."""
    pace(_EXIT_COST)  # the threads of a large process end one by one without returning to user mode
    task.signals.end_round = task.process.ending.round  # it need not be notified any more
    dump = task.process.dump
    if dump is not None and dump.dumper != task.tid:
        dump.attend()
        pace(_EXIT_COST)  # the file is written: all of them go on at once
    task.signals.is_past_dump = True
    report_end(task)
    task.is_exiting = True
    task.interrupted = False
    process = task.process
    if task.has_pending_kill():
        end_process(process, SIGKILL)  # it does not take that any more, and others may sleep until one does
    leave_signals(task)
    process.ending.leaving += 1
    is_last = process.ending.leaving == len(process.threads)  # not counting those that end and sleep on the way
    if is_last and process.pid == FIRST:
        _first_process_ends(process)
    work = task.async_work
    if work is not None:
        work.end()
    futex_exit.leave_locks(task)
    leave_states(task)
    if RUNNING.is_observed:
        TASKS.observer.exits(task)
    if is_last:
        _end_times(task)
    _release_memory(task)
    finish_vfork(task)
    undo_semaphores(task)
    leave_namespaces(task)
    leave_filters(task)
    belongings = task.belongings
    if belongings is not None:
        belongings.release_keys()
    task.let_files_go()
    files = task.file_table
    task.file_table = None
    if files is not None:
        files.release()
    context = task.fs_context
    task.fs_context = None
    if context is not None:
        context.release()
    if is_last:
        _release_executable(process)
    _leave_relatives(task, process)
    task.registers.release()
    _leave_rules(task)
    charge_running()
    retire(task)
    process.threads.pop(task.tid)
    process.ending.leaving -= 1
    heir = process.any_thread() if len(process.threads) > 0 else process.parent_thread()
    if heir is not None:
        leave_slice(task, heir)
    if task.cgroup is not TOP:
        leave_at_end(task)
    task.pending.clear()
    task.restart = None
    if task.tracee is not None:
        _stay_for_tracer(task, task.tracee)
    elif process.leader is not task:
        _forget_thread(task)
    if len(process.threads) == 0:
        _end_of_process(process)
    else:
        _one_thread_less(process)
    exit_thread()


def _first_process_ends(process: Process) -> None:
    handler = LAST_EXIT.handler
    if handler is not None:
        handler.first_process_ended(process.ending.status)
    panic(f"the first process ended with status {process.ending.status}")


def _end_times(task: Task) -> None:
    """The last thread of a process ends: its record is written, and its timers go. Sleeps."""
    note_end(task)
    timers = task.process.timers
    if timers is not None:
        timers.delete_posix()


def _release_memory(task: Task) -> None:
    memory = task.memory
    task.memory = None
    task.space_root = 0
    if memory is not None:
        note_peak(task.process, memory)
        memory.release()


def _release_executable(process: Process) -> None:
    """No thread of the process goes on. Sleeps, so it comes before the process is a zombie, which others may reap."""
    executable = process.executable
    process.executable = None
    if executable is not None:
        executable.release()


def end_with_init(task: Task) -> None:
    """The init of a namespace ends with its last thread: so do all others in it. Sleeps until they have gone, including
    those for which parents or tracers outside have not waited.
    """
    process = task.process
    space = process.pids
    space.is_closed = True
    other = next_process(space, 2)
    while other is not None:
        number = space.shown(other.pid)
        send_from_kernel(other, from_kernel(SIGKILL))
        if other.parent is process and other.family.is_in_heap:
            reap(other)
        pace(_KILL_COST)
        other = next_process(space, number + 1)
    own = 1 if process.leader is task else 2
    while len(space.bearers) > own:
        space.changed.wait()
    if space.reboot_signal != 0:
        process.ending.status = space.reboot_signal
    end_account(space)


def finish_vfork(task: Task) -> None:
    """The task no longer uses its parent's memory: the parent goes on."""
    birth = task.birth
    waiters = None if birth is None else birth.vfork_waiters
    if waiters is not None:
        task.birth = None
        waiters.wake_all()


def _one_thread_less(process: Process) -> None:
    """Wake threads that wait for others to end (execve, a stop), and those that wait for this one by its descriptor."""
    process.exit_waiters.wake_all()
    if process.stop.signal != 0 and not process.stop.is_complete and process.stop.stopped_count >= len(process.threads):
        process.stop.is_complete = True
        process.stop.is_reported = False
        report_stopped(process)


def _leave_relatives(task: Task, process: Process) -> None:
    """Leave the tracees of a thread, and with the last one the namespace of which the process is the init, the terminal
    and the children. That sleeps if there are many; at the end there is none, whoever came meanwhile. A thread that is
    not the last does not sleep any more once it has looked: so of several that end at a time, one is.
    """
    _release_tracees(task)
    if len(process.threads) > 1:
        return
    if process.origin.is_init:
        end_with_init(task)
    process.stop.is_complete = False
    _hang_up(process)
    _give_children_away(task, process)
    parent = process.parent
    if parent is not None:
        _rescue_group(process, parent, process)
    _release_tracees(task)
    while process.family.first_child is not None:
        _give_children_away(task, process)
        _release_tracees(task)


# The process ----------------------------------------------------------------------------------------------------------


def _end_of_process(process: Process) -> None:
    """The last thread has gone. Nothing has run since it left the relatives."""
    process.ending.is_zombie = True
    timers = process.timers
    if timers is not None:
        timers.cancel_all()
    process.pending.clear()
    _tell_parent(process)
    process.exit_waiters.wake_all()


def _hang_up(process: Process) -> None:
    """A session leader's end frees its terminal. If that has hung up before, its foreground group is signalled now."""
    if process.job is None or not process.is_session_leader():
        return
    session = process.session
    terminal = session.terminal
    hook = TERMINAL_HOOK.session_ended
    session.terminal = 0
    if terminal != 0:
        if hook is not None:
            hook(terminal)
        return
    lost = session.lost_foreground
    session.lost_foreground = UNSET
    foreground = find_group(lost) if lost != UNSET else None  # 0 is the group of the first process
    if foreground is not None:
        hang_up_group(foreground)


def _new_parent(process: Process) -> Process | None:
    """The process that adopts the children: the nearest subreaper among the ancestors in the namespace, else its first
    process. Remaining children of the latter live in namespaces below, and go to the next one above.
    """
    ancestor = process.parent
    while ancestor is not None and ancestor.pids is process.pids:
        if ancestor.settings.is_subreaper and not ancestor.ending.is_zombie:
            return ancestor
        ancestor = ancestor.parent
    space: PidNamespace | None = process.pids
    while space is not None:
        init = find_process(space.init)
        if init is not None and init is not process and not init.ending.is_zombie:
            return init
        space = space.parent
    return None


def _give_children_away(last: Task, process: Process) -> None:
    """The children of a process get another parent, the oldest first. Their death signals are sent on behalf of the
    `last` thread. Takes safe points: children end meanwhile, or get siblings, and the other parent may end, too.
    """
    adopter: Process | None = None
    child = process.family.first_child
    while child is not None:
        if adopter is None or adopter.ending.is_zombie:
            adopter = _new_parent(process)
        _give_away(last, process, child, adopter)
        pace(_GIVE_COST)
        child = process.family.first_child


def _give_away(last: Task, process: Process, child: Process, adopter: Process | None) -> None:
    leave_zombies(process, child)
    leave_parent(process, child)
    child.set_parent(adopter)  # from one to the next in one step: getppid(2) takes no lock
    if adopter is not None:
        enter_child(adopter, child, BIRTHS.next())
        adopter.stop.has_news = True
    signo = child.settings.death_signal
    if signo != 0 and not child.ending.is_zombie and may_signal(last, child, signo):
        send_from_kernel(child, from_kernel(signo))
    child.origin.exit_signal = SIGCHLD  # the adopting parent did not choose another
    if child.ending.is_zombie:
        if leader_is_untraced(child):
            _tell_parent(child)
    else:
        _rescue_group(child, process, process)


def _rescue_group(child: Process, parent: Process, leaving: Process) -> None:
    """One of the two ends: unless they were in different groups of one session, that orphans no group."""
    group = child.job
    other = parent.job
    if group is not None and other is not None and group is not other and group.owner is other.owner:
        _rescue_orphans(group, leaving)


def _rescue_orphans(group: ProcessGroup, leaving: Process) -> None:
    """A newly orphaned group with stopped members gets SIGHUP and SIGCONT: no one else would continue it
    (POSIX, _exit). Sleeps if it is large.
    """
    if is_orphaned(group, leaving) and has_stopped_member(group):
        hang_up_group(group)


def _tell_parent(process: Process) -> None:
    """Report the end to the parent, after tracers have waited for its threads, and for it if another traces it."""
    parent = process.parent
    if process.unreaped is not None or _is_kept_by_tracer(process):
        return
    if parent is None:
        reap(process)
        return
    enter_zombie(parent, process)
    action = parent.actions.action(SIGCHLD)
    is_ignored = action.handler == SIG_IGN or action.flags & SA_NOCLDWAIT != 0
    if parent.origin.is_init and parent.pids.is_closed:
        uncaring = leader_is_untraced(process)  # it ends, without waiting for anything in particular
    else:
        uncaring = is_ignored and final_signal(process, parent) == SIGCHLD and leader_is_untraced(process)
    report_exit(process, parent)
    if uncaring:
        reap(process, is_counted=False)
        parent.family.tell()


def reap(process: Process, is_counted: bool = True) -> None:
    """Remove a zombie: a parent that has waited for it adds its use, its numbers become free, and no reference
    to it remains.
    """
    if process.ending.is_reaped:
        return
    process.ending.is_reaped = True
    parent = process.parent
    if parent is not None:
        if is_counted:
            parent.family.waited.add(process.ended)
            parent.family.waited.add(process.family.waited)
        leave_parent(parent, process)
        leave_zombies(parent, process)
        process.set_parent(None)
    leave_group(process)
    leader = process.leader
    if leader is not None:
        tracee = leader.tracee
        if tracee is not None:
            cut(tracee)
        uncount_user(leader.credentials.uid)  # a zombie counts against RLIMIT_NPROC
        if leader.cgroup is not TOP:
            uncount(leader)
        _leave_domain(leader)
        unregister_task(leader)
        process.leader = None
    unregister_process(process)


# Tracing --------------------------------------------------------------------------------------------------------------


def _forget_thread(task: Task) -> None:
    """No one will wait for a thread that has ended."""
    uncount_user(task.credentials.uid)
    if task.cgroup is not TOP:
        uncount(task)
    _leave_domain(task)
    unregister_task(task)


def _leave_rules(task: Task) -> None:
    """A thread that has ended does nothing more that its domain would judge, and may stay for long as a zombie,
    which does not count as a holder of memory. Its scope stays: signals to the zombie are judged by it.
    """
    try:
        task.credentials = task.credentials.without_rules()
    except MemoryError:
        return  # they go when it is reaped


def _leave_domain(task: Task) -> None:
    """Its rights no longer matter. A domain can be large, and a stale word on a stack would hold it."""
    if task.credentials.domain is not None:
        task.credentials = _WITHOUT_DOMAIN


def _stay_for_tracer(task: Task, tracee: Tracee) -> None:
    """A traced thread has ended: it stays until its tracer has waited for it. A leader is not reported here if it was
    the last of its process: then the process ends as a whole.
    """
    process = task.process
    tracee.is_dead = True
    if process.stop.signal != 0 and task.signals.is_stopped:
        process.stop.stopped_count -= 1
    if process.leader is not task:
        tracing = tracee.of_process
        tracee.next_unreaped = tracing.unreaped
        tracing.unreaped = tracee
    elif len(process.threads) == 0 and process.unreaped is None:
        return
    status = final_status(tracee)
    tell_tracer(tracee, exit_code(status), exit_value(status))


def final_status(tracee: Tracee) -> int:
    """The status of a dead tracee, as wait(2) reports it."""
    process = tracee.task.process
    return process.ending.status if process.ending.is_exiting or process.leader is tracee.task else tracee.exit_status


def leader_is_untraced(process: Process) -> bool:
    """Whether the leader of a process has no tracer."""
    leader = process.leader
    return leader is None or leader.tracee is None


def _is_kept_by_tracer(process: Process) -> bool:
    """Whether the tracer of an ended process is not its parent: then the tracer is notified, and the parent later."""
    leader = process.leader
    tracee = None if leader is None else leader.tracee
    if tracee is None or tracee.is_of_parent():
        return False
    tell_tracer(tracee, exit_code(process.ending.status), exit_value(process.ending.status))
    return True


def _release_tracees(tracer: Task) -> None:
    """A tracer ends: its tracees go on by themselves, or die with it. Takes safe points, where more may come: children
    of tracees.
    """
    tracee = _first_tracee_of(tracer)
    while tracee is not None:
        if tracee.options & KILLS_AT_EXIT != 0:
            send_from_kernel(tracee.task.process, from_kernel(SIGKILL))
        tracee.resume_signal = tracee.stop_code if tracee.stop_code < 0x80 else 0
        release_tracee(tracee)
        pace(_KILL_COST)
        tracee = _first_tracee_of(tracer)


def _first_tracee_of(tracer: Task) -> Tracee | None:
    """The first tracee of one thread among those of its process."""
    tracee = tracer.process.first_tracee
    while tracee is not None and tracee.tracer is not tracer:
        tracee = tracee.after()
        spend(_LOOK_COST)
    return tracee


def release_tracee(tracee: Tracee) -> None:
    """Stop tracing a task, whatever it does."""
    task = tracee.task
    cut(tracee)
    if tracee.is_dead:
        bury_tracee(tracee)
        return
    end_step(task.stack_top, task.registers)
    rewatch(task)
    if task.process.stop.signal != 0:
        interrupt(task)  # it stops as the others do
    if task.state == ThreadState.TRACED:
        make_ready(task)


def _take_from_unreaped(tracee: Tracee) -> None:
    following = tracee.next_unreaped
    tracee.next_unreaped = None
    tracing = tracee.of_process
    other = tracing.unreaped
    if other is tracee:
        tracing.unreaped = following
        return
    while other is not None:
        spend(_LOOK_COST)
        if other.next_unreaped is tracee:
            other.next_unreaped = following
            return
        other = other.next_unreaped


def bury_tracee(tracee: Tracee) -> None:
    """Stop tracing a dead tracee: its number is free, or its parent may wait for the process."""
    task = tracee.task
    process = task.process
    if process.leader is not task:
        _take_from_unreaped(tracee)
        _forget_thread(task)
        process.exit_waiters.wake_all()
    if process.ending.is_zombie and not process.family.is_in_heap:
        _tell_parent(process)
