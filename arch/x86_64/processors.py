"""Further processors: found in ACPI's MADT, woken one after the other, each with tables and stacks of its own.

A processor wakes in real mode (wake.S) and comes to `processor_main` on its own stack. The boot processor waits until
it says that it is there, so at any time only one of the two runs Kernel Python: nothing that they share needs a lock
yet.

Invariants: number 0 is the boot processor; the others follow in the order of the MADT.
Context: boot, interrupts off.
Safety: the wake-up page is RAM below 1 MiB that nobody was given (LOW_MEMORY_END); areas come zeroed from boot_memory.
Source: Intel SDM vol. 3, 10.4 (multiple-processor initialisation), 12.6.1 (interrupt command register).
"""

from typing import Final

from arch.x86_64 import cpu, fpu, gdt, idt
from arch.x86_64.boot_memory import allocate
from arch.x86_64.bootinfo import KIND_RAM, LOW_MEMORY_END, LOWEST_FREE, BootInfo
from arch.x86_64.chips import apic, timer
from arch.x86_64.chips.acpi_devices import PROCESSOR_LIMIT, Hardware
from arch.x86_64.context import boot_stack_top
from arch.x86_64.idt import FLUSH_VECTOR, KICK_VECTOR
from arch.x86_64.instructions import percpu_load, read_cr3, read_tsc, spin_pause
from arch.x86_64.layout import PAGE_SIZE, direct_map
from arch.x86_64.paging import kernel_root
from arch.x86_64.percpu import (
    AREA_SIZE,
    IST_COUNT,
    IST_STACK_SIZE,
    OFFSET_APIC,
    OFFSET_FLUSH,
    OFFSET_FLUSHED,
    OFFSET_NUMBER,
    OFFSET_ROOT,
    OFFSET_SECTIONS,
    OFFSET_SELF,
    OFFSET_WATCHED,
    boot_cpu_area,
)
from kernel.lang import export, on_stack
from kernel.lang.unsafe import (
    atomic_add_u32,
    atomic_swap_u32,
    copy_bytes,
    load_i64,
    mmio_load_u32,
    mmio_store_u32,
    store_i64,
    symbol_address,
)

STACK_SIZE: Final = 16 * 1024
MEMORY_SIZE: Final = AREA_SIZE + IST_COUNT * IST_STACK_SIZE + STACK_SIZE

# Seconds to wait for a processor: after the first start-up, which some miss, and then before it is given up. On a busy
# host a guest's processor may be late.
WAKE_PATIENCE: Final[list[int]] = [1, 10]


class Processors:
    """The machine's processors. Tables of fixed size: they are filled before there is a heap."""

    def __init__(self) -> None:
        self.memory: list[int] = [0] * PROCESSOR_LIMIT  # for each entry of the MADT
        self.wake_page: int = 0  # physical; 0: there is none
        self.count: int = 1  # processors that run
        # By number:
        self.area: list[int] = [0] * PROCESSOR_LIMIT
        self.identity: list[int] = [0] * PROCESSOR_LIMIT  # of the local APIC


processors: Final = Processors()


def take_memory(info: BootInfo, hardware: Hardware) -> None:
    """Take what the processors need to wake: early pages, and a page below 1 MiB."""
    if hardware.processor_count > 1:
        for i in range(hardware.processor_count):
            processors.memory[i] = direct_map(allocate(MEMORY_SIZE))
    for page in range(LOWEST_FREE, LOW_MEMORY_END, PAGE_SIZE):
        if is_free_low_page(info, page):
            processors.wake_page = page
            return


def is_free_low_page(info: BootInfo, page: int) -> bool:
    """Whether a page is RAM, wholly, and nothing of the loader's that is still needed."""
    is_ram = False
    for i in range(info.region_count):
        if info.region_start[i] < page + PAGE_SIZE and info.region_end[i] > page:
            if info.region_kind[i] != KIND_RAM:
                return False
            is_ram = is_ram or (info.region_start[i] <= page and info.region_end[i] >= page + PAGE_SIZE)
    for i in range(info.reserved_count):
        if info.reserved_start[i] < page + PAGE_SIZE and info.reserved_end[i] > page:
            return False
    return is_ram


def wake_others(hardware: Hardware, limit: int, counter_hz: int) -> int:
    """Wake the others, so that no more than `limit` run. Returns how many processors there are then; those that woke
    wait for the kernel lock.
    """
    if processors.wake_page == 0 or not apic.is_present() or limit == 1:
        return 1
    code = symbol_address("wake_code")
    copy_bytes(direct_map(processors.wake_page), code, symbol_address("wake_code_end") - code)
    store_i64(symbol_address("wake_root"), kernel_root())
    own = apic.identity()
    _note(0, boot_cpu_area(), own, read_cr3())
    store_i64(symbol_address("kernel_lock_owner"), processors.area[0])
    store_i64(symbol_address("several_processors"), 1)
    for i in range(hardware.processor_count):
        if processors.count >= min(limit, PROCESSOR_LIMIT):
            break
        if hardware.processor_identity[i] != own and processors.memory[i] != 0:
            _wake(processors.memory[i], hardware.processor_identity[i], counter_hz)
    if processors.count > 1:
        cpu.lock_system_calls()
        fpu.take_away()  # the first program may start on another one, and a second one here
    else:
        store_i64(symbol_address("several_processors"), 0)
    return processors.count


def _wake(area: int, identity: int, counter_hz: int) -> None:
    """Wake one, which may not come. If another comes that was given up, it takes the place."""
    number = processors.count
    _note(number, area, identity, kernel_root())
    store_i64(symbol_address("wake_stack"), area + MEMORY_SIZE)
    atomic_swap_u32(symbol_address("wake_expected"), 1)
    apic.send_init(identity)
    for seconds in WAKE_PATIENCE:
        apic.send_startup(identity, processors.wake_page)
        deadline = read_tsc() + counter_hz * seconds
        while read_tsc() < deadline:
            if running_count() > number:
                return
            spin_pause()
    if atomic_swap_u32(symbol_address("wake_expected"), 0) == 0:
        while running_count() == number:  # it has just come
            spin_pause()


