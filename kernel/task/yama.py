"""Yama: limits on attaching beyond the rules of ptrace(2), by /proc/sys/kernel/yama/ptrace_scope.

At 0, as Debian has it, Yama restricts nothing. At 1 a process may attach to its descendants and to those that named it
(PR_SET_PTRACER), at 2 only with CAP_SYS_PTRACE, at 3 never; 3 stays until the machine shuts down.

Context: never sleeps. The only deviation: refusals are not logged.
Source: Documentation/admin-guide/LSM/Yama.rst.
"""

from enum import IntEnum
from typing import Final

from kernel.lang import EINVAL, Errno
from kernel.lib.capabilities import CAP_SYS_PTRACE
from kernel.lib.namespace import FIRST_USER, UserNamespace
from kernel.lib.pid import UNSET, Pid
from kernel.lib.settings import SystemSetting
from kernel.task.pids import find_task
from kernel.task.process import Process
from kernel.task.task import Task


class Scope(IntEnum):
    """Which threads may attach."""

    ALL = 0
    RELATIVES = 1
    PRIVILEGED = 2
    NOBODY = 3


class ScopeSetting(SystemSetting):
    """ptrace_scope."""

    def __init__(self) -> None:
        super().__init__(b"kernel/yama/ptrace_scope", [Scope.ALL], Scope.ALL, Scope.NOBODY)
        self.guard = CAP_SYS_PTRACE

    def store(self, numbers: list[int]) -> None:
        if self.value == Scope.NOBODY and numbers[0] != Scope.NOBODY:
            raise Errno(EINVAL)
        super().store(numbers)


_SCOPE: Final = ScopeSetting()

# Special values of `ProcessTracing.named_tracer`, besides the number of a thread
ANYBODY: Final = Pid(-1)
NAMED_NOBODY: Final = UNSET


def may_attach(tracer: Task, task: Task | None) -> bool:
    """Whether Yama lets `tracer` attach to a thread of another process."""
    if _SCOPE.value == Scope.ALL:
        return True
    if _SCOPE.value == Scope.NOBODY:
        return False
    namespace = FIRST_USER if task is None else task.credentials.user_namespace
    if tracer.credentials.capable_in(namespace, CAP_SYS_PTRACE):
        return True
    return _SCOPE.value == Scope.RELATIVES and task is not None and _is_relative(tracer, task)


def may_be_traced_by(parent: Task, namespace: UserNamespace) -> bool:
    """Whether a child in a user namespace may let its parent trace it."""
    if _SCOPE.value == Scope.NOBODY:
        return False
    return _SCOPE.value != Scope.PRIVILEGED or parent.credentials.capable_in(namespace, CAP_SYS_PTRACE)


def name_tracer(task: Task, number: int) -> None:
    """prctl(PR_SET_PTRACER): name the tracer allowed for the process of `task`, a thread by its number in there, -1
    for any, or 0 for none. Raises EINVAL if there is no such thread, and MemoryError.
    """
    named = ANYBODY if number == -1 else NAMED_NOBODY
    started_ns = 0
    if number != -1 and number != 0:
        named = task.pids.resolve(number)
        tracer = find_task(named)
        if tracer is None:
            raise Errno(EINVAL)
        started_ns = tracer.accounts.started_ns
    if named == NAMED_NOBODY and task.process.tracing is None:
        return
    tracing = task.process.own_tracing()
    tracing.named_tracer = named
    tracing.named_tracer_started_ns = started_ns


def _is_relative(tracer: Task, task: Task) -> bool:
    """Whether the thread is a descendant, has named the tracer or an ancestor of it, or is traced by its process."""
    process = task.process
    tracee = task.tracee
    if tracee is not None and tracee.tracer.process is tracer.process:
        return True
    tracing = process.tracing
    named_tracer = NAMED_NOBODY if tracing is None else tracing.named_tracer
    if _descends(process, tracer.process) or named_tracer == ANYBODY:
        return True
    if tracing is None or named_tracer == NAMED_NOBODY:
        return False
    named = find_task(named_tracer)
    if named is None or named.accounts.started_ns != tracing.named_tracer_started_ns:
        return False  # it has ended
    return _descends(tracer.process, named.process)


def _descends(process: Process, ancestor: Process) -> bool:
    """Whether a process is another one or a descendant of it."""
    walker: Process | None = process
    while walker is not None:
        if walker is ancestor:
            return True
        walker = walker.parent
    return False
