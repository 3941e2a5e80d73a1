"""Faults that a program serves itself (userfaultfd(2)): when a handler is asked, and what its answer maps.

An area that is registered has a `FaultHandler` and modes. An access to a page that is not present (MISSING) or that
another mapping of the same memory has already (MINOR), or a write to a protected page (WP), is left to the handler,
which makes the thread sleep until somebody has filled the page (task/userfault.py). The thread then faults again.

A page is protected by the bit WRITE_WATCHED of its entry, which is never there together with WRITABLE. Where no area is
registered for WP, the bit means nothing.

Context: asking sleeps. Filling a page does not, and raises MemoryError.
"""

from typing import TYPE_CHECKING, Final

from arch.programs import (
    DIRTY,
    PRIVATE,
    WRITABLE,
    WRITE_WATCHED,
    make_entry,
    read_entry,
    write_entry,
)
from kernel.lang import EBUSY, EEXIST, EFAULT, EINVAL, ENOENT, ENOSPC, EPERM, Errno
from kernel.lib.pace import is_dying, pace
from kernel.mm.area import PROT_EXEC, PROT_READ, PROT_WRITE, Area
from kernel.mm.area_tree import following
from kernel.mm.fault import Access, FaultOutcome, entry_flags, protect_entry
from kernel.mm.frames import NO_FRAME, PAGE_SIZE, Frame, copy_frame, get_frame
from kernel.mm.objects import MemoryObject

if TYPE_CHECKING:
    from kernel.mm.space import AddressSpace

MISSING: Final = 1  # UFFDIO_REGISTER_MODE_*
WRITE_PROTECT: Final = 2
MINOR: Final = 4
MODES: Final = MISSING | WRITE_PROTECT | MINOR

FAULT_WRITE: Final = 1  # UFFD_PAGEFAULT_FLAG_*
FAULT_PROTECTED: Final = 2
FAULT_MINOR: Final = 4

_LOOKS_MASK: Final = 4095  # a safe point after looking at that many areas
_LOOKS_COST: Final = 100_000  # instructions


class FaultHandler:
    """Serves the faults of an area. Base class."""

    def __init__(self) -> None:
        self.is_closed: bool = False  # it serves no faults any more

    def ask(self, address: int, flags: int, by_kernel: bool) -> FaultOutcome:
        """Let somebody fill the page, and wait for it. DONE: look again. NO_SUCH_PAGE: the program gets SIGBUS."""
        return FaultOutcome.NO_SUCH_PAGE

    def wake(self, start: int, length: int) -> None:
        """The pages of a range may be present, or are no longer served: wake the threads that wait for them. Sleeps."""


def flags_of(space: "AddressSpace", area: Area, address: int, access: Access) -> int:
    """How the handler of an area sees a fault, FAULT_*; -1 if it does not serve such faults, or there is no handler."""
    modes = area.fault_modes
    if area.handler is None:
        return -1
    write = FAULT_WRITE if access == Access.WRITE else 0
    entry = space.pages.entry_of(address)
    if entry != 0:
        is_protected = modes & WRITE_PROTECT != 0 and entry & WRITE_WATCHED != 0
        return FAULT_WRITE | FAULT_PROTECTED if is_protected and write != 0 else -1
    source = area.source
    if source is not None and area.index_of(address) >= source.fillable_pages():
        return -1  # nobody could fill it
    if source is None or source.resident(area.index_of(address)) == NO_FRAME:
        return write if modes & MISSING != 0 else -1
    return write | FAULT_MINOR if modes & MINOR != 0 else -1


# ---- Registering ----------------------------------------------------------------------------------------------------


def check_range(space: "AddressSpace", start: int, end: int, modes: int, handler: FaultHandler | None) -> None:
    """Check that a range may be registered or, with None, unregistered: it has an area, and all its areas support that.
    Raises EINVAL; EPERM, EBUSY for areas that may not be registered. Sleeps if there are very many.
    """
    area = space.areas.first_above(start)
    if area is None or area.start >= end:
        raise Errno(EINVAL)
    looks = 0
    while area is not None and area.start < end:
        _check_area(area, modes, handler)
        looks += 1
        area = _next_area(space, area, looks)


def _next_area(space: "AddressSpace", area: Area, looks: int) -> Area | None:
    """The next area above, with an occasional safe point."""
    if looks & _LOOKS_MASK != 0:
        return following(area)
    end = area.end
    pace(_LOOKS_COST)
    return space.areas.first_above(end)


def _check_area(area: Area, modes: int, handler: FaultHandler | None) -> None:
    """Check that an area can be registered for modes or, with None, unregistered. Raises EINVAL, EPERM, EBUSY."""
    if handler is None:
        modes = area.fault_modes
    source = area.source
    if source is not None and (source.fillable_pages() < 0 or modes & WRITE_PROTECT != 0):
        raise Errno(EINVAL)
    if source is None and modes & MINOR != 0:
        raise Errno(EINVAL)
    if handler is not None:
        if area.maximum_prot & PROT_WRITE == 0:
            raise Errno(EPERM)
        if area.handler is not None and area.handler is not handler:
            raise Errno(EBUSY)


