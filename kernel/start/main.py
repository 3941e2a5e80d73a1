"""Bringing the kernel up: the boot stub calls `krait_main` in 64-bit mode, on the boot stack, with interrupts off.

In order: processor, memory, devices, time, file systems, the first program. The boot thread ends there; from then on
there are only the scheduler and interrupts.
"""

from arch import (
    SerialPort,
    boot_info,
    early_arena_size,
    early_arena_start,
    measure_counter_hz,
    processors_found,
    read_wall_clock,
    restart,
    serial_ports,
    start_interrupts,
    start_other_processors,
    start_processor,
    start_serial_ports,
)
from kernel.cache import writeback
from kernel.doors import dispatch, trace, trap
from kernel.drivers.virtio import probe as virtio
from kernel.fs.autofs import filesystem as autofs
from kernel.fs.binfmt import filesystem as formats
from kernel.fs.cgroup import filesystem as groups
from kernel.fs.configfs import filesystem as configuration
from kernel.fs.devices import memory as memory_devices
from kernel.fs.disks import block_file, loop_control, scan
from kernel.fs.ext2 import filesystem as ext2
from kernel.fs.fuse import filesystem as fuse
from kernel.fs.hugetlbfs import filesystem as huge_files
from kernel.fs.overlay import filesystem as overlay
from kernel.fs.plan9 import filesystem as plan9
from kernel.fs.procfs import filesystem as proc
from kernel.fs.sysfs import filesystem as sys
from kernel.ipc import pipe
from kernel.lang import Errno, Span, export, final, on_stack, panic, u8
from kernel.lib import log, random
from kernel.lib.panic import PANIC, end_with_message
from kernel.mm import heap
from kernel.mm.large_pages import LARGE_PAGES
from kernel.net.control.configure import configure
from kernel.net.control.start import start_network
from kernel.sched.long_wakes import start_waking_thread
from kernel.sched.scheduler import begin_ticking, exit_thread, start_processors
from kernel.start import command_line, physical_memory
from kernel.start.huge_pages import set_huge_pages_aside
from kernel.start.root import start_user_space
from kernel.syscalls import all as system_calls
from kernel.task import core_dump
from kernel.task.exit import LAST_EXIT, LastExitHandler
from kernel.time import clock, vdso
from kernel.tty import console, devpts

# Called by assembly, or through registries that importing them fills.
_ = (
    trap, dispatch, system_calls, memory_devices, pipe, proc, sys, groups, ext2, overlay, plan9, fuse, devpts,
    huge_files, formats, autofs, configuration, block_file, core_dump,
)  # fmt: skip

_console_port: SerialPort = serial_ports[0]


@export("krait_main")
@on_stack(65536)
def krait_main(protocol: int, info: int) -> None:
    """Called once by boot.S. `protocol` and `info` say who loaded the kernel and where its information lies,
    as the architecture has it. Does not return.
    """
    heap.use_early_arena(early_arena_start(), early_arena_size())
    catch_exceptions()
    try:
        physical_memory.start(protocol, info)
        line = boot_info.command_line()
        start_devices()
        set_huge_pages_aside(line)
        LARGE_PAGES.configure()
        random.seed()
        vdso.start()
        start_waking_thread()
        start_network()
        virtio.start(command_line.values_of(line, b"virtio_mmio.device"))
        configure_network(command_line.value_of(line, b"ip"))
        LAST_EXIT.handler = InitDeath()
        trace.configure(command_line.value_of(line, b"trace"))
        writeback.start()
        loop_control.start()
        scan.scan_all()
        start_user_space()
    except MemoryError:
        panic("not enough memory to start")
    except Errno as error:
        panic(f"the first process cannot be made: error {error.code}")
    exit_thread()


def configure_network(value: bytes | None) -> None:
    """Configure the network as `ip=` says; with DHCP the boot waits for an answer. Raises MemoryError."""
    if value is not None:
        configure(value)


def catch_exceptions() -> None:
    """Catch exceptions from here on, and make panics readable."""
    start_serial_ports()
    PANIC.console = write_console
    PANIC.restart = restart
    start_processor()


def start_devices() -> None:
    """Log, clocks, tick, terminals. Raises MemoryError."""
    global _console_port
    line = boot_info.command_line()
    if command_line.has_word(line, b"quiet"):
        log.log.console_level = log.WARNING
    log.log.console_level = max(1, min(8, command_line.number_of(line, b"loglevel", log.log.console_level)))
    PANIC.timeout_seconds = command_line.number_of(line, b"panic", 0)
    _console_port = serial_ports[command_line.console_index(line)]
    log.log.use_console(write_console)
    clock.start(measure_counter_hz(), read_wall_clock() * clock.NS_PER_SECOND)
    log.log.clock = clock.monotonic_ns
    PANIC.counter_hz = clock.counter_frequency_hz()
    memory_mib = boot_info.usable_bytes() >> 20
    log.info(f"Krait: {memory_mib} MiB of memory, counter at {clock.counter_frequency_hz() // 1000} kHz")
    log.info("Command line: " + log.printable(line))
    if boot_info.command_line_was_cut:
        log.warn(f"the command line is cut: there is room for {len(line)} bytes")
    generation = command_line.number_of(line, b"generation", 0)
    if generation > 0:
        log.info(f"Generation {generation} of Krait built on Krait")

    start_interrupts(clock.counter_frequency_hz())
    begin_ticking()
    limit = command_line.processor_limit(line)
    count = start_other_processors(limit, clock.counter_frequency_hz())
    if count > 1:
        start_processors(count)
        log.info(f"{count} processors")
    if count < min(limit, processors_found()):
        log.warn(f"{min(limit, processors_found()) - count} processors did not start")
    console.start(command_line.console_index(line))


def write_console(data: Span[u8]) -> None:
    """Write to the console: for the log and panics."""
    _console_port.write(data)


@final
class InitDeath(LastExitHandler):
    """Process 1 must not end: the machine stops, as `panic=` says."""

    def first_process_ended(self, status: int) -> None:
        end_with_message(b"Attempted to kill init! exitcode=", status)
