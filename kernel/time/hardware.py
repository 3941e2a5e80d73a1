"""A processor's hardware timer, which interrupts it once. Its purpose: timers.py."""

from arch import interrupt_after
from kernel.lang import final
from kernel.time.clock import monotonic_ns
from kernel.time.timers import ProcessorTimer


@final
class HardwareTimer(ProcessorTimer):
    """Set only by the processor that it belongs to."""

    def set(self, at_ns: int) -> None:
        self.set_to_ns = at_ns
        interrupt_after(at_ns - monotonic_ns())
