"""The end of tasks and processes, and what is left to do for others (exit(2), wait(2), prctl(2), setpgid(2)).

A task ends in its own context, on its own stack; the stack is freed by whoever runs next. When the last thread has
ended the process is a zombie until its parent has waited for it, or is reaped at once if the parent does not care.

Context: `exit_task` sleeps (closing files) and does not return.
"""

from typing import Final

from kernel.lang import final, panic
from kernel.lib.pace import pace
from kernel.sched import exit_thread
from kernel.sched.scheduler import charge_current, wake
from kernel.task import futex_exit
from kernel.task.accounting import retire
from kernel.task.actions import SA_NOCLDWAIT, SIG_IGN
from kernel.task.futex_pi import leave_states
from kernel.task.groups import TERMINAL_HOOK, ProcessGroup, find_group, has_stopped_member, is_orphaned, leave
from kernel.task.notify import final_signal, report_exit, report_stopped
from kernel.task.pids import find_process, uncount_user, unregister_process, unregister_task
from kernel.task.process import Process
from kernel.task.send import interrupt, may_signal, resume_stopped, send_from_kernel, send_to_group
from kernel.task.siginfo import from_kernel
from kernel.task.signals import SIGCHLD, SIGCONT, SIGHUP
from kernel.task.task import Task
from kernel.task.zombies import BIRTHS, enter_zombie, leave_zombies

_EXIT_COST: Final = 15_000  # instructions, for `pace`


class LastExitHandler:
    """What happens when the first process ends. Base class."""

    def first_process_ended(self, status: int) -> None:
        """`status` is what wait(2) would report. Does not return."""


@final
class LastExit:
    """Where the boot code enters its handler."""

    def __init__(self) -> None:
        self.handler: LastExitHandler | None = None


LAST_EXIT: LastExit = LastExit()


def end_process(process: Process, status: int) -> None:
    """All threads are to end, with a status as wait(2) reports it. The first call decides. The running thread goes on
    until it looks at its signals.
    """
    if process.is_exiting:
        return
    process.is_exiting = True
    process.exit_status = status
    process.stop_signal = 0
    for tid in process.threads.keys():
        task = process.threads[tid]
        if not task.is_exiting:
            interrupt(task)
            resume_stopped(task)
            if task.kill_wakes:
                wake(task)


def end_thread(task: Task, status: int) -> None:
    """End the running thread alone, with a status as wait(2) reports it: that of the leader, or of who is left last, is
    the process's. Does not return.
    """
    process = task.process
    if not process.is_exiting and (process.leader is task or len(process.threads) == 1):
        process.exit_status = status
    exit_task(task)


def exit_task(task: Task) -> None:
    """End the running task. Does not return."""
    pace(_EXIT_COST)  # of a process with many threads, one after the other ends without seeing user mode again
    task.is_exiting = True
    task.interrupted = False
    process = task.process
    if process.pid == 1 and len(process.threads) == 1:
        _first_process_ends(process)
    futex_exit.leave_locks(task)
    leave_states(task)
    charge_current()
    retire(task)
    _release_memory(task)
    finish_vfork(task)
    _undo_semaphores(task)
    files = task.file_table
    task.file_table = None
    if files is not None:
        files.release()
    context = task.fs_context
    task.fs_context = None
    if context is not None:
        context.release()
    task.registers.release()
    process.threads.pop(task.tid)
    task.pending.clear()
    task.restart = None
    if process.leader is not task:
        uncount_user(task.credentials.uid)
        unregister_task(task)
    if len(process.threads) == 0:
        _end_of_process(task, process)
    else:
        _one_thread_less(process)
    exit_thread()


def _undo_semaphores(task: Task) -> None:
    undos = task.semaphore_undos
    task.semaphore_undos = None
    if undos is not None:
        undos.release(task.pid)


def _first_process_ends(process: Process) -> None:
    handler = LAST_EXIT.handler
    if handler is not None:
        handler.first_process_ended(process.exit_status)
    panic(f"the first process ended with status {process.exit_status}")


def _release_memory(task: Task) -> None:
    memory = task.memory
    task.memory = None
    task.space_root = 0
    if memory is not None:
        memory.release()


def finish_vfork(task: Task) -> None:
    """The task no longer uses its parent's memory: the parent goes on."""
    if task.is_vfork_child:
        task.is_vfork_child = False
        task.vfork_waiters.wake_all()


