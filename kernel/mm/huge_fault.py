"""Huge pages in an address space: faults, and what fork(2), mprotect(2) and munmap(2) do to their entries.

An area of huge pages has nothing else: an entry is one level above the lowest, and no huge page is ever split. One of
1 GiB has 512 such entries, which a fault writes together: its pieces (huge_pool.py), each looked at on its own. The
cases of a fault are those of fault.py. A difference is that pages may run out: whoever mapped privately and had pages
reserved gets one even if all its own are shared with children: they lose theirs, and get SIGBUS if they touch such a
page (`_take_from_children`).

Context: faults and `share_huge` may sleep, the rest doesn't.
Source: Linux's Documentation/mm/hugetlbfs_reserv.rst; Intel SDM volume 3, section 4.5 (4-level paging).
"""

from typing import Final

from arch.programs import (
    DIRTY,
    HIDDEN,
    HUGE,
    KEY_BITS,
    NO_EXECUTE,
    POISONED,
    PRESENT,
    PRIVATE,
    WRITABLE,
    WRITE_WATCHED,
    PageTable,
    entry_frame,
    make_entry,
    names_frame,
    read_entry,
    write_entry,
)
from kernel.lang import EAGAIN, EEXIST, EFAULT, ENOENT, ENOMEM, ENOSPC, Errno
from kernel.lib.linked import FIRST, NEXT
from kernel.lib.pace import pace_bytes, spend
from kernel.mm.area import PROT_EXEC, PROT_READ, PROT_WRITE, Area
from kernel.mm.frames import (
    HUGE_FRAMES,
    HUGE_ORDER,
    NO_FRAME,
    PAGE_SIZE,
    Frame,
    count_huge_mapping,
    frame_span,
    get_huge_page,
    huge_users,
    is_huge_page_pinned,
    put_huge_page,
    set_huge_quota,
)
from kernel.mm.huge_object import OWED, HugeObject
from kernel.mm.huge_pool import HUGE_MASK, HUGE_SHIFT, HUGE_SIZE, HugeUse

DROP_COST: Final = 40_000  # instructions to give a page back
SHARE_COST: Final = 8_000  # and to share one: all its frames are looked at


def _object_of(area: Area) -> HugeObject:
    source = area.source
    assert isinstance(source, HugeObject), "an area of huge pages has an object of them"
    return source


def _use_of(area: Area) -> HugeUse:
    use = area.huge
    assert use is not None, "the area is one of huge pages"
    return use


def resolve_huge(pages: PageTable, area: Area, address: int, is_write: bool, flags: int) -> None:
    """Make the huge page around `address`, in the area, accessible; `flags` are those of an entry that may be read.
    The caller has checked that the area allows it. Returns with nothing done where things changed meanwhile: the
    instruction faults again. Raises Errno (no such page, or none is free: SIGBUS) and MemoryError.
    """
    address &= ~HUGE_MASK
    flags |= HUGE
    if _is_enough(pages, address, is_write, flags):
        return
    source = _object_of(area)
    number = source.number_at(area, address)
    rights = area.prot | area.key << 8
    source.begin(number)
    try:
        if area.space is None or not area.start <= address < area.end or area.prot | area.key << 8 != rights:
            return
        if _is_enough(pages, address, is_write, flags):
            return
        slot = pages.find_huge(address)
        if slot == 0:
            _map_new(pages, area, source, address, is_write, flags)
        elif area.shared or _is_alone(read_entry(slot)):
            write_entry(slot, read_entry(slot) & ~(HIDDEN | WRITE_WATCHED) | flags | WRITABLE | DIRTY)
            pages.renew_page(address)
        else:
            _copy(pages, area, source, address, flags)
    finally:
        source.finish(number)


def _is_enough(pages: PageTable, address: int, is_write: bool, flags: int) -> bool:
    """Whether the entry that is there will do, once its other flags are those of the area."""
    slot = pages.find_huge(address)
    if slot == 0:
        return False
    entry = read_entry(slot)
    if is_write and entry & WRITABLE == 0:
        return False
    write_entry(slot, entry & ~(HIDDEN | NO_EXECUTE) | flags)
    pages.renew_page(address)
    return True


