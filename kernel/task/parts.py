"""Parts of tasks and processes: numbers and switches that belong together.

They are structs, which lie inside the object and begin as zeros: a task stays one object, and a field costs what it
cost without them.
"""

from typing import Final

from kernel.lang import struct

PR_MCE_KILL_DEFAULT: Final = 2


# Of a task ------------------------------------------------------------------------------------------------------------


@struct
class SignalState:
    """How a task stands with signals. `blocked` never has SIGKILL or SIGSTOP."""

    blocked: int
    saved_blocked: int  # to restore after sigsuspend and its kind
    restores_blocked: bool
    awaited: int  # sigtimedwait's set: not blocked while it sleeps, and yet not ignored
    forced: int  # a fault's signal, which even the first process takes
    returns_from_handler: bool  # rt_sigreturn was called
    kill_wakes: bool  # a kill ends the present sleep, though other signals do not
    is_stopped: bool  # it has taken part in the present stop of its process


@struct
class RestartableSequence:
    """What the C library registered for its restartable sequences (restartable.py)."""

    address: int  # 0: not registered
    length: int
    signature: int
    switches: int
    processor: int  # as the program was told


@struct
class RealtimeRun:
    """The present run of a real-time task, which RLIMIT_RTTIME limits (interval_timers.py)."""

    sleeps: int  # `voluntary_switches` when it began; -1: none has
    from_ns: int  # `runtime_ns` then


@struct
class ThreadsLibrary:
    """Addresses that a threads library registered: what to clear, and which locks to give back, at the end."""

    clear_tid_address: int
    robust_list: int


@struct
class TaskSettings:
    """What prctl(2), ioprio_set(2) and perf_event_open(2) set for a thread."""

    no_new_privileges: bool  # execve gives none (PR_SET_NO_NEW_PRIVS)
    memory_failure_policy: int  # PR_MCE_KILL_*, kept for the reader: nothing here reports broken memory
    calls_are_observed: bool  # by tracepoints of its own events (perf_event_open(2))
    flushes_io: bool  # PR_SET_IO_FLUSHER, kept as well: nothing here waits for a program's disk
    io_priority: int


# Of a process ---------------------------------------------------------------------------------------------------------


@struct
class StopState:
    """Job control: whether the threads are to stop, have stopped, and who has heard of it."""

    signal: int  # threads are to stop, or have stopped, by this one; 0: neither
    stopped_count: int  # threads that have stopped
    is_complete: bool  # all threads have stopped
    is_reported: bool  # a wait has seen the stop
    continue_unreported: bool
    last_signal: int
    has_news: bool  # a child may have stopped or gone on, and not been reported


@struct
class MemoryShortage:
    """Whether a process ends when memory is short, and whether that waits for it."""

    adjustment: int
    lowest_adjustment: int  # how low anybody may set it
    awaited_ns: int  # since when a shortage of memory waits for its end; 0: none does


@struct
class ProcessSettings:
    """What prctl(2) and personality(2) set for a process."""

    is_subreaper: bool
    death_signal: int  # PR_SET_PDEATHSIG
    personality: int
    timer_slack_ns: int
    default_slack_ns: int  # the parent's when this process was created
