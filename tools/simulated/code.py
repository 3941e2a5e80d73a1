"""Code of programs: user addresses that stand for Python functions, ELF files that start there, and system calls.

The numbers of arguments and their types are the handlers' own, as in the thunks that the compiler makes.
"""

from __future__ import annotations

import inspect
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, get_type_hints

from arch.x86_64.layout import PAGE_SIZE
from kernel.doors.table import SYSCALLS
from kernel.lang import ENOMEM, Errno, unlocked
from kernel.lang.effects import UNLOCKED
from kernel.lang.widths import FixedWidth

if TYPE_CHECKING:
    from tools.simulated.program import Program

Main = Callable[["Program"], int | None]
Handler = Callable[["Program", int], None]

IMAGE_BASE = 0x40_0000
CALL_SITE = 0x3F_F002  # after the one `syscall` instruction that all programs make their calls with
CALL_BYTES = 2
RESTORER = 0x3F_F100
FIRST_CODE = IMAGE_BASE + 0x1000
CODE_STEP = 16


class Code:
    """Which function stands where."""

    def __init__(self) -> None:
        self.mains: dict[int, Main] = {}
        self.handlers: dict[int, Handler] = {}
        self.next = FIRST_CODE

    def _take(self) -> int:
        address = self.next
        self.next += CODE_STEP
        return address

    def add_main(self, main: Main) -> int:
        """An address where a program, or a child after fork, goes on with a function."""
        address = self._take()
        self.mains[address] = main
        return address

    def add_handler(self, handler: Handler) -> int:
        """An address for sigaction."""
        for address, known in self.handlers.items():
            if known is handler:
                return address
        address = self._take()
        self.handlers[address] = handler
        return address

    def elf(self, main: Main) -> bytes:
        """An executable that starts with a function: one page of code, and nothing in it that a processor could run."""
        entry = self.add_main(main)
        base = entry & -PAGE_SIZE
        header = struct.pack(
            "<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, 62, 1, entry, 64, 0, 0, 64, 56, 1, 0, 0, 0
        )
        segment = struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, PAGE_SIZE, PAGE_SIZE, PAGE_SIZE)
        name = getattr(main, "__name__", "main").encode()
        return (header + segment + b"Python: " + name).ljust(PAGE_SIZE, b"\xcc")


def decode_registers() -> None:
    """Put before each handler what the compiler puts there: registers become arguments, errors negative numbers."""
    for row in SYSCALLS:
        if row is not None and not hasattr(row.handler, "is_decoded"):
            row.handler = _decoded(row.handler)
            row.quick = _decoded(row.quick) if row.quick is not None else None


def _decoded(handler: Callable[..., int | None]) -> Callable[[int, int, int, int, int, int], int]:
    hints = get_type_hints(handler)
    kinds = [hints[name] for name in inspect.signature(handler).parameters]

    def decode(*registers: int) -> int:
        try:
            return int(handler(*(_argument(k, r) for k, r in zip(kinds, registers, strict=False))) or 0)
        except Errno as error:
            return -error.code
        except MemoryError:
            return -ENOMEM

    decode.is_decoded = True  # type: ignore[attr-defined]  # a mark on a function, which has no class to declare it
    if handler in UNLOCKED:
        unlocked(decode)
    return decode


def _argument(kind: Any, register: int) -> Any:  # noqa: ANN401  (a handler's annotation, and a value of it)
    if kind is bool:
        return register != 0
    if isinstance(kind, type) and issubclass(kind, FixedWidth):
        return int(kind(register))
    return register
