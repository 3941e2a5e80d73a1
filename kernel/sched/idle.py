"""Waiting for interrupts, and letting them in.

Safety: interrupts go on only between two instructions that change nothing, and are off again afterwards; callers hold
nothing half done.
"""

from arch.x86_64 import instructions


def wait_for_interrupt() -> None:
    """Stop the processor until an interrupt was served."""
    instructions.wait_for_interrupt()


def interrupt_point() -> None:
    """Serve interrupts that wait."""
    instructions.interrupt_window()
