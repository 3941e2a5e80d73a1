"""Signal numbers, sets of signals, and default actions (signal(7)).

A set is a 64-bit mask as a signed int: bit n - 1 is signal n, so signal 64 is the sign.
"""

from typing import Final

SIGHUP: Final = 1
SIGINT: Final = 2
SIGQUIT: Final = 3
SIGILL: Final = 4
SIGTRAP: Final = 5
SIGABRT: Final = 6
SIGBUS: Final = 7
SIGFPE: Final = 8
SIGKILL: Final = 9
SIGUSR1: Final = 10
SIGSEGV: Final = 11
SIGUSR2: Final = 12
SIGPIPE: Final = 13
SIGALRM: Final = 14
SIGTERM: Final = 15
SIGSTKFLT: Final = 16
SIGCHLD: Final = 17
SIGCONT: Final = 18
SIGSTOP: Final = 19
SIGTSTP: Final = 20
SIGTTIN: Final = 21
SIGTTOU: Final = 22
SIGURG: Final = 23
SIGXCPU: Final = 24
SIGXFSZ: Final = 25
SIGVTALRM: Final = 26
SIGPROF: Final = 27
SIGWINCH: Final = 28
SIGIO: Final = 29
SIGPWR: Final = 30
SIGSYS: Final = 31
FIRST_REALTIME: Final = 32
SIGNAL_COUNT: Final = 64

# siginfo_t.si_code
SI_USER: Final = 0
SI_KERNEL: Final = 0x80
SI_QUEUE: Final = -1
SI_TIMER: Final = -2
SI_SIGIO: Final = -5
SI_TKILL: Final = -6
ILL_ILLOPN: Final = 2
FPE_INTDIV: Final = 1
FPE_FLTDIV: Final = 3
FPE_FLTOVF: Final = 4
FPE_FLTUND: Final = 5
FPE_FLTRES: Final = 6
FPE_FLTINV: Final = 7
SEGV_MAPERR: Final = 1
SEGV_ACCERR: Final = 2
SEGV_PKUERR: Final = 4
BUS_ADRALN: Final = 1
BUS_ADRERR: Final = 2
BUS_MCEERR_AR: Final = 4  # broken memory was used
BUS_MCEERR_AO: Final = 5  # … was found, and may be used later
SYS_SECCOMP: Final = 1
SYS_USER_DISPATCH: Final = 2
TRAP_BRKPT: Final = 1
TRAP_TRACE: Final = 2
TRAP_HWBKPT: Final = 4
CLD_EXITED: Final = 1
CLD_KILLED: Final = 2
CLD_DUMPED: Final = 3
CLD_TRAPPED: Final = 4
CLD_STOPPED: Final = 5
CLD_CONTINUED: Final = 6

ALL_SIGNALS: Final = -1
_SIGN: Final = -(1 << 63)


def bit(signo: int) -> int:
    """The set of one signal, 1…64."""
    if signo == SIGNAL_COUNT:
        return _SIGN
    return 1 << (signo - 1)


def contains(mask: int, signo: int) -> bool:
    """Whether signal `signo` is in the set."""
    return (mask >> (signo - 1)) & 1 != 0


def lowest(mask: int) -> int:
    """The lowest signal of a set that is not empty."""
    signo = 1
    if mask & 0xFFFF_FFFF == 0:
        signo = 33
        mask >>= 32
    while mask & 1 == 0:
        mask >>= 1
        signo += 1
    return signo


def is_valid(signo: int) -> bool:
    """Whether this is a signal's number."""
    return 1 <= signo <= SIGNAL_COUNT


# Cannot be caught, blocked or ignored.
UNBLOCKABLE: Final = (1 << (SIGKILL - 1)) | (1 << (SIGSTOP - 1))
STOP_SIGNALS: Final = (1 << (SIGSTOP - 1)) | (1 << (SIGTSTP - 1)) | (1 << (SIGTTIN - 1)) | (1 << (SIGTTOU - 1))
IGNORED_BY_DEFAULT: Final = (1 << (SIGCHLD - 1)) | (1 << (SIGCONT - 1)) | (1 << (SIGURG - 1)) | (1 << (SIGWINCH - 1))
DUMPS_CORE: Final = (
    (1 << (SIGQUIT - 1))
    | (1 << (SIGILL - 1))
    | (1 << (SIGTRAP - 1))
    | (1 << (SIGABRT - 1))
    | (1 << (SIGBUS - 1))
    | (1 << (SIGFPE - 1))
    | (1 << (SIGSEGV - 1))
    | (1 << (SIGXCPU - 1))
    | (1 << (SIGXFSZ - 1))
    | (1 << (SIGSYS - 1))
)
# Raised by the processor: taken before other signals, so that the frame shows the instruction.
SYNCHRONOUS: Final = (
    (1 << (SIGSEGV - 1))
    | (1 << (SIGBUS - 1))
    | (1 << (SIGILL - 1))
    | (1 << (SIGTRAP - 1))
    | (1 << (SIGFPE - 1))
    | (1 << (SIGSYS - 1))
)
