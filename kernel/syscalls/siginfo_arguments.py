"""A signal's information as a program passes it: siginfo_t (rt_sigqueueinfo(2), pidfd_send_signal(2), ptrace(2))."""

from typing import Final

from kernel.lang import UserAddr, span_of
from kernel.lib import user
from kernel.task.siginfo import SIGINFO_SIZE, SignalInfo, from_user
from kernel.task.signals import (
    SI_KERNEL,
    SI_USER,
    SIGBUS,
    SIGCHLD,
    SIGFPE,
    SIGILL,
    SIGIO,
    SIGSEGV,
    SIGSYS,
    SIGTRAP,
)
from kernel.task.words import load_i32

_KNOWN_SIZE: Final = 48  # no kind of signal uses more of the 128 bytes
_SI_DETHREAD: Final = -7
_SI_ASYNCNL: Final = -60
_LAST_CODE: Final = 6  # of signals that have no codes of their own
_LAST_CODES: Final[dict[int, int]] = {
    SIGILL: 11,
    SIGFPE: 15,
    SIGSEGV: 10,
    SIGBUS: 5,
    SIGTRAP: 6,
    SIGCHLD: 6,
    SIGIO: 6,
    SIGSYS: 2,
}  # fmt: skip


def read_signal_info(address: UserAddr, signo: int) -> SignalInfo:
    """The information for a signal; `signo` 0: for the one that it names. What follows the known part is looked at only
    where the code says nothing about the layout: it must be zero then. Raises EFAULT, E2BIG.
    """
    storage = bytearray(_KNOWN_SIZE)
    user.read_into(span_of(storage), address)
    number = signo if signo != 0 else load_i32(span_of(storage), 0)
    info = from_user(span_of(storage), number)
    if not _has_known_layout(number, info.code):
        user.require_zeros(address, _KNOWN_SIZE, SIGINFO_SIZE)
    return info


def _has_known_layout(signo: int, code: int) -> bool:
    if code == SI_KERNEL or code == _SI_ASYNCNL:
        return True
    if code > SI_USER:
        return code <= _LAST_CODES.get(signo, _LAST_CODE)
    return code >= _SI_DETHREAD
