"""/proc/cpuinfo: the processor in Linux's words (proc(5)).

Source: Intel SDM vol. 2, CPUID.
"""

from typing import Final

from arch.x86_64.cpu import EAX, EBX, ECX, EDX, cpuid, features
from kernel.lang import u32

# Names of the bits of CPUID's leaf 1, EDX and ECX, as Linux calls them; empty ones are not shown.
_EDX_FLAGS: Final[list[str]] = (
    "fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov "
    "pat pse36 pn clflush - dts acpi mmx fxsr sse sse2 ss ht tm ia64 pbe"
).split(" ")
_ECX_FLAGS: Final[list[str]] = (
    "pni pclmulqdq dtes64 monitor ds_cpl vmx smx est tm2 ssse3 cid sdbg fma cx16 xtpr pdcm "
    "- pcid dca sse4_1 sse4_2 x2apic movbe popcnt tsc_deadline_timer aes xsave osxsave avx f16c rdrand hypervisor"
).split(" ")


def _append_register(text: bytearray, value: int) -> None:
    for shift in range(0, 32, 8):
        text.append(value >> shift & 0xFF)


def _printable(text: bytearray) -> str:
    """Up to the first NUL, without blanks around."""
    clean = bytearray()
    for byte in text:
        if byte == 0:
            break
        clean.append(byte if ord(" ") <= byte <= ord("~") else ord("?"))
    return bytes(clean).strip(b" ").decode()


def _vendor() -> str:
    text = bytearray()
    _append_register(text, cpuid(0, 0, EBX))
    _append_register(text, cpuid(0, 0, EDX))
    _append_register(text, cpuid(0, 0, ECX))
    return _printable(text)


def _model_name() -> str:
    if cpuid(0x8000_0000, 0, EAX) < 0x8000_0004:
        return "unknown"
    text = bytearray()
    for leaf in range(0x8000_0002, 0x8000_0005):
        for register in range(4):
            _append_register(text, cpuid(leaf, 0, register))
    return _printable(text)


def _flags() -> str:
    text = ""
    low = u32(cpuid(1, 0, EDX))
    high = u32(cpuid(1, 0, ECX))
    for i in range(32):
        if low >> i & 1 != 0 and _EDX_FLAGS[i] != "-":
            text += " " + _EDX_FLAGS[i]
    for i in range(32):
        if high >> i & 1 != 0 and _ECX_FLAGS[i] != "-":
            text += " " + _ECX_FLAGS[i]
    if features.protection_keys:
        text += " pku ospke"
    return text


def processor_text(number: int, count: int, khz: int) -> bytes:
    """One of `count` processors, whose counters run at `khz`. They are all alike."""
    signature = cpuid(1, 0, EAX)
    family = signature >> 8 & 15
    model = signature >> 4 & 15
    if family == 15 or family == 6:
        model |= signature >> 12 & 0xF0
    if family == 15:
        family += signature >> 20 & 0xFF
    text = f"processor\t: {number}\nvendor_id\t: {_vendor()}\ncpu family\t: {family}\nmodel\t\t: {model}\n"
    text += f"model name\t: {_model_name()}\nstepping\t: {signature & 15}\n"
    text += f"cpu MHz\t\t: {khz // 1000}.{khz % 1000:03d}\n"
    text += f"physical id\t: 0\nsiblings\t: {count}\ncore id\t\t: {number}\ncpu cores\t: {count}\n"
    text += f"fpu\t\t: yes\nfpu_exception\t: yes\nwp\t\t: yes\nflags\t\t:{_flags()}\n"
    text += f"bogomips\t: {khz // 500}.{khz // 5 % 100:02d}\nclflush size\t: 64\n"
    text += "address sizes\t: 40 bits physical, 48 bits virtual\n\n"
    return text.encode()
