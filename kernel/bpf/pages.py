"""Pages of maps, for processes to map: given back once nobody has the map.

Many pages take long, and the last user of a map may be a packet's program. So the thread "async" gives them back.

Context: any; nothing raises.
"""

from typing import Final

from kernel.lang import final
from kernel.lib.pace import pace, spend
from kernel.mm.ring_memory import RingMemory
from kernel.sched.later import Job

_FEW: Final = 64
_COST: Final = 150  # instructions to give one back


@final
class PageRelease(Job):
    """What gives them back."""

    def __init__(self) -> None:
        super().__init__()
        self.memory: RingMemory | None = None

    def begin(self, memory: RingMemory) -> None:
        """Give back pages that nobody uses any more, now or soon."""
        if len(memory.frames) <= _FEW:
            spend(_FEW * _COST)
            memory.free()
            return
        self.memory = memory
        self.schedule()

    def run(self) -> None:
        memory = self.memory
        if memory is None:
            return
        while memory.drop_page():
            pace(_COST)
        self.memory = None
