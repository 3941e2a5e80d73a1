"""Page faults inside an area: demand paging, copy-on-write, fault-around.

`resolve` makes one page of an area accessible. Cases, first match wins:
1. the page is mapped and the access is allowed: only accessed/dirty bits or a stale translation were in the way;
2. a write to a private page that is mapped read-only: copied, or made writable if nobody else has the frame (a device
   that is filling it does not count) and it is not merged (merged_pages.py);
3. a write to a shared page that was mapped for reading: the source is notified (`page(…, for_write)`), the entry
   becomes writable;
4. an anonymous private page: a zeroed frame;
5. a private page in a swap area: read into the swap cache; the frame is the mapping's own if nobody else needs it;
6. a page of a memory object: its frame, read-only if private; a write to a private one copies at once.

The zero page that Linux maps for reads of untouched anonymous memory was left out: it saves memory for sparse readers
only, and costs every other program a second fault.

Context: may sleep (a source may read a disk).
"""

from enum import IntEnum
from typing import Final

from arch.programs import (
    ACCESSED,
    DIRTY,
    HIDDEN,
    KEY_BITS,
    KEY_SHIFT,
    NO_EXECUTE,
    PRESENT,
    PRIVATE,
    USER,
    WRITABLE,
    WRITE_WATCHED,
    PageTable,
    entry_frame,
    entry_slot,
    is_swapped,
    make_entry,
    names_frame,
    read_entry,
    write_entry,
)
from kernel.lang import EHWPOISON, Errno, noinline
from kernel.mm.area import PROT_EXEC, PROT_READ, PROT_WRITE, Area
from kernel.mm.broken import is_broken, names_broken
from kernel.mm.frames import (
    NO_FRAME,
    PAGE_SIZE,
    Frame,
    allocate_user_frame,
    copy_frame,
    get_frame,
    has_sole_owner,
    is_merged,
    put_frame,
    zero_frame,
)
from kernel.mm.huge_fault import resolve_huge
from kernel.mm.merged_pages import MERGED
from kernel.mm.swap_slots import SWAP

_AROUND_PAGES: Final = 16  # file pages mapped by one fault when they are at hand


class Access(IntEnum):
    """What the instruction that faulted wanted."""

    READ = 0
    WRITE = 1
    EXECUTE = 2


class FaultOutcome(IntEnum):
    """The result of a fault; all but DONE and SERVED end in a signal."""

    DONE = 0
    NOT_MAPPED = 1  # SIGSEGV, SEGV_MAPERR
    NOT_ALLOWED = 2  # SIGSEGV, SEGV_ACCERR
    NO_SUCH_PAGE = 3  # SIGBUS, BUS_ADRERR: past the end of the file, or an I/O error
    NO_MEMORY = 4
    KEY_FORBIDS = 5  # SIGSEGV, SEGV_PKUERR: only for accesses of the program itself, or on its behalf
    SERVED = 6  # a program is to be asked for the page: `AddressSpace.ask`
    BROKEN = 7  # SIGBUS, BUS_MCEERR_AR: the memory behind the page is broken (broken.py)


def allows(area: Area, access: Access) -> bool:
    """Whether the area's protection permits the access (x86: writable or executable implies readable)."""
    if access == Access.WRITE:
        return area.prot & PROT_WRITE != 0
    if access == Access.EXECUTE:
        return area.prot & PROT_EXEC != 0
    return area.prot & (PROT_READ | PROT_WRITE | PROT_EXEC) != 0


def entry_flags(area: Area) -> int:
    """The entry bits of a readable page of the area."""
    flags = PRESENT | USER | ACCESSED
    if area.prot & PROT_EXEC == 0:
        flags |= NO_EXECUTE
    if area.key != 0:
        flags |= area.key << KEY_SHIFT
    return flags