def _note(number: int, area: int, identity: int, root: int) -> None:
    """Write down what all processors have to know of one."""
    processors.area[number] = area
    processors.identity[number] = identity
    store_i64(area + OFFSET_NUMBER, number)
    store_i64(area + OFFSET_ROOT, root)
    store_i64(area + OFFSET_APIC, identity)
    store_i64(symbol_address("processor_areas") + 8 * number, area)


def running_count() -> int:
    """How many processors run, read anew: the one that wakes writes it."""
    return processors.count


@export("krait_processor_main")
@on_stack(16384)
def processor_main() -> None:
    """Where a processor starts once awake, on its own stack; wake.S continues from there into the kernel. It may
    be another than the one that was called: one that comes late.
    """
    number = processors.count
    area = processors.area[number]
    gdt.load(area, area + AREA_SIZE, number)
    idt.load(area)
    cpu.enable()
    cpu.lock_system_calls()
    cpu.show_number(number)
    fpu.enable()
    apic.enable()
    timer.start_further()
    _note(number, area, apic.identity(), kernel_root())
    processors.count = number + 1


# Once they run -----------------------------------------------------------------------------------------------------


def interrupt_processor(number: int) -> None:
    """Let a processor come into the kernel, or look again if it is there."""
    apic.send_interrupt(processors.identity[number], KICK_VECTOR)


def processor_stack_top(number: int) -> int:
    """The upper end of the stack on which a processor first came into the kernel."""
    return boot_stack_top() if number == 0 else processors.area[number] + MEMORY_SIZE


def stop_others() -> None:
    """Halt the other processors permanently, wherever they are."""
    store_i64(symbol_address("halts_now"), 1)
    own = percpu_load(OFFSET_NUMBER)
    for number in range(processors.count):
        if number != own and processors.count > 1:
            apic.send_nmi(processors.identity[number])


def reset_others() -> None:
    """Let the other processors wait for a start-up, wherever they are: they run nothing more. On the boot processor,
    which an INIT would send back to the firmware.
    """
    for number in range(1, processors.count):
        apic.send_init(processors.identity[number])


def note_root(root: int) -> None:
    """This processor translates by another table from now on."""
    store_i64(percpu_load(OFFSET_SELF) + OFFSET_ROOT, root)


def shoot_down(root: int, replacement: int) -> None:
    """Let all other processors forget what they know of a table, and translate by `replacement` (or the same one) if
    they translate by it; returns when they have done so. The caller holds the kernel lock.

    Safety: a processor that waits for the lock answers, and interrupts are on in user mode and where a processor halts.
    """
    own = percpu_load(OFFSET_NUMBER)
    for number in range(processors.count):
        area = processors.area[number]
        if number != own and load_i64(area + OFFSET_ROOT) == root:
            store_i64(area + OFFSET_ROOT, replacement)
            _ask(number)
    _wait_for_answers(own)


def synchronise_processors() -> None:
    """Return when every other processor has taken part in a memory barrier, and fetches its instructions anew. The
    caller holds the kernel lock.
    """
    if processors.count > 1:
        own = percpu_load(OFFSET_NUMBER)
        for number in range(processors.count):
            if number != own:
                _ask(number)
        _wait_for_answers(own)


def _ask(number: int) -> None:
    """Let a processor load its table anew, which flushes what it knows of it, and serialises it."""
    area = processors.area[number]
    mmio_store_u32(area + OFFSET_FLUSH, (mmio_load_u32(area + OFFSET_FLUSH) + 1) & 0xFFFF_FFFF)
    apic.send_interrupt(processors.identity[number], FLUSH_VECTOR)


def _wait_for_answers(own: int) -> None:
    for number in range(processors.count):
        if number != own:
            area = processors.area[number]
            while mmio_load_u32(area + OFFSET_FLUSHED) != mmio_load_u32(area + OFFSET_FLUSH):
                spin_pause()


# System calls without the kernel lock (entry.S) ---------------------------------------------------------------------


def note_watched(number: int, is_watched: bool) -> None:
    """Say whether the system calls of the thread that a processor runs are looked at: then all take the lock. The
    caller holds it, and there are several processors.
    """
    store_i64(processors.area[number] + OFFSET_WATCHED, int(is_watched))


def wait_for_sections() -> None:
    """Return when every processor has been outside a system call without the kernel lock. The caller holds
    the lock, so it is in none. What such a call loads from then on, it finds as the caller has left it
    (tests/models/unlocked.py).

    Safety: such a call waits for nothing that the lock guards, and interrupts are off in it, so it ends soon; unless
    the machine stops meanwhile, and then the others have no more use for what they have loaded.
    """
    if processors.count > 1 and load_i64(symbol_address("halts_now")) == 0:
        # An atomic operation is a fence: what the caller has stored is seen before it looks.
        atomic_add_u32(percpu_load(OFFSET_SELF) + OFFSET_SECTIONS, 0)
        assert percpu_load(OFFSET_SECTIONS) & 1 == 0
        for number in range(processors.count):
            place = processors.area[number] + OFFSET_SECTIONS
            seen = mmio_load_u32(place)
            while seen & 1 != 0 and mmio_load_u32(place) == seen:
                spin_pause()


def unlocked_calls(number: int) -> int:
    """How many system calls a processor has run without the kernel lock."""
    return load_i64(processors.area[number] + OFFSET_SECTIONS) >> 1 if processors.count > 1 else 0
