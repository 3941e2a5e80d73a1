"""A tracer's operations: start and stop tracing tasks, resume them, interrupt them (ptrace(2)).

Context: `attach` may sleep, until a task that was already stopped is stopped for its tracer.
"""

from arch.programs import begin_step, end_step
from kernel.lang import EINVAL, EIO, EPERM, ESRCH, Errno
from kernel.lib.capabilities import CAP_SYS_ADMIN, CAP_SYS_PTRACE
from kernel.lib.domain import lies_within
from kernel.sched import ThreadState
from kernel.sched.scheduler import make_ready
from kernel.task.acting import real_credentials
from kernel.task.exit import release_tracee
from kernel.task.inspection import may_attach_to
from kernel.task.pids import find_task
from kernel.task.send import interrupt, rewatch, send_to_task, trap_again
from kernel.task.siginfo import from_kernel
from kernel.task.signals import SIGSTOP
from kernel.task.task import Task
from kernel.task.tracee import ALL_OPTIONS, EVENT_STOP, SUSPENDS_SECCOMP, CallWatch, Tracee, link
from kernel.task.yama import may_be_traced_by

# Beginning ------------------------------------------------------------------------------------------------------------


def trace_me(task: Task) -> None:
    """PTRACE_TRACEME: let the parent trace the running task. Raises EPERM, MemoryError.

    The privileges of set-id programs depend on the task's own rights from now on, not on the parent's: a parent that
    was root when a child chose it would otherwise trace them after giving that up.
    """
    tracer = task.process.parent_thread()
    if task.tracee is not None or tracer is None:
        raise Errno(EPERM)
    who = real_credentials(tracer)
    namespace = task.credentials.user_namespace
    is_as_able = who.user_namespace is namespace and task.credentials.permitted & ~who.permitted == 0
    if not is_as_able and not who.capable_in(namespace, CAP_SYS_PTRACE):
        raise Errno(EPERM)
    if not may_be_traced_by(tracer, namespace) or not lies_within(task.credentials.scope, who.scope):
        raise Errno(EPERM)
    link(Tracee(task, tracer, is_seized=False, options=0, credentials=task.credentials))
    rewatch(task)


def attach(tracer: Task, task: Task, is_seized: bool, options: int) -> None:
    """PTRACE_ATTACH and PTRACE_SEIZE, with checked options. Raises EPERM, EAGAIN, MemoryError."""
    process = task.process
    if process is tracer.process or not may_attach_to(tracer, process, task):
        raise Errno(EPERM)
    if task.is_exiting or task.tracee is not None:
        raise Errno(EPERM)
    tracee = Tracee(task, tracer, is_seized, options, tracer.credentials)
    link(tracee)
    rewatch(task)
    if not is_seized:
        send_to_task(task, from_kernel(SIGSTOP))
    if task.state == ThreadState.STOPPED:
        tracee.traps_soon = True
        interrupt(task)
        make_ready(task)
        while tracee.traps_soon and not task.is_exiting:
            tracer.process.family.waiters.sleep(interruptible=False)


def check_options(tracer: Task, options: int) -> None:
    """Raise EINVAL, EPERM for unknown options, or those that the tracer may not choose."""
    if options & ~ALL_OPTIONS != 0:
        raise Errno(EINVAL)
    if options & SUSPENDS_SECCOMP == 0:
        return
    own = tracer.tracee
    is_suspended = own is not None and own.options & SUSPENDS_SECCOMP != 0
    if not tracer.credentials.capable(CAP_SYS_ADMIN) or tracer.calls.seccomp_mode != 0 or is_suspended:
        raise Errno(EPERM)


def find_tracee(tracer: Task, tid: int, stopped: bool) -> Tracee:
    """The tracee with that number. Raises ESRCH if this tracer has none, or if it is not `stopped` as it must
    be.
    """
    task = find_task(tracer.pids.resolve(tid))
    tracee = None if task is None else task.tracee
    if task is None or tracee is None or tracee.tracer is not tracer:
        raise Errno(ESRCH)
    if stopped and (task.state != ThreadState.TRACED or tracee.is_listening or task.has_pending_kill()):
        raise Errno(ESRCH)
    return tracee


# Resuming -------------------------------------------------------------------------------------------------------------


def resume(tracee: Tracee, signo: int, calls: CallWatch, steps: bool) -> None:
    """Resume a stopped tracee, with a signal or 0."""
    task = tracee.task
    tracee.calls = calls
    tracee.steps = steps
    if steps:
        begin_step(task.stack_top, task.registers)
    else:
        end_step(task.stack_top, task.registers)
    rewatch(task)
    tracee.stop_code = 0
    tracee.resume_signal = signo
    make_ready(task)


def interrupt_tracee(tracee: Tracee) -> None:
    """PTRACE_INTERRUPT: stop soon, unless it is already stopped. Raises EIO if it was not seized."""
    if not tracee.is_seized:
        raise Errno(EIO)
    task = tracee.task
    if task.is_exiting:
        return
    tracee.traps_soon = True
    if task.state != ThreadState.TRACED:
        interrupt(task)
    elif tracee.is_listening:
        make_ready(task)


def listen(tracee: Tracee) -> None:
    """PTRACE_LISTEN: stay in a stop of the process, and stop anew when that ends. Raises EIO elsewhere."""
    info = tracee.info
    if not tracee.is_seized or info is None or info.code >> 8 != EVENT_STOP:
        raise Errno(EIO)
    tracee.is_listening = True
    if tracee.notifies_soon:
        trap_again(tracee)


# Ending ---------------------------------------------------------------------------------------------------------------


def detach(tracee: Tracee, signo: int) -> None:
    """PTRACE_DETACH: a stopped tracee goes on by itself, with a signal or 0."""
    tracee.resume_signal = signo
    release_tracee(tracee)
