"""A process: what all threads of a thread group share.

Invariants: `threads` holds the living threads, by tid; a process without threads is a zombie until its parent reaps it.
`children` holds living and zombie children, by pid, the oldest first. References from `parent`, `children` and `job`
are undone when the process is reaped (exit.py), so no cycle outlives it.
"""

from typing import TYPE_CHECKING, Final

from kernel.lang import atomic, final
from kernel.lib.pid import UNSET, Bearer, Pid
from kernel.sched import WaitQueue
from kernel.task.actions import SignalActions
from kernel.task.core_state import DUMPED_FOR_ITSELF, CoreDump
from kernel.task.groups import ProcessGroup, Session
from kernel.task.limits import Limits
from kernel.task.parts import MemoryShortage, ProcessSettings, StopState
from kernel.task.pending import PendingSignals
from kernel.task.pid_namespace import PidNamespace
from kernel.task.signals import SIGCHLD

if TYPE_CHECKING:
    from kernel.fs.file import File
    from kernel.task.task import Task
    from kernel.task.tracee import Tracee

_SLACK_NS: Final = 50_000


@final
class Usage:
    """Counters of resource use (getrusage(2)); times in nanoseconds."""

    def __init__(self) -> None:
        self.user_ns: int = 0
        self.system_ns: int = 0
        self.peak_pages: int = 0
        self.minor_faults: int = 0
        self.major_faults: int = 0
        self.voluntary_switches: int = 0
        self.involuntary_switches: int = 0
        # Files (proc(5), /proc/PID/io)
        self.read_calls: int = 0
        self.write_calls: int = 0
        self.read_bytes: int = 0
        self.written_bytes: int = 0
        self.disk_read_bytes: int = 0
        self.disk_written_bytes: int = 0
        self.cancelled_bytes: int = 0

    def add(self, other: "Usage") -> None:
        """Count another's use too."""
        self.user_ns += other.user_ns
        self.system_ns += other.system_ns
        self.peak_pages = max(self.peak_pages, other.peak_pages)
        self.minor_faults += other.minor_faults
        self.major_faults += other.major_faults
        self.voluntary_switches += other.voluntary_switches
        self.involuntary_switches += other.involuntary_switches
        self.read_calls += other.read_calls
        self.write_calls += other.write_calls
        self.read_bytes += other.read_bytes
        self.written_bytes += other.written_bytes
        self.disk_read_bytes += other.disk_read_bytes
        self.disk_written_bytes += other.disk_written_bytes
        self.cancelled_bytes += other.cancelled_bytes


class ProcessTimers:
    """Timers of a process that its threads' ticks drive. Base class: three modules above have a kind each."""

    def ticked(self, process: "Process") -> None:
        """The tick found one of the process's threads running. In interrupt context."""

    def cancel_all(self) -> None:
        """The process ends."""


