"""The timer of a processor in hardware, which interrupts it once. What it is for: timers.py."""

from arch import interrupt_after
from kernel.lang import final
from kernel.time.clock import monotonic_ns
from kernel.time.timers import ProcessorTimer


@final
class HardwareTimer(ProcessorTimer):
    """Set by the processor that it belongs to, and by no other."""

    def set(self, at_ns: int) -> None:
        self.set_to_ns = at_ns
        interrupt_after(at_ns - monotonic_ns())
