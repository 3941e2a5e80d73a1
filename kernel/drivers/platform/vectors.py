"""The interrupt table: which handlers serve which vector.

A driver derives from `InterruptHandler` and registers for a line (`add_to_line`, `connect`), or for a vector of its own
(`allocate_vector`), which a device sends as a message. Lines may be shared: every handler of a line is called. Handlers
stay registered. The architecture defines lines and vectors.

Context: registering is for boot; `dispatch` runs in an interrupt.
"""

from typing import Final

from arch import END_OF_VECTORS, FIRST_FREE_VECTOR, LINE_COUNT, enable_line, line_vector, route_line
from kernel.lang import ENOSPC, Errno, nosleep


class InterruptHandler:
    """Handles interrupts. Base class."""

    def __init__(self) -> None:
        self.next_handler: InterruptHandler | None = None  # of the same vector

    @nosleep
    def interrupt(self) -> None:
        """The device may need service; on a shared line it may be another device. Interrupt context."""


_handlers: Final[list[InterruptHandler | None]] = [None] * END_OF_VECTORS
_next_vector: int = FIRST_FREE_VECTOR


def add_to_line(line: int, handler: InterruptHandler, level_triggered: bool) -> None:
    """Handle a line that devices share, 0 to LINE_COUNT - 1. PCI's are level-triggered, ISA's are not."""
    _add(line_vector(line), handler)
    enable_line(line, level_triggered)


def connect(line: int, handler: InterruptHandler) -> None:
    """Handle any level-triggered line. Raises ENODEV when there is no such line, ENOSPC, MemoryError."""
    if line < LINE_COUNT:
        add_to_line(line, handler, level_triggered=True)
    else:
        route_line(line, _free_vector())
        allocate_vector(handler)


def allocate_vector(handler: InterruptHandler) -> int:
    """Allocate a vector for this handler alone. Raises ENOSPC when all are taken."""
    global _next_vector
    vector = _free_vector()
    _next_vector += 1
    _add(vector, handler)
    return vector


def _free_vector() -> int:
    if _next_vector >= END_OF_VECTORS:
        raise Errno(ENOSPC)
    return _next_vector


def _add(vector: int, handler: InterruptHandler) -> None:
    handler.next_handler = _handlers[vector]
    _handlers[vector] = handler


@nosleep
def dispatch(vector: int) -> None:
    """Call all handlers of a vector."""
    handler = _handlers[vector]
    while handler is not None:
        handler.interrupt()
        handler = handler.next_handler