@final
@atomic("number", "parent_number")
class Process:
    """A thread group."""

    stop: StopState
    shortage: MemoryShortage
    settings: ProcessSettings

    def __init__(self, pid: Pid, pids: PidNamespace, limits: Limits, actions: SignalActions) -> None:
        self.pid: Pid = pid
        self.pids: PidNamespace = pids  # where it was born, and whose numbers it says and is told
        self.number: int = int(pid)  # what it calls itself: that in its namespace
        self.bearer: Bearer | None = None  # for those who name it when it has gone; see as_bearer
        self.is_init: bool = False  # the first process of its pid namespace
        self.parent: Process | None = None
        self.parent_number: int = 0  # what it calls its parent (getppid(2))
        self.children: dict[Pid, Process] = {}
        self.threads: dict[Pid, Task] = {}
        self.leader: Task | None = None  # kept, dead or alive, until the process is reaped
        self.job: ProcessGroup | None = None  # the process group
        self.limits: Limits = limits
        self.actions: SignalActions = actions
        self.pending: PendingSignals = PendingSignals()
        # Exit
        self.exit_signal: int = SIGCHLD  # what the parent gets; 0: nothing
        self.programs: int = 0  # how many it has executed
        self.parent_programs: int = 0  # how many its parent had executed when this process was created
        self.exit_status: int = 0  # as wait(2) reports it
        self.is_exiting: bool = False  # all threads are to end, with `exit_status`
        self.exec_task: Task | None = None  # the thread that waits for the others to end, in execve
        self.exec_waiters: WaitQueue = WaitQueue()
        self.is_zombie: bool = False
        self.is_reaped: bool = False
        self.birth: int = 0  # orders the children of one parent
        self.maker_tid: Pid = UNSET  # the thread of the parent that made it
        self.named_tracer: Pid = UNSET  # who may trace it, whatever Yama says (yama.py)
        self.named_tracer_started_ns: int = 0
        self.first_tracee: Tracee | None = None  # of those whom a thread of this process traces
        self.unreaped: Tracee | None = None  # threads that have ended, for which their tracers have not waited
        # Zombies (zombies.py)
        self.oldest_zombie: Process | None = None  # of the children: the top of a heap, linked by the next three
        self.heap_first: Process | None = None
        self.heap_next: Process | None = None
        self.heap_previous: Process | None = None
        self.is_in_heap: bool = False
        # Waiting
        self.child_waiters: WaitQueue = WaitQueue()
        self.signal_waiters: WaitQueue = WaitQueue()  # signalfd: woken by each signal that becomes pending
        self.exit_waiters: WaitQueue = WaitQueue()  # pidfd, and vfork's parents by task
        self.has_execed: bool = False
        self.dumpable: int = DUMPED_FOR_ITSELF  # prctl(2), PR_SET_DUMPABLE
        self.dump: CoreDump | None = None  # one that is under way
        self.was_to_dump: bool = False  # it ends by a signal that leaves a core file, whether it did or not
        self.executable: File | None = None
        self.timers: ProcessTimers | None = None
        self.posix_timers: ProcessTimers | None = None
        self.processor_sleepers: ProcessTimers | None = None  # sleeps on its processor time
        self.started_ns: int = 0
        self.stop.is_reported = True
        self.settings.timer_slack_ns = _SLACK_NS
        self.settings.default_slack_ns = _SLACK_NS
        # Accounting of threads that ended, and of children that were waited for
        self.ended: Usage = Usage()
        self.waited: Usage = Usage()

    @property
    def is_dumpable(self) -> bool:
        """Whether its user may look into it."""
        return self.dumpable == DUMPED_FOR_ITSELF

    @property
    def session(self) -> Session:
        """The session; a process that was reaped has none, and nobody asks."""
        job = self.job
        assert job is not None
        return job.owner

    @property
    def group(self) -> Pid:
        """The process group's number, 0 after the process was reaped."""
        job = self.job
        return UNSET if job is None else job.pgid

    @property
    def session_id(self) -> Pid:
        """The session's number, 0 after the process was reaped."""
        job = self.job
        return UNSET if job is None else job.owner.sid

    @property
    def parent_id(self) -> Pid:
        """The parent's pid; 0 for the first process."""
        parent = self.parent
        return UNSET if parent is None else parent.pid

    def set_parent(self, parent: "Process | None") -> None:
        """It has another parent, whom it does not see if that is in a namespace above."""
        self.parent = parent
        self.parent_number = 0 if parent is None else parent.number_in(self.pids)

    def number_in(self, space: PidNamespace) -> int:
        """What a namespace calls it, even when it has gone; 0 if it is not in there."""
        if space is self.pids:
            return self.number
        return int(self.pid) if space.level == 0 else space.shown_bearer(self.bearer)

    def as_bearer(self) -> Bearer:
        """What is remembered of it when it has gone. Raises MemoryError."""
        bearer = self.bearer
        if bearer is None:
            bearer = Bearer(self.pid)
            self.bearer = bearer
        return bearer

    def is_session_leader(self) -> bool:
        """Whether the session bears this process's number."""
        return self.session_id == self.pid

    def thread_count(self) -> int:
        """How many threads live."""
        return len(self.threads)

    def parent_thread(self) -> "Task | None":
        """The thread whose child this is: the one that made it, or another one of its process once that has ended."""
        parent = self.parent
        if parent is None:
            return None
        maker = parent.threads.get(self.maker_tid)
        return maker if maker is not None else parent.any_thread()

    def any_thread(self) -> "Task | None":
        """A living thread, the leader if it lives; None for zombies."""
        leader = self.leader
        if leader is not None and leader.tid in self.threads:
            return leader
        for thread in self.threads.values():
            return thread
        return None