def _is_alone(entry: int) -> bool:
    """Whether a page belongs to this mapping alone."""
    return entry & PRIVATE != 0 and huge_users(entry_frame(entry)) == 1


def _enter(pages: PageTable, area: Area, address: int, head: Frame, flags: int, rights: int) -> None:
    """Map a page; the caller's use of it becomes the entry's. Gives it back where the area has changed meanwhile.
    Raises MemoryError, with the page given back.
    """
    source = _object_of(area)
    address &= -(1 << source.shift)
    mapped = 0
    try:
        if area.space is not None and area.start <= address < area.end and area.prot | area.key << 8 == rights:
            while mapped < source.pool.pieces:
                piece = Frame(head + (mapped << HUGE_ORDER))
                if not _enter_piece(pages, address + (mapped << HUGE_SHIFT), piece, flags):
                    break
                mapped += 1
    finally:
        source.drop(head, mapped)


def _enter_piece(pages: PageTable, address: int, head: Frame, flags: int) -> bool:
    """Map 2 MiB. What is mapped there gives way: of a page of 1 GiB that somebody is about to unmap. Returns whether it
    was done. Raises MemoryError.
    """
    if pages.find_huge(address) != 0:
        drop_huge(pages, address)
    mark = read_entry(pages.make_huge(address))
    if mark & WRITE_WATCHED != 0:
        flags = flags & ~WRITABLE | WRITE_WATCHED
    if mark & POISONED != 0:
        return False  # it was poisoned meanwhile
    _map(pages, address, head, flags)
    return True


def _map(pages: PageTable, address: int, head: Frame, flags: int) -> None:
    """Map a page where none is mapped; a mark gives way. Raises MemoryError."""
    slot = pages.make_huge(address)
    if read_entry(slot) != 0:
        pages.huge_marks -= 1
    write_entry(slot, make_entry(head, flags))
    pages.huge_count += 1
    count_huge_mapping(head, 1)


def _map_new(pages: PageTable, area: Area, source: HugeObject, address: int, is_write: bool, flags: int) -> None:
    number = source.number_at(area, address)
    rights = area.prot | area.key << 8
    if number >= source.page_limit and source.huge_page(number) == NO_FRAME:
        raise Errno(ENOSPC)
    if area.shared:
        head = source.obtain(number)  # if the file is cut off meanwhile, whoever does that waits, and unmaps it
        _enter(pages, area, address, head, flags | (WRITABLE | DIRTY if is_write else 0), rights)
        return
    head = source.huge_page(number)
    if head != NO_FRAME and not is_write:
        source.hold(head)
        _enter(pages, area, address, head, flags, rights)
        return
    if head == NO_FRAME and _use_of(area).lost_pages:
        raise Errno(ENOSPC)
    own = _take(area, source, number)
    if head != NO_FRAME:
        _fill(source, own, head)
    else:
        source.clear(own)
    if number >= source.page_limit and source.huge_page(number) == NO_FRAME:  # it was cut off meanwhile
        source.drop(own)
        raise Errno(ENOSPC)
    if area.prot & PROT_WRITE != 0:
        flags |= WRITABLE | (DIRTY if is_write else 0)
    area.has_own_pages = True
    _enter(pages, area, address, own, flags | PRIVATE, rights)


def _take(area: Area, source: HugeObject, number: int) -> Frame:
    """A page for a private mapping, its reserved one if there still is one. Raises ENOSPC."""
    reservation = _use_of(area).reservation
    is_reserved = reservation is not None and reservation.has(number)
    head = source.pool.take(is_reserved, source.quota)
    if is_reserved and reservation is not None:
        reservation.use(number)
    return head


def _fill(source: HugeObject, own: Frame, head: Frame) -> None:
    """Copy a page that others may give back meanwhile."""
    source.hold(head)
    try:
        source.copy(own, head)
    finally:
        source.drop(head)


