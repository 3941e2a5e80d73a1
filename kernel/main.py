"""Bringing the kernel up: the boot stub calls `krait_main` in 64-bit mode, on the boot stack, with interrupts off.

In order: processor, memory, devices, time, file systems, the first program. The boot thread ends there; what goes on
is the scheduler and what interrupts bring.
"""

from arch.x86_64 import cpu, fpu, gdt, idt
from kernel import command_line, physical_memory, trap
from kernel.drivers import pic8259, pit, rtc, serial16550
from kernel.lang import Span, export, panic, u8
from kernel.lib import log
from kernel.physical_memory import boot_info
from kernel.time import clock, tsc
from kernel.tty import console

_ = trap  # its exports are called by entry.S

_console_port: serial16550.SerialPort = serial16550.ports[0]


@export("krait_main")
def krait_main(protocol: int, info: int) -> None:
    """Called once by boot.S. `protocol`: bootinfo.PROTOCOL_…; `info`: physical address of the loader's information.
    Does not return.
    """
    start_processor()
    try:
        physical_memory.start(protocol, info)
        start_devices()
    except MemoryError:
        panic("not enough memory to start")


def start_processor() -> None:
    """Exceptions are caught from here on."""
    serial16550.initialise()
    cpu.detect()
    if not cpu.features.no_execute:
        panic("this processor cannot forbid the execution of data (NX)")
    gdt.initialise()
    idt.initialise()
    cpu.enable()
    fpu.initialise()
    pic8259.initialise()


def start_devices() -> None:
    """Log, clocks, tick, terminals. Raises MemoryError."""
    global _console_port
    line = boot_info.command_line()
    if command_line.has_word(line, b"quiet"):
        log.log.console_level = log.WARNING
    _console_port = serial16550.ports[command_line.console_index(line)]
    log.log.use_console(write_console)
    clock.start(tsc.measure_frequency_hz(), rtc.read_wall_clock() * clock.NS_PER_SECOND)
    log.log.clock = clock.monotonic_ns
    memory_mib = boot_info.usable_bytes() >> 20
    log.info(f"Krait: {memory_mib} MiB of memory, counter at {clock.counter_frequency_hz() // 1000} kHz")

    pit.start_tick()
    pic8259.unmask(pit.TICK_LINE)
    console.start(command_line.console_index(line))
    for port in serial16550.ports:
        if port.present:
            pic8259.unmask(port.line)


def write_console(data: Span[u8]) -> None:
    """Where the log shows itself."""
    _console_port.write(data)
