"""What the kernel keeps for each user, where a limit applies to all of the user's processes together.

An account exists as long as something is charged to it: each charge holds a reference, released after the charge is
returned. Users are real user ids, as for RLIMIT_NPROC.

Context: any; nothing sleeps. Taking an account may raise MemoryError, releasing raises nothing.
"""

from typing import Final

from kernel.lang import final, noraise
from kernel.lib.ids import KernelUid


@final
class UserAccount:
    """One user's account."""

    def __init__(self, uid: KernelUid) -> None:
        self.uid: KernelUid = uid
        self.references: int = 0
        self.pipe_pages: int = 0  # pages that the user's pipes may hold (fs.pipe-user-pages-soft)
        self.files_under_way: int = 0  # descriptors in messages of unix sockets (RLIMIT_NOFILE)
        self.epoll_watches: int = 0  # members of epoll sets (fs.epoll.max_user_watches)
        self.perf_pages: int = 0  # of rings for samples (kernel.perf_event_mlock_kb)
        self.inotify_instances: int = 0  # fs.inotify.max_user_instances
        self.inotify_watches: int = 0  # of these instances (fs.inotify.max_user_watches)
        self.queue_bytes: int = 0  # of POSIX message queues (RLIMIT_MSGQUEUE)
        self.fanotify_groups: int = 0  # fs.fanotify.max_user_groups
        self.fanotify_marks: int = 0  # of these groups (fs.fanotify.max_user_marks)

    @noraise
    def release(self) -> None:
        """Release a charge's reference."""
        self.references -= 1
        if self.references == 0:
            _ACCOUNTS.pop(self.uid)


_ACCOUNTS: Final[dict[KernelUid, UserAccount]] = {}


def account_of(uid: KernelUid) -> UserAccount:
    """The account of a user, with a reference for the caller. Raises MemoryError."""
    account = _ACCOUNTS.get(uid)
    if account is None:
        account = UserAccount(uid)
        _ACCOUNTS[uid] = account
    account.references += 1
    return account


def account_count() -> int:
    """How many users have something charged."""
    return len(_ACCOUNTS)
