"""Segments that a program describes itself (modify_ldt(2)): a table beside the kernel's own, of one address space. And
three entries of the kernel's own that each thread has for itself, if its debugger set them (PTRACE_SET_THREAD_AREA).

64-bit code has little use for them. Emulators run 32-bit code in such segments, from which there are no system calls
here. Segments of 16 bits are refused, as by Linux without CONFIG_X86_16BIT: with a stack of 16 bits `iretq` would show
a program half of the kernel's stack pointer.

The table has its full size from the beginning, so the processor that knows where it lies need not hear of changes. It
is loaded while a task of the space runs. A thread's own entries are copied to the kernel's table while it runs.

Invariant: entries are of no segment, or of code and data of user mode, and of no 64-bit code.
Context: `release` and changes sleep not.
Safety: the table is zeroed memory of its own; it is given back when no task of the space runs any more, and each task
unloads it when it leaves the processor. Descriptors are created by `make_descriptor` alone.
Source: Intel SDM vol. 3, 3.4.5 and 3.5.1; Linux's uapi header asm/ldt.h.
"""

from typing import Final

from arch.x86_64.gdt import LOCAL_TABLE, LOCAL_TABLE_PRESENT, system_descriptor_low
from arch.x86_64.instructions import access_rights, load_local_table, percpu_load
from arch.x86_64.layout import FIRST_THREAD_AREA, THREAD_AREA_COUNT
from arch.x86_64.percpu import GDT_OFFSET, OFFSET_SELF
from kernel.lang import EINVAL, Errno, UserAddr, bytes_of, final, struct, u32
from kernel.lang.unsafe import copy_bytes, fill_bytes, span_at, store_i64
from kernel.lib import user
from kernel.mm.frames import PAGE_SIZE, Frame, allocate_frames, frame_address, free_frames

_ENTRIES: Final = 8192
_ENTRY_SIZE: Final = 8
_ORDER: Final = 4  # 16 frames
TABLE_SIZE: Final = _ENTRIES * _ENTRY_SIZE
_DEFAULT_SIZE: Final = 128  # of what Linux calls the table of a program that has none

# What lar says: presence, level, kind; not whether it was accessed, nor in which direction it grows.
_RIGHTS_MASK: Final = 0xFA00
_WRITABLE_DATA: Final = 0xF200

# Bits of the last word of struct user_desc
_SEGMENT_32BIT: Final = 1
_CONTENTS_SHIFT: Final = 1
_CONTENTS_MASK: Final = 3
_GROWS_DOWN: Final = 1  # of the contents: data, as is 0
_CONFORMING: Final = 3
_READ_EXECUTE_ONLY: Final = 8
_LIMIT_IN_PAGES: Final = 0x10
_NOT_PRESENT: Final = 0x20
_USEABLE: Final = 0x40
_KNOWN_BITS: Final = 0x7F  # there is one more, for 64-bit code, which is ignored
_EMPTY_BITS: Final = _READ_EXECUTE_ONLY | _NOT_PRESENT

_FIRST_AREA_OFFSET: Final = GDT_OFFSET + FIRST_THREAD_AREA * _ENTRY_SIZE

assert _ENTRIES * _ENTRY_SIZE == PAGE_SIZE << _ORDER


@struct
class _Description:
    """struct user_desc."""

    number: u32
    base: u32
    limit: u32
    bits: u32


@final
class LocalTable:
    """The table of one space."""

    def __init__(self) -> None:
        """Raises MemoryError."""
        self.frames: Frame = allocate_frames(_ORDER)
        self.count: int = 0  # one past the last entry that was ever set
        fill_bytes(frame_address(self.frames), 0, TABLE_SIZE)

    def copy(self) -> "LocalTable":
        """For a forked space. Raises MemoryError."""
        other = LocalTable()
        copy_bytes(frame_address(other.frames), frame_address(self.frames), self.count * _ENTRY_SIZE)
        other.count = self.count
        return other

    def release(self) -> None:
        """The space ends."""
        free_frames(self.frames, _ORDER)

    def load(self) -> None:
        """This processor looks here from now on."""
        gdt = percpu_load(OFFSET_SELF) + GDT_OFFSET
        base = frame_address(self.frames)
        store_i64(gdt + LOCAL_TABLE, system_descriptor_low(base, TABLE_SIZE - 1, LOCAL_TABLE_PRESENT))
        store_i64(gdt + LOCAL_TABLE + 8, (base >> 32) & 0xFFFF_FFFF)
        load_local_table(LOCAL_TABLE)

    def show(self, address: UserAddr, size: int) -> int:
        """modify_ldt's reading: the entries, then zeros; returns how many bytes. Raises EFAULT."""
        size = min(size, TABLE_SIZE)
        part = min(size, self.count * _ENTRY_SIZE)
        user.write_from(address, span_at(frame_address(self.frames), part))
        user.clear(user.at(address, part), size - part)
        return size

    def put(self, number: int, descriptor: int) -> None:
        """Set an entry, 0 to 8191."""
        store_i64(frame_address(self.frames) + number * _ENTRY_SIZE, descriptor)
        self.count = max(self.count, number + 1)


def unload_table() -> None:
    """This processor looks in no table but the kernel's."""
    load_local_table(0)


