"""The lock of everybody who changes a tree of mounts, their namespaces or their peer groups: work on many mounts takes
safe points. Whoever looks a name up takes no lock, and may find such work half done.

Within it nobody waits for programs or devices, and no other lock is taken. So mounts that leave meanwhile end after it
was released: their file systems may have much to write, and may hold trees of their own.

Context: taking and releasing it sleeps.
"""

from typing import TYPE_CHECKING, Final

from kernel.lang import Errno, final, noraise
from kernel.lib.linked import NEXT
from kernel.lib.pace import pace
from kernel.sched import Mutex

if TYPE_CHECKING:
    from kernel.fs.path import Mount

_END_COST: Final = 1000  # instructions


@final
class MountTree:
    """`with TREE:` raises EIO where a bug has ended a thread that had the lock."""

    def __init__(self) -> None:
        self.lock: Mutex = Mutex()
        self._first_gone: Mount | None = None
        self._last_gone: Mount | None = None

    @noraise
    def add_gone(self, mount: "Mount") -> None:
        """A mount has left the tree, and is private: it ends, unless somebody uses it, once the lock is released."""
        if mount.slave_links[NEXT] is not None or mount is self._last_gone:
            return
        last = self._last_gone
        if last is None:
            self._first_gone = mount
        else:
            last.slave_links[NEXT] = mount
        self._last_gone = mount

    def acquire(self) -> None:
        self.lock.acquire()

    def __enter__(self) -> "MountTree":
        self.acquire()
        return self

    def __exit__(self, kind: object, value: object, traceback: object) -> None:
        self.release()

    @noraise
    def take(self) -> bool:
        """The same for what cannot fail: False in place of EIO."""
        try:
            self.acquire()
        except Errno:
            return False
        return True

    @noraise
    def release(self) -> None:
        """Give the lock to the next, and let the mounts end that have left."""
        each = self._first_gone
        self._first_gone = None
        self._last_gone = None
        self.lock.release()
        while each is not None:
            after = each.slave_links[NEXT]
            each.slave_links[NEXT] = None
            each.finish_if_unused()
            pace(_END_COST)
            each = after


TREE: Final = MountTree()


@final
class StillTree:
    """`with STILL_TREE:` for whoever only looks: it is the same lock, but no mount ends when it is released."""

    def __enter__(self) -> "StillTree":
        TREE.acquire()
        return self

    def __exit__(self, kind: object, value: object, traceback: object) -> None:
        TREE.lock.release()


STILL_TREE: Final = StillTree()
