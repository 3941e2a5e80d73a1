"""Raw memory. Only the modules of compiler/unsafe_modules.txt may import this; each use says why it is safe.

Addresses are ints: kernel addresses are negative, user addresses 0…2**47-1. Safety, for everything here: the address
is mapped, and holds (or may hold) a value of the kind that is read or written. Compiled, each function is one or a
few instructions; the bodies below are their simulation on `kernel.lang.simulation.memory`.
"""

# ruff: noqa: ANN401  (this is a simulation of memory: its values have any type)

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NoReturn, TypeVar

from kernel.lang.errors import Panic
from kernel.lang.ints import u8
from kernel.lang.places import place_of
from kernel.lang.simulation import memory, own_page
from kernel.lang.spans import Span
from kernel.lang.widths import i64

T = TypeVar("T")

# Kinds of traps (docs/compiler-abi.md).
TRAP_OVERFLOW: Final = 1
TRAP_INDEX: Final = 2
TRAP_NONE: Final = 3
TRAP_DIVISION: Final = 4
TRAP_ASSERT: Final = 5
TRAP_KEY: Final = 6
TRAP_MATCH: Final = 7
TRAP_RANGE: Final = 8
TRAP_SHIFT: Final = 9
TRAP_PANIC: Final = 10
TRAP_UNREACHABLE: Final = 11
TRAP_ENUM: Final = 12
TRAP_CHANGED: Final = 13
TRAP_UNCAUGHT: Final = 14
TRAP_STACK: Final = 15

_TRAP_EXCEPTIONS: dict[int, type[Exception]] = {
    TRAP_OVERFLOW: OverflowError, TRAP_INDEX: IndexError, TRAP_NONE: AttributeError, TRAP_DIVISION: ZeroDivisionError,
    TRAP_ASSERT: AssertionError, TRAP_KEY: KeyError, TRAP_RANGE: OverflowError, TRAP_ENUM: ValueError,
    TRAP_CHANGED: RuntimeError,
}  # fmt: skip


def trap(kind: int) -> NoReturn:
    """Stop like a failed check of this kind (a TRAP_ constant)."""
    raise _TRAP_EXCEPTIONS.get(kind, Panic)(f"trap {kind}")


def load_u8(address: int) -> int:
    """One byte."""
    return memory.load(address, 1)


def load_u16(address: int) -> int:
    """Two bytes, little-endian."""
    return memory.load(address, 2)


def load_u32(address: int) -> int:
    """Four bytes, little-endian."""
    return memory.load(address, 4)


def load_i64(address: int) -> int:
    """Eight bytes as a signed int."""
    return int(i64(memory.load(address, 8)))


def store_u8(address: int, value: int) -> None:
    """Store 1 byte; the value must be in range."""
    memory.store(address, 1, value)


def store_u16(address: int, value: int) -> None:
    """Store 2 bytes; the value must be in range."""
    memory.store(address, 2, value)


def store_u32(address: int, value: int) -> None:
    """Store 4 bytes; the value must be in range."""
    memory.store(address, 4, value)


def store_i64(address: int, value: int) -> None:
    """Store eight bytes."""
    memory.store(address, 8, value & 0xFFFF_FFFF_FFFF_FFFF)


def mmio_load_u8(address: int) -> int:
    """One byte. A device register: volatile."""
    return memory.load(address, 1)


def mmio_load_u16(address: int) -> int:
    """Two bytes, little-endian. A device register: volatile."""
    return memory.load(address, 2)


def mmio_load_u32(address: int) -> int:
    """Four bytes, little-endian. A device register: volatile."""
    return memory.load(address, 4)


def mmio_load_i64(address: int) -> int:
    """Eight bytes as a signed int. A device register: volatile."""
    return int(i64(memory.load(address, 8)))


def mmio_store_u8(address: int, value: int) -> None:
    """Store 1 byte; the value must be in range. A device register: volatile."""
    memory.store(address, 1, value)


