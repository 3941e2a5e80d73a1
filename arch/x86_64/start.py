"""Bringing the processor and its surroundings up: the steps of x86-64 behind the kernel's own.

Context: the boot thread, interrupts off.
"""

from arch.x86_64 import boot_memory, cpu, fpu, gdt, idt, paging, processors
from arch.x86_64.bootinfo import boot_info
from arch.x86_64.chips import apic, pic8259, pit, power, rtc, timer, tsc
from arch.x86_64.chips.acpi_devices import hardware
from kernel.lang import panic


def start_processor() -> None:
    """Catch exceptions from here on, and let programs use what the processor has."""
    cpu.detect()
    gdt.initialise()
    idt.initialise()
    if not cpu.features.no_execute:
        panic("this processor cannot forbid the execution of data (NX)")  # which takes the tables above
    cpu.enable()
    fpu.initialise()
    pic8259.initialise()


def read_boot_info(protocol: int, info: int) -> None:
    """Fill `boot_info`. `protocol` and `info` are what boot.S passed: bootinfo.PROTOCOL_…, and the physical address of
    the loader's information. Raises BootInfoError.
    """
    boot_memory.reserve_image(boot_info)
    boot_info.parse(boot_memory.low_memory, protocol, info)
    boot_info.find_usable()


def start_page_tables() -> None:
    """Read what firmware says of the hardware, while the boot tables still map it; then let the kernel's own tables
    take their place. Further tables come from early pages, until `set_page_source` names a better source.
    """
    power.soft_off.find(boot_memory.low_memory, boot_info.rsdp)
    hardware.find(boot_memory.low_memory, boot_info.rsdp)
    boot_memory.choose(boot_info)
    processors.take_memory(boot_info, hardware)
    paging.set_page_source(boot_memory.allocate_page)
    paging.build(boot_info)


def read_wall_clock() -> int:
    """Seconds since 1970-01-01 00:00 UTC, or 0 when the machine does not know."""
    return rtc.read_wall_clock(hardware.century_register)


def measure_counter_hz() -> int:
    """The frequency of `read_counter`, in Hz. Before `start_interrupts`."""
    if not pit.is_running():
        panic("this machine has no interval timer (8254), without which nothing ticks")
    return tsc.measure_frequency_hz()


def start_interrupts(counter_hz: int) -> None:
    """Let devices interrupt, and the timer. Raises MemoryError."""
    apic.initialise()
    timer.start(counter_hz)


def processors_found() -> int:
    """How many processors the firmware names, up to as many as there is room for; 0 if it says nothing."""
    return hardware.processor_count


def start_other_processors(limit: int, counter_hz: int) -> int:
    """Wake the machine's other processors, so that no more than `limit` run; how many do. After `start_interrupts`."""
    return processors.wake_others(hardware, limit, counter_hz)
