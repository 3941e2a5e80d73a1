"""Who a thread acts for: user and group ids, supplementary groups (credentials(7)).

Credentials are copied on change, so whoever keeps a reference keeps what was true then. Capabilities follow the
effective user id alone: root has all of them, everybody else has none.
"""

from collections.abc import Callable
from typing import Final

from kernel.lang import final


@final
class Credentials:
    """Treat as immutable once it is installed: `copy()`, change, install."""

    def __init__(self) -> None:
        self.uid: int = 0
        self.euid: int = 0
        self.suid: int = 0
        self.fsuid: int = 0
        self.gid: int = 0
        self.egid: int = 0
        self.sgid: int = 0
        self.fsgid: int = 0
        self.groups: list[int] = []

    def copy(self) -> "Credentials":
        """One to change; the group list is shared, and replaced rather than changed."""
        fresh = Credentials()
        fresh.uid = self.uid
        fresh.euid = self.euid
        fresh.suid = self.suid
        fresh.fsuid = self.fsuid
        fresh.gid = self.gid
        fresh.egid = self.egid
        fresh.sgid = self.sgid
        fresh.fsgid = self.fsgid
        fresh.groups = self.groups
        return fresh

    def in_group(self, gid: int) -> bool:
        """Whether file access as `gid` is granted: the file system group or a supplementary one."""
        return gid == self.fsgid or gid in self.groups

    def in_effective_group(self, gid: int) -> bool:
        """The same for checks that go by the effective group."""
        return gid == self.egid or gid in self.groups

    def capable(self) -> bool:
        """Whether the thread has root's powers."""
        return self.euid == 0


class Caller:
    """Finds out about the running thread, for code that is not told; entered by the package of tasks."""

    def __init__(self) -> None:
        self.find: Callable[[], Credentials | None] | None = None
        self.find_process: Callable[[], int] | None = None


CALLER: Final = Caller()


def caller_credentials() -> Credentials | None:
    """Who the running thread acts for, or None if it is the kernel's own. Never sleeps."""
    find = CALLER.find
    return find() if find is not None else None


def caller_process_id() -> int:
    """The number of the running thread's process, 0 for the kernel. Never sleeps."""
    find = CALLER.find_process
    return find() if find is not None else 0
