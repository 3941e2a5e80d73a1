"""A process: the state that all threads of a thread group share.

Invariants: `threads` holds the living threads, by tid; a process without threads is a zombie until its parent reaps it.
References from `parent`, `family` and `job` are removed when the process is reaped (exit.py), so no cycle outlives it.

Related fields are grouped in parts. Numbers are in structs inside the process (parts.py); `family`, `timers` and
`tracing` are objects (family.py, process_timers.py, process_tracing.py), the last two created when they are needed.
"""

from typing import TYPE_CHECKING, Final

from kernel.lang import atomic, final, inline
from kernel.lib.linked import Linked
from kernel.lib.pid import UNSET, Bearer, Pid
from kernel.sched import WaitQueue
from kernel.sched.later import start_thread
from kernel.sched.thread import SharedTime
from kernel.task.actions import SignalActions
from kernel.task.core_state import DUMPED_FOR_ITSELF, CoreDump
from kernel.task.family import Family
from kernel.task.groups import ProcessGroup, Session
from kernel.task.limits import Limits
from kernel.task.parts import Ending, MemoryShortage, Origin, ProcessSettings, ProgramState, StopState
from kernel.task.pending import PendingSignals
from kernel.task.pid_namespace import PidNamespace
from kernel.task.process_timers import Timers
from kernel.task.process_tracing import ProcessTracing
from kernel.task.signals import SIGCHLD
from kernel.task.usage import Usage

if TYPE_CHECKING:
    from kernel.fs.file import File
    from kernel.task.task import Task
    from kernel.task.tracee import Tracee

_SLACK_NS: Final = 50_000


@final
@atomic("number", "parent_number")
class Process(Linked["Process"]):
    """A thread group. Linked with the others of its process group."""

    stop: StopState
    shortage: MemoryShortage
    settings: ProcessSettings
    origin: Origin
    program: ProgramState
    ending: Ending

    def __init__(self, pid: Pid, pids: PidNamespace, limits: Limits, actions: SignalActions) -> None:
        super().__init__()
        self.pid: Pid = pid
        self.pids: PidNamespace = pids  # where it was created, and whose numbers it uses
        self.number: int = int(pid)  # its own number: that in its namespace
        self.bearer: Bearer | None = None  # for references that outlive it; see as_bearer
        self.parent: Process | None = None
        self.parent_number: int = 0  # the number of its parent (getppid(2))
        self.family: Family = Family()  # its children, and its place among its siblings
        self.threads: dict[Pid, Task] = {}
        self.leader: Task | None = None  # kept, dead or alive, until the process is reaped
        self.job: ProcessGroup | None = None  # the process group
        self.limits: Limits = limits
        self.actions: SignalActions = actions
        self.pending: PendingSignals = PendingSignals()
        self.executable: File | None = None
        self.exec_task: Task | None = None  # the thread in execve that waits for the others to end
        self.dump: CoreDump | None = None  # a dump in progress
        self.signal_waiters: WaitQueue = WaitQueue()  # signalfd: woken by each signal that becomes pending
        self.exit_waiters: WaitQueue = WaitQueue()  # for ends of threads: pidfd, and `exec_task`
        self.timers: Timers | None = None  # once it has any
        self.tracing: ProcessTracing | None = None  # once ptrace(2) concerns it
        self.ended: Usage = Usage()  # of threads that ended
        self.time: SharedTime = SharedTime()  # of all threads

        self.stop.is_reported = True  # the parts begin as zeros
        self.settings.timer_slack_ns = _SLACK_NS
        self.settings.default_slack_ns = _SLACK_NS
        self.origin.exit_signal = SIGCHLD
        self.program.dumpable = DUMPED_FOR_ITSELF

    @inline
    def this(self) -> "Process":
        return self

    # Parts that few have ----------------------------------------------------------------------------------------------

    def own_timers(self) -> "Timers":
        """Its timers, for setting one. Raises MemoryError when it has none yet."""
        timers = self.timers
        if timers is None:
            timers = Timers()
            self.timers = timers
        return timers

    def own_tracing(self) -> "ProcessTracing":
        """Its tracing state, for changing it. Raises MemoryError when it has none yet."""
        tracing = self.tracing
        if tracing is None:
            start_thread()  # which tells very many threads
            tracing = ProcessTracing()
            self.tracing = tracing
        return tracing

    @property
    def first_tracee(self) -> "Tracee | None":
        """The first of the tasks that a thread of this process traces."""
        tracing = self.tracing
        return None if tracing is None else tracing.tracees.first()

    @property
    def unreaped(self) -> "Tracee | None":
        """The first of its ended threads for which their tracers have not waited."""
        tracing = self.tracing
        return None if tracing is None else tracing.unreaped

    # Derived state ----------------------------------------------------------------------------------------------------

    @property
    def is_dumpable(self) -> bool:
        """Whether its user may inspect it."""
        return self.program.dumpable == DUMPED_FOR_ITSELF

    @property
    def session(self) -> Session:
        """The session; a reaped process has none, and no one asks."""
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
        """Change the parent; it sees no parent in a namespace above its own."""
        self.parent = parent
        self.parent_number = 0 if parent is None else parent.number_in(self.pids)

    def number_in(self, space: PidNamespace) -> int:
        """Its number in a namespace, even after its end; 0 if it is not in there."""
        if space is self.pids:
            return self.number
        return int(self.pid) if space.level == 0 else space.shown_bearer(self.bearer)

    def as_bearer(self) -> Bearer:
        """The object that stands for it after its end. Raises MemoryError."""
        bearer = self.bearer
        if bearer is None:
            bearer = Bearer(self.pid)
            self.bearer = bearer
        return bearer

    def is_session_leader(self) -> bool:
        """Whether the session has this process's number."""
        return self.session_id == self.pid

    def thread_count(self) -> int:
        """How many threads live."""
        return len(self.threads)

    def parent_thread(self) -> "Task | None":
        """The thread whose child this is: its creator, or another one of the creator's process once that has ended."""
        parent = self.parent
        if parent is None:
            return None
        maker = parent.threads.get(self.origin.maker_tid)
        return maker if maker is not None else parent.any_thread()

    def any_thread(self) -> "Task | None":
        """A living thread, the leader if it lives; None for zombies."""
        leader = self.leader
        if leader is not None and leader.tid in self.threads:
            return leader
        for thread in self.threads.values():
            return thread
        return None
