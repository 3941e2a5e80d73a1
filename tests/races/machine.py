"""A machine whose threads are preempted at random, wherever the kernel allows for it.

These places are the safe points of long loops (kernel/lib/pace.py), each of which is taken, and copies from and to
programs: each may meet a page that is not there, and sleep before it, in its middle or after it. Which thread runs next
is the scheduler's choice; that several go before the first comes back is chance.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import kernel.lib.pace as pace
from arch.x86_64 import usercopy
from kernel.mm.reclaim import reclaim_if_due
from kernel.sched.processor import RUNNING
from kernel.sched.rest import SafePoint
from kernel.sched.scheduler import safe_point, yield_now
from kernel.sched.thread import Thread, ThreadState
from tools.simulated.machine import Machine
from tools.simulated.paging import CopiedMemory

if TYPE_CHECKING:
    from greenlet import greenlet

    from kernel.lang import Span, u8
    from tools.simulated.paging import Fault

LONG = 0.1  # how often others run for long
WALL_CLOCK = 1_750_000_000.0  # so that a seed tells all


class Switches:
    """Lets other threads run now and then."""

    def __init__(self) -> None:
        self.random = random.Random(0)
        self.chance = 0.0  # that of a switch at a place where there may be one
        self.places = 0
        self._is_off = False

    def begin(self, seed: int) -> None:
        """From now on, preempt."""
        self.random = random.Random(f"switches {seed}")
        self.chance = self.random.choice((0.1, 0.3, 0.6))
        pace.PACE.left = -1
        setattr(pace, "PACE_BUDGET", -1)  # noqa: B010  (it is Final, but for this process)
        setattr(SafePoint, "take", self._safe_point)  # noqa: B010

    def perhaps(self) -> None:
        """A place where the running thread may be preempted."""
        if self._is_off or self.chance == 0 or RUNNING.current.state != ThreadState.RUNNING:
            return
        self.places += 1
        if self.random.random() >= self.chance:
            return
        for _ in range(self.random.randrange(2, 20) if self.random.random() < LONG else 1):
            yield_now()

    def atomically(self, is_off: bool) -> None:
        """What follows is one instruction."""
        self._is_off = is_off

    def _safe_point(self) -> None:
        """Instead of SafePoint.take."""
        reclaim_if_due()
        safe_point()
        self.perhaps()


class SleepyMemory(CopiedMemory):
    """Programs' memory, in which each copy may sleep."""

    def __init__(self, fault: Fault, switches: Switches) -> None:
        super().__init__(fault)
        self.switches = switches

    def _cut(self, size_bytes: int) -> int:
        """After how many bytes a copy may sleep."""
        return self.switches.random.randrange(size_bytes + 1) if self.switches.chance else 0

    def read(self, address: int, size_bytes: int) -> bytes:
        """One access."""
        self.switches.perhaps()
        return super().read(address, size_bytes)

    def write(self, address: int, data: bytes) -> int:
        """One access; clearing memory, which may be long, comes here as well."""
        self.switches.perhaps()
        return super().write(address, data)

    def copy_in(self, destination: Span[u8], address: int) -> int:
        cut = self._cut(len(destination))
        left = super().copy_in(destination[0:cut], address)
        if left != 0:
            return left + len(destination) - cut
        return super().copy_in(destination[cut : len(destination)], address + cut)

    def copy_out(self, address: int, source: Span[u8]) -> int:
        cut = self._cut(len(source))
        left = super().copy_out(address, source[0:cut])
        if left == 0:
            left = super().copy_out(address + cut, source[cut : len(source)])
            self.switches.perhaps()
            return left
        return left + len(source) - cut

    def compare_and_swap_u32(self, address: int, old: int, new: int) -> int:
        """usercopy.compare_and_swap_u32."""
        self.switches.perhaps()
        while True:
            self.switches.atomically(True)
            try:
                found = usercopy.get_u32(address)
                if found != old or super().write(address, (new & 0xFFFF_FFFF).to_bytes(4, "little")) == 4:
                    return found
                return -1
            finally:
                self.switches.atomically(False)

    def install(self) -> None:
        super().install()
        setattr(usercopy, "compare_and_swap_u32", self.compare_and_swap_u32)  # noqa: B010


class RacingMachine(Machine):
    """See above."""

    def __init__(self, memory_mib: int = 64) -> None:
        self.switches = Switches()
        super().__init__(memory_mib=memory_mib, wall_clock=lambda: WALL_CLOCK)

    def copied_memory(self, fault: Fault) -> CopiedMemory:
        return SleepyMemory(fault, self.switches)

    def sleeping_at(self, thread: Thread) -> greenlet | None:
        """Where a thread that does not run will go on."""
        return self.flow_of(thread.context.stack_pointer)