def register(space: "AddressSpace", start: int, end: int, modes: int, handler: FaultHandler | None) -> None:
    """Give the areas of a range, as far as there are any, to a handler, or take them from it (None). Has safe points,
    at which others may map something else there: so each area is checked in its turn. Wakes threads that wait for a
    handler that loses an area. Ends early if the caller is killed. Raises EINVAL, EPERM, EBUSY, ENOMEM, MemoryError.
    """
    while start < end and not is_dying():
        space.settle()
        stop = space.part_end(start, end)
        losers: list[FaultHandler] = []
        area = space.areas.first_above(start)
        while area is not None and area.start < stop:
            _check_area(area, modes, handler)
            loser = area.handler
            if loser is not None and handler is None and (len(losers) == 0 or losers[-1] is not loser):
                losers.append(loser)
            area = following(area)
        area = space.isolate(start, stop)
        while area is not None and area.start < stop:
            _set_handler(space, area, modes, handler)
            area = following(area)
        space.rejoin(start, stop)
        for loser in losers:
            loser.wake(start, stop - start)
        start = space.rest(stop, end)


def _set_handler(space: "AddressSpace", area: Area, modes: int, handler: FaultHandler | None) -> None:
    """Set the handler of an area, and forget protection left over from another handler or a parent."""
    if handler is not None and area.handler is handler and area.fault_modes & modes == modes:
        return  # as on Linux, it keeps the modes that it has beyond these
    if modes & WRITE_PROTECT != 0 and area.fault_modes & WRITE_PROTECT == 0:
        address = space.pages.next_mapped(area.start, area.end)
        while address < area.end:
            if space.pages.entry_of(address) & WRITE_WATCHED != 0:
                slot = space.pages.find(address)
                write_entry(slot, read_entry(slot) & ~WRITE_WATCHED)  # a bit that no processor looks at
            address = space.pages.next_mapped(address + PAGE_SIZE, area.end)
    area.handler = handler
    area.fault_modes = modes
    if handler is not None:
        space.has_handlers = True
        space.needs_care = True


def forget_handler(space: "AddressSpace", handler: FaultHandler) -> None:
    """The handler goes: unregister all its areas. Nothing else changes, and areas stay cut. The space may
    end at the safe points.
    """
    looks = 0
    area = space.areas.first()
    while area is not None:
        if area.handler is handler:
            area.handler = None
            area.fault_modes = 0
        looks += 1
        area = _next_area(space, area, looks)


# ---- Filling --------------------------------------------------------------------------------------------------------


def area_to_fill(space: "AddressSpace", start: int, length: int) -> Area:
    """The registered area that holds a whole range. Raises ENOENT."""
    area = space.area_at(start)
    if area is None or area.handler is None or length > area.end - start:
        raise Errno(ENOENT)
    return area


def put_page(space: "AddressSpace", area: Area, address: int, frame: Frame, is_protected: bool) -> None:
    """Map a filled frame where there is no page: the frame itself if the page is private, a copy if the memory is
    shared. The caller keeps its reference. Raises EEXIST, EFAULT (past the end of a file), MemoryError.
    """
    if read_entry(space.pages.make(address)) != 0:
        raise Errno(EEXIST)
    flags = entry_flags(area)
    if is_protected:
        flags |= WRITE_WATCHED
    elif area.prot & PROT_WRITE != 0:
        flags |= WRITABLE | DIRTY
    source = area.source
    if source is not None and area.index_of(address) >= source.fillable_pages():
        raise Errno(EFAULT)
    if source is None or not area.shared:
        area.has_own_pages = True
        get_frame(frame)
        _enter(space, area, address, frame, flags | PRIVATE)
        return
    index = area.index_of(address)
    if source.resident(index) != NO_FRAME:
        raise Errno(EEXIST)
    shared = _page_of(source, index, for_write=True)
    copy_frame(shared, frame)
    _enter(space, area, address, shared, flags)


def show_page(space: "AddressSpace", area: Area, address: int) -> None:
    """UFFDIO_CONTINUE: map a page that the shared memory has; in a private area only for reading, until a write copies
    it. Raises EEXIST, EFAULT, EINVAL, MemoryError.
    """
    source = area.source
    if source is None:
        raise Errno(EINVAL)
    if read_entry(space.pages.make(address)) != 0:
        raise Errno(EEXIST)
    index = area.index_of(address)
    if source.resident(index) == NO_FRAME:
        raise Errno(EFAULT if index < source.fillable_pages() else EINVAL)
    is_writable = area.shared and area.prot & PROT_WRITE != 0
    frame = _page_of(source, index, is_writable)
    _enter(space, area, address, frame, entry_flags(area) | (WRITABLE | DIRTY if is_writable else 0))


def _page_of(source: MemoryObject, index: int, for_write: bool) -> Frame:
    """A page of shared memory, with a reference. Raises EFAULT where there is none, MemoryError without a free
    frame.
    """
    try:
        return source.page(index, for_write)
    except Errno as error:
        if error.code == ENOSPC:
            raise MemoryError from None
        raise Errno(EFAULT) from None


def _enter(space: "AddressSpace", area: Area, address: int, frame: Frame, flags: int) -> None:
    """Let an empty entry map a frame; the entry takes over the reference."""
    slot = space.pages.find(address)
    write_entry(slot, make_entry(frame, flags))
    if area.prot & (PROT_READ | PROT_WRITE | PROT_EXEC) == 0:
        protect_entry(slot, area)  # it is kept, and nobody sees it yet
    space.resident += 1
    space.peak_resident = max(space.peak_resident, space.resident)


def protect_pages(space: "AddressSpace", area: Area, start: int, end: int, is_protected: bool) -> None:
    """UFFDIO_WRITEPROTECT for the pages of a part of an area that are present, at once: `part_end` says how large."""
    address = space.pages.next_mapped(start, end)
    while address < end:
        slot = space.pages.find(address)
        entry = read_entry(slot)
        write_entry(slot, (entry & ~WRITABLE) | WRITE_WATCHED if is_protected else entry & ~WRITE_WATCHED)
        address = space.pages.next_mapped(address + PAGE_SIZE, end)
    space.pages.flush_range(start, end)