def _own_copy(area: Area, source: HugeObject, number: int, head: Frame) -> Frame:
    """A page for a private mapping that is like another one, which all who have it may give back while memory for a new
    one is looked for. Raises ENOSPC.
    """
    source.hold(head)
    try:
        own = _take(area, source, number)
        source.copy(own, head)
        return own
    finally:
        source.drop(head)


def _copy(pages: PageTable, area: Area, source: HugeObject, address: int, flags: int) -> None:
    """A write to a private page that others have as well: map a copy."""
    number = source.number_at(area, address)
    rights = area.prot | area.key << 8
    slot = pages.find_huge(address)
    entry = read_entry(slot)
    piece = entry_frame(entry)
    head = Frame(piece & -(1 << source.order))
    try:
        own = _own_copy(area, source, number, head)
    except Errno:
        if _use_of(area).reservation is None or entry & PRIVATE == 0:
            raise
        _take_from_children(source, area, number, head)
        return  # it is alone now, or a child that died gives its page up: the instruction faults again
    slot = pages.find_huge(address)
    now = 0 if slot == 0 else read_entry(slot)
    is_changed = entry_frame(now) != piece or (now ^ entry) & WRITE_WATCHED != 0
    if is_changed or area.prot | area.key << 8 != rights:
        source.drop(own)
        return
    area.has_own_pages = True
    source.hold(head)  # so that its pieces come free only at safe points
    try:
        _enter(pages, area, address, own, flags | WRITABLE | DIRTY | PRIVATE, rights)
    finally:
        source.drop(head)


def _take_from_children(source: HugeObject, owner: Area, number: int, head: Frame) -> None:
    """Take a page from all private mappings but the one for which it was reserved."""
    area = source.all_areas[FIRST]
    while area is not None:
        space = area.space
        within = number - (area.first_page >> source.order)
        use = _use_of(area)
        if area is not owner and space is not None and use.reservation is None and not area.shared:
            if 0 <= within < area.end - area.start >> source.shift:
                if _take_from(space.pages, source, area.start + (within << source.shift), head):
                    use.lost_pages = True
        area = area.source_links[NEXT]


def _take_from(pages: PageTable, source: HugeObject, address: int, head: Frame) -> bool:
    """Unmap a page where it is mapped at an address; returns whether it was. Never sleeps."""
    is_found = False
    for i in range(source.pool.pieces):
        slot = pages.find_huge(address + (i << HUGE_SHIFT))
        if slot != 0 and entry_frame(read_entry(slot)) == head + (i << HUGE_ORDER):
            is_found = True
            drop_huge(pages, address + (i << HUGE_SHIFT))
            spend(DROP_COST)
    return is_found


def drop_huge(pages: PageTable, address: int) -> None:
    """Unmap the huge page that is mapped at an address, and give it back."""
    slot = pages.find_huge(address)
    head = entry_frame(read_entry(slot))
    write_entry(slot, 0)
    pages.huge_count -= 1
    pages.flush_page(address)
    count_huge_mapping(head, -1)
    put_huge_page(head)


def give_up_page(pages: PageTable, area: Area, address: int) -> None:
    """The same, for a program that keeps the area (MADV_DONTNEED): where the page was taken from a reservation, another
    one is owed again, with its last piece. What was watched stays so.
    """
    entry = read_entry(pages.find_huge(address))
    reservation = _use_of(area).reservation
    source = _object_of(area)
    is_last = (address + HUGE_SIZE) & (1 << source.shift) - 1 == 0
    is_owed = reservation is not None and is_last and _is_alone(entry) and source.pool.surplus == 0
    is_owed = is_owed and not source.pool.is_leaving(Frame(entry_frame(entry)))
    if is_owed:
        # what counts against the quota is the reservation, again
        set_huge_quota(Frame(entry_frame(entry) & -(1 << source.order)), 0)
    drop_huge(pages, address)
    if entry & area.kept_bits != 0:
        pages.leave_huge_mark(address, entry & area.kept_bits)
    if is_owed and reservation is not None:
        number = source.number_at(area, address)
        if not reservation.has(number):
            reservation.restore(number)
            source.pool.reserved += 1


