"""/proc/kallsyms: where the kernel's functions are, from the table by which tracebacks are printed.

Addresses are shown to programs that may know them; others see zeros (kernel.kptr_restrict).

Context: writing a text allocates.
Source: proc_kallsyms(5); Documentation/admin-guide/sysctl/kernel.rst.
"""

from typing import Final

from kernel.lang import final
from kernel.lib.capabilities import CAP_SYS_ADMIN, CAP_SYSLOG
from kernel.lib.credentials import Credentials
from kernel.lib.proc_files import TextPieces, proc_pieces
from kernel.lib.settings import SystemSetting
from kernel.lib.traceback import BLOCK_ROWS, LineTable
from kernel.perf.limits import PARANOID

RESTRICTION: Final = SystemSetting(b"kernel/kptr_restrict", [0], 0, 2)
RESTRICTION.guard = CAP_SYS_ADMIN
_NOBODY: Final = 2  # sees addresses
_FOR_ALL: Final = 0


def _may_see(who: Credentials | None) -> bool:
    """Whether the opener of the file may know the kernel's addresses."""
    if RESTRICTION.value == _NOBODY:
        return False
    if RESTRICTION.value == _FOR_ALL and PARANOID.value <= 1:
        return True
    return who is None or who.capable(CAP_SYSLOG)


@final
class Symbols(TextPieces):
    """A line for each function, in the order of addresses. Only numbers are remembered between pieces."""

    def __init__(self) -> None:
        self.table: LineTable = LineTable()
        self.has_table: bool = self.table.open()
        self.block: int = -1  # the next one; -1: the first line
        self.last: int = 0  # scope of the function that was written last
        self.shows: bool = False  # addresses
        self.places: list[int] = [0] * BLOCK_ROWS
        self.scopes: list[int] = [0] * BLOCK_ROWS

    def opened_by(self, who: Credentials | None) -> None:
        self.shows = _may_see(who)

    def next(self) -> bytes | None:
        table = self.table
        if not self.has_table or self.block >= table.block_count:
            return None
        self.block += 1
        if self.block == 0:
            return self._line(table.base, b"_text", b"T")
        text = b""
        count = table.read_block(self.block - 1, self.places, self.scopes)
        for row in range(count):
            scope = table.whole(self.scopes[row])
            if scope != 0 and scope != self.last:
                text += self._line(self.places[row], table.function_text(scope, 0).to_bytes(), b"t")
            self.last = scope
        if self.block == table.block_count and count > 0:
            text += self._line(self.places[count - 1], b"_etext", b"T")
        return text

    def _line(self, address: int, name: bytes, kind: bytes) -> bytes:
        shown = address if self.shows else 0
        high = shown >> 32 & 0xFFFF_FFFF
        return f"{high:08x}{shown & 0xFFFF_FFFF:08x} ".encode() + kind + b" " + name + b"\n"


@proc_pieces("kallsyms")
def kernel_symbols() -> TextPieces:
    """The kernel's functions: address, t, name. Addresses are 0 for readers that may not know them."""
    return Symbols()
