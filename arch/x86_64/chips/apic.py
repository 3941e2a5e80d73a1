"""The processor's local interrupt controller (APIC): it takes message-signalled interrupts, and passes the 8259's on.

Every interrupt that did not come through the 8259 is acknowledged here. In x2APIC mode registers are MSRs, which are
cheaper for a hypervisor and need no mapping; without it they lie in memory.

Invariants: LINT0 stays in the mode ExtINT, in which the 8259's interrupts arrive with vectors of its own.
Context: any; nothing sleeps. Interrupts are off.
Safety: the registers are touched only after CPUID reported an APIC, at the address that its MSR gives.
Source: Intel SDM vol. 3, chapter 12; 12.12 (x2APIC).
"""

from typing import Final

from arch.x86_64.cpu import EBX, ECX, EDX, cpuid, features
from arch.x86_64.instructions import order_stores, read_msr, write_msr
from arch.x86_64.paging import map_device
from kernel.lang.unsafe import mmio_load_u32, mmio_store_u32, store_i64, symbol_address

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
COMMAND: Final = 0x300
COMMAND_HIGH: Final = 0x310
LVT_TIMER: Final = 0x320
LVT_LINT0: Final = 0x350
LVT_LINT1: Final = 0x360
LVT_ERROR: Final = 0x370
TIMER_INITIAL: Final = 0x380
TIMER_CURRENT: Final = 0x390
TIMER_DIVIDE: Final = 0x3E0

SOFTWARE_ENABLE: Final = 1 << 8
MASKED: Final = 1 << 16
DIVIDE_BY_16: Final = 3
DELIVER_EXTINT: Final = 7 << 8
DELIVER_NMI: Final = 4 << 8

COMMAND_ASSERT: Final = 1 << 14
COMMAND_INIT: Final = 5 << 8 | COMMAND_ASSERT
COMMAND_STARTUP: Final = 6 << 8 | COMMAND_ASSERT
COMMAND_PENDING: Final = 1 << 12

EMULATED: Final = 0x5447_4354  # "TCGT", as QEMU says which emulates the processor

MESSAGE_ADDRESS: Final = 0xFEE0_0000

_present: bool = False
_x2apic: bool = False
_registers: int = 0
_boot_identity: int = 0


def initialise() -> None:
    """Enable the boot processor's APIC if there is one. Raises MemoryError."""
    global _present, _x2apic, _registers, _boot_identity
    if cpuid(1, 0, EDX) & (1 << 9) == 0:
        return
    _x2apic = cpuid(1, 0, ECX) & (1 << 21) != 0 and not _is_emulated()
    if not _x2apic:
        _registers = map_device(read_msr(MSR_APIC_BASE) & BASE_ADDRESS, 4096)
        store_i64(symbol_address("apic_registers"), _registers)
    _enable()
    _write(LVT_LINT0, DELIVER_EXTINT)
    _boot_identity = identity()
    _present = True


def _is_emulated() -> bool:
    """QEMU's own emulation of the timer's MSRs ends the machine when the clock counts instructions (-icount)."""
    return features.hypervisor and cpuid(0x4000_0000, 0, EBX) == EMULATED


def enable() -> None:
    """Enable a further processor's. The 8259's interrupts stay with the boot processor."""
    _enable()
    _write(LVT_LINT0, MASKED)


def _enable() -> None:
    base = read_msr(MSR_APIC_BASE)
    write_msr(MSR_APIC_BASE, base | BASE_ENABLE)
    if _x2apic:
        write_msr(MSR_APIC_BASE, base | BASE_ENABLE | BASE_X2APIC)  # from disabled there is no direct way
    _write(TASK_PRIORITY, 0)
    _write(LVT_TIMER, MASKED)
    _write(TIMER_DIVIDE, DIVIDE_BY_16)
    _write(LVT_ERROR, MASKED)
    _write(SPURIOUS, SOFTWARE_ENABLE | SPURIOUS_VECTOR)
    _write(LVT_LINT1, DELIVER_NMI)


def is_present() -> bool:
    """Whether message-signalled interrupts can arrive."""
    return _present


def identity() -> int:
    """This processor's APIC identity: where interrupts are sent to."""
    value = _read(ID)
    return value if _x2apic else value >> 24


def message_address() -> int:
    """Where a device writes to interrupt the boot processor; what it writes is the vector (edge-triggered, fixed)."""
    return MESSAGE_ADDRESS | (_boot_identity & 0xFF) << 12


def send_init(identity: int) -> None:
    """Reset a processor: it waits for a start-up."""
    _send(identity, COMMAND_INIT)


def send_startup(identity: int, page: int) -> None:
    """Let a processor that was reset begin at a page below 1 MiB, in real mode."""
    _send(identity, COMMAND_STARTUP | page >> 12)


def send_interrupt(identity: int, vector: int) -> None:
    """Interrupt another processor."""
    _send(identity, COMMAND_ASSERT | vector)


def send_nmi(identity: int) -> None:
    """The same where nothing can hold it off."""
    _send(identity, COMMAND_ASSERT | DELIVER_NMI)


def _send(identity: int, command: int) -> None:
    """Write the interrupt command register."""
    if _x2apic:
        order_stores()
        write_msr(MSR_X2APIC + (COMMAND >> 4), identity << 32 | command)
        return
    mmio_store_u32(_registers + COMMAND_HIGH, (identity & 0xFF) << 24)
    mmio_store_u32(_registers + COMMAND, command)
    while mmio_load_u32(_registers + COMMAND) & COMMAND_PENDING != 0:
        pass


def let_timer_interrupt(vector: int) -> None:
    """This processor's timer interrupts when it comes to 0."""
    _write(LVT_TIMER, vector)


def set_timer(count: int) -> None:
    """Let this processor's timer count down from here to 0, once; from 0: stop it."""
    _write(TIMER_INITIAL, count)


def stop_timer() -> None:
    """This processor's timer neither counts nor interrupts any more."""
    _write(LVT_TIMER, MASKED)
    _write(TIMER_INITIAL, 0)


def timer_count() -> int:
    """What this processor's timer has left."""
    return _read(TIMER_CURRENT)


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
