"""Interrupts: from the vector to the driver, and the acknowledgement.

Context: interrupt; nothing here sleeps. Allocating is allowed: interrupts come only where no kernel code holds the
heap.
"""

from typing import Final

from arch.x86_64 import apic
from kernel.drivers.platform import pic8259, pit, vectors
from kernel.lang import nosleep
from kernel.sched import tick

_TICK_VECTOR: Final = pic8259.FIRST_VECTOR + pit.TICK_LINE
_END_OF_LINES: Final = pic8259.FIRST_VECTOR + pic8259.LINE_COUNT


@nosleep
def handle(vector: int, from_user: bool) -> None:
    """An interrupt arrived. `from_user`: a program ran since the last one, not the kernel for it.

    The tick has no handler in the table: it comes most often, and it alone asks what was interrupted.
    """
    if vector < _END_OF_LINES:
        if not pic8259.acknowledge(vector - pic8259.FIRST_VECTOR):
            return
        if vector == _TICK_VECTOR:
            tick(from_user)
            return
    elif vector == apic.SPURIOUS_VECTOR:
        return
    else:
        apic.end_of_interrupt()
    vectors.dispatch(vector)
