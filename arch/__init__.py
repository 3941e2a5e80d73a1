"""Processors. Everything that knows one lives here; the rest of the kernel names its functions, not its registers.

This module is the face of the architecture that the kernel is built for: `from arch import …` is all that kernel code
says. What an architecture owes is listed, with types and meaning, in `arch/contract.py`; docs/porting.md has the story.
What stands above the kernel's frames and user memory has a face of its own, `arch.programs`.
"""

from arch.x86_64 import usercopy
from arch.x86_64.boot_memory import allocate as allocate_early
from arch.x86_64.boot_memory import first_free as first_free_early
from arch.x86_64.boot_memory import initrd_span
from arch.x86_64.bootinfo import BAD_MAGIC, KIND_RAM, BootInfoError, boot_info
from arch.x86_64.call_numbers import CALL_LIMIT, CALL_NUMBERS, name_own_call, number_of_call
from arch.x86_64.chips.acpi_devices import hardware
from arch.x86_64.chips.apic import is_present as takes_messages
from arch.x86_64.chips.apic import message_address
from arch.x86_64.chips.fw_cfg import read_firmware_item, select_firmware_item, start_firmware_transfer
from arch.x86_64.chips.interrupts import (
    END_OF_VECTORS,
    FIRST_FREE_VECTOR,
    LINE_COUNT,
    acknowledge,
    enable_line,
    line_vector,
)
from arch.x86_64.chips.ioapic import route_line
from arch.x86_64.chips.pci_configuration import (
    DEVICE_ADDRESSES_END,
    DEVICE_ADDRESSES_START,
    read_configuration,
    write_configuration,
    write_configuration_u8,
    write_configuration_u16,
)
from arch.x86_64.chips.power import power_off, restart
from arch.x86_64.chips.serial16550 import SerialPort
from arch.x86_64.chips.serial16550 import initialise as start_serial_ports
from arch.x86_64.chips.serial16550 import ports as serial_ports
from arch.x86_64.chips.timer import TICK_VECTOR, interrupt_after
from arch.x86_64.context import (
    early_arena_size,
    early_arena_start,
    enter_user_mode,
    left_at,
    left_frame_pointer,
    prepare_kernel_entry,
    present_frame_pointer,
    switch_stacks,
)
from arch.x86_64.cpu import hardware_capabilities, may_bypass_stores, random_seed
from arch.x86_64.cpuinfo import processor_text
from arch.x86_64.exceptions import (
    ProgramError,
    fault_address,
    fault_name,
    is_breakpoint_in_kernel,
    is_grave,
    is_interrupt,
    is_page_fault,
    lacks_vector_registers,
    program_error,
    trap_kind,
    was_fetch,
    was_key_fault,
    was_write,
)
from arch.x86_64.extable import fixup
from arch.x86_64.frame import TrapFrame
from arch.x86_64.handover import (
    MOVE_END,
    MOVE_LINK,
    TablePages,
    identity_root,
    leave,
    map_identically,
    next_low_page,
)
from arch.x86_64.identity import AUDIT_ARCHITECTURE, ELF_MACHINE, MACHINE_NAME, MINIMUM_SIGNAL_STACK
from arch.x86_64.layout import (
    DEVICE_BASE,
    DIRECT_MAP_BASE,
    DYNAMIC_BASE,
    PAGE_SHIFT,
    USER_END,
    direct_map,
    page_ceiling,
    page_floor,
    physical_of,
)
from arch.x86_64.machine import interrupt_point, order_stores_before_loads, read_counter, stop, wait_for_interrupt
from arch.x86_64.next_kernel.images import check_kernel, plan_kernel
from arch.x86_64.next_kernel.plan import FROM_BYTES, FROM_INITRD, KernelFile, Plan
from arch.x86_64.paging import KERNEL_STACK, is_mapped, kernel_root, map_device, map_page, set_page_source, unmap_page
from arch.x86_64.percpu import OFFSET_THREAD as OWN_THREAD
from arch.x86_64.percpu import set_kernel_stack, take_kernel_ticks
from arch.x86_64.processors import (
    interrupt_processor,
    note_watched,
    processor_stack_top,
    stop_others,
    synchronise_processors,
    unlocked_calls,
    wait_for_sections,
)
from arch.x86_64.protection_keys import key_count, key_forbids, set_key_rights
from arch.x86_64.start import (
    measure_counter_hz,
    processors_found,
    read_boot_info,
    read_wall_clock,
    start_interrupts,
    start_other_processors,
    start_page_tables,
    start_processor,
)
from arch.x86_64.unwinding import caller_frame_pointer, find_landing, frameless_caller
from arch.x86_64.user_frame import (
    PROBED_REGISTERS,
    SAMPLED_REGISTERS,
    call_under_way,
    copied_frame,
    copy_user_frame,
    sampled_register,
    start_program,
    user_frame_address,
    user_frame_pointer,
    user_instruction_pointer,
    user_stack_pointer,
)
