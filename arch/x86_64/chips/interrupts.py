"""Interrupts of the PC as the kernel sees them: vectors, lines, and the acknowledgement.

Lines 0 to 15 are the 8259's, with vectors of their own. Beyond them the I/O APIC's lines and messages of PCI devices
get vectors that the kernel gives out, `FIRST_FREE_VECTOR` to `END_OF_VECTORS` - 1.

Context: `acknowledge` runs in an interrupt; the rest is for boot. Nothing sleeps.
"""

from typing import Final

from arch.x86_64.chips import apic, pic8259, timer
from arch.x86_64.idt import KICK_VECTOR
from kernel.lang import nosleep

LINE_COUNT: Final = pic8259.LINE_COUNT
FIRST_FREE_VECTOR: Final = pic8259.FIRST_VECTOR + pic8259.LINE_COUNT
END_OF_VECTORS: Final = KICK_VECTOR


def line_vector(line: int) -> int:
    """The vector of a line of the 8259, 0 to 15."""
    return pic8259.FIRST_VECTOR + line


def enable_line(line: int, level_triggered: bool) -> None:
    """Let the interrupts of a line of the 8259 through. PCI's lines are level-triggered, ISA's are not."""
    if level_triggered:
        pic8259.set_level_triggered(line)
    pic8259.unmask(line)


@nosleep
def acknowledge(vector: int) -> bool:
    """Acknowledge an interrupt at the chip that sent it. False: it is spurious, call no handler."""
    if vector == timer.TICK_VECTOR and timer.is_own():
        apic.end_of_interrupt()
        return True
    if vector < FIRST_FREE_VECTOR:
        return pic8259.acknowledge(vector - pic8259.FIRST_VECTOR)
    if vector == apic.SPURIOUS_VECTOR:
        return False
    apic.end_of_interrupt()
    return vector != KICK_VECTOR
