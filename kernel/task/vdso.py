"""Mapping the vDSO into a program."""

from typing import Final

from kernel.mm.area import MAP_PRIVATE, PROT_EXEC, PROT_READ
from kernel.mm.frames import PAGE_SIZE
from kernel.mm.space import AddressSpace
from kernel.time.vdso import pages

_DATA_SIZE: Final = PAGE_SIZE


def map_vdso(space: AddressSpace) -> int:
    """Map data and code; the address of the code's ELF header (AT_SYSINFO_EHDR), 0 without a vDSO. Raises ENOMEM,
    MemoryError.
    """
    source = pages()
    if source is None:
        return 0
    data = space.map(0, 2 * PAGE_SIZE, PROT_READ, MAP_PRIVATE, source, 0, PROT_READ | PROT_EXEC)
    space.protect(data + _DATA_SIZE, PAGE_SIZE, PROT_READ | PROT_EXEC)
    data_area = space.area_at(data)
    code_area = space.area_at(data + _DATA_SIZE)
    if data_area is not None and code_area is not None:
        data_area.label = b"[vvar]"
        code_area.label = b"[vdso]"
    space.vdso_start = data + _DATA_SIZE
    return space.vdso_start
