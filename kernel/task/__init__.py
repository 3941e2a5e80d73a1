"""Processes and threads of programs: fork, exec, exit, wait, signals, groups, sessions, futex, limits.

Other packages use the names below; system calls import what only they need from the modules of this package.
"""

from kernel.task.groups import TERMINAL_HOOK, ProcessGroup, Session, find_group, find_session, is_orphaned_group
from kernel.task.pids import find_process, find_task, process_count, process_ids, task_count
from kernel.task.process import Process
from kernel.task.send import (
    block_during,
    is_signal_dropped,
    send_from_kernel,
    send_to_process,
    send_to_task,
    signal_group,
    signal_process,
    signal_session_leader,
)
from kernel.task.siginfo import SignalInfo
from kernel.task.signals import (
    SIGALRM,
    SIGCHLD,
    SIGCONT,
    SIGHUP,
    SIGINT,
    SIGIO,
    SIGKILL,
    SIGPIPE,
    SIGQUIT,
    SIGTERM,
    SIGTSTP,
    SIGTTIN,
    SIGTTOU,
    SIGWINCH,
    SIGXFSZ,
)
from kernel.task.task import Task, current, current_or_none

__all__ = [
    "SIGALRM",
    "SIGCHLD",
    "SIGCONT",
    "SIGHUP",
    "SIGINT",
    "SIGIO",
    "SIGKILL",
    "SIGPIPE",
    "SIGQUIT",
    "SIGTERM",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGWINCH",
    "SIGXFSZ",
    "TERMINAL_HOOK",
    "Process",
    "ProcessGroup",
    "Session",
    "SignalInfo",
    "Task",
    "block_during",
    "current",
    "current_or_none",
    "find_group",
    "find_process",
    "find_session",
    "find_task",
    "is_orphaned_group",
    "is_signal_dropped",
    "process_count",
    "process_ids",
    "send_from_kernel",
    "send_to_process",
    "send_to_task",
    "signal_group",
    "signal_process",
    "signal_session_leader",
    "task_count",
]
