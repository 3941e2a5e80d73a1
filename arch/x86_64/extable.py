"""Where to continue after an expected fault: pairs (instruction, fix-up), from user_copy.S and fpu.S.

The linker keeps the order of the sources for code and table alike, so the table is sorted by instruction.
"""

from typing import Final

from kernel.lang.unsafe import load_i64, symbol_address

ENTRY_SIZE: Final = 16


def fixup(address: int) -> int:
    """The address at which to continue after a fault at `address`, or 0 when that fault is a bug.

    Safety: reads only between the linker's two symbols.
    """
    table = symbol_address("__ex_table_start")
    low = 0
    high = (symbol_address("__ex_table_end") - table) // ENTRY_SIZE
    while low < high:
        middle = (low + high) // 2
        if load_i64(table + middle * ENTRY_SIZE) < address:
            low = middle + 1
        else:
            high = middle
    entry = table + low * ENTRY_SIZE
    if entry < symbol_address("__ex_table_end") and load_i64(entry) == address:
        return load_i64(entry + 8)
    return 0
