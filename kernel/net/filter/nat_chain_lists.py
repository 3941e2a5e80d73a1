"""The chains of type nat of a network, for one version of IP: at each point by rising priority.

Context: thread context; nothing sleeps.
"""

from typing import Final

from kernel.lang import E2BIG, Errno, final
from kernel.net.link.hooks import Hook

_MOST_CHAINS: Final = 1024  # at a point, as on Linux


@final
class NatChains:
    """The chains, which decide about the first packet of each connection."""

    def __init__(self) -> None:
        self.lists: list[list[Hook]] = [[], [], [], [], []]  # by point
        self.count: int = 0

    def enter(self, point: int, chain: Hook) -> None:
        """Insert a chain after those of its priority. Raises E2BIG for too many, MemoryError, with nothing done."""
        entries = self.lists[point]
        if len(entries) >= _MOST_CHAINS:
            raise Errno(E2BIG)
        at = len(entries)
        while at > 0 and entries[at - 1].priority > chain.priority:
            at -= 1
        entries.insert(at, chain)
        self.count += 1

    def leave(self, point: int, chain: Hook) -> None:
        """Take out a chain that was entered."""
        self.lists[point].remove(chain)
        self.count -= 1