def mmio_store_u16(address: int, value: int) -> None:
    """Store 2 bytes; the value must be in range. A device register: volatile."""
    memory.store(address, 2, value)


def mmio_store_u32(address: int, value: int) -> None:
    """Store 4 bytes; the value must be in range. A device register: volatile."""
    memory.store(address, 4, value)


def mmio_store_i64(address: int, value: int) -> None:
    """Store eight bytes. A device register: volatile."""
    memory.store(address, 8, value & 0xFFFF_FFFF_FFFF_FFFF)


def address_of(value: Any) -> int:
    """The address of an object or of a struct's storage."""
    if hasattr(value, "__place__"):
        buffer, start = value.__place__
        return memory.address_of_bytes(buffer, start, value.__size__)
    return memory.address_of_object(value)


def object_at(cls: type[T], address: int) -> T:
    """The object of a class at an address. Safety: one is there and alive."""
    value = memory.object_at(address)
    assert isinstance(value, cls)
    return value


def own_object(cls: type[T], offset: int) -> T:
    """The object of a class that this processor has at an offset of its own page; needs no lock. Safety: it has one
    there, and something else keeps that alive.
    """
    value = own_page.objects[offset]
    assert isinstance(value, cls)
    return value


def set_own_object(offset: int, value: object) -> None:
    """Put an object there, uncounted."""
    own_page.objects[offset] = value


def struct_at_address(cls: type[T], address: int) -> T:
    """A view of memory as a struct."""
    kind: Any = cls
    buffer, offset = memory.place(address, kind.__size__)
    view: T = kind.__view__(buffer, offset)
    return view


def span_at(address: int, length: int) -> Span[u8]:
    """A view of memory as bytes."""
    buffer, offset = memory.place(address, length)
    return Span(buffer, offset, length, place_of(u8))


def span_address(span: Span[u8]) -> int:
    """Where a span's bytes begin."""
    raw: Any = span
    return memory.address_of_bytes(raw._buffer, raw._start, len(span))


def atomic_add_u32(address: int, amount: int) -> int:
    """Add, modulo 2**32, to four bytes; the old value."""
    old = memory.load(address, 4)
    memory.store(address, 4, (old + amount) & 0xFFFF_FFFF)
    return old


def atomic_swap_u32(address: int, value: int) -> int:
    """Exchange four bytes; the old value."""
    old = memory.load(address, 4)
    memory.store(address, 4, value)
    return old


def atomic_cas_u32(address: int, old: int, new: int) -> bool:
    """Store `new` if four bytes are `old`; whether they were."""
    if memory.load(address, 4) != old:
        return False
    memory.store(address, 4, new)
    return True


def copy_bytes(destination: int, source: int, count: int) -> None:
    """memmove."""
    if count > 0:
        data, start = memory.place(source, count)
        target, offset = memory.place(destination, count)
        target[offset : offset + count] = bytes(data[start : start + count])


def fill_bytes(destination: int, value: int, count: int) -> None:
    """memset."""
    if count > 0:
        target, offset = memory.place(destination, count)
        target[offset : offset + count] = bytes([value]) * count


def symbol_address(name: str) -> int:
    """The address of a linker symbol; the name is a literal."""
    return memory.symbol(name)


def function_address(function: Callable[..., object]) -> int:
    """The address of a function's code."""
    return memory.address_of_object(function)


def pause() -> None:
    """One round of waiting for another processor. Under CPython there is none that could go on meanwhile."""
    raise Panic("a spin lock is never given back")


def compiler_barrier() -> None:
    """No load or store moves across."""


def memory_fence() -> None:
    """What was stored before is seen by all processors before anything is loaded after. Under CPython another one may
    go on here.
    """
    memory.at_fence()


def spill_registers() -> int:
    """Write the callee-saved registers to the stack; the stack pointer below them."""
    return 0
