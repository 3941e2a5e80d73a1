"""Interrupt lines: which driver answers which.

A table by line number was left out: three lines are in use, and each is a call that one can follow.
Context: interrupt; nothing here sleeps. Allocating is allowed: interrupts come only where no kernel code holds the
heap.
"""

from kernel.drivers import pic8259, pit, serial16550
from kernel.lang import nosleep
from kernel.sched import tick
from kernel.tty.console import input_interrupt


@nosleep
def handle(line: int, from_user: bool) -> None:
    """An interrupt on a line of the 8259. `from_user`: a program ran since the last one, not the kernel for it."""
    if not pic8259.acknowledge(line):
        return
    if line == pit.TICK_LINE:
        tick(from_user)
    else:
        serial16550.receive_on(line)
        input_interrupt()
