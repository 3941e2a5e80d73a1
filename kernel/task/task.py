"""A task: one thread of a program, and what it may share with others (clone(2)).

`memory`, `file_table` and `fs_context` are None once the task has exited; `space`, `files` and `fs` are for the running
task and for others that are known to live.

Invariants: a task holds one reference each to its address space, descriptor table and file context. `interrupted` is
true whenever there is something to do before the next return to user mode (deliver.py).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from arch import enter_user_mode
from arch.programs import ProcessorState
from kernel.cgroup.group import TOP, ControlGroup
from kernel.cgroup.memory import MemoryControl
from kernel.cgroup.namespace import FIRST_GROUPS, GroupNamespace
from kernel.cgroup.numbers import NumberControl
from kernel.fs.descriptors import CALLER_FILES, FileTable
from kernel.fs.file import File
from kernel.fs.path import FsContext
from kernel.ipc.namespace import FIRST_IPC, IPC_CALLER, IpcNamespace
from kernel.ipc.semaphores import UndoList
from kernel.keys.keychain import Keychain
from kernel.lang import EBADF, EFAULT, Errno, UserAddr, atomic, final, noinline, noraise, panic
from kernel.lib.credentials import CALLER, Credentials
from kernel.lib.ids import KernelUid
from kernel.lib.namespace import NETWORKS, USER_NAMESPACES, Namespace
from kernel.lib.pid import PID_BORDER, UNSET, Bearer, Pid
from kernel.lib.user import UserBuffer
from kernel.mm import pinning
from kernel.mm.policy import MemoryPolicy
from kernel.mm.space import AddressSpace
from kernel.sched import Thread, WaitQueue
from kernel.sched.processor import announce_work_of
from kernel.sched.scheduler import announce_work, current_thread, watch_calls
from kernel.sched.switch import own_thread
from kernel.sched.thread import SCHED_OTHER
from kernel.task.host import HOST, Host
from kernel.task.limits import RLIMIT_RTTIME, UNLIMITED
from kernel.task.observer import Observation
from kernel.task.parts import (
    PR_MCE_KILL_DEFAULT,
    RealtimeRun,
    RestartableSequence,
    SignalState,
    TaskSettings,
    ThreadsLibrary,
)
from kernel.task.pending import PendingSignals
from kernel.task.pid_namespace import PidNamespace
from kernel.task.process import Process
from kernel.task.seccomp_filter import CallFilter
from kernel.task.signals import SIGKILL, contains
from kernel.task.user_dispatch import UserDispatch
from kernel.time.clock import NS_PER_US
from kernel.time.namespace import FIRST_TIME, TimeNamespace

if TYPE_CHECKING:
    from kernel.task.tracee import Tracee

SS_DISABLE: Final = 2
# Between looks at what the kernel holds for a thread of a control group
_TICKS: Final = 7
_FILES_PER_TICK_SHIFT: Final = 8
_HEAP_PAGES: Final = 32  # that the heap took meanwhile
_FILES_PER_PAGE_SHIFT: Final = 6


@final
class Tracing:
    """Whether the kernel's command line asks for a line in the log for system calls (`trace=`)."""

    def __init__(self) -> None:
        self.enabled: bool = False
        self.observes_all: bool = False  # tracepoints of all tasks' calls are looked at (perf_event_open(2))


TRACING: Final = Tracing()


@final
class SignalStack:
    """sigaltstack(2)."""

    def __init__(self) -> None:
        self.address: int = 0
        self.size: int = 0
        self.flags: int = SS_DISABLE


class RestartBlock:
    """How an interrupted call goes on when it is restarted (restart_syscall(2)). Base class; `resume` is the rest of
    the call.
    """

    def resume(self) -> int:
        """Go on; value or Errno as for any call."""
        raise Errno(EFAULT)


@final
class RealtimeWatch:
    """Who hears, in the tick, how long a real-time thread has run without a sleep (interval_timers.py)."""

    def __init__(self) -> None:
        self.exceeds: Callable[[Process, int], None] | None = None  # a process, and microseconds


REALTIME_WATCH: Final = RealtimeWatch()


class LendingLocks:
    """Locks with priority inheritance that a task has to do with. Base class: futex_pi.py has the rest."""