@final
class ThreadAreas:
    """The entries that a thread has for itself. A copy of them is its child's."""

    def __init__(self) -> None:
        """Raises MemoryError."""
        self.descriptors: list[int] = [0] * THREAD_AREA_COUNT

    def copy(self) -> "ThreadAreas":
        """Raises MemoryError."""
        other = ThreadAreas()
        for index in range(THREAD_AREA_COUNT):
            other.descriptors[index] = self.descriptors[index]
        return other

    def load(self) -> None:
        """The running thread may name them."""
        for index in range(THREAD_AREA_COUNT):
            store_i64(percpu_load(OFFSET_SELF) + _FIRST_AREA_OFFSET + index * _ENTRY_SIZE, self.descriptors[index])


def unload_areas() -> None:
    """The thread that runs next has none."""
    fill_bytes(percpu_load(OFFSET_SELF) + _FIRST_AREA_OFFSET, 0, THREAD_AREA_COUNT * _ENTRY_SIZE)


def is_stack_segment(selector: int) -> bool:
    """Whether a selector is that of data that the running program may write, so that `iretq` takes it for its stack."""
    rights = access_rights(selector)
    return rights >= 0 and rights & _RIGHTS_MASK == _WRITABLE_DATA


def show_default_table(address: UserAddr, size: int) -> int:
    """What Linux says of the table of a program that has none. Raises EFAULT."""
    size = min(size, _DEFAULT_SIZE)
    if size > 0:
        user.clear(address, size)
    return size


def read_description(address: UserAddr, size: int, old_mode: bool) -> tuple[int, int]:
    """The number and the descriptor that a program wants in its table, by struct user_desc. Raises EINVAL, EFAULT."""
    wanted = _Description()
    if size != len(bytes_of(wanted)):
        raise Errno(EINVAL)
    user.read_struct(address, bytes_of(wanted))
    bits = wanted.bits & _KNOWN_BITS
    if wanted.number >= _ENTRIES:
        raise Errno(EINVAL)
    if bits >> _CONTENTS_SHIFT & _CONTENTS_MASK == _CONFORMING and (old_mode or bits & _NOT_PRESENT == 0):
        raise Errno(EINVAL)
    if wanted.base == 0 and wanted.limit == 0 and (old_mode or bits == _EMPTY_BITS):
        return wanted.number, 0
    if bits & _SEGMENT_32BIT == 0:
        raise Errno(EINVAL)
    if old_mode:
        bits &= ~_USEABLE
    return wanted.number, make_descriptor(wanted.base, wanted.limit, bits)


def read_area(address: UserAddr) -> tuple[int, int]:
    """The descriptor and the base that a debugger wants for a thread's own entry, by struct user_desc, whose number it
    says elsewhere: data of 32 bits that are there, or no segment. Raises EINVAL, EFAULT.
    """
    wanted = _Description()
    user.read_struct(address, bytes_of(wanted))
    bits = wanted.bits & _KNOWN_BITS
    if wanted.base == 0 and wanted.limit == 0 and (bits == _EMPTY_BITS or bits == 0):
        return 0, 0
    is_data = bits >> _CONTENTS_SHIFT & _CONTENTS_MASK <= _GROWS_DOWN
    if bits & _SEGMENT_32BIT == 0 or not is_data or bits & _NOT_PRESENT != 0:
        raise Errno(EINVAL)
    return make_descriptor(wanted.base, wanted.limit, bits), wanted.base


def show_area(address: UserAddr, number: int, descriptor: int) -> None:
    """Write an entry as struct user_desc. Raises EFAULT."""
    shown = _Description(number=number)
    shown.base = descriptor >> 16 & 0xFF_FFFF | (descriptor >> 56 & 0xFF) << 24
    shown.limit = descriptor & 0xFFFF | (descriptor >> 48 & 0xF) << 16
    kind = descriptor >> 40 & 0xFF
    upper = descriptor >> 52 & 0xF
    bits = (kind >> 2 & _CONTENTS_MASK) << _CONTENTS_SHIFT
    bits |= 0 if kind & 2 != 0 else _READ_EXECUTE_ONLY
    bits |= 0 if kind & 0x80 != 0 else _NOT_PRESENT
    bits |= _USEABLE if upper & 1 != 0 else 0
    bits |= _SEGMENT_32BIT if upper & 4 != 0 else 0
    bits |= _LIMIT_IN_PAGES if upper & 8 != 0 else 0
    shown.bits = bits
    user.write_from(address, bytes_of(shown))


def make_descriptor(base: int, limit: int, bits: int) -> int:
    """A segment of user mode. `bits` are those of struct user_desc; that of 64-bit code is not looked at."""
    kind = 0xF1  # present, of user mode, code or data, accessed: nothing writes to the table
    if bits & _NOT_PRESENT != 0:
        kind &= ~0x80
    if bits & _READ_EXECUTE_ONLY == 0:
        kind |= 2
    kind |= (bits >> _CONTENTS_SHIFT & _CONTENTS_MASK) << 2
    upper = limit >> 16 & 0xF
    upper |= 0x10 if bits & _USEABLE != 0 else 0
    upper |= 0x40 if bits & _SEGMENT_32BIT != 0 else 0
    upper |= 0x80 if bits & _LIMIT_IN_PAGES != 0 else 0
    top = base >> 24 & 0xFF
    if top >= 0x80:
        top -= 0x100  # the word is a signed one
    return top << 56 | upper << 48 | kind << 40 | (base & 0xFF_FFFF) << 16 | limit & 0xFFFF
