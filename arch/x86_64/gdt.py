"""Segments. 64-bit mode uses them for privilege levels and for the task state segment, and for nothing else.

The selectors are Linux's, because programs see them. A program can leave 64-bit mode by the 32-bit code segment, or by
one of its own table; `syscall` has a road of its own from there (entry.S). Intel SDM vol. 3, 3.4.5 (descriptors) and
9.2.3 (the TSS descriptor takes two slots).
"""

from typing import Final

from arch.x86_64.instructions import load_gdt, load_task_register
from arch.x86_64.layout import KERNEL_CS, KERNEL_SS, PROCESSOR_SELECTOR, TASK_REGISTER, USER_CS, USER_SS
from arch.x86_64.percpu import (
    GDT_OFFSET,
    IST_COUNT,
    IST_STACK_SIZE,
    PORT_MAP_OFFSET,
    PORT_MAP_SIZE,
    TSS_IO_MAP,
    TSS_IST1,
    TSS_LIMIT,
    TSS_OFFSET,
    boot_cpu_area,
    ist_stack_top,
    store_tss_word,
)
from kernel.lang.unsafe import store_i64, store_u8, store_u16

CODE_RING_0: Final = 0x00AF_9B00_0000_FFFF
DATA_RING_0: Final = 0x00CF_9300_0000_FFFF
DATA_RING_3: Final = 0x00CF_F300_0000_FFFF
CODE_RING_3: Final = 0x00AF_FB00_0000_FFFF
CODE_RING_3_32: Final = 0x00CF_FB00_0000_FFFF
PROCESSOR_NUMBER: Final = 0x0040_F500_0000_0000  # read-only, growing down
TSS_PRESENT: Final = 0x89 << 40
LOCAL_TABLE_PRESENT: Final = 0x82 << 40

LOCAL_TABLE: Final = 0x50  # a selector: the program's own table, two entries
USER_CS_32: Final = 0x20  # where `sysretl` leads, from 32-bit code of a program's own segments

GDT_ENTRIES: Final = 16


def initialise() -> None:
    """Loads the boot processor's segment table and task register. GS has no base afterwards: `idt.initialise` sets
    it.
    """
    for number in range(1, IST_COUNT + 1):
        _set_stack(boot_cpu_area(), number, ist_stack_top(number))
    _load(boot_cpu_area(), 0)


def load(area: int, stacks: int, processor: int) -> None:
    """The same for a further processor: its area, IST_COUNT stacks side by side, and its number.

    Safety: both are zeroed memory of this processor alone.
    """
    for number in range(1, IST_COUNT + 1):
        _set_stack(area, number, stacks + number * IST_STACK_SIZE)
    _load(area, processor)


def _set_stack(area: int, number: int, end: int) -> None:
    """Name an interrupt stack. The word on top is the per-CPU block: entry.S finds it there when it can't trust GS."""
    top = end - 16
    store_i64(top, area)
    store_tss_word(area + TSS_OFFSET + TSS_IST1 + (number - 1) * 8, top)


def _load(area: int, processor: int) -> None:
    tss = area + TSS_OFFSET
    store_u16(tss + TSS_IO_MAP, TSS_LIMIT + 1)  # past the limit: no port is open to user mode
    store_u8(area + PORT_MAP_OFFSET + PORT_MAP_SIZE, 0xFF)  # the processor looks at two bytes for each port

    gdt = area + GDT_OFFSET
    store_i64(gdt + KERNEL_CS, CODE_RING_0)
    store_i64(gdt + KERNEL_SS, DATA_RING_0)
    store_i64(gdt + (USER_SS & ~3), DATA_RING_3)
    store_i64(gdt + (USER_CS & ~3), CODE_RING_3)
    store_i64(gdt + USER_CS_32, CODE_RING_3_32)
    store_i64(gdt + PROCESSOR_SELECTOR, PROCESSOR_NUMBER | processor)
    store_i64(gdt + TASK_REGISTER, system_descriptor_low(tss, TSS_LIMIT, TSS_PRESENT))
    store_i64(gdt + TASK_REGISTER + 8, (tss >> 32) & 0xFFFF_FFFF)
    load_gdt(gdt, GDT_ENTRIES * 8 - 1)
    load_task_register(TASK_REGISTER)
    load_local_table(0)  # after a reset one of 64 KiB is there, at address 0


def system_descriptor_low(base: int, limit: int, kind: int) -> int:
    """The lower word of a task state segment or a local table. Base bits 0-23 at 16, type and presence at 40, limit
    bits 16-19 at 48, base bits 24-31 at 56. The top byte is put in as a signed one.
    """
    top = (base >> 24) & 0xFF
    if top >= 0x80:
        top -= 0x100
    return (top << 56) | (limit >> 16) << 48 | kind | ((base & 0xFF_FFFF) << 16) | (limit & 0xFFFF)
