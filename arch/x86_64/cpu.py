"""What this processor can do, and switching it on.

CPUID is asked before every bit: setting a CR4 bit whose feature is missing faults or, under TCG, hangs the processor.
Intel SDM vol. 2, CPUID; vol. 3, 2.5 (control registers).
"""

from typing import Final

from arch.x86_64.instructions import (
    cpuid_register,
    random_word,
    read_cr0,
    read_cr4,
    read_msr,
    read_tsc,
    write_cr0,
    write_cr4,
    write_key_rights,
    write_msr,
)
from arch.x86_64.layout import KERNEL_CS, USER_SS
from kernel.lang.unsafe import store_i64, symbol_address

EAX: Final = 0
EBX: Final = 1
ECX: Final = 2
EDX: Final = 3

CR0_MP: Final = 1 << 1
CR0_EM: Final = 1 << 2
CR0_TS: Final = 1 << 3
CR0_NE: Final = 1 << 5
CR0_WP: Final = 1 << 16

CR4_TSD: Final = 1 << 2
CR4_PGE: Final = 1 << 7
CR4_OSFXSR: Final = 1 << 9
CR4_OSXMMEXCPT: Final = 1 << 10
CR4_UMIP: Final = 1 << 11
CR4_FSGSBASE: Final = 1 << 16
CR4_OSXSAVE: Final = 1 << 18
CR4_SMEP: Final = 1 << 20
CR4_SMAP: Final = 1 << 21
CR4_PKE: Final = 1 << 22

XSAVE_KEYS: Final = 0x200  # the component of the protection keys' rights
DEFAULT_KEY_RIGHTS: Final = 0x5555_5554  # nothing but with key 0: Linux's choice for a new program

MSR_STAR: Final = 0xC000_0081
MSR_LSTAR: Final = 0xC000_0082
MSR_CSTAR: Final = 0xC000_0083
MSR_SFMASK: Final = 0xC000_0084
MSR_TSC_AUX: Final = 0xC000_0103
_MSR_CAPABILITIES: Final = 0x10A

# Flags that `syscall` clears: TF IF DF IOPL NT AC. The kernel starts with interrupts off and the SMAP window closed.
SYSCALL_FLAG_MASK: Final = 0x4_7700


class Features:
    """Answers of CPUID, filled by `detect`."""

    def __init__(self) -> None:
        self.no_execute: bool = False
        self.huge_pages: bool = False
        self.smep: bool = False
        self.smap: bool = False
        self.umip: bool = False
        self.fsgsbase: bool = False
        self.xsave: bool = False
        self.avx: bool = False
        self.protection_keys: bool = False
        self.rdrand: bool = False
        self.rdtscp: bool = False
        self.invariant_tsc: bool = False
        self.hypervisor: bool = False
        self.stores_in_order: bool = False  # no load runs ahead of a store to the same place


features: Final = Features()


def cpuid(leaf: int, subleaf: int, register: int) -> int:
    """One register of CPUID's answer: EAX, EBX, ECX or EDX."""
    return cpuid_register(leaf, subleaf, register)


