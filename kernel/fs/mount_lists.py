"""Lists of mounts: a tree, all that are attached, those of a namespace. There may be many, so each takes safe points.

Context: thread context; sleeps. Raises MemoryError; EIO, where it takes the lock of the tree (mount_lock.py).
"""

from typing import Final

from kernel.fs.mount_lock import STILL_TREE
from kernel.fs.path import MOUNTS, Mount, MountNamespace
from kernel.lib.pace import pace

TREE_COST: Final = 150  # instructions
_LIST_COST: Final = 40


def tree_of(top: Mount, without: Mount | None = None) -> list[Mount]:
    """A mount and all mounts below it, each before those on it: the order in which Linux copies a tree. One of them may
    be left out, with all below it. The caller has the lock of the tree.
    """
    found: list[Mount] = []
    waiting: list[Mount] = [top]
    while len(waiting) > 0:
        each = waiting.pop()
        found.append(each)
        pace(TREE_COST)
        low = len(waiting)
        for child in each.children.values():
            if child is not without:
                waiting.append(child)
            pace(_LIST_COST)
        high = len(waiting) - 1
        while low < high:
            last = waiting[high]
            waiting[high] = waiting[low]
            waiting[low] = last
            low += 1
            high -= 1
            pace(_LIST_COST)
    return found


def attached_mounts() -> list[Mount]:
    """All of them, in the order of mounting. They may leave at any safe point."""
    found: list[Mount] = []
    with STILL_TREE:
        for mount in MOUNTS.values():
            found.append(mount)
            pace(_LIST_COST)
    return found


def numbers_in(namespace: MountNamespace) -> list[int]:
    """The numbers of a namespace's mounts, in the order of mounting."""
    found: list[int] = []
    with STILL_TREE:
        for number in namespace.mounts:
            found.append(number)
            pace(_LIST_COST)
    return found
