"""A task: one thread of a program, and the state it may share with others (clone(2)).

`memory`, `file_table` and `fs_context` are None once the task has exited; `space`, `files` and `fs` are for the running
task and for others that are known to live.

Related fields are grouped in parts. Numbers are in structs inside the task (parts.py). Other parts are objects:
`namespaces` is shared with the threads that are in the same ones (namespace_set.py), `belongings` is what few threads
have (belongings.py), `tracee` exists while a thread is traced (tracee.py), and `birth` until it has begun.

Invariants: a task holds one reference each to its address space, descriptor table and file context. `interrupted` is
true whenever there is something to do before the next return to user mode (deliver.py).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from arch import enter_user_mode
from arch.programs import ProcessorState
from kernel.cgroup.group import TOP, ControlGroup
from kernel.cgroup.memory import MemoryControl
from kernel.cgroup.numbers import NumberControl
from kernel.fs.descriptors import CALLER_FILES, FileTable
from kernel.fs.file import File
from kernel.fs.path import FsContext
from kernel.ipc.namespace import IPC_CALLER, IpcNamespace
from kernel.ipc.semaphores import UndoList
from kernel.keys.keychain import Keychain
from kernel.lang import EBADF, EFAULT, Errno, UserAddr, atomic, final, finds_own, noinline, noraise, panic
from kernel.lib.credentials import CALLER, Credentials
from kernel.lib.ids import KernelUid
from kernel.lib.namespace import NETWORKS, USER_NAMESPACES, Namespace
from kernel.lib.pid import PID_BORDER, UNSET, Bearer, Pid
from kernel.lib.user import UserBuffer
from kernel.mm import pinning
from kernel.mm.policy import MemoryPolicy
from kernel.mm.space import AddressSpace
from kernel.sched import Thread, WaitQueue
from kernel.sched.deadline import take_overrun
from kernel.sched.processor import announce_work_of
from kernel.sched.scheduler import announce_work, current_thread, watch_calls
from kernel.sched.switch import own_thread
from kernel.sched.thread import SCHED_DEADLINE, SCHED_OTHER
from kernel.task.actions import SIG_DFL
from kernel.task.belongings import AsyncWork, Belongings, LendingLocks, ProbedState
from kernel.task.host import HOST, Host
from kernel.task.limits import RLIMIT_RTTIME, UNLIMITED
from kernel.task.namespace_set import FIRST_SET, NamespaceSet
from kernel.task.observer import Observation
from kernel.task.parts import (
    PR_MCE_KILL_DEFAULT,
    SS_DISABLE,
    CallState,
    Membership,
    SignalState,
    TaskCounts,
    TaskSettings,
    ThreadsLibrary,
)
from kernel.task.pending import PendingSignals
from kernel.task.pid_namespace import PidNamespace
from kernel.task.process import Process
from kernel.task.seccomp_filter import CallFilter
from kernel.task.signals import DUMPS_CORE, IGNORED_BY_DEFAULT, SIGKILL, SIGNAL_COUNT, STOP_SIGNALS, contains
from kernel.task.user_dispatch import UserDispatch
from kernel.time.clock import NS_PER_US

if TYPE_CHECKING:
    from kernel.task.tracee import Tracee

# Signals that by default end no process, or leave a core file, for which it must run.
_NEVER_AT_ONCE: Final = IGNORED_BY_DEFAULT | STOP_SIGNALS | DUMPS_CORE

# Between counts of the kernel memory held for a thread of a control group
_TICKS: Final = 7
_FILES_PER_TICK_SHIFT: Final = 8
_HEAP_PAGES: Final = 32  # by which the heap has grown in between
_FILES_PER_PAGE_SHIFT: Final = 6


@final
class Tracing:
    """Whether the kernel's command line asks for a line in the log for system calls (`trace=`)."""

    def __init__(self) -> None:
        self.enabled: bool = False
        self.observes_all: bool = False  # tracepoints of all tasks' calls are observed (perf_event_open(2))