def resolve(pages: PageTable, area: Area, address: int, access: Access) -> int:
    """Make the page at `address` (page-aligned, inside `area`) accessible; returns by how many pages the resident set
    grew.

    The caller has checked `allows`. Raises Errno (no such page: SIGBUS) and MemoryError.
    """
    if area.is_huge:
        resolve_huge(pages, area, address, access == Access.WRITE, entry_flags(area))
        return 0  # huge pages are not counted there
    slot = pages.make(address)
    entry = read_entry(slot)
    if _is_vacant(entry):
        return _map_new(pages, area, address, slot, access)
    if entry & (PRESENT | HIDDEN) == 0:
        return swap_in(pages, area, address, slot, access) if is_swapped(entry) else 0  # broken meanwhile: once more
    if access != Access.WRITE or entry & WRITABLE != 0:
        write_entry(slot, (entry & ~(HIDDEN | NO_EXECUTE)) | entry_flags(area))
        pages.renew_page(address)
        return 0
    frame = entry_frame(entry)
    flags = entry_flags(area) | WRITABLE | DIRTY
    if area.shared:
        source = area.source
        if source is not None:
            # Notify the source of the write; this may sleep.
            rights = _rights_of(area)
            put_frame(source.page(area.index_of(address), for_write=True))
            if _has_changed(area, address, rights):
                return 0
            slot = pages.make(address)
            if entry_frame(read_entry(slot)) != frame or (read_entry(slot) ^ entry) & WRITE_WATCHED != 0:
                return 0  # changed meanwhile: the instruction faults again
        write_entry(slot, make_entry(frame, flags))
        pages.renew_page(address)
    elif entry & PRIVATE != 0 and has_sole_owner(frame):
        write_entry(slot, make_entry(frame, flags | PRIVATE))
        pages.renew_page(address)
    else:
        _copy_page(pages, area, address, slot)
    return 0


def _is_vacant(entry: int) -> bool:
    """Whether a page can be mapped there: there is nothing, or the mark that it is to be watched."""
    return entry & ~WRITE_WATCHED == 0


def _enter_new(slot: int, frame: Frame, flags: int) -> None:
    """Map a frame where there is none. What a mark says is to be watched cannot be written to yet."""
    if read_entry(slot) & WRITE_WATCHED != 0:
        flags = flags & ~WRITABLE | WRITE_WATCHED
    write_entry(slot, make_entry(frame, flags))


def _rights_of(area: Area) -> int:
    return area.prot | area.key << 8


def _has_changed(area: Area, address: int, rights: int) -> bool:
    """Whether an area has moved, or its protection has changed, while its source slept, or somebody holds the space,
    who has looked at its entries already: then fault again.
    """
    space = area.space
    return space is None or space.is_held or not area.start <= address < area.end or _rights_of(area) != rights


@noinline
def swap_in(pages: PageTable, area: Area, address: int, slot: int, access: Access) -> int:
    """Map a page that lies in a slot. Where that has to be read first, nothing else is done, because the area may have
    changed meanwhile: the instruction faults again. Raises EIO, EHWPOISON, MemoryError.
    """
    entry = read_entry(slot)
    source = entry_slot(entry)
    page = SWAP.find(source)
    if page is None or page.is_reading:
        SWAP.loader.load(source)
        return 0
    frame = page.frame
    if is_broken(frame):
        raise Errno(EHWPOISON)
    is_hidden = area.prot & (PROT_READ | PROT_WRITE | PROT_EXEC) == 0  # swapoff(2) brings those as well
    flags = (HIDDEN if is_hidden else entry_flags(area)) | PRIVATE | entry & WRITE_WATCHED
    others = SWAP.users(source) - 2  # beside the cache and this entry
    if others == 0 and page.is_writing and access == Access.WRITE:
        SWAP.loader.settle(page)  # which needs no memory, as a copy would
        return 0
    if others > 0 and access == Access.WRITE and entry & WRITE_WATCHED == 0:
        _map_copy(area, slot, frame)
        pages.swapped -= 1
        SWAP.put(source)
        return 1
    pages.swapped -= 1
    if others > 0 or page.is_writing:
        get_frame(frame)
        write_entry(slot, make_entry(frame, flags))
        SWAP.put(source)
        return 1
    SWAP.put_for_frame(page)
    if area.prot & PROT_WRITE != 0 and entry & WRITE_WATCHED == 0 and has_sole_owner(frame):
        flags |= WRITABLE | DIRTY
    write_entry(slot, make_entry(frame, flags))
    return 1


def _map_copy(area: Area, slot: int, frame: Frame) -> None:
    """Map a copy of a frame of the swap cache. Raises MemoryError."""
    get_frame(frame)  # making room may drop the page
    try:
        copied = allocate_user_frame()
        copy_frame(copied, frame)
    finally:
        put_frame(frame)
    write_entry(slot, make_entry(copied, entry_flags(area) | WRITABLE | DIRTY | PRIVATE))