class AsyncWork:
    """What a task has to do on its way to user mode for requests that it submitted. Base class: see kernel/uring."""

    def held_bytes(self, count: int) -> int:
        """Bytes that it keeps, without what the count of that number has met (memory_shortage.py)."""
        return 0

    def is_due(self) -> bool:
        """Whether there is anything. Never sleeps."""
        return False

    @noraise
    def run(self) -> None:
        """Do it. May sleep."""

    @noraise
    def end_for_program(self) -> None:
        """The task executes a new program: cancel everything. May sleep."""

    @noraise
    def end(self) -> None:
        """The task ends: cancel everything, and begin nothing more. May sleep."""


class TaskStart:
    """What a new task does first, in its own context. Base class: see fork.py and init.py."""

    def begin(self, task: "Task") -> None:
        """Runs once, on the task's kernel stack, before it enters user mode."""


@final
@atomic("credentials", "own_tid")
class Task(Thread):
    """A thread of a program."""

    signals: SignalState
    library: ThreadsLibrary
    realtime_run: RealtimeRun
    rseq: RestartableSequence
    settings: TaskSettings

    def __init__(self, tid: Pid, process: Process, name: bytes, credentials: Credentials) -> None:
        super().__init__(name)
        self.tid: Pid = tid
        self.own_tid: int = int(tid)  # what it calls itself (gettid(2)): its number in its pid namespace
        self.process: Process = process
        self.credentials: Credentials = credentials
        self.memory: AddressSpace | None = None
        self.memory_policy: MemoryPolicy | None = None  # where its memory is to come from (set_mempolicy(2))
        self.file_table: FileTable | None = None
        self.keeps_files: bool = False  # until the running system call ends: see `keep_file`
        self.kept_files: list[File] | None = None
        self.fs_context: FsContext | None = None  # its mount namespace, too
        self.uts: Host = HOST
        self.time: TimeNamespace = FIRST_TIME
        self.time_for_children: TimeNamespace = FIRST_TIME  # and for itself, from the next program on
        self.pids_for_children: PidNamespace = process.pids  # unshare(2) and setns(2) change it
        self.ipc: IpcNamespace = FIRST_IPC
        self.network: Namespace = NETWORKS.first  # which the network knows more of (kernel/net/link/network.py)
        self.is_in_network: bool = False  # counts as one of its users
        self.is_in_ipc: bool = False  # counts as one of its users
        self.cgroup: ControlGroup = TOP
        self.groups_seen: GroupNamespace = FIRST_GROUPS
        self.numbers: NumberControl | None = None  # which counts it, if any does
        self.counted_memory: MemoryControl | None = None  # … and its stack
        self.chosen_processors: int = -1  # what it asked for; its group may permit fewer (`allowed`)
        self.earlier_user_ns: int = 0  # what it had run when it came to its group
        self.earlier_system_ns: int = 0
        self.ticks_in_group: int = 0  # since it was looked what the kernel holds for it
        self.heap_pages: int = 0  # that the heap took for what it did meanwhile
        self.counts_holdings: bool = False  # … it is time to look what the kernel holds for it (group_holdings.py)
        self.is_resting: bool = False  # as one of its group's that freezes (control_groups.py)
        self.waits_for_vfork: bool = False
        self.pending: PendingSignals = PendingSignals()
        self.signal_stack: SignalStack = SignalStack()
        self.restart: RestartBlock | None = None
        self.waits_by_wall_clock: bool = False  # in a call that may do so (wall_clock.py)
        self.registers: ProcessorState = ProcessorState()
        self.is_vfork_child: bool = False  # its parent waits until it execs or exits
        self.vfork_waiters: WaitQueue = WaitQueue()
        self.start: TaskStart | None = None
        self.is_past_dump: bool = False  # it ends, and a core dump that begins now does without it
        self.is_exiting: bool = False
        self.minor_faults: int = 0
        self.read_calls: int = 0  # and what they moved (proc(5), /proc/PID/io)
        self.write_calls: int = 0
        self.read_bytes: int = 0
        self.written_bytes: int = 0
        self.realtime_run.sleeps = -1
        self.settings.memory_failure_policy = PR_MCE_KILL_DEFAULT
        self.lending: LendingLocks | None = None
        self.semaphore_undos: UndoList | None = None
        self.async_work: AsyncWork | None = None  # once it submitted requests (io_uring_enter(2))
        self.keys: Keychain | None = None  # its keyrings, once it has one
        self.tracee: Tracee | None = None  # what there is more of it when it is traced (tracee.py)
        self.seccomp_mode: int = 0  # which system calls it may make (seccomp.py)
        self.call_filter: CallFilter | None = None
        self.dispatch: UserDispatch | None = None  # calls that it takes in its own hands (diversion.py)
        self.observation: Observation | None = None  # its events (perf_event_open(2))
        self.calls_are_watched: bool = TRACING.enabled  # they are traced, or may be forbidden
        self._buffer: UserBuffer | None = None

    def user_buffer(self, address: UserAddr, length: int) -> UserBuffer:
        """A buffer over a checked range of the program's memory. It is always the same object, because allocating one
        would be a fifth of a small read; a task moves data for one system call at a time.
        """
        buffer = self._buffer
        if buffer is None:
            buffer = UserBuffer(address, length)
            self._buffer = buffer
        buffer.address = address
        buffer.remaining = length
        buffer.faulted = False
        return buffer

    # Parts ------------------------------------------------------------------------------------------------------------

    @property
    def space(self) -> AddressSpace:
        """The address space of a living task."""
        memory = self.memory
        if memory is None:
            raise Errno(EFAULT)
        return memory

    @property
    def files(self) -> FileTable:
        """The descriptors of a living task."""
        table = self.file_table
        if table is None:
            panic("an exited task has no files")
        return table

    @property
    def fs(self) -> FsContext:
        """Root, working directory and umask of a living task."""
        context = self.fs_context
        if context is None:
            panic("an exited task has no working directory")
        return context

    def acts_for(self) -> Credentials | None:
        return self.credentials

    @property
    def pid(self) -> Pid:
        """The process's number."""
        return self.process.pid

    @property
    def pids(self) -> PidNamespace:
        """The pid namespace that it lives in."""
        return self.process.pids

    @property
    def own_uid(self) -> int:
        """What it calls its user itself (getuid(2))."""
        who = self.credentials
        return who.user_namespace.shown_uid(who.uid) if USER_NAMESPACES.exist else int(who.uid)

    @property
    def own_pid(self) -> int:
        """What it calls its process itself (getpid(2))."""
        return self.process.number

    def has_pending_kill(self) -> bool:
        """Whether SIGKILL waits for this task."""
        return contains(self.pending.mask | self.process.pending.mask, SIGKILL)

    def must_end(self) -> bool:
        """Whether the thread is to end rather than to wait on: with its process, but for the one that writes the core
        file, or because another thread executes a new program.
        """
        process = self.process
        dump = process.dump
        executing = process.exec_task
        is_ending = process.is_exiting and (dump is None or dump.lets_end(self.tid))
        return is_ending or (executing is not None and executing is not self) or self.has_pending_kill()

    def is_dying(self) -> bool:
        if self.is_exiting or not self.interrupted:
            return False  # what an exiting task does for others, it finishes
        return self.process.is_exiting or self.has_pending_kill()

    def is_parting(self) -> bool:
        return self.is_exiting

    # Files ------------------------------------------------------------------------------------------------------------

    @noinline
    def keep_file(self, file: File) -> None:
        """Hold a description until the running system call ends: it was found in a table that others close descriptors
        of. Raises MemoryError.
        """
        kept = self.kept_files
        if kept is None:
            kept = []
            self.kept_files = kept
        kept.append(file)
        file.acquire()
        self.keeps_files = True
        announce_work()

    @noraise
    def let_files_go(self) -> None:
        """Give back what `keep_file` held."""
        self.keeps_files = False
        kept = self.kept_files
        if kept is not None:
            while len(kept) > 0:
                kept.pop().release()

    # Scheduling -------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        start = self.start
        self.start = None
        if start is not None:
            start.begin(self)
        enter_user_mode(self.stack_top)

    def ticked(self) -> None:
        timers = self.process.timers
        if timers is not None:
            timers.ticked(self.process)
        posix_timers = self.process.posix_timers
        if posix_timers is not None:
            posix_timers.ticked(self.process)
        sleepers = self.process.processor_sleepers
        if sleepers is not None:
            sleepers.ticked(self.process)
        if self.charged != 0:
            self._tick_holdings()
        if self.policy != SCHED_OTHER:
            self._watch_realtime()

    def _tick_holdings(self) -> None:
        """Now and then, look what the kernel holds for it: the more rarely, the more it looked at last time."""
        self.ticks_in_group += 1
        files = self.file_table
        if files is not None and self.ticks_in_group > _TICKS + (files.size() >> _FILES_PER_TICK_SHIFT):
            self._look_at_holdings()

    def heap_grew(self, pages: int) -> None:
        self.heap_pages += pages
        files = self.file_table
        if files is not None and self.heap_pages > _HEAP_PAGES + (files.size() >> _FILES_PER_PAGE_SHIFT):
            self._look_at_holdings()

    def _look_at_holdings(self) -> None:
        self.ticks_in_group = 0
        self.heap_pages = 0
        self.counts_holdings = True
        announce_work_of(self)

    def _watch_realtime(self) -> None:
        """RLIMIT_RTTIME counts what a real-time thread runs from one sleep to the next."""
        if self.voluntary_switches != self.realtime_run.sleeps or not self.has_realtime_policy():
            self.realtime_run.sleeps = self.voluntary_switches
            self.realtime_run.from_ns = self.runtime_ns
            return
        watch = REALTIME_WATCH.exceeds
        if watch is not None and self.process.limits.soft[RLIMIT_RTTIME] != UNLIMITED:
            watch(self.process, (self.runtime_ns - self.realtime_run.from_ns) // NS_PER_US)

    def leave_processor(self) -> None:
        self.registers.leave()

    def enter_processor(self) -> None:
        signals_have_work = self.signals.returns_from_handler or self.signals.restores_blocked
        if self.interrupted or signals_have_work or self.keeps_files or self.rseq.address != 0:
            announce_work()
        elif self.lacks_charge or self.share is not None or self.counts_holdings:
            announce_work()
        watch_calls(self.calls_are_watched)
        self.registers.enter()


def uid_shown_to(process: Process, uid: KernelUid) -> int:
    """What a process calls a user."""
    leader = process.leader
    if not USER_NAMESPACES.exist or leader is None:
        return int(uid)
    return leader.credentials.user_namespace.shown_uid(uid)


def current() -> Task:
    """The running task. Only where a program's thread runs, in system calls and its faults: a kernel thread is no task.
    Needs no lock.
    """
    thread = own_thread()
    assert isinstance(thread, Task)
    return thread


def current_or_none() -> Task | None:
    """The running task, or None in a kernel thread."""
    thread = current_thread()
    return thread if isinstance(thread, Task) else None


def host_names() -> Host:
    """What the machine is called for the caller."""
    task = current_or_none()
    return HOST if task is None else task.uts


def _credentials_of_caller() -> Credentials | None:
    task = current_or_none()
    return task.credentials if task is not None else None


def _process_of_caller() -> Pid:
    task = current_or_none()
    return task.pid if task is not None else UNSET


def _file_of_caller(descriptor: int) -> File:
    task = current_or_none()
    if task is None:
        raise Errno(EBADF)
    return task.files.get(descriptor)


def _shown_to_caller(pid: Pid) -> int:
    task = current_or_none()
    return int(pid) if task is None else task.pids.shown(pid)


def _bearer_shown_to_caller(bearer: Bearer) -> int:
    task = current_or_none()
    return int(bearer.pid) if task is None else task.pids.shown_bearer(bearer)


def _space_of_caller() -> AddressSpace | None:
    task = current_or_none()
    return task.memory if task is not None else None


def _ipc_of_caller() -> IpcNamespace | None:
    task = current_or_none()
    return task.ipc if task is not None else None


def _network_of_caller() -> Namespace:
    task = current_or_none()
    return NETWORKS.first if task is None else task.network


IPC_CALLER.find = _ipc_of_caller
NETWORKS.of_caller = _network_of_caller
CALLER.find = _credentials_of_caller
CALLER_FILES.find = _file_of_caller
CALLER.find_process = _process_of_caller
PID_BORDER.show = _shown_to_caller
PID_BORDER.show_bearer = _bearer_shown_to_caller
pinning.CALLER.find = _space_of_caller
