"""Finding the address spaces that map a file, when it is truncated."""

from typing import Final

from kernel.fs.truncation import UNMAPPER
from kernel.mm.area import Area
from kernel.mm.objects import MemoryObject
from kernel.mm.space import AddressSpace
from kernel.task import find_process, process_ids

_PAGE_SHIFT: Final = 12


def forget_pages(source: MemoryObject, first: int, end: int) -> None:
    """Drop pages first … end - 1 of an object from every address space."""
    for pid in process_ids():
        process = find_process(pid)
        if process is None:
            continue
        for task in process.threads.values():
            memory = task.memory
            if memory is not None:
                _forget_in(memory, source, first, end)
                break  # the threads share it


def _forget_in(memory: AddressSpace, source: MemoryObject, first: int, end: int) -> None:
    for area in memory.areas:
        if area.source is source:
            _forget_in_area(memory, area, first, end)


def _forget_in_area(memory: AddressSpace, area: Area, first: int, end: int) -> None:
    base = area.offset >> _PAGE_SHIFT
    pages = (area.end - area.start) >> _PAGE_SHIFT
    low = max(first - base, 0)
    high = min(end - base, pages)
    if low < high:
        memory.discard(area.start + (low << _PAGE_SHIFT), area.start + (high << _PAGE_SHIFT))


UNMAPPER.forget = forget_pages
