"""The base of namespaces: what all kinds have in common (namespaces(7)).

Context: nothing sleeps, but `release` of a mount namespace, which unmounts.
"""

from typing import Final

from kernel.lang import noraise

CLONE_NEWTIME: Final = 0x80
CLONE_NEWNS: Final = 0x2_0000
CLONE_NEWCGROUP: Final = 0x200_0000
CLONE_NEWUTS: Final = 0x400_0000
CLONE_NEWIPC: Final = 0x800_0000
CLONE_NEWUSER: Final = 0x1000_0000
CLONE_NEWPID: Final = 0x2000_0000
CLONE_NEWNET: Final = 0x4000_0000

# The numbers of the first ones, as on Linux (include/linux/proc_ns.h); further ones, of any kind, count up.
FIRST_TIME_NUMBER: Final = 0xEFFF_FFFA
FIRST_CGROUP_NUMBER: Final = 0xEFFF_FFFB
FIRST_PID_NUMBER: Final = 0xEFFF_FFFC
FIRST_USER_NUMBER: Final = 0xEFFF_FFFD
FIRST_UTS_NUMBER: Final = 0xEFFF_FFFE
FIRST_IPC_NUMBER: Final = 0xEFFF_FFFF

_next_number: int = 0xF000_0000


def next_number() -> int:
    """A number for a new namespace: the inode's of its file."""
    global _next_number
    number = _next_number
    _next_number += 1
    return number


class Namespace:
    """One. `kind` is its CLONE_NEW… flag, `name` what /proc/PID/ns calls it."""

    def __init__(self, kind: int, name: bytes, number: int) -> None:
        self.kind: int = kind
        self.name: bytes = name
        self.number: int = number

    def acquire(self) -> None:
        """Somebody more is in it, or has it open. For kinds that have something to end; the others are objects."""

    @noraise
    def release(self) -> None:
        """And no longer."""


FIRST_USER: Final = Namespace(CLONE_NEWUSER, b"user", FIRST_USER_NUMBER)
FIRST_NET: Final = Namespace(CLONE_NEWNET, b"net", next_number())
FIRST_CGROUP: Final = Namespace(CLONE_NEWCGROUP, b"cgroup", FIRST_CGROUP_NUMBER)
FIRST_TIME: Final = Namespace(CLONE_NEWTIME, b"time", FIRST_TIME_NUMBER)