def _one_thread_less(process: Process) -> None:
    """Who waits for the other threads: execve, a stop; and who for this one, by its descriptor."""
    process.exit_waiters.wake_all()
    if process.exec_task is not None:
        process.exec_waiters.wake_all()
    if process.stop_signal != 0 and not process.is_stopped and process.stopped_count >= len(process.threads):
        process.is_stopped = True
        process.stop_reported = False
        report_stopped(process)


# The process ----------------------------------------------------------------------------------------------------------


def _end_of_process(task: Task, process: Process) -> None:
    process.is_zombie = True
    process.is_stopped = False
    timers = process.timers
    if timers is not None:
        timers.cancel_all()
        process.timers = None
    posix_timers = process.posix_timers
    if posix_timers is not None:
        posix_timers.cancel_all()
        process.posix_timers = None
    process.pending.clear()
    executable = process.executable
    process.executable = None
    if executable is not None:
        executable.release()
    _hang_up(process)
    _give_children_away(task, process)
    parent = process.parent
    if parent is not None:
        _rescue_group(process, parent, process)
    _tell_parent(process)
    process.exit_waiters.wake_all()


def _hang_up(process: Process) -> None:
    """A session leader's end frees its terminal. If that has hung up before, its foreground group hears of it now."""
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
    session.lost_foreground = 0
    foreground = find_group(lost) if lost != 0 else None  # 0 is the group of the first process
    if foreground is not None:
        send_to_group(foreground, from_kernel(SIGHUP))
        send_to_group(foreground, from_kernel(SIGCONT))


def _new_parent(process: Process) -> Process | None:
    """Who adopts the children: the nearest ancestor that asked for it (a subreaper), else the first process."""
    ancestor = process.parent
    while ancestor is not None:
        if ancestor.is_subreaper and not ancestor.is_zombie:
            return ancestor
        ancestor = ancestor.parent
    return find_process(1)


def _give_children_away(last: Task, process: Process) -> None:
    """The children of a process get another parent. Their death signals are sent as by the `last` thread that ended."""
    if len(process.children) == 0:
        return
    adopter = _new_parent(process)
    if adopter is None or adopter is process:
        return
    for pid in process.children.keys():
        child = process.children[pid]
        leave_zombies(process, child)
        try:
            adopter.children[pid] = child
            child.parent = adopter
            child.birth = BIRTHS.next()
        except MemoryError:
            child.parent = None  # it will be reaped by itself
        if child.death_signal != 0 and not child.is_zombie and may_signal(last, child, child.death_signal):
            send_from_kernel(child, from_kernel(child.death_signal))
        child.exit_signal = SIGCHLD  # whoever adopts it did not choose another
        if child.is_zombie:
            _tell_parent(child)
        else:
            _rescue_group(child, process, process)
    process.children.clear()
    adopter.has_job_news = True


def _rescue_group(child: Process, parent: Process, leaving: Process) -> None:
    """One of the two ends: unless they were of different groups in one session, that orphans no group."""
    group = child.job
    other = parent.job
    if group is not None and other is not None and group is not other and group.owner is other.owner:
        rescue_orphans(group, leaving)


def rescue_orphans(group: ProcessGroup, leaving: Process) -> None:
    """A group that has just been orphaned with stopped members gets SIGHUP and SIGCONT: nobody else would continue it
    (POSIX, _exit).
    """
    if is_orphaned(group, leaving) and has_stopped_member(group):
        send_to_group(group, from_kernel(SIGHUP))
        send_to_group(group, from_kernel(SIGCONT))


def _tell_parent(process: Process) -> None:
    parent = process.parent
    if parent is None:
        reap(process)
        return
    enter_zombie(parent, process)
    action = parent.actions.action(SIGCHLD)
    is_ignored = action.handler == SIG_IGN or action.flags & SA_NOCLDWAIT != 0
    uncaring = is_ignored and final_signal(process, parent) == SIGCHLD
    report_exit(process, parent)
    if uncaring:
        reap(process)
        parent.child_waiters.wake_all()


def reap(process: Process) -> None:
    """Forget a zombie: the parent counts its use, its numbers are free again, and no reference to it remains."""
    if process.is_reaped:
        return
    process.is_reaped = True
    parent = process.parent
    if parent is not None:
        parent.waited.add(process.ended)
        parent.waited.add(process.waited)
        parent.children.pop(process.pid)
        leave_zombies(parent, process)
        process.parent = None
    leave(process)
    leader = process.leader
    if leader is not None:
        uncount_user(leader.credentials.uid)  # a zombie counts against RLIMIT_NPROC
        unregister_task(leader)
        process.leader = None
    unregister_process(process)
