"""The controller "cpuset": on which processors the threads of a group may run, and from which nodes they take memory.

A set that is asked for counts as far as the group above has it; without a common processor, and where none is asked
for, that of the group above counts. There is one node of memory, 0.
"""

from typing import Final

from kernel.lang import final

ONE_NODE: Final = 1


@final
class ProcessorSet:
    """That of one group. Sets have a bit for each processor."""

    def __init__(self, parent: "ProcessorSet | None") -> None:
        self.parent: ProcessorSet | None = parent
        self.wanted: int = 0  # cpuset.cpus; 0: nothing was asked for
        self.wanted_nodes: int = 0  # cpuset.mems

    def effective(self, present: int) -> int:
        """The processors that count, of those that are present."""
        chosen = present
        chain: list[ProcessorSet] = []
        walker: ProcessorSet | None = self
        while walker is not None:
            chain.append(walker)
            walker = walker.parent
        while len(chain) > 0:
            common = chosen & chain.pop().wanted
            if common != 0:
                chosen = common
        return chosen
