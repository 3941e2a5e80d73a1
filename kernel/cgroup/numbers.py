"""The controller "pids": how many threads a group may have, those below it among them.

A thread is counted from its making until nobody can wait for it any more, as a zombie too. Moving one into a group is
never refused: only forks are.
"""

from typing import Final

from kernel.lang import final

NO_NUMBER_LIMIT: Final = 1 << 62


@final
class NumberControl:
    """The count of one group."""

    def __init__(self, parent: "NumberControl | None") -> None:
        self.parent: NumberControl | None = parent
        self.count: int = 0
        self.limit: int = NO_NUMBER_LIMIT
        self.peak: int = 0
        self.refusals: int = 0  # of forks, by this limit or one below (pids.events)
        self.own_refusals: int = 0  # by this limit (pids.events.local)

    def add(self, change: int) -> None:
        """Count threads, here and above, whatever the limits."""
        walker: NumberControl | None = self
        while walker is not None:
            walker.count += change
            walker.peak = max(walker.peak, walker.count)
            walker = walker.parent

    def refusing(self) -> "NumberControl | None":
        """The lowest of this and those above that permits no thread more; None if all do."""
        walker: NumberControl | None = self
        while walker is not None:
            if walker.count >= walker.limit:
                return walker
            walker = walker.parent
        return None

    def refuse(self) -> None:
        """Count a fork that this limit refused."""
        self.own_refusals += 1
        walker: NumberControl | None = self
        while walker is not None:
            walker.refusals += 1
            walker = walker.parent
