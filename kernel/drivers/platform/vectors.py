"""The interrupt table: who answers which vector.

A driver derives from `InterruptHandler` and registers for a line of the 8259 (`add_to_line`), or for a vector of its
own (`allocate_vector`), which a device sends as a message or an I/O APIC as a line. Lines may be shared: every handler
of a line is asked. Handlers stay for ever.

Context: registering is for boot; `dispatch` runs in an interrupt.
"""

from typing import Final

from arch.x86_64 import apic
from kernel.drivers.platform import pic8259
from kernel.lang import ENOSPC, Errno, nosleep

FIRST_FREE_VECTOR: Final = pic8259.FIRST_VECTOR + pic8259.LINE_COUNT
VECTOR_COUNT: Final = 256


class InterruptHandler:
    """Base of what answers interrupts."""

    def __init__(self) -> None:
        self.next_handler: InterruptHandler | None = None  # of the same vector

    @nosleep
    def interrupt(self) -> None:
        """The device may want something. Interrupt context; asked in vain when the line is shared."""


_handlers: Final[list[InterruptHandler | None]] = [None] * VECTOR_COUNT
_next_vector: int = FIRST_FREE_VECTOR


def add_to_line(line: int, handler: InterruptHandler, level_triggered: bool) -> None:
    """Answer a line of the 8259, 0 to 15, from now on. PCI's lines are level-triggered, ISA's are not."""
    vector = pic8259.FIRST_VECTOR + line
    _add(vector, handler)
    if level_triggered:
        pic8259.set_level_triggered(line)
    pic8259.unmask(line)


def allocate_vector(handler: InterruptHandler) -> int:
    """A vector that only this handler answers. Raises ENOSPC when all are taken."""
    global _next_vector
    if _next_vector >= apic.SPURIOUS_VECTOR:
        raise Errno(ENOSPC)
    vector = _next_vector
    _next_vector += 1
    _add(vector, handler)
    return vector


def _add(vector: int, handler: InterruptHandler) -> None:
    handler.next_handler = _handlers[vector]
    _handlers[vector] = handler


@nosleep
def dispatch(vector: int) -> None:
    """Ask everybody who registered for a vector."""
    handler = _handlers[vector]
    while handler is not None:
        handler.interrupt()
        handler = handler.next_handler