def protect_huge(slot: int, area: Area, flags: int) -> None:
    """Bring an entry in line with its area's new protection; `flags` are those of one that may be read."""
    entry = read_entry(slot) & ~(WRITABLE | NO_EXECUTE | HIDDEN | PRESENT | KEY_BITS)
    if area.prot & (PROT_READ | PROT_WRITE | PROT_EXEC) == 0:
        write_entry(slot, entry | HIDDEN)
        return
    if area.prot & PROT_WRITE != 0 and not area.shared and entry & WRITE_WATCHED == 0 and _is_alone(entry):
        entry |= WRITABLE
    write_entry(slot, entry | flags)


def share_huge(parent: PageTable, child: PageTable, area: Area, address: int) -> None:
    """fork: give the child the huge page at an address, as `share_entries` does. Sleeps where a device writes to the
    page, so that it must be copied. Raises MemoryError.
    """
    if child.find_huge(address) != 0:
        return  # it has a copy, with an earlier piece of the page
    slot = parent.find_huge(address)
    entry = read_entry(slot)
    head = entry_frame(entry)
    if not area.shared and entry & PRIVATE != 0 and is_huge_page_pinned(head):
        source = _object_of(area)
        whole = Frame(head & -(1 << source.order))
        own = _copy_for_child(source, whole)
        mapped = 0
        try:
            while mapped < source.pool.pieces:
                place = (address & -(1 << source.shift)) + (mapped << HUGE_SHIFT)
                _enter_piece(child, place, Frame(own + (mapped << HUGE_ORDER)), entry ^ make_entry(head, 0))
                mapped += 1
        finally:
            source.drop(own, mapped)
        return
    target = child.make_huge(address)
    if not area.shared and entry & WRITABLE != 0:
        entry &= ~WRITABLE
        write_entry(slot, entry)
    get_huge_page(head)
    write_entry(target, entry)
    child.huge_count += 1
    count_huge_mapping(head, 1)


def _copy_for_child(source: HugeObject, head: Frame) -> Frame:
    """A copy of a page that the owner of its reservation may take away meanwhile. Sleeps. Raises MemoryError."""
    source.hold(head)
    try:
        own = source.pool.take(is_reserved=False, quota=source.quota)
        source.copy(own, head)
        return own
    except Errno:
        raise MemoryError from None
    finally:
        source.drop(head)


# ---- Pages that a program fills (userfault.py) ----------------------------------------------------------------------


def fill_huge(
    pages: PageTable, area: Area, address: int, contents: list[int], within: int, flags: int, is_protected: bool
) -> None:
    """UFFDIO_COPY: map a page, with the bytes that begin at `within` in the first of some frames, which the caller
    holds. `flags` are those of an entry that may be read. Sleeps. Raises EEXIST, EFAULT (past the end of a file),
    ENOENT, EAGAIN (the area has changed), ENOMEM, MemoryError.
    """
    source = _object_of(area)
    number = source.number_at(area, address)
    rights = area.prot | area.key << 8
    source.begin(number)
    try:
        _check_is_served(area, address, rights)
        check_vacant(pages, area, address)
        if area.shared and number >= source.page_limit:
            raise Errno(EFAULT)
        head = _page_to_fill(area, source, number)
        _fill_from(head, contents, within)
        if area.shared:
            source.adopt(number, head)
        area.has_own_pages = area.has_own_pages or not area.shared
        flags |= HUGE | (0 if area.shared else PRIVATE)
        if is_protected:
            flags |= WRITE_WATCHED
        elif area.prot & PROT_WRITE != 0:
            flags |= WRITABLE | DIRTY
        _enter_filled(pages, area, address, head, flags, rights)
    finally:
        source.finish(number)


def check_vacant(pages: PageTable, area: Area, address: int) -> None:
    """Raise EEXIST where there is a page already, of the area or of the object that it shares."""
    source = _object_of(area)
    is_in_object = area.shared and source.huge_page(source.number_at(area, address)) != NO_FRAME
    if is_in_object or names_frame(pages.entry_of(address)):
        raise Errno(EEXIST)


