"""The chains of type nat of a network, for one version of IP: at each point by rising priority.

Context: thread context; nothing sleeps.
"""

from kernel.lang import final
from kernel.net.link.hooks import Hook


@final
class NatChains:
    """They are asked about the first packet of each connection."""

    def __init__(self) -> None:
        self.lists: list[list[Hook]] = [[], [], [], [], []]  # by point
        self.count: int = 0

    def enter(self, point: int, chain: Hook) -> None:
        """Put a chain after those of its priority. Raises MemoryError, with nothing done."""
        entries = self.lists[point]
        at = len(entries)
        while at > 0 and entries[at - 1].priority > chain.priority:
            at -= 1
        entries.insert(at, chain)
        self.count += 1

    def leave(self, point: int, chain: Hook) -> None:
        """Take a chain out that was entered."""
        self.lists[point].remove(chain)
        self.count -= 1