def _copy_page(pages: PageTable, area: Area, address: int, slot: int) -> None:
    """A write to a private page that others share: map a copy. Raises MemoryError."""
    old = read_entry(slot)
    frame = entry_frame(old)
    get_frame(frame)  # making room may drop the page, and unmap it here as well
    try:
        copied = allocate_user_frame()
        copy_frame(copied, frame)
    finally:
        put_frame(frame)
    entry = read_entry(slot)
    if entry_frame(entry) != frame or (entry ^ old) & WRITE_WATCHED != 0:
        put_frame(copied)
        return  # unmapped or protected meanwhile: the instruction faults again
    if is_merged(frame):
        MERGED.copies += 1
    area.has_own_pages = True
    write_entry(slot, make_entry(copied, entry_flags(area) | WRITABLE | DIRTY | PRIVATE))
    pages.flush_page(address)
    put_frame(frame)


def _map_new(pages: PageTable, area: Area, address: int, slot: int, access: Access) -> int:
    """Map a page that has no entry yet, or a mark."""
    flags = entry_flags(area)
    source = area.source
    if source is None:
        frame = allocate_user_frame()
        zero_frame(frame)
        if area.prot & PROT_WRITE != 0:
            flags |= WRITABLE | DIRTY
        area.has_own_pages = True
        _enter_new(slot, frame, flags | PRIVATE)
        return 1
    index = area.index_of(address)
    rights = _rights_of(area)
    if area.shared:
        for_write = access == Access.WRITE
        frame = source.page(index, for_write)
        if _has_changed(area, address, rights):
            put_frame(frame)
            return 0
        slot = pages.make(address)
        if not _is_vacant(read_entry(slot)):
            put_frame(frame)  # another thread mapped it while the source slept
            return 0
        _enter_new(slot, frame, flags | (WRITABLE | DIRTY if for_write else 0))
        return 1 if for_write else 1 + _map_around(pages, area, address, flags)
    frame = source.page(index, for_write=False)
    if _has_changed(area, address, rights):
        put_frame(frame)
        return 0
    slot = pages.make(address)
    if not _is_vacant(read_entry(slot)):
        put_frame(frame)
        return 0
    if access == Access.WRITE:
        try:
            copied = allocate_user_frame()
            copy_frame(copied, frame)
        finally:
            put_frame(frame)
        area.has_own_pages = True
        _enter_new(slot, copied, flags | WRITABLE | DIRTY | PRIVATE)
        return 1
    _enter_new(slot, frame, flags)
    return 1 + _map_around(pages, area, address, flags)


def _map_around(pages: PageTable, area: Area, address: int, flags: int) -> int:
    """Map the cached neighbours of a file page within an aligned window; returns how many."""
    source = area.source
    if source is None or area.handler is not None:
        return 0
    window = address & ~(_AROUND_PAGES * PAGE_SIZE - 1)
    start = max(area.start, window)
    end = min(area.end, window + _AROUND_PAGES * PAGE_SIZE)
    slot = pages.find(start)  # the window lies in one lowest-level table
    mapped = 0
    for near in range(start, end, PAGE_SIZE):
        if read_entry(slot) == 0:
            frame = source.resident(area.index_of(near))
            if frame != NO_FRAME:
                get_frame(frame)
                write_entry(slot, make_entry(frame, flags))
                mapped += 1
        slot += 8
    return mapped


def protect_entry(slot: int, area: Area) -> None:
    """Bring an existing entry in line with its area's new protection. Writability returns by a fault."""
    entry = read_entry(slot)
    if names_broken(entry) or not names_frame(entry):
        return
    entry &= ~(WRITABLE | NO_EXECUTE | HIDDEN | PRESENT | KEY_BITS)
    if area.prot & (PROT_READ | PROT_WRITE | PROT_EXEC) == 0:
        write_entry(slot, entry | HIDDEN)
        return
    if (
        area.prot & PROT_WRITE != 0
        and not area.shared
        and entry & PRIVATE != 0
        and entry & WRITE_WATCHED == 0
        and has_sole_owner(entry_frame(entry))
    ):
        entry |= WRITABLE
    write_entry(slot, entry | entry_flags(area))

