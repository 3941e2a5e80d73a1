"""Resource limits (getrlimit(2)): sixteen pairs of a soft and a hard value. Shared by the threads of a process.

RLIM_INFINITY is all ones, which reads as -1 in the 64-bit words of the interface; inside the kernel it is `UNLIMITED`,
so that limits compare as numbers.
"""

from typing import Final

from kernel.lang import EINVAL, Errno, final

UNLIMITED: Final = (1 << 63) - 1

RLIMIT_CPU: Final = 0
RLIMIT_FSIZE: Final = 1
RLIMIT_DATA: Final = 2
RLIMIT_STACK: Final = 3
RLIMIT_CORE: Final = 4
RLIMIT_RSS: Final = 5
RLIMIT_NPROC: Final = 6
RLIMIT_NOFILE: Final = 7
RLIMIT_MEMLOCK: Final = 8
RLIMIT_AS: Final = 9
RLIMIT_LOCKS: Final = 10
RLIMIT_SIGPENDING: Final = 11
RLIMIT_MSGQUEUE: Final = 12
RLIMIT_NICE: Final = 13
RLIMIT_RTPRIO: Final = 14
RLIMIT_RTTIME: Final = 15
LIMIT_COUNT: Final = 16


@final
class Limits:
    """The limits of one process."""

    def __init__(self) -> None:
        self.soft: list[int] = [UNLIMITED] * LIMIT_COUNT
        self.hard: list[int] = [UNLIMITED] * LIMIT_COUNT

    def set(self, resource: int, soft: int, hard: int) -> None:
        """Set both values at once; the caller has checked them."""
        self.soft[resource] = soft
        self.hard[resource] = hard

    def copy(self) -> "Limits":
        """A copy for fork."""
        fresh = Limits()
        for i in range(LIMIT_COUNT):
            fresh.soft[i] = self.soft[i]
            fresh.hard[i] = self.hard[i]
        return fresh


def initial_limits(thread_limit: int) -> Limits:
    """The limits of the first process, as on Linux; `thread_limit` follows the size of memory."""
    limits = Limits()
    limits.set(RLIMIT_STACK, 8 << 20, UNLIMITED)
    limits.set(RLIMIT_CORE, 0, UNLIMITED)
    limits.set(RLIMIT_NPROC, thread_limit, thread_limit)
    limits.set(RLIMIT_NOFILE, 1024, 4096)
    limits.set(RLIMIT_MEMLOCK, 8 << 20, 8 << 20)
    limits.set(RLIMIT_SIGPENDING, thread_limit, thread_limit)
    limits.set(RLIMIT_MSGQUEUE, 819200, 819200)
    limits.set(RLIMIT_NICE, 0, 0)
    limits.set(RLIMIT_RTPRIO, 0, 0)
    return limits


def from_user(value: int) -> int:
    """A limit as a program wrote it (64 bits, all ones is infinity; values above 2**63 count as infinity too)."""
    return UNLIMITED if value < 0 else value


def to_user(value: int) -> int:
    """A limit as a program reads it."""
    return -1 if value == UNLIMITED else value


def check_resource(resource: int) -> None:
    """Raise EINVAL for an unknown resource."""
    if resource < 0 or resource >= LIMIT_COUNT:
        raise Errno(EINVAL)
