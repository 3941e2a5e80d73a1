"""Single instructions that Python can't say (instructions.S). Unsafe: see compiler/unsafe_modules.txt.

Every caller owes what the processor demands (Intel SDM vol. 2): bits whose feature CPUID does not report fault or
hang; a wrong CR3 or table pointer is the end. Values are the register's 64 bits as a signed int.
"""

from arch.x86_64.simulation import NotSimulated, processor
from kernel.lang import extern, interrupted_by


@extern("read_msr")
def read_msr(index: int) -> int:
    return processor.msrs.get(index, 0)


@extern("write_msr")
def write_msr(index: int, value: int) -> None:
    processor.msrs[index] = value


@extern("read_cr0")
def read_cr0() -> int:
    return processor.registers.get("cr0", 0)


@extern("write_cr0")
def write_cr0(value: int) -> None:
    processor.registers["cr0"] = value


@extern("read_cr2")
def read_cr2() -> int:
    """The address of the last page fault."""
    return processor.registers.get("cr2", 0)


@extern("read_cr3")
def read_cr3() -> int:
    return processor.registers.get("cr3", 0)


@extern("write_cr3")
def write_cr3(value: int) -> None:
    """Safety: `value` is the root of tables that map the running kernel and this stack."""
    processor.registers["cr3"] = value


@extern("read_cr4")
def read_cr4() -> int:
    return processor.registers.get("cr4", 0)


@extern("write_cr4")
def write_cr4(value: int) -> None:
    processor.registers["cr4"] = value


@extern("write_xcr0")
def write_xcr0(value: int) -> None:
    processor.registers["xcr0"] = value


@extern("clear_task_switched")
def clear_task_switched() -> None:
    """clts: the FPU may be used."""
    processor.registers["cr0"] = processor.registers.get("cr0", 0) & ~8


@extern("invalidate_page")
def invalidate_page(address: int) -> None:
    """Drops the cached translation of one page."""


@extern("cpuid_register")
def cpuid_register(leaf: int, subleaf: int, register: int) -> int:
    """One register of CPUID's answer, 0 … 2**32 - 1: 0 eax, 1 ebx, 2 ecx, 3 edx."""
    return processor.cpuid.get(leaf, (0, 0, 0, 0))[register]


@extern("read_tsc")
def read_tsc() -> int:
    processor.tsc += processor.tsc_step
    return processor.tsc


@extern("random_word")
def random_word() -> int:
    """63 random bits, or -1. Only with the RDRAND feature."""
    return -1


@extern("load_gdt")
def load_gdt(base: int, limit: int) -> None:
    """Also reloads all segment registers; the GS base becomes 0."""


@extern("load_idt")
def load_idt(base: int, limit: int) -> None: ...


@extern("load_task_register")
def load_task_register(selector: int) -> None: ...


@extern("load_local_table")
def load_local_table(selector: int) -> None:
    """lldt. Safety: `selector` is that of a table's descriptor in this processor's GDT, or 0."""


@extern("access_rights")
def access_rights(selector: int) -> int:
    """lar: the second word of a descriptor, without limit and base; -1 where a program that names it has no segment."""
    return -1


@extern("read_selectors")
def read_selectors() -> int:
    """ds, es, fs and gs, 16 bits each from the lowest on. They are the program's: the kernel uses none."""
    return processor.registers.get("selectors", 0)


@extern("load_selectors")
def load_selectors(selectors: int) -> None:
    """Loads them; one that cannot be loaded becomes 0. Bases of FS and GS are to be loaded afterwards."""
    processor.registers["selectors"] = selectors


@extern("enable_interrupts")
@interrupted_by("krait_interrupt_in_kernel")
def enable_interrupts() -> None: ...


@extern("disable_interrupts")
def disable_interrupts() -> None: ...


@extern("interrupts_enabled")
def interrupts_enabled() -> bool:
    return False


@extern("wait_for_interrupt")
@interrupted_by("krait_interrupt_in_kernel")
def wait_for_interrupt(save_sp_to: int) -> None:
    """Halts with interrupts on until one was served; nothing can slip between the enabling and the halt. With several
    processors, others run the kernel meanwhile. Safety: `save_sp_to` is the running thread's saved stack pointer.
    """
    processor.control.wait_for_interrupt()


@extern("interrupt_window")
@interrupted_by("krait_interrupt_in_kernel")
def interrupt_window(save_sp_to: int) -> None:
    """Serves pending interrupts: on, one instruction, off. With several processors, lets those go first that wait for
    the kernel. Safety: as wait_for_interrupt.
    """
    processor.control.interrupt_window()


@extern("order_stores")
def order_stores() -> None:
    """Whoever gets an interrupt that is sent afterwards sees what was stored before."""


@extern("order_stores_before_loads")
def order_stores_before_loads() -> None:
    """A device sees what was stored before, before anything is loaded that follows."""


@extern("spin_pause")
def spin_pause() -> None:
    """One round of waiting for another processor."""
    processor.control.spin()


@extern("halt_forever")
def halt_forever() -> None:
    raise NotSimulated("halt")


@extern("triple_fault")
def triple_fault() -> None:
    raise NotSimulated("triple fault")


@extern("percpu_load")
def percpu_load(offset: int) -> int:
    """One word of this processor's PerCpu block, through GS."""
    return processor.per_cpu.get(offset, 0)


@extern("save_user_bases")
def save_user_bases(place: int) -> int:
    """Stores the program's FS and GS bases and, where there are protection keys, their rights; 0 if all four selectors
    of data segments are. Safety: `place` is 24 bytes of kernel memory.
    """
    return processor.registers.get("selectors", 0)


@extern("load_user_bases")
def load_user_bases(place: int) -> None:
    """Loads them. Safety: as save_user_bases; what lies there is canonical, or the processor faults."""


@extern("write_fs_base")
def write_fs_base(address: int) -> None:
    """Also drops the selector. Safety: `address` is canonical, or the processor faults."""
    processor.registers["fs_base"] = address


@extern("write_gs_base")
def write_gs_base(address: int) -> None:
    """The same for the program's GS."""
    processor.registers["gs_base"] = address


@extern("read_key_rights")
def read_key_rights() -> int:
    """PKRU: two bits for each protection key. Only where they are enabled."""
    return processor.registers.get("pkru", 0)


@extern("write_key_rights")
def write_key_rights(rights: int) -> None:
    """The same."""
    processor.registers["pkru"] = rights


@extern("load_breakpoints")
def load_breakpoints(place: int) -> None:
    """Debug registers 0 to 3 and 7. Safety: `place` is five words of kernel memory: addresses of the program, and a
    control word that breaks on nothing else (programs/breakpoints.py).
    """


@extern("drop_breakpoints")
def drop_breakpoints() -> None:
    """No breakpoint is set any more."""


@extern("take_debug_status")
def take_debug_status() -> int:
    """Debug register 6, which says why the last debug exception came, and resets it."""
    return 0


@extern("read_frame_pointer")
def read_frame_pointer() -> int:
    """rbp of the caller: the head of the chain of frames, for tracebacks."""
    return 0