TRACING: Final = Tracing()


class RestartBlock:
    """How an interrupted call goes on when it is restarted (restart_syscall(2)). Base class; `resume` is the rest of
    the call.
    """

    def resume(self) -> int:
        """Go on; returns or raises as any call does."""
        raise Errno(EFAULT)


@final
class RealtimeWatch:
    """Called by the tick: with the time that a real-time thread has run without a sleep, and when a thread has overrun
    its budget (interval_timers.py).
    """

    def __init__(self) -> None:
        self.exceeds: Callable[[Process, int], None] | None = None  # a process, and microseconds
        self.overran: Callable[[Process], None] | None = None


REALTIME_WATCH: Final = RealtimeWatch()


class TaskStart:
    """A new task's first steps, in its own context, and the threads that wait for them. See fork.py and init.py."""

    def __init__(self) -> None:
        self.vfork_waiters: WaitQueue | None = None  # its parent waits until it execs or exits

    def begin(self, task: "Task") -> None:
        """Runs once, on the task's kernel stack, before it enters user mode."""


@final
@atomic("credentials", "own_tid", "namespaces")
class Task(Thread):
    """A thread of a program."""

    signals: SignalState
    calls: CallState
    counts: TaskCounts
    membership: Membership
    library: ThreadsLibrary
    settings: TaskSettings

    def __init__(self, tid: Pid, process: Process, name: bytes, credentials: Credentials) -> None:
        super().__init__(name)
        self.tid: Pid = tid
        self.own_tid: int = int(tid)  # its own number (gettid(2)): the one in its pid namespace
        self.process: Process = process
        self.shared_time = process.time
        self.credentials: Credentials = credentials
        self.memory: AddressSpace | None = None
        self.file_table: FileTable | None = None
        self.fs_context: FsContext | None = None  # includes its mount namespace
        self.namespaces: NamespaceSet = FIRST_SET
        self.cgroup: ControlGroup = TOP
        self.numbers: NumberControl | None = None  # counts it, if there is one
        self.counted_memory: MemoryControl | None = None  # … and its stack
        self.pending: PendingSignals = PendingSignals()
        self.registers: ProcessorState = ProcessorState()
        self.birth: TaskStart | None = None  # until it has begun, and no parent waits for it (vfork(2))
        self.is_exiting: bool = False
        self.restart: RestartBlock | None = None
        self.call_filter: CallFilter | None = None  # which system calls it may make (seccomp.py)
        self.tracee: Tracee | None = None  # further state while it is traced (tracee.py)
        self.belongings: Belongings | None = None  # what few threads have
        self._buffer: UserBuffer | None = None

        self.signals.stack.flags = SS_DISABLE  # the parts begin as zeros
        self.calls.are_watched = TRACING.enabled
        self.counts.run_switches = -1
        self.membership.chosen_processors = -1
        self.settings.memory_failure_policy = PR_MCE_KILL_DEFAULT

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
        """The number of its user in its own namespace (getuid(2))."""
        who = self.credentials
        return who.user_namespace.shown_uid(who.uid) if USER_NAMESPACES.exist else int(who.uid)

    @property
    def own_pid(self) -> int:
        """The number of its process in its own namespace (getpid(2))."""
        return self.process.number

    def has_pending_kill(self) -> bool:
        """Whether SIGKILL is pending for this task."""
        return contains(self.pending.mask | self.process.pending.mask, SIGKILL)

    def must_end(self) -> bool:
        """Whether the thread must end rather than wait on: with its process, except the one that writes the core
        file, or because another thread executes a new program.
        """
        process = self.process
        dump = process.dump
        executing = process.exec_task
        is_ending = process.ending.is_exiting and (dump is None or dump.lets_end(self.tid))
        return is_ending or (executing is not None and executing is not self) or self.has_pending_kill()

    def is_dying(self) -> bool:
        if self.is_exiting or not self.interrupted:
            return False  # what an exiting task does for others, it finishes
        return self.process.ending.is_exiting or self.has_pending_kill()

    def is_doomed(self) -> bool:
        return self.is_dying() or (self.interrupted and not self.is_exiting and self.fatal_signal() != 0)

    def fatal_signal(self) -> int:
        """A pending signal that ends the process as soon as the thread is back in its program; 0 for none."""
        process = self.process
        waiting = (self.pending.mask | process.pending.mask) & ~self.signals.blocked & ~_NEVER_AT_ONCE
        signo = 1
        while waiting != 0 and self.tracee is None and not process.origin.is_init and signo <= SIGNAL_COUNT:
            if contains(waiting, signo) and process.actions.action(signo).handler == SIG_DFL:
                return signo
            signo += 1
        return 0

    # Parts that few threads have --------------------------------------------------------------------------------------

    def own(self) -> Belongings:
        """Its part for state that few threads have, for setting some. Raises MemoryError when it has none yet."""
        belongings = self.belongings
        if belongings is None:
            belongings = Belongings()
            self.belongings = belongings
        return belongings

    @property
    def memory_policy(self) -> MemoryPolicy | None:
        """The source of its memory (set_mempolicy(2))."""
        belongings = self.belongings
        return None if belongings is None else belongings.memory_policy

    @property
    def lending(self) -> LendingLocks | None:
        """Its locks with priority inheritance (futex_pi.py)."""
        belongings = self.belongings
        return None if belongings is None else belongings.lending

    @property
    def semaphore_undos(self) -> UndoList | None:
        """Its pending undos of semaphore operations (SEM_UNDO)."""
        belongings = self.belongings
        return None if belongings is None else belongings.semaphore_undos

    @property
    def async_work(self) -> AsyncWork | None:
        """Its work for requests, once it submitted some (io_uring_enter(2))."""
        belongings = self.belongings
        return None if belongings is None else belongings.async_work

    @property
    def keys(self) -> Keychain | None:
        """Its keyrings, once it has one."""
        belongings = self.belongings
        return None if belongings is None else belongings.keys

    @property
    def dispatch(self) -> UserDispatch | None:
        """The calls that it handles itself (diversion.py)."""
        belongings = self.belongings
        return None if belongings is None else belongings.dispatch

    @property
    def observation(self) -> Observation | None:
        """Its events (perf_event_open(2))."""
        belongings = self.belongings
        return None if belongings is None else belongings.observation

    @property
    def probed(self) -> ProbedState | None:
        """What probes of its program make of it."""
        belongings = self.belongings
        return None if belongings is None else belongings.probed

    def is_parting(self) -> bool:
        return self.is_exiting

    # Files ------------------------------------------------------------------------------------------------------------

    @noinline
    def keep_file(self, file: File) -> None:
        """Hold a description until the running system call ends: it was found in a table whose descriptors others may
        close. Raises MemoryError.
        """
        belongings = self.own()
        kept = belongings.kept_files
        if kept is None:
            kept = []
            belongings.kept_files = kept
        kept.append(file)
        file.acquire()
        self.calls.keeps_files = True
        announce_work()

    @noraise
    def let_files_go(self) -> None:
        """Release what `keep_file` held."""
        self.calls.keeps_files = False
        belongings = self.belongings
        kept = None if belongings is None else belongings.kept_files
        if kept is not None:
            while len(kept) > 0:
                kept.pop().release()

    # Scheduling -------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        birth = self.birth
        if birth is not None:
            if birth.vfork_waiters is None:
                self.birth = None
            birth.begin(self)
        enter_user_mode(self.stack_top)

    def ticked(self) -> None:
        timers = self.process.timers
        if timers is not None:
            timers.ticked(self.process)
        if self.charges.memory != 0:
            self._tick_holdings()
        if self.wishes.policy != SCHED_OTHER:
            self._watch_realtime()

    def _tick_holdings(self) -> None:
        """Now and then, count the kernel memory held for it: the more rarely, the more the last count cost."""
        self.membership.ticks_in_group += 1
        files = self.file_table
        if files is not None and self.membership.ticks_in_group > _TICKS + (files.size() >> _FILES_PER_TICK_SHIFT):
            self._look_at_holdings()

    def heap_grew(self, pages: int) -> None:
        self.membership.heap_pages += pages
        files = self.file_table
        if files is not None and self.membership.heap_pages > _HEAP_PAGES + (files.size() >> _FILES_PER_PAGE_SHIFT):
            self._look_at_holdings()

    def _look_at_holdings(self) -> None:
        self.membership.ticks_in_group = 0
        self.membership.heap_pages = 0
        self.membership.counts_holdings = True
        announce_work_of(self)

    def _watch_realtime(self) -> None:
        """RLIMIT_RTTIME counts how long a real-time thread runs from one sleep to the next. One with deadlines may want
        to hear that it overran its budget.
        """
        if self.wishes.policy == SCHED_DEADLINE and take_overrun(self):
            tell = REALTIME_WATCH.overran
            if tell is not None:
                tell(self.process)
        if self.accounts.voluntary_switches != self.counts.run_switches or not self.has_realtime_policy():
            self.counts.run_switches = self.accounts.voluntary_switches
            self.counts.run_from_ns = self.accounts.runtime_ns
            return
        watch = REALTIME_WATCH.exceeds
        if watch is not None and self.process.limits.soft[RLIMIT_RTTIME] != UNLIMITED:
            watch(self.process, (self.accounts.runtime_ns - self.counts.run_from_ns) // NS_PER_US)

    def leave_processor(self) -> None:
        self.registers.leave()

    def enter_processor(self) -> None:
        signals_have_work = self.signals.returns_from_handler or self.signals.restores_blocked
        if self.interrupted or signals_have_work or self.calls.keeps_files or self.library.rseq.address != 0:
            announce_work()
        elif self.charges.is_over_limit or self.share is not None or self.membership.counts_holdings:
            announce_work()
        watch_calls(self.calls.are_watched)
        self.registers.enter()


def uid_shown_to(process: Process, uid: KernelUid) -> int:
    """A process's number for a user."""
    leader = process.leader
    if not USER_NAMESPACES.exist or leader is None:
        return int(uid)
    return leader.credentials.user_namespace.shown_uid(uid)


@finds_own
def current() -> Task:
    """The running task. Only for a program's thread, in system calls and its faults: a kernel thread is not a task.
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
    """The caller's names of the machine."""
    task = current_or_none()
    return HOST if task is None else task.namespaces.uts


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


def _table_of_caller() -> FileTable | None:
    task = current_or_none()
    return task.file_table if task is not None else None


def _umask_of_caller() -> int:
    task = current_or_none()
    context = task.fs_context if task is not None else None
    return context.umask if context is not None else 0


def _space_of_caller() -> AddressSpace | None:
    task = current_or_none()
    return task.memory if task is not None else None


def _ipc_of_caller() -> IpcNamespace | None:
    task = current_or_none()
    return task.namespaces.ipc if task is not None else None


def _network_of_caller() -> Namespace:
    task = current_or_none()
    return NETWORKS.first if task is None else task.namespaces.network


IPC_CALLER.find = _ipc_of_caller
NETWORKS.of_caller = _network_of_caller
CALLER.find = _credentials_of_caller
CALLER_FILES.find = _file_of_caller
CALLER_FILES.find_table = _table_of_caller
CALLER_FILES.find_umask = _umask_of_caller
CALLER.find_process = _process_of_caller
PID_BORDER.show = _shown_to_caller
PID_BORDER.show_bearer = _bearer_shown_to_caller
pinning.CALLER.find = _space_of_caller
