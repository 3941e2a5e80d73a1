"""Signals sent and not yet taken, for a thread or for a whole process.

A standard signal is pending once, however often it is sent, and once more for each timer. Real-time signals queue, in
order of sending, each with its information; the number queued for a user is bounded (RLIMIT_SIGPENDING), so a million
signals cost a bounded amount of memory. Without room, sigqueue fails with EAGAIN, and other signals become pending
without their information.
Standard signals of kill(2) and the kernel always find room. SIGKILL keeps no information.

Source: signal(7), "Queueing and delivery semantics for real-time signals".
"""

from typing import Final

from kernel.lang import atomic, final
from kernel.lib.ids import KernelUid
from kernel.task.siginfo import SignalInfo, SignalQuota, anonymous, from_kernel, is_shared
from kernel.task.signals import FIRST_REALTIME, SI_USER, SIGKILL, SYNCHRONOUS, bit, contains, lowest

_MANY_QUOTAS: Final = 64  # if there are more, those of users without queued signals are dropped


# By user. Kept past the last signal, because the next one comes soon.
_quotas: dict[KernelUid, SignalQuota] = {}


def queued_count(uid: KernelUid) -> int:
    """How many queued signals and timers count against a user."""
    quota = _quotas.get(uid)
    return 0 if quota is None else quota.count


def quota_of(uid: KernelUid) -> SignalQuota:
    """The user's quota. Raises MemoryError."""
    quota = _quotas.get(uid)
    if quota is None:
        if len(_quotas) >= _MANY_QUOTAS:
            _forget_idle_quotas()
        quota = SignalQuota()
        _quotas[uid] = quota
    return quota


def _forget_idle_quotas() -> None:
    for uid in list(_quotas.keys()):
        if _quotas[uid].count == 0:
            del _quotas[uid]


@final
@atomic("mask")
class PendingSignals:
    """Invariant: `mask` has the bit of every signal in `queue`, and perhaps more."""

    def __init__(self) -> None:
        self.mask: int = 0
        self.from_kernel: int = 0  # those without information that the kernel sent
        self.queue: list[SignalInfo] = []

    def add(self, info: SignalInfo, uid: KernelUid, limit: int) -> bool:
        """Make a signal pending; False if its information did not fit the user's `limit`: a real-time signal is not
        sent then, unless it is kill(2)'s (sigqueue(3)). Never raises.
        """
        signo = info.signo
        if signo < FIRST_REALTIME and contains(self.mask, signo) and not info.is_paid:
            return True
        if is_shared(info):
            self.from_kernel |= bit(signo)
        elif signo != SIGKILL and not self._keep(info, uid, limit):  # that one is never shown to a handler
            if signo >= FIRST_REALTIME and info.code != SI_USER:
                return False
            self.mask |= bit(signo)
            return False
        self.mask |= bit(signo)  # others see it without the kernel lock
        return True

    def _keep(self, info: SignalInfo, uid: KernelUid, limit: int) -> bool:
        """Queue a signal's information."""
        try:
            if info.is_paid:
                self.queue.append(info)
                info.is_queued = True
                return True
            quota = quota_of(uid)
            if quota.count >= limit and (info.signo >= FIRST_REALTIME or info.code < 0):
                return False  # a standard signal of kill or the kernel always keeps its information
            if info.is_queued:
                info = info.copy()  # it is pending for another, too: each leaves once
            self.queue.append(info)
        except MemoryError:
            return False
        info.is_queued = True
        info.quota = quota
        quota.count += 1
        return True

    def choose(self, blocked: int) -> int:
        """The signal to take next among the unblocked ones, 0 if there is none."""
        ready = self.mask & ~blocked
        if ready == 0:
            return 0
        first = ready & SYNCHRONOUS
        return lowest(first if first != 0 else ready)

    def take(self, signo: int) -> SignalInfo:
        """Take a pending signal with its information. Raises MemoryError: then it is pending still."""
        found = -1
        more = False
        for i in range(len(self.queue)):
            if self.queue[i].signo == signo:
                if found < 0:
                    found = i
                else:
                    more = True
                    break
        if found < 0:
            info = from_kernel(signo) if contains(self.from_kernel, signo) else anonymous(signo)
            self.from_kernel &= ~bit(signo)
            self.mask &= ~bit(signo)
            return info
        if not more and not contains(self.from_kernel, signo):
            self.mask &= ~bit(signo)
        info = self.queue.pop(found)
        _leave(info)
        return info

    def discard(self, mask: int) -> bool:
        """Drop all pending signals of a set. Returns whether there were any."""
        if self.mask & mask == 0:
            return False
        self.mask &= ~mask
        self.from_kernel &= ~mask
        kept = 0
        for i in range(len(self.queue)):
            info = self.queue[i]
            if contains(mask, info.signo):
                _leave(info)
            else:
                self.queue[kept] = info
                kept += 1
        while len(self.queue) > kept:
            self.queue.pop()
        return True

    def clear(self) -> None:
        """Drop everything: the owner is gone."""
        self.discard(-1)


def _leave(info: SignalInfo) -> None:
    """It is no longer in the queue."""
    info.is_queued = False
    quota = info.quota
    if quota is not None:
        quota.count -= 1
        info.quota = None
