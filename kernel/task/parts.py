"""Parts of tasks and processes: numbers and switches that belong together.

They are structs inside the object and begin as zeros: a task stays one object, and a field costs what it
costs without them. Parts that refer to objects are in files of their own: belongings.py, namespace_set.py, tracee.py of
a task; family.py, process_timers.py, process_tracing.py of a process.

Guarded by the kernel lock, except that atomic fields are read without. A thread changes its own parts; those that
others change say so.
"""

from typing import Final

from kernel.lang import atomic, own, struct
from kernel.lib.pid import Pid

PR_MCE_KILL_EARLY: Final = 1
PR_MCE_KILL_DEFAULT: Final = 2
SS_DISABLE: Final = 2


# Of a task ------------------------------------------------------------------------------------------------------------


@own("address", "size", "flags")
@struct
class SignalStack:
    """sigaltstack(2)."""

    address: int
    size: int
    flags: int  # SS_DISABLE at first


@own("blocked")
@struct
class SignalState:
    """The signal state of a task. `blocked` never has SIGKILL or SIGSTOP; how it changes: blocking.py."""

    blocked: int
    saved_blocked: int  # to restore after sigsuspend and its kind
    restores_blocked: bool
    awaited: int  # sigtimedwait's set: not blocked while it sleeps, and yet not ignored
    forced: int  # a fault's signal, which even the first process takes
    returns_from_handler: bool  # rt_sigreturn was called
    kill_wakes: bool  # a kill ends the present sleep, though other signals do not
    is_stopped: bool  # it has taken part in the present stop of its process; means nothing while there is none
    is_past_dump: bool  # it ends, and a core dump that begins now does without it
    end_round: int  # the last round that had it end, or in which it began to without
    stack: SignalStack


@struct
class CallState:
    """The system call state of a task: who watches its calls, and properties of the present one."""

    are_watched: bool  # they are traced, or may be forbidden; tracers and observers change it (send.py, kernel/perf)
    are_observed: bool  # by tracepoints of its own events (perf_event_open(2)), which others may begin and end
    seccomp_mode: int  # which calls are allowed; another thread of its process may give it its own (seccomp.py)
    keeps_files: bool  # until the present one ends: see `Task.keep_file`
    waits_for_vfork: bool
    waits_by_wall_clock: bool  # in a call that may do so (wall_clock.py)


@struct
class TaskCounts:
    """Counts of a task's activity, besides its times: faults, bytes read and written (proc(5), /proc/PID/io), and the
    present run of a real-time task, which RLIMIT_RTTIME limits (interval_timers.py).
    """

    minor_faults: int
    read_calls: int
    write_calls: int
    read_bytes: int
    written_bytes: int
    run_switches: int  # `voluntary_switches` when the run began; -1: none has
    run_from_ns: int  # `runtime_ns` then


@struct
class Membership:
    """The membership of a task in its control group, which other members and files change too (control_groups.py), and
    whether namespaces count it.
    """

    number: int  # among the members of its group (kernel/cgroup/tree.py); 0: in the top group
    chosen_processors: int  # as requested, -1 at first; its group may permit fewer (`allowed`)
    earlier_user_ns: int  # its time when it entered its group
    earlier_system_ns: int
    ticks_in_group: int  # since the kernel memory held for it was counted
    heap_pages: int  # by which the heap has grown for it since
    counts_holdings: bool  # … the kernel memory held for it must be counted (group_holdings.py)
    is_resting: bool  # as a member of a freezing group
    is_in_network: bool  # it counts as a user of its network
    is_in_ipc: bool  # it counts as a user of its IPC namespace


@struct
class RestartableSequence:
    """The C library's registration of its restartable sequences (restartable.py)."""

    address: int  # 0: not registered
    length: int
    signature: int
    switches: int  # the task's when it was last notified; others of its space restart it (`restart_others`)
    processor: int  # as reported to the program


@own("clear_tid_address", "robust_list")
@struct
class ThreadsLibrary:
    """Addresses that the C library registered: what to clear, and which locks to release, at the end; and where to
    write the present processor.
    """

    clear_tid_address: int
    robust_list: int
    rseq: RestartableSequence


@struct
class TaskSettings:
    """Settings of prctl(2) and ioprio_set(2) for a thread."""

    no_new_privileges: bool  # execve gives none (PR_SET_NO_NEW_PRIVS); set with another thread's filters (seccomp.py)
    memory_failure_policy: int  # PR_MCE_KILL_*: see memory_failure.py
    flushes_io: bool  # PR_SET_IO_FLUSHER, kept as well: nothing here waits for a program's disk
    io_priority: int


# Of a process ---------------------------------------------------------------------------------------------------------


@struct
class StopState:
    """Job control: whether the threads must stop, have stopped, and to whom that was reported."""

    signal: int  # the signal by which threads must stop, or have stopped; 0: neither
    stopped_count: int  # threads that have stopped
    has_sleepers: bool  # some of very many threads have not been woken yet, though the stop has ended
    has_rest: bool  # the thread "async" is going to tell them, and those that are traced
    is_complete: bool  # all threads have stopped
    is_reported: bool  # a wait has seen the stop
    continue_unreported: bool
    last_signal: int
    has_news: bool  # a child may have stopped or gone on without being reported
    cancels: int  # SIGCONTs and SIGKILLs so far: a stop that was about to begin does not
    has_own: bool  # a thread may have a stop signal or SIGCONT of its own pending
    group_send: int  # the last long send to its group that has reached it (send.py)


@struct
class MemoryShortage:
    """Whether a process is killed when memory is short, and its progress then."""

    adjustment: int
    lowest_adjustment: int  # how low anyone may set it
    awaited_ns: int  # since when a shortage of memory waits for its end; 0: none does


@atomic("personality")
@struct
class ProcessSettings:
    """Settings of prctl(2) and personality(2) for a process."""

    is_subreaper: bool
    death_signal: int  # PR_SET_PDEATHSIG
    personality: int
    timer_slack_ns: int
    default_slack_ns: int  # the parent's when this process was created


@struct
class Origin:
    """The origin of a process. A new parent, and execve, change the signal for the parent."""

    order: int  # orders the children of one parent (zombies.py)
    maker_tid: Pid  # the parent's thread that created it
    exit_signal: int  # the parent's signal; 0: none
    parent_programs: int  # how many its parent had executed when this process was created
    started_ns: int
    is_init: bool  # the first process of its pid namespace
    descriptor_ino: int  # the inode number of its descriptors (pidfd.py); 0 until there is one


@struct
class ProgramState:
    """What a process has executed, and whether others may inspect it."""

    count: int  # how many programs
    has_execed: bool
    dumpable: int  # prctl(2), PR_SET_DUMPABLE: DUMPED_FOR_ITSELF at first


@struct
class Ending:
    """The progress of a process's end, from the first thread that asks for it to the parent that waits."""

    is_exiting: bool  # all threads must end, with `status`
    status: int  # as wait(2) reports it
    leaves_core: bool  # it ends by a signal that leaves a core file, whether it did or not
    leaving: int  # of its threads, those that end and are not gone yet
    gone: int  # how many of its threads have ended
    round: int  # how often all threads, or all but one, had to end
    is_zombie: bool
    is_reaped: bool
