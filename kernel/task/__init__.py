"""Processes and threads of programs: fork, exec, exit, wait, signals, groups, sessions, futex, limits.

Other packages use the names below; system calls import what only they need from the modules of this package.
"""

from kernel.task.groups import TERMINAL_HOOK, find_group, find_session, is_orphaned_group
from kernel.task.pids import find_process, find_task, process_ids
from kernel.task.process import Process
from kernel.task.send import hang_up_group, is_signal_dropped, signal_group, signal_session_leader
from kernel.task.signals import SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU
from kernel.task.task import current, current_or_none

__all__ = [
    "SIGCHLD",
    "SIGCONT",
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "TERMINAL_HOOK",
    "Process",
    "current",
    "current_or_none",
    "find_group",
    "find_process",
    "find_session",
    "find_task",
    "hang_up_group",
    "is_orphaned_group",
    "is_signal_dropped",
    "process_ids",
    "signal_group",
    "signal_session_leader",
]
