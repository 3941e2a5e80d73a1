"""Mapping the vDSO into a program, and entering time namespaces, whose clocks it shows (time_namespaces(7))."""

from typing import Final

from kernel.lang import EINVAL, Errno
from kernel.mm.area import MAP_PRIVATE, PROT_EXEC, PROT_READ
from kernel.mm.frames import PAGE_SIZE
from kernel.mm.objects import FixedPages
from kernel.mm.space import AddressSpace, each_area
from kernel.task.task import Task
from kernel.time.namespace import FIRST_TIME, TimeNamespace
from kernel.time.vdso import pages

_DATA_SIZE: Final = PAGE_SIZE


def map_vdso(space: AddressSpace, hint: int = 0, namespace: TimeNamespace = FIRST_TIME) -> int:
    """Map data and code; returns the address of the code's ELF header (AT_SYSINFO_EHDR), 0 without a vDSO. A program
    begins with the clocks of the first time namespace: see `enter_time`. Raises ENOMEM, MemoryError.
    """
    source = pages(namespace)
    if source is None:
        return 0
    data = space.map(hint, 2 * PAGE_SIZE, PROT_READ, MAP_PRIVATE, source, 0, PROT_READ | PROT_EXEC)
    space.protect(data + _DATA_SIZE, PAGE_SIZE, PROT_READ | PROT_EXEC)
    data_area = space.area_at(data)
    code_area = space.area_at(data + _DATA_SIZE)
    if data_area is not None and code_area is not None:
        data_area.label = b"[vvar]"
        code_area.label = b"[vdso]"
    space.layout.vdso_start = data + _DATA_SIZE
    return space.layout.vdso_start


def map_vdso_again(task: Task, hint: int) -> int:
    """ARCH_MAP_VDSO_64: map it into a program that has unmapped it, at an address if there is room; returns the size of
    its code. Raises ENOMEM, MemoryError, EINVAL without a vDSO.
    """
    start = map_vdso(task.space, hint, task.namespaces.time)
    if start == 0:
        raise Errno(EINVAL)
    return PAGE_SIZE


def has_vdso(space: AddressSpace) -> bool:
    """Whether any part of it is mapped."""
    for area in each_area(space):
        if isinstance(area.source, FixedPages):
            return True
    return False


def enter_time(task: Task, namespace: TimeNamespace) -> None:
    """Move a task that shares its memory with none, and its children, to a time namespace. Takes safe points. Raises
    MemoryError unless it is already there.
    """
    namespace.is_fixed = True
    if not task.namespaces.has_time(namespace):
        fresh = task.namespaces.copy()
        fresh.put(namespace)
        task.namespaces = fresh
    wanted = pages(namespace)
    for area in each_area(task.space):
        source = area.source
        if isinstance(source, FixedPages) and source is not wanted:
            area.source = wanted
            task.space.empty(area.start, area.end)
