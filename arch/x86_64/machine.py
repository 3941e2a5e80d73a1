"""The processor as a whole: stopping, waiting, windows for interrupts. For modules that may not name single
instructions.
"""

from arch.x86_64 import instructions
from arch.x86_64.paging import map_device
from kernel.lang.unsafe import mmio_store_u8


def stop() -> None:
    """Interrupts off, and halt permanently. Does not return."""
    instructions.halt_forever()


def reset_by_triple_fault() -> None:
    """An exception without a handler resets the processor. Does not return."""
    instructions.triple_fault()


def store_device_u8(physical: int, value: int) -> None:
    """Writes a byte-wide register of a device in memory. Raises MemoryError when it cannot be mapped.

    Safety: `physical` is a device's register.
    """
    mmio_store_u8(map_device(physical, 1), value)


def order_stores_before_loads() -> None:
    """Make what was stored so far visible to devices before anything that is loaded from now on."""
    instructions.order_stores_before_loads()


def read_counter() -> int:
    """The time stamp counter."""
    return instructions.read_tsc()


def wait_for_interrupt(save_sp_to: int) -> None:
    """Stop the processor until an interrupt was served; with several, others run the kernel meanwhile.

    Safety: interrupts go on only between two instructions that change nothing, and are off again afterwards; callers
    hold nothing half done. `save_sp_to` is where the running thread's stack pointer is kept.
    """
    instructions.wait_for_interrupt(save_sp_to)


def interrupt_point(save_sp_to: int) -> None:
    """Serve interrupts that wait; with several processors, let others go first that wait for the kernel. Safety: as
    wait_for_interrupt.
    """
    instructions.interrupt_window(save_sp_to)
