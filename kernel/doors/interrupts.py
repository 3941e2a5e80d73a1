"""Interrupts: from the vector to the driver, and the acknowledgement.

Context: interrupt; nothing here sleeps. Allocating is allowed: interrupts come only where no kernel code holds the
heap.
"""

from arch import TICK_VECTOR, acknowledge
from kernel.drivers.platform import vectors
from kernel.lang import nosleep
from kernel.sched import tick


@nosleep
def handle(vector: int) -> None:
    """Handle an interrupt. The tick has no handler in the table: it comes most often."""
    if not acknowledge(vector):
        return
    if vector == TICK_VECTOR:
        tick()
    else:
        vectors.dispatch(vector)
