"""The user's floating-point and vector registers.

The kernel uses none, so they stay in the processor through system calls and interrupts, and are saved only when
another task gets it. A task starts without: CR0.TS makes its first FPU instruction trap (vector 7), and only then does
it get an area. The area's layout is XSAVE's standard form, or FXSAVE's; signal frames carry it as it is. Intel SDM
vol. 1, chapter 13; vol. 3, chapter 14.
"""

from typing import Final

from arch.x86_64.cpu import CR0_TS, EBX, XSAVE_KEYS, features
from arch.x86_64.instructions import clear_task_switched, cpuid_register, read_cr0, write_cr0, write_xcr0
from kernel.lang import extern
from kernel.lang.unsafe import fill_bytes, load_u32, store_i64, store_u16, store_u32, symbol_address

LEGACY_SIZE: Final = 512
AREA_ALIGNMENT: Final = 64

XSAVE_X87: Final = 1
XSAVE_SSE: Final = 2
XSAVE_AVX: Final = 4
_KEYS_COMPONENT: Final = 9

FCW_DEFAULT: Final = 0x37F  # all x87 exceptions masked, 64-bit precision
MXCSR_DEFAULT: Final = 0x1F80  # all SSE exceptions masked
OFFSET_FCW: Final = 0
OFFSET_MXCSR: Final = 24
OFFSET_XSTATE_BV: Final = 512
OFFSET_XCOMP_BV: Final = 520

_area_size: int = LEGACY_SIZE
_frame_size: int = LEGACY_SIZE
_mask: int = 0
_enabled: int = 0
_keys_offset: int = 0


@extern("fpu_save")
def fpu_save(area: int) -> None:
    """Stores the registers. Safety: `area` is `area_size()` bytes of kernel memory, 64-byte aligned; CR0.TS is
    clear.
    """


@extern("fpu_restore")
def fpu_restore(area: int) -> int:
    """Loads the registers; -1 if the area's contents are not a legal state (they may come from a program). Safety:
    as fpu_save.
    """
    return 0


def initialise() -> None:
    """Chooses XSAVE's components and the size of areas. After cpu.enable.

    The boot processor takes the FPU away only when it has woken others (processors.wake_others), or else when the first
    program starts (ProcessorState.reset): QEMU translates code for both states of CR0.TS, and programs have the FPU
    most of the time, so boot shares what it has translated with them. A further processor never has it without a
    program that uses it.
    """
    global _area_size, _frame_size, _mask, _enabled, _keys_offset
    if features.xsave:
        _mask = XSAVE_X87 | XSAVE_SSE
        if features.avx:
            _mask |= XSAVE_AVX
        write_xcr0(_mask)
        # EBX: the size for what XCR0 enables now.
        _area_size = cpuid_register(0xD, 0, EBX)
        store_i64(symbol_address("fpu_xsave_mask"), _mask)
        _frame_size = _area_size
        _enabled = _mask
        if features.protection_keys:
            _enabled |= XSAVE_KEYS
            write_xcr0(_enabled)
            _frame_size = cpuid_register(0xD, 0, EBX)
            _keys_offset = cpuid_register(0xD, _KEYS_COMPONENT, EBX)
            store_i64(symbol_address("fpu_keys_offset"), _keys_offset)


def enable() -> None:
    """The same on a further processor. After cpu.enable."""
    if features.xsave:
        write_xcr0(_enabled)
    take_away()


def area_size() -> int:
    """Bytes of one task's area."""
    return _area_size


def component_mask() -> int:
    """The components in an area, or 0 where areas are FXSAVE's."""
    return _mask


def enabled_mask() -> int:
    """XCR0's components (signal frames name them): those, and the rights of protection keys, which the kernel keeps
    apart from the area because they belong to the program even while it has no area.
    """
    return _enabled


def frame_size() -> int:
    """Bytes of an area with all components of XCR0, as signal frames and debuggers have it."""
    return _frame_size


def keys_offset() -> int:
    """Where in it the rights of protection keys lie, 4 bytes of 8, or 0 where there are none."""
    return _keys_offset


def initialise_area(area: int) -> None:
    """Makes an area the state of a program that starts: x87 and SSE defaults, everything else zero. Its header says
    that there are rights of keys: neither saving nor loading looks at that bit, and in a signal's frame it is right.
    """
    fill_bytes(area, 0, _area_size)
    store_u16(area + OFFSET_FCW, FCW_DEFAULT)
    store_u32(area + OFFSET_MXCSR, MXCSR_DEFAULT)
    if _mask != 0:
        store_i64(area + OFFSET_XSTATE_BV, _enabled & ~_mask)


def restart_area(area: int) -> None:
    """Makes an area that the kernel saved the state of a program that starts. XSAVE's need not be cleared: components
    that their header does not name are loaded as their initial state, but for MXCSR.
    """
    if _mask == 0:
        initialise_area(area)
        return
    store_u32(area + OFFSET_MXCSR, MXCSR_DEFAULT)
    store_i64(area + OFFSET_XSTATE_BV, _enabled & ~_mask)


def sanitise_area(area: int) -> None:
    """Clears what would fault in an area that a program wrote: reserved MXCSR bits, unknown components, the compact
    form.
    """
    store_u32(area + OFFSET_MXCSR, load_u32(area + OFFSET_MXCSR) & 0xFFFF)
    if _mask != 0:
        store_i64(area + OFFSET_XSTATE_BV, load_u32(area + OFFSET_XSTATE_BV) & _mask | _enabled & ~_mask)
        fill_bytes(area + OFFSET_XCOMP_BV, 0, 56)


def take_away() -> None:
    """The next FPU instruction of a program traps."""
    write_cr0(read_cr0() | CR0_TS)


def give() -> None:
    """FPU instructions run."""
    clear_task_switched()