def detect() -> None:
    """Asks CPUID."""
    highest = cpuid_register(0, 0, EAX)
    basic = cpuid_register(1, 0, ECX)
    features.xsave = basic & (1 << 26) != 0
    features.avx = basic & (1 << 28) != 0
    features.rdrand = basic & (1 << 30) != 0
    features.hypervisor = basic & (1 << 31) != 0
    if highest >= 7:
        structured_b = cpuid_register(7, 0, EBX)
        structured_c = cpuid_register(7, 0, ECX)
        features.fsgsbase = structured_b & (1 << 0) != 0
        features.smep = structured_b & (1 << 7) != 0
        features.smap = structured_b & (1 << 20) != 0
        features.umip = structured_c & (1 << 2) != 0
        # Programs find their rights in a signal's frame, by XSAVE. What has keys has FSGSBASE (instructions.S).
        if features.xsave and features.fsgsbase and structured_c & (1 << 3) != 0:
            features.protection_keys = cpuid_register(0xD, 0, EAX) & XSAVE_KEYS != 0
        if cpuid_register(7, 0, EDX) & (1 << 29) != 0:
            features.stores_in_order = read_msr(_MSR_CAPABILITIES) & (1 << 4) != 0
    highest_extended = cpuid_register(0x8000_0000, 0, EAX)
    extended = cpuid_register(0x8000_0001, 0, EDX)
    features.no_execute = extended & (1 << 20) != 0
    features.huge_pages = extended & (1 << 26) != 0
    features.rdtscp = extended & (1 << 27) != 0
    if highest_extended >= 0x8000_0007:
        features.invariant_tsc = cpuid_register(0x8000_0007, 0, EDX) & (1 << 8) != 0
    if highest_extended >= 0x8000_0008 and cpuid_register(0x8000_0008, 0, EBX) & (1 << 26) != 0:
        features.stores_in_order = True


def enable() -> None:
    """Switches protection and user features on, and points `syscall` at entry.S. After `detect`, gdt and idt."""
    write_cr0((read_cr0() & ~(CR0_EM | CR0_TS)) | CR0_MP | CR0_NE | CR0_WP)
    wanted = read_cr4() | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT
    if features.umip:
        wanted |= CR4_UMIP
    if features.smep:
        wanted |= CR4_SMEP
    if features.smap:
        wanted |= CR4_SMAP
    if features.fsgsbase:
        wanted |= CR4_FSGSBASE
    if features.xsave:
        wanted |= CR4_OSXSAVE
    if features.protection_keys:
        wanted |= CR4_PKE
    write_cr4(wanted)
    if features.protection_keys:
        write_key_rights(DEFAULT_KEY_RIGHTS)
    # The assembly asks these words before it uses the instructions. Both flags are 8 bytes wide.
    store_i64(symbol_address("smap_enabled"), 1 if features.smap else 0)
    switched = 1 if features.fsgsbase else 0
    store_i64(symbol_address("switched_features"), 2 if features.protection_keys else switched)

    # sysret takes SS from bits 63-48 plus 8 and CS from the same plus 16, both with RPL 3 (Intel SDM vol. 2, SYSRET).
    write_msr(MSR_STAR, ((USER_SS - 8) << 48) | (KERNEL_CS << 32))
    write_msr(MSR_LSTAR, symbol_address("syscall_entry"))
    write_msr(MSR_CSTAR, symbol_address("syscall_entry_32"))
    write_msr(MSR_SFMASK, SYSCALL_FLAG_MASK)


def lock_system_calls() -> None:
    """From now on this processor's system calls take the kernel lock."""
    write_msr(MSR_LSTAR, symbol_address("syscall_entry_locked"))


def show_number(number: int) -> None:
    """What `rdtscp` and `rdpid` say to programs."""
    if features.rdtscp:
        write_msr(MSR_TSC_AUX, number)


def random_seed() -> int:
    """63 bits from the processor's generator, or from the time stamp counter: a seed, not a secret."""
    if features.rdrand:
        word = random_word()
        if word >= 0:
            return word
    return read_tsc() & 0x7FFF_FFFF_FFFF_FFFF


def hardware_capabilities() -> int:
    """What AT_HWCAP tells programs: the feature bits of CPUID leaf 1, EDX (getauxval(3))."""
    return cpuid_register(1, 0, EDX)


def may_bypass_stores() -> bool:
    """Whether a load may run ahead of a store to the same place, which shows in the caches (CVE-2018-3639)."""
    return not features.stores_in_order


def allow_counter(is_allowed: bool) -> None:
    """Whether programs may read the time-stamp counter on this processor."""
    value = read_cr4()
    write_cr4(value & ~CR4_TSD if is_allowed else value | CR4_TSD)
