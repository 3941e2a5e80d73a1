"""The processor's local interrupt controller (APIC): it takes message-signalled interrupts, and passes the 8259's on.

Every interrupt that did not come through the 8259 is acknowledged here. In x2APIC mode registers are MSRs, which are
cheaper and need no mapping; without it they lie in memory.

Invariants: LINT0 stays in the mode ExtINT, in which the 8259's interrupts arrive with vectors of its own.
Context: any; nothing sleeps. Interrupts are off.
Safety: the registers are touched only after CPUID told that there is an APIC, at the address that its MSR tells.
Source: Intel SDM vol. 3, chapter 12; 12.12 (x2APIC).
"""

from typing import Final

from arch.x86_64.cpu import ECX, EDX, cpuid
from arch.x86_64.instructions import read_msr, write_msr
from arch.x86_64.paging import map_device
from kernel.lang.unsafe import mmio_load_u32, mmio_store_u32

SPURIOUS_VECTOR: Final = 0xFF

MSR_APIC_BASE: Final = 0x1B
BASE_ENABLE: Final = 1 << 11
BASE_X2APIC: Final = 1 << 10
BASE_ADDRESS: Final = 0xF_FFFF_F000
MSR_X2APIC: Final = 0x800

# Register offsets in memory; the MSR is MSR_X2APIC + offset / 16.
ID: Final = 0x20
TASK_PRIORITY: Final = 0x80
END_OF_INTERRUPT: Final = 0xB0
SPURIOUS: Final = 0xF0
LVT_TIMER: Final = 0x320
LVT_LINT0: Final = 0x350
LVT_LINT1: Final = 0x360
LVT_ERROR: Final = 0x370

SOFTWARE_ENABLE: Final = 1 << 8
MASKED: Final = 1 << 16
DELIVER_EXTINT: Final = 7 << 8
DELIVER_NMI: Final = 4 << 8

MESSAGE_ADDRESS: Final = 0xFEE0_0000

_present: bool = False
_x2apic: bool = False
_registers: int = 0


def initialise() -> None:
    """Enable the APIC if there is one. Raises MemoryError."""
    global _present, _x2apic, _registers
    if cpuid(1, 0, EDX) & (1 << 9) == 0:
        return
    base = read_msr(MSR_APIC_BASE)
    if cpuid(1, 0, ECX) & (1 << 21) != 0:
        write_msr(MSR_APIC_BASE, base | BASE_ENABLE)  # from disabled to x2APIC there is no direct way
        write_msr(MSR_APIC_BASE, base | BASE_ENABLE | BASE_X2APIC)
        _x2apic = True
    else:
        write_msr(MSR_APIC_BASE, base | BASE_ENABLE)
        _registers = map_device(base & BASE_ADDRESS, 4096)
    _write(TASK_PRIORITY, 0)
    _write(LVT_TIMER, MASKED)
    _write(LVT_ERROR, MASKED)
    _write(SPURIOUS, SOFTWARE_ENABLE | SPURIOUS_VECTOR)
    _write(LVT_LINT0, DELIVER_EXTINT)
    _write(LVT_LINT1, DELIVER_NMI)
    _present = True


def is_present() -> bool:
    """Whether message-signalled interrupts can arrive."""
    return _present


def identity() -> int:
    """This processor's APIC identity: where interrupts are sent to."""
    value = _read(ID)
    return value if _x2apic else value >> 24


def message_address() -> int:
    """Where a device writes to interrupt this processor; what it writes is the vector (edge-triggered, fixed)."""
    return MESSAGE_ADDRESS | (identity() & 0xFF) << 12


def end_of_interrupt() -> None:
    """The interrupt in service is dealt with."""
    _write(END_OF_INTERRUPT, 0)


def _read(register: int) -> int:
    if _x2apic:
        return read_msr(MSR_X2APIC + (register >> 4)) & 0xFFFF_FFFF
    return mmio_load_u32(_registers + register)


def _write(register: int, value: int) -> None:
    if _x2apic:
        write_msr(MSR_X2APIC + (register >> 4), value)
    else:
        mmio_store_u32(_registers + register, value)
