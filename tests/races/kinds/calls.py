"""Any call of the table, with random arguments about what the other kinds have made."""

from __future__ import annotations

from typing import Final

import kernel.syscalls.all  # noqa: F401  (it fills the table)
from kernel.doors.table import DESCRIPTIONS, SYSCALLS
from tests.races.kinds.kind import Kind
from tests.races.worker import Worker

# They end the machine, its time, or everybody's turns; need a processor's own state; or replace the program.
LEFT_OUT: Final = frozenset(
    "adjtimex arch_prctl clock_adjtime clock_settime clone clone3 delete_module execve execveat exit exit_group fork"
    " init_module finit_module ioperm iopl kexec_load kexec_file_load modify_ldt pause ptrace reboot rt_sigreturn"
    " rt_sigsuspend sched_setattr sched_setparam sched_setscheduler setpriority settimeofday setuid setreuid"
    " setresuid setfsuid setgid setregid setresgid setgroups setns capset seccomp prctl rseq sigaltstack syslog"
    " rt_sigaction rt_sigprocmask unshare vfork vhangup chroot pivot_root set_robust_list setrlimit prlimit64"
    " munmap mprotect pkey_mprotect mlockall umask personality shutdown swapon swapoff sched_setaffinity"
    " close_range kcmp process_madvise".split()
)
ALLOWED: Final = sorted(
    row.name for row in SYSCALLS if row is not None and row.number in DESCRIPTIONS and row.name not in LEFT_OUT
)


def call(worker: Worker) -> None:
    worker.call_any(worker.random.choice(ALLOWED))


KIND: Final = Kind("calls", (call,))
