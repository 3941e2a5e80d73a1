"""The additional state of a traced task, and its tracer (ptrace(2)).

A tracer is one thread; its process waits for the tracees of all its threads, which are in a list of the process. A
thread that ends while it is traced stays, dead, until its tracer has waited for it.

Invariants: `task.tracee` is this object exactly while the task is traced, and then it is in the list of its tracer's
process. What a tracer may change in a task, it changes while the task's state is TRACED.
Context: nothing here sleeps or fails.
Source: ptrace(2).
"""

from enum import IntEnum
from typing import TYPE_CHECKING, Final

from kernel.lang import final, inline
from kernel.lib.capabilities import CAP_SYS_PTRACE
from kernel.lib.credentials import Credentials
from kernel.lib.linked import Linked
from kernel.lib.namespace import UserNamespace
from kernel.lib.pid import UNSET, Pid
from kernel.task.siginfo import SignalInfo
from kernel.task.signals import SIGTRAP

if TYPE_CHECKING:
    from kernel.task.process import Process
    from kernel.task.process_tracing import ProcessTracing
    from kernel.task.task import Task

# Options (PTRACE_O_…)
MARKS_CALLS: Final = 0x1  # TRACESYSGOOD
FOLLOWS_FORK: Final = 0x2
FOLLOWS_VFORK: Final = 0x4
FOLLOWS_CLONE: Final = 0x8
REPORTS_EXEC: Final = 0x10
REPORTS_VFORK_DONE: Final = 0x20
REPORTS_EXIT: Final = 0x40
REPORTS_SECCOMP: Final = 0x80
KILLS_AT_EXIT: Final = 0x10_0000
SUSPENDS_SECCOMP: Final = 0x20_0000
ALL_OPTIONS: Final = 0x30_00FF

# Events (PTRACE_EVENT_…): option 1 << number asks for each of the first seven
EVENT_FORK: Final = 1
EVENT_VFORK: Final = 2
EVENT_CLONE: Final = 3
EVENT_EXEC: Final = 4
EVENT_VFORK_DONE: Final = 5
EVENT_EXIT: Final = 6
EVENT_SECCOMP: Final = 7
EVENT_STOP: Final = 128


class CallWatch(IntEnum):
    """The effect of tracing on the tracee's system calls."""

    NOTHING = 0
    STOPS = 1  # at each, before and after (PTRACE_SYSCALL)
    EMULATED = 2  # before each, which is then skipped (PTRACE_SYSEMU)


@final
class Tracee(Linked["Tracee"]):
    """One traced task. Linked with the others of its tracer's process."""

    def __init__(self, task: "Task", tracer: "Task", is_seized: bool, options: int, credentials: Credentials) -> None:
        super().__init__()
        self.task: Task = task
        self.tracer: Task = tracer
        self.of_tracer: ProcessTracing = tracer.process.own_tracing()  # which has the list that contains it
        self.of_process: ProcessTracing = task.process.own_tracing()  # where it stays after its end
        self.is_seized: bool = is_seized
        self.options: int = options
        self.credentials: Credentials = credentials  # the tracer's when it attached
        # How it resumes
        self.calls: CallWatch = CallWatch.NOTHING
        self.steps: bool = False  # for one instruction, or to the end of the system call that it is in
        self.steps_into_handler: bool = False  # the current step met a signal
        self.resume_signal: int = 0
        # Its current stop, or the last one
        self.stop_code: int = 0  # signal, and event << 8: as wait(2) reports it; 0 once it has
        self.message: int = 0  # PTRACE_GETEVENTMSG
        self.info: SignalInfo | None = None  # PTRACE_GETSIGINFO
        self.event_info: SignalInfo = SignalInfo(SIGTRAP, 0)  # what `info` is at events
        self.is_listening: bool = False  # PTRACE_LISTEN: stopped, and not reported
        # Stops to come
        self.traps_soon: bool = False
        self.leaves_call: bool = False  # a system call was made: a stop may come before its signals
        self.notifies_soon: bool = False  # of a change of its job control
        self.cancels: int = 0  # SIGCONTs to its process until it took its last signal: another cancels a stop by that
        # Its end
        self.exit_status: int = 0  # of this thread alone, as wait(2) reports it
        self.is_dead: bool = False
        self.next_unreaped: Tracee | None = None  # the next unreaped thread of its process

    @inline
    def this(self) -> "Tracee":
        return self

    def is_privileged_in(self, namespace: UserNamespace) -> bool:
        """Whether the tracer had CAP_SYS_PTRACE in a user namespace when it attached."""
        return self.credentials.capable_in(namespace, CAP_SYS_PTRACE)

    def wants(self, event: int) -> bool:
        """Whether the tracer asked for an event."""
        return self.options & 1 << event != 0

    def is_of_parent(self) -> bool:
        """Whether its tracer's process is the parent of its own."""
        return self.tracer.process is self.task.process.parent


def link(tracee: Tracee) -> None:
    """Start tracing a task."""
    tracee.of_tracer.tracees.link_first(tracee)
    tracee.task.tracee = tracee


def cut(tracee: Tracee) -> None:
    """The task is no longer traced. The caller handles all other consequences."""
    tracee.of_tracer.tracees.unlink(tracee)
    tracee.task.tracee = None


def tracer_of(task: "Task") -> Pid:
    """The number of the thread that traces a task; 0 if none does."""
    tracee = task.tracee
    return UNSET if tracee is None else tracee.tracer.tid


def shown_to_tracer(task: "Task", child: "Task") -> int:
    """The number of a task's child, which may have ended, for the task's tracer; 0 if there is none."""
    tracee = task.tracee
    if tracee is None:
        return 0
    pids = tracee.tracer.pids
    return child.process.number_in(pids) if child.tid == child.process.pid else pids.shown(child.tid)


def process_is_traced_by(child: "Process", process: "Process") -> "Tracee | None":
    """The tracee for a child's leader, if a thread of `process` traces it."""
    leader = child.leader
    tracee = None if leader is None else leader.tracee
    return tracee if tracee is not None and tracee.tracer.process is process else None
