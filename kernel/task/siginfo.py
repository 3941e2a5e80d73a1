"""A signal's information besides its number: siginfo_t, 128 bytes in user memory (sigaction(2)).

After number, error and code comes a union. A `SignalInfo` keeps its words in that layout: `first` and `second` at 16
are si_pid and si_uid, or the halves of si_addr, or timer and overrun; `third` at 24 is si_status or si_value; `fourth`
and `fifth` are a child's times. No kind uses more.
"""

from typing import Final

from kernel.lang import Span, final, u8
from kernel.task.signals import SEGV_PKUERR, SI_KERNEL, SI_SIGIO, SI_TIMER, SI_USER, SIGBUS, SIGNAL_COUNT, SIGSEGV
from kernel.task.words import load_i32, load_i64, signed_32, store_i32, store_i64

SIGINFO_SIZE: Final = 128
_PAGE_SHIFT: Final = 12


@final
class SignalQuota:
    """The number of queued signals and POSIX timers that count against a user (RLIMIT_SIGPENDING)."""

    def __init__(self) -> None:
        self.count: int = 0


@final
class SignalInfo:
    """One queued signal."""

    def __init__(self, signo: int, code: int) -> None:
        self.signo: int = signo
        self.error: int = 0
        self.code: int = code
        self.first: int = 0
        self.second: int = 0
        self.third: int = 0
        self.fourth: int = 0
        self.fifth: int = 0
        self.quota: SignalQuota | None = None  # the quota that it counts against while it is queued
        self.is_paid: bool = False  # a timer's: the timer counts instead
        self.is_queued: bool = False

    def set_address(self, address: int) -> None:
        """si_addr, over the words `first` and `second`."""
        self.first = signed_32(address)
        self.second = signed_32(address >> 32)

    def has_sender(self) -> bool:
        """Whether it names its sending process: kill, tkill, sigqueue."""
        return self.code <= SI_USER and self.code != SI_TIMER and self.code != SI_SIGIO

    def copy(self) -> "SignalInfo":
        """A copy to change, for a process that numbers the sender differently. Raises MemoryError."""
        other = SignalInfo(self.signo, self.code)
        other.error = self.error
        other.first = self.first
        other.second = self.second
        other.third = self.third
        other.fourth = self.fourth
        other.fifth = self.fifth
        return other

    def store(self, destination: Span[u8]) -> None:
        """Write siginfo_t's first 48 bytes; the rest of the 128 is zero."""
        store_i32(destination, 0, self.signo)
        store_i32(destination, 4, self.error)
        store_i32(destination, 8, self.code)
        destination.store_u32(12, 0)
        store_i32(destination, 16, self.first)
        store_i32(destination, 20, self.second)
        store_i64(destination, 24, self.third)
        store_i64(destination, 32, self.fourth)
        store_i64(destination, 40, self.fifth)


def from_user(source: Span[u8], signo: int) -> SignalInfo:
    """What a program passed to rt_sigqueueinfo: at least the first 48 bytes of siginfo_t. The number is the call's."""
    info = SignalInfo(signo, load_i32(source, 8))
    info.error = load_i32(source, 4)
    info.first = load_i32(source, 16)
    info.second = load_i32(source, 20)
    info.third = load_i64(source, 24)
    info.fourth = load_i64(source, 32)
    info.fifth = load_i64(source, 40)
    return info


def from_process(signo: int, code: int, pid: int, uid: int) -> SignalInfo:
    """Sent by a process: kill, tkill, sigqueue."""
    info = SignalInfo(signo, code)
    info.first = pid
    info.second = signed_32(uid)
    return info


# Signals without further information need no object of their own, so sending them cannot fail for lack of memory.
_KERNEL_INFO: Final[list[SignalInfo]] = [SignalInfo(signo, SI_KERNEL) for signo in range(SIGNAL_COUNT + 1)]
_ANONYMOUS_INFO: Final[list[SignalInfo]] = [SignalInfo(signo, SI_USER) for signo in range(SIGNAL_COUNT + 1)]


def from_kernel(signo: int) -> SignalInfo:
    """Sent by the kernel for no process in particular. Shared: never changed, never queued."""
    return _KERNEL_INFO[signo]


def from_fault(signo: int, code: int, address: int) -> SignalInfo:
    """Raised by an instruction."""
    info = SignalInfo(signo, code)
    info.set_address(address)
    return info


def from_broken_memory(code: int, address: int, shift: int = _PAGE_SHIFT) -> SignalInfo:
    """Memory is broken: si_addr_lsb, at 24, says how much of it, as a power of two."""
    info = from_fault(SIGBUS, code, address)
    info.third = shift
    return info


def from_key_fault(address: int, key: int) -> SignalInfo:
    """Raised by an instruction that a protection key forbids: si_pkey is at 32."""
    info = from_fault(SIGSEGV, SEGV_PKUERR, address)
    info.fourth = key
    return info


def from_timer(signo: int, timer_id: int, overrun: int, value: int) -> SignalInfo:
    """A POSIX timer expired."""
    info = SignalInfo(signo, SI_TIMER)
    info.first = timer_id
    info.second = overrun
    info.third = value
    return info


def from_child(
    signo: int, code: int, pid: int, uid: int, status: int, user_ticks: int, system_ticks: int
) -> SignalInfo:
    """SIGCHLD: a child exited, stopped or went on."""
    info = SignalInfo(signo, code)
    info.first = pid
    info.second = signed_32(uid)
    info.third = status & 0xFFFF_FFFF
    info.fourth = user_ticks
    info.fifth = system_ticks
    return info


def anonymous(signo: int) -> SignalInfo:
    """The information of a signal of a process for which none was kept, or of SIGKILL, for which none is. Shared."""
    return _ANONYMOUS_INFO[signo]


def is_shared(info: SignalInfo) -> bool:
    """Whether this is the kernel's own object, which pending sets need not keep."""
    return info is _KERNEL_INFO[info.signo]