def show_huge(pages: PageTable, area: Area, address: int, flags: int, is_protected: bool) -> None:
    """UFFDIO_CONTINUE: map a page that the object has; in a private area only for reading. Sleeps. Raises EEXIST,
    EFAULT, ENOENT, EAGAIN (the area has changed), MemoryError.
    """
    source = _object_of(area)
    number = source.number_at(area, address)
    rights = area.prot | area.key << 8
    source.begin(number)
    try:
        _check_is_served(area, address, rights)
        head = source.huge_page(number)
        if head == NO_FRAME:
            raise Errno(EFAULT)
        if names_frame(pages.entry_of(address)):
            raise Errno(EEXIST)
        flags |= HUGE
        if is_protected:
            flags |= WRITE_WATCHED
        elif area.shared and area.prot & PROT_WRITE != 0:
            flags |= WRITABLE | DIRTY
        get_huge_page(head)
        _enter_filled(pages, area, address, head, flags, rights)
    finally:
        source.finish(number)


def protect_huge_pages(pages: PageTable, start: int, end: int, is_protected: bool) -> None:
    """UFFDIO_WRITEPROTECT for whole pages, of which those that are not there get marks. Raises MemoryError, with some
    of them protected.
    """
    try:
        for address in range(start, end, HUGE_SIZE):
            slot = pages.find_huge(address)
            entry = pages.entry_of(address) if slot == 0 else read_entry(slot)
            if slot != 0:
                write_entry(slot, (entry & ~WRITABLE) | WRITE_WATCHED if is_protected else entry & ~WRITE_WATCHED)
            elif entry & POISONED == 0 and (is_protected or entry != 0):
                pages.set_huge_mark(address, WRITE_WATCHED if is_protected else 0)
    finally:
        pages.flush_range(start, end)


def poison_huge(pages: PageTable, address: int) -> None:
    """UFFDIO_POISON. Raises EEXIST, MemoryError."""
    if pages.entry_of(address) != 0:
        raise Errno(EEXIST)
    pages.set_huge_mark(address, POISONED)


def _check_is_served(area: Area, address: int, rights: int) -> None:
    """Raise ENOENT where an area is no longer registered after a sleep, EAGAIN where its protection has changed."""
    if area.space is None or area.handler is None or not area.start <= address < area.end:
        raise Errno(ENOENT)
    if area.prot | area.key << 8 != rights:
        raise Errno(EAGAIN)


def _page_to_fill(area: Area, source: HugeObject, number: int) -> Frame:
    """A page of undefined contents. The caller serves a fault in it, and the object has none. Raises ENOMEM,
    MemoryError.
    """
    found = source.frames.get(number)
    if area.shared and found == NO_FRAME:
        source.frames.put(number, OWED)  # so that nothing needs memory later
    try:
        return source.pool.take(found == OWED, source.quota) if area.shared else _take(area, source, number)
    except Errno:
        if area.shared and found == NO_FRAME:
            source.frames.remove(number)
        raise Errno(ENOMEM) from None


def _fill_from(head: Frame, contents: list[int], within: int) -> None:
    """Copy frames that lie anywhere into a page that nobody else knows. Has safe points."""
    for i in range(HUGE_FRAMES):
        target = frame_span(Frame(head + i))
        target[0 : PAGE_SIZE - within].copy_from(frame_span(Frame(contents[i]))[within:PAGE_SIZE])
        if within != 0:
            target[PAGE_SIZE - within : PAGE_SIZE].copy_from(frame_span(Frame(contents[i + 1]))[0:within])
        pace_bytes(2 * PAGE_SIZE)


def _enter_filled(pages: PageTable, area: Area, address: int, head: Frame, flags: int, rights: int) -> None:
    """Map a page; the caller's use of it becomes the entry's. Raises ENOENT, EAGAIN, MemoryError, with the page given
    back.
    """
    done = False
    try:
        _check_is_served(area, address, rights)
        if area.prot & (PROT_READ | PROT_WRITE | PROT_EXEC) == 0:
            flags = flags & ~(PRESENT | WRITABLE) | HIDDEN
        _map(pages, address, head, flags)
        done = True
    finally:
        if not done:
            put_huge_page(head)
