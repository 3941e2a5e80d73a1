"""Reading and writing memory of an address space that is not the running one (process_vm_readv(2), /proc/PID/mem).

Each page is made accessible as its owner would by touching it, and then reached through the direct map. A caller that
may use force (a debugger) also reaches what the owner could make accessible by mprotect(2), but may write only to
private mappings, which get a copy of the page.

Context: may sleep. The caller holds a reference to the space.
"""

from arch.programs import HUGE, PRESENT, WRITABLE, entry_frame, names_frame
from kernel.lang import EFAULT, ENOMEM, Errno, Span, u8
from kernel.mm.area import PROT_READ, PROT_WRITE, Area
from kernel.mm.broken import names_broken
from kernel.mm.fault import Access, FaultOutcome, allows, entry_flags, protect_entry, resolve
from kernel.mm.frames import NO_FRAME, PAGE_MASK, PAGE_SIZE, Frame, frame_span, get_frame, put_frame
from kernel.mm.huge_fault import protect_huge
from kernel.mm.space import AddressSpace
from kernel.mm.userfault import flags_of


def read_foreign(space: AddressSpace, address: int, destination: Span[u8], by_force: bool = False) -> None:
    """Fill the span. Raises EFAULT where there is nothing to read, ENOMEM."""
    done = 0
    while done < len(destination):
        frame = frame_behind(space, address + done, Access.READ, by_force)
        offset = (address + done) & PAGE_MASK
        count = min(len(destination) - done, PAGE_SIZE - offset)
        destination[done : done + count].copy_from(frame_span(frame)[offset : offset + count])
        put_frame(frame)
        done += count


def write_foreign(space: AddressSpace, address: int, source: Span[u8], by_force: bool = False) -> None:
    """Store the span. Raises EFAULT where nothing may be written, ENOMEM."""
    done = 0
    while done < len(source):
        frame = frame_behind(space, address + done, Access.WRITE, by_force)
        offset = (address + done) & PAGE_MASK
        count = min(len(source) - done, PAGE_SIZE - offset)
        frame_span(frame)[offset : offset + count].copy_from(source[done : done + count])
        put_frame(frame)
        done += count


def frame_behind(space: AddressSpace, address: int, access: Access, by_force: bool) -> Frame:
    """The frame behind an address, with a reference, once the access is possible. Raises EFAULT, ENOMEM."""
    while True:
        area = space.area_at(address)
        if area is None or (area.source is not None and area.source.is_secret()):
            raise Errno(EFAULT)
        if not allows(area, access):
            if not by_force:
                raise Errno(EFAULT)
            page = address & ~PAGE_MASK
            if space.is_held:
                space.settle()
                continue
            if not space.has_handlers or flags_of(space, area, page, access) < 0:
                forced = _forced_frame(space, area, page, access)
                if forced != NO_FRAME:
                    return forced
                continue
            outcome = space.ask(page, access, by_kernel=True)  # lets its handler serve it first
            if outcome != FaultOutcome.DONE:
                raise Errno(ENOMEM if outcome == FaultOutcome.NO_MEMORY else EFAULT)
            continue
        entry = space.pages.entry_of(address)
        if entry & PRESENT != 0 and (access == Access.READ or entry & WRITABLE != 0):
            frame = entry_frame(entry)
            get_frame(frame)
            return frame
        outcome = space.touch(address, access)
        if outcome != FaultOutcome.DONE:
            raise Errno(ENOMEM if outcome == FaultOutcome.NO_MEMORY else EFAULT)


def _forced_frame(space: AddressSpace, area: Area, page: int, access: Access) -> Frame:
    """The frame of a page to which the area's protection forbids access, or NO_FRAME: look again. The owner's entry
    keeps forbidding it.
    """
    needed = PROT_WRITE if access == Access.WRITE else PROT_READ
    if area.maximum_prot & needed == 0 or space.is_broken(page):
        raise Errno(EFAULT)
    if access == Access.WRITE and (area.shared or area.is_huge):
        raise Errno(EFAULT)
    try:
        grown = resolve(space.pages, area, page, access)  # may unmap pages, too
        space.resident += grown
    except MemoryError:
        raise Errno(ENOMEM) from None
    if space.area_at(page) is not area or space.is_held:
        return NO_FRAME  # `resolve` may sleep: what is there now may be another area's, or secret
    entry = space.pages.entry_of(page)
    if names_broken(entry):
        raise Errno(EFAULT)
    if not names_frame(entry) or (access == Access.WRITE and entry & WRITABLE == 0):
        return NO_FRAME  # a page from a swap area comes first as the others see it, and is copied by the next turn
    frame = entry_frame(entry)
    get_frame(frame)
    if area.is_huge:
        protect_huge(space.pages.find_huge(page), area, entry_flags(area) | HUGE)
    else:
        protect_entry(space.pages.find(page), area)
    space.pages.flush_page(page)
    return frame
