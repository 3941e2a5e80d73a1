"""Reading and writing a program's memory: the typed face of user_copy.S, on which kernel.lib.user is built.

User addresses are plain ints from registers, and may be anything: the routines refuse what is outside the user half,
and survive what is not mapped. Any call may sleep, because a page may have to be read first; on return it is done or
has failed. In a system call without the kernel lock, those that are `@gives_up` do not return if they fault: the call
is made again, with the lock.

Safety: the kernel's side of every copy is a Span, so its bounds are known; the user's side is checked in assembly.
"""

from typing import Final

from arch.x86_64.simulation import processor
from kernel.lang import Span, extern, gives_up, interrupted_by, u8
from kernel.lang.unsafe import span_address

FAULT_MARK: Final = -0x7FFF_FACE_0FF5_E700
"""What user_get_i64 returns after a fault. No program has reason to keep this value; when one does, two more reads tell
(constants.inc has it too)."""


SMALL_BYTES: Final = 512
"""What a system call without the kernel lock moves at once, at most: interrupts are off meanwhile."""


def _stored(address: int, value: int, size_bytes: int) -> int:
    """Simulation of a store: 0, or -1 after a fault."""
    data = (value & (1 << 8 * size_bytes) - 1).to_bytes(size_bytes, "little")
    return 0 if processor.memory.write(address, data) == size_bytes else -1


@extern("user_copy_in")
@interrupted_by("krait_exception_in_kernel")
def _copy_in(dst: int, src: int, size_bytes: int) -> int:
    return size_bytes


@extern("user_copy_out")
@interrupted_by("krait_exception_in_kernel")
def _copy_out(dst: int, src: int, size_bytes: int) -> int:
    return size_bytes


@extern("user_copy_in")
@interrupted_by("krait_exception_in_kernel")
@gives_up("reads")
def _copy_in_small(dst: int, src: int, size_bytes: int) -> int:
    return size_bytes


@extern("user_copy_out")
@interrupted_by("krait_exception_in_kernel")
@gives_up("copies out")
def _copy_out_small(dst: int, src: int, size_bytes: int) -> int:
    return size_bytes


@extern("user_copy_string")
@interrupted_by("krait_exception_in_kernel")
def _copy_string(dst: int, src: int, size_bytes: int) -> int:
    return -1


@extern("user_get_i64")
@interrupted_by("krait_exception_in_kernel")
@gives_up("reads")
def _get_i64(address: int) -> int:
    found = processor.memory.read(address, 8)
    return int.from_bytes(found, "little", signed=True) if len(found) == 8 else FAULT_MARK


@extern("user_clear")
@interrupted_by("krait_exception_in_kernel")
def clear(address: int, size_bytes: int) -> int:
    """Zeroes user memory; the number of bytes at the end that could NOT be zeroed."""
    return size_bytes - processor.memory.write(address, bytes(size_bytes))


@extern("user_get_u8")
@interrupted_by("krait_exception_in_kernel")
@gives_up("reads")
def get_u8(address: int) -> int:
    """The value, or -1 after a fault."""
    found = processor.memory.read(address, 1)
    return found[0] if found else -1


@extern("user_get_u32")
@interrupted_by("krait_exception_in_kernel")
@gives_up("reads")
def get_u32(address: int) -> int:
    """The value (0 … 2**32 - 1), or -1 after a fault. One access: a futex word is read whole."""
    found = processor.memory.read(address, 4)
    return int.from_bytes(found, "little") if len(found) == 4 else -1


@extern("user_put_u8")
@interrupted_by("krait_exception_in_kernel")
@gives_up("writes")
def put_u8(address: int, value: int) -> int:
    """Stores the low 8 bits. 0, or -1 after a fault."""
    return _stored(address, value, 1)


@extern("user_put_u16")
@interrupted_by("krait_exception_in_kernel")
@gives_up("writes")
def put_u16(address: int, value: int) -> int:
    """Stores the low 16 bits. 0, or -1 after a fault."""
    return _stored(address, value, 2)


@extern("user_put_u32")
@interrupted_by("krait_exception_in_kernel")
@gives_up("writes")
def put_u32(address: int, value: int) -> int:
    """Stores the low 32 bits. 0, or -1 after a fault."""
    return _stored(address, value, 4)


@extern("user_put_i64")
@interrupted_by("krait_exception_in_kernel")
@gives_up("writes")
def put_i64(address: int, value: int) -> int:
    """0, or -1 after a fault."""
    return _stored(address, value, 8)


@extern("user_cas_u32")
@interrupted_by("krait_exception_in_kernel")
def compare_and_swap_u32(address: int, old: int, new: int) -> int:
    """Atomically stores `new` where `old` was. The value found (`old`: it was stored), or -1 after a fault."""
    found = get_u32(address)
    if found == old and put_u32(address, new) != 0:
        return -1
    return found


@extern("user_fpu_save")
def fpu_save(address: int, area_size: int, rights: int) -> int:
    """Stores the running program's FPU registers, as fpu.fpu_save does, and rights of protection keys. 0, or -1 after a
    fault. Safety: CR0.TS is clear, and `area_size` is fpu.frame_size().
    """
    return 0 if processor.memory.write(address, bytes(area_size)) == area_size else -1


@extern("user_fpu_restore")
def fpu_restore(address: int, area_size: int) -> int:
    """Loads them. 0; or -1 after a fault, or if the area's contents are not legal: then the registers hold anything.
    Safety: as fpu_save.
    """
    return 0 if len(processor.memory.read(address, area_size)) == area_size else -1


def copy_in(dst: Span[u8], address: int) -> int:
    """Fills `dst` from user memory; the number of bytes at its end that could NOT be read."""
    return _copy_in(span_address(dst), address, len(dst))


def copy_out(address: int, src: Span[u8]) -> int:
    """Writes `src` to user memory; the number of bytes at its end that could NOT be written."""
    return _copy_out(address, span_address(src), len(src))


def copy_in_small(dst: Span[u8], address: int) -> int:
    """As copy_in, of at most SMALL_BYTES: also for system calls without the kernel lock."""
    assert len(dst) <= SMALL_BYTES
    return _copy_in_small(span_address(dst), address, len(dst))


def copy_out_small(address: int, src: Span[u8]) -> int:
    """As copy_out, of at most SMALL_BYTES: also for system calls without the kernel lock."""
    assert len(src) <= SMALL_BYTES
    return _copy_out_small(address, span_address(src), len(src))


def copy_string(dst: Span[u8], address: int) -> int:
    """Reads a C string: its length without the NUL; len(dst) when no NUL is among that many bytes; -1 after a fault."""
    return _copy_string(span_address(dst), address, len(dst))


def get_i64(address: int) -> int | None:
    """One 64-bit access; None after a fault."""
    value = _get_i64(address)
    if value == FAULT_MARK and (get_u8(address) < 0 or get_u8(address + 7) < 0):
        return None
    return value
