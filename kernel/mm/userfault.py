"""Faults that a program serves itself (userfaultfd(2)): when a handler is asked, and what its answer maps.

An area that is registered has a `FaultHandler` and modes. An access to a page that is not present (MISSING) or that
another mapping of the same memory has already (MINOR), or a write to a protected page (WP), is left to the handler,
which makes the thread sleep until somebody has filled the page (task/userfault.py). The thread then faults again.

A page is protected by the bit WRITE_WATCHED of its entry, which is never there together with WRITABLE. Where no area is
registered for WP, the bit means nothing. What is not there is protected by a mark, an entry without a frame: so is all
memory of objects, and private memory if the handler asked for that. With asynchronous protection nobody is asked: the
first write takes the bit away, and a look at the entries shows what was written (kernel/fs/procfs/pagemap_scan.py).

A handler may poison a page that is not there: a mark again, and whoever touches it gets SIGBUS.

A handler may want to hear of what else happens to its areas (EVENT_*). A `Change` is announced before anything happens,
and reported once the memory is as the program wanted it; whoever reports it waits until somebody has read of it.
From the announcement to the reading no page is filled (`FaultHandler.changing`), since it might come to lie where the
program has unmapped what was there.

Context: asking and reporting sleep. Filling a page does not, and raises MemoryError. Announcing raises MemoryError.
"""

from typing import TYPE_CHECKING, Final

from arch import USER_END
from arch.programs import (
    DIRTY,
    POISONED,
    PRIVATE,
    WRITABLE,
    WRITE_WATCHED,
    entry_frame,
    entry_slot,
    is_swapped,
    make_entry,
    names_frame,
    read_entry,
    write_entry,
)
from kernel.lang import EBUSY, EEXIST, EFAULT, EINVAL, ENOENT, ENOSPC, EPERM, Errno, final, u8
from kernel.lib.linked import Linked
from kernel.lib.pace import is_dying, pace
from kernel.mm.area import MAP_LOCKED, PROT_EXEC, PROT_READ, PROT_WRITE, WATCHES_WRITES, Area
from kernel.mm.area_tree import following
from kernel.mm.broken import names_broken
from kernel.mm.fault import Access, FaultOutcome, entry_flags, protect_entry
from kernel.mm.frames import (
    NO_FRAME,
    PAGE_MASK,
    PAGE_SIZE,
    Frame,
    copy_frame,
    get_frame,
    has_sole_owner,
    is_huge_page_pinned,
    is_pinned,
    is_row_alone,
    put_frame,
)
from kernel.mm.huge_fault import poison_huge, protect_huge_pages, show_huge
from kernel.mm.huge_pool import HUGE_MASK, HUGE_SIZE
from kernel.mm.objects import MemoryObject
from kernel.mm.swap_slots import SWAP

if TYPE_CHECKING:
    from kernel.mm.space import AddressSpace

MISSING: Final = 1  # UFFDIO_REGISTER_MODE_*
WRITE_PROTECT: Final = WATCHES_WRITES
MINOR: Final = 4
MODES: Final = MISSING | WRITE_PROTECT | MINOR

FAULT_WRITE: Final = 1  # UFFD_PAGEFAULT_FLAG_*
FAULT_PROTECTED: Final = 2
FAULT_MINOR: Final = 4

EVENT_FORK: Final = 1 << 1  # UFFD_FEATURE_EVENT_*: what a handler may want to hear of
EVENT_REMAP: Final = 1 << 2
EVENT_REMOVE: Final = 1 << 3
EVENT_UNMAP: Final = 1 << 6
EVENTS: Final = EVENT_FORK | EVENT_REMAP | EVENT_REMOVE | EVENT_UNMAP

_LOOKS_MASK: Final = 4095  # a safe point after looking at that many areas
_LOOKS_COST: Final = 100_000  # instructions
_MARKED_BYTES: Final = 1 << 21  # of what is not there and is protected at once


class FaultHandler:
    """Serves the faults of an area. Base class."""

    def __init__(self) -> None:
        self.is_closed: bool = False  # it serves no faults any more
        self.is_asynchronous: bool = False  # it is not asked for protected pages: a write takes the protection away
        self.protects_absent: bool = False  # also pages of private memory that are not there can be protected
        self.wanted: u8 = 0  # EVENT_*: the changes of its areas that it wants to hear of
        self.changing: int = 0  # changes that are announced, and not over
        self.latest: Change | None = None  # the last of them, until it is over

    def ask(self, address: int, page: int, flags: int, by_kernel: bool) -> FaultOutcome:
        """Let somebody fill the page that holds an address, and begins at `page`; and wait for it. DONE: look again.
        NO_SUCH_PAGE: the program gets SIGBUS.
        """
        return FaultOutcome.NO_SUCH_PAGE

    def wake(self, start: int, length: int) -> None:
        """The pages of a range may be present, or are no longer served: wake the threads that wait for them. Sleeps."""

    def announce(self, kind: int, first: int = 0, second: int = 0) -> "Change":
        """A change that is about to happen. Raises MemoryError."""
        return Change(self, kind, first, second)

    def report(self, change: "Change") -> None:
        """The change has happened: wait until somebody has read of it, or nobody will. The change is over then. Sleeps,
        whatever signals come, until the caller is killed.
        """
        change.end()

    def inherit(self, child: "AddressSpace") -> "FaultHandler":
        """The handler of the same areas in a forked child's memory; the caller is its user. Raises MemoryError."""
        return FaultHandler()

    def release(self) -> None:
        """The handler has a user less; without any it serves no faults. Sleeps. Raises nothing."""


class Change(Linked["Change"]):
    """What happens to areas of a handler."""

    def __init__(self, handler: FaultHandler, kind: int, first: int, second: int) -> None:
        super().__init__()
        self.handler: FaultHandler = handler
        self.kind: int = kind  # EVENT_*
        self.first: int = first  # the range, as addresses; of EVENT_REMAP: where it was, and where it is
        self.second: int = second
        self.length: int = 0  # of EVENT_REMAP: bytes
        self.heir: FaultHandler | None = None  # of EVENT_FORK: the handler of the child's memory
        self.call: Change | None = None  # the first change by the same call, unless that is this one
        self.then: Change | None = None  # the next change by the same call, which is reported after this one
        self.is_over: bool = False
        handler.changing += 1
        handler.latest = self

    def this(self) -> "Change":
        return self

    def wake(self) -> None:
        """Wake the thread that reports it."""

    def leave_call(self) -> "Change | None":
        """It is done with: returns the next change by the same call. So a long chain does not end all at once."""
        after = self.then
        self.then = None
        return after

    def end(self) -> None:
        """Somebody has read of it, or nobody will. Sleeps. Raises nothing."""
        if self.is_over:
            return
        self.is_over = True
        self.call = None
        handler = self.handler
        handler.changing -= 1
        if handler.latest is self:
            handler.latest = None
        heir = self.heir
        self.heir = None
        if heir is not None:
            heir.release()


def flags_of(space: "AddressSpace", area: Area, address: int, access: Access) -> int:
    """How the handler of an area sees a fault, FAULT_*; -1 if it does not serve such faults, or there is no handler."""
    modes = area.fault_modes
    handler = area.handler
    if handler is None:
        return -1
    write = FAULT_WRITE if access == Access.WRITE else 0
    entry = space.pages.entry_of(address)
    if is_swapped(entry):
        return -1  # it comes first: then it may be protected
    if names_frame(entry):
        is_protected = modes & WRITE_PROTECT != 0 and entry & WRITE_WATCHED != 0 and not handler.is_asynchronous
        return FAULT_WRITE | FAULT_PROTECTED if is_protected and write != 0 else -1
    source = area.source
    if source is not None and area.index_of(address) >= source.fillable_pages():
        return -1  # nobody could fill it
    if source is None or not source.has_page(area.index_of(address)):
        return write if modes & MISSING != 0 else -1
    return write | FAULT_MINOR if modes & MINOR != 0 else -1


# ---- Registering ----------------------------------------------------------------------------------------------------


def check_range(space: "AddressSpace", start: int, end: int, modes: int, handler: FaultHandler | None) -> bool:
    """Check that a range may be registered or, with None, unregistered: it has an area, and all its areas support that.
    Returns whether one of them has huge pages. Raises EINVAL; EPERM, EBUSY for areas that may not be registered. Sleeps
    if there are very many.
    """
    area = space.areas.first_above(start)
    if area is None or area.start >= end:
        raise Errno(EINVAL)
    if area.is_huge and start & HUGE_MASK != 0:
        raise Errno(EINVAL)
    has_huge = False
    looks = 0
    while area is not None and area.start < end:
        _check_area(area, modes, handler)
        if area.is_huge:
            has_huge = True
            if handler is not None and end <= area.end and end & HUGE_MASK != 0:
                raise Errno(EINVAL)
        looks += 1
        area = _next_area(space, area, looks)
    return has_huge


def _next_area(space: "AddressSpace", area: Area, looks: int) -> Area | None:
    """The next area above, with an occasional safe point."""
    if looks & _LOOKS_MASK != 0:
        return following(area)
    end = area.end
    pace(_LOOKS_COST)
    return space.areas.first_above(end)


def _check_area(area: Area, modes: int, handler: FaultHandler | None) -> None:
    """Check that an area can be registered for modes or, with None, unregistered. Raises EINVAL, EPERM, EBUSY."""
    by = handler
    if by is None:
        modes = area.fault_modes
        by = area.handler
    source = area.source
    if area.page_bytes > HUGE_SIZE:
        raise Errno(EINVAL)
    is_filled = source is None or source.fillable_pages() >= 0
    if source is None and modes & MINOR != 0:
        raise Errno(EINVAL)
    if not is_filled and (modes != WRITE_PROTECT or by is None or not by.is_asynchronous):
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
        address = space.pages.next_huge(area.start, area.end)
        while address < area.end:
            slot = space.pages.find_huge(address)
            write_entry(slot, read_entry(slot) & ~WRITE_WATCHED)
            address = space.pages.next_huge(address + HUGE_SIZE, area.end)
        space.pages.keep_huge_marks(area.start, area.end, POISONED)
        address = space.pages.next_mapped(area.start, area.end)
        while address < area.end:
            if space.pages.entry_of(address) & WRITE_WATCHED != 0:
                slot = space.pages.find(address)
                write_entry(slot, read_entry(slot) & ~WRITE_WATCHED)  # a bit that no processor looks at; or a mark
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


# ---- Changes --------------------------------------------------------------------------------------------------------


def report(changes: Change | None) -> None:
    """The changes of a call have happened: report each, and wait for its reader. Sleeps. Raises nothing."""
    while changes is not None:
        changes.handler.report(changes)
        changes = changes.leave_call()


def withdraw(changes: Change | None) -> None:
    """The changes of a call have not happened. Sleeps. Raises nothing."""
    while changes is not None:
        changes.end()
        changes = changes.leave_call()


def _listener(area: Area, event: int) -> FaultHandler | None:
    """The handler of an area, if it wants to hear of an event."""
    handler = area.handler
    return None if handler is None or handler.is_closed or handler.wanted & event == 0 else handler


def join(changes: Change | None, others: Change | None) -> Change | None:
    """Append changes to those of a call. Returns the first."""
    if changes is None:
        return others
    last = changes
    after = last.then
    while after is not None:
        last = after
        after = last.then
    last.then = others
    return changes


def _of_handler(changes: Change | None, handler: FaultHandler) -> Change | None:
    """That of a call's changes of which a handler will hear. Takes no time, however many there are, unless the handler
    is about to hear of another call's, too.
    """
    latest = handler.latest
    if changes is None or latest is None:
        return None
    if latest is changes or latest.call is changes:
        return latest
    found: Change | None = changes
    while found is not None and found.handler is not handler:
        found = found.then
    return found


def expect_unmapping(space: "AddressSpace", start: int, length: int) -> Change | None:
    """Announce that a range, which need not be a sound one, is about to be unmapped: the whole of it, once to each
    handler. Sleeps if there are very many areas. Raises MemoryError.
    """
    if not space.has_handlers or start < 0 or length <= 0 or length > USER_END or start > USER_END - length:
        return None
    end = (start + length + PAGE_MASK) & ~PAGE_MASK
    changes: Change | None = None
    last: Change | None = None
    looks = 0
    area = space.areas.first_above(start)
    try:
        while area is not None and area.start < end:
            handler = _listener(area, EVENT_UNMAP)
            if handler is not None and _of_handler(changes, handler) is None:
                last = _follow(changes, last, handler.announce(EVENT_UNMAP, start, end))
                changes = last if changes is None else changes
            looks += 1
            area = _next_area(space, area, looks)
    except MemoryError:
        withdraw(changes)
        raise
    return changes


def _follow(first: Change | None, last: Change | None, change: Change) -> Change:
    """Append a change to those of a call; it is the last one now."""
    change.call = first
    if last is not None:
        last.then = change
    return change


def expect_moving(area: Area) -> Change | None:
    """Announce that pages of an area are about to be moved. The caller fills in where from and to."""
    handler = _listener(area, EVENT_REMAP)
    return None if handler is None else handler.announce(EVENT_REMAP)


def keep_handler(area: Area, other: Area) -> None:
    """Pages of an area go to another one: as on Linux, its handler comes along only if it hears of that."""
    handler = _listener(area, EVENT_REMAP)
    if handler is not None:
        other.handler = handler
        other.fault_modes = area.fault_modes


def hear_of_removal(area: Area, start: int, end: int) -> bool:
    """The pages of a part of an area are about to be given back: its handler hears of that first. Returns whether it
    did: others may have changed the area meanwhile. Sleeps. Raises MemoryError.
    """
    handler = _listener(area, EVENT_REMOVE)
    if handler is None:
        return False
    handler.report(handler.announce(EVENT_REMOVE, start, end))
    return True


@final
class Births:
    """What the handlers of a parent's memory are to hear of a fork."""

    def __init__(self) -> None:
        self._changes: Change | None = None
        self._last: Change | None = None

    def inherit_handler(self, area: Area, copy: Area, child: "AddressSpace") -> None:
        """The copy of an area in the child's memory has a handler of its own if that of the parent's hears of forks,
        else none. Raises MemoryError.
        """
        handler = _listener(area, EVENT_FORK)
        if handler is None:
            return
        birth = _of_handler(self._changes, handler)
        if birth is None:
            heir = handler.inherit(child)
            birth = handler.announce(EVENT_FORK)
            birth.heir = heir
            self._last = _follow(self._changes, self._last, birth)
            self._changes = birth if self._changes is None else self._changes
        copy.handler = birth.heir
        copy.fault_modes = area.fault_modes
        child.has_handlers = True
        child.needs_care = True

    def end(self, are_real: bool) -> None:
        """The child's memory is complete, or there will be no child. Sleeps. Raises nothing."""
        changes = self._changes
        self._changes = None
        self._last = None
        if are_real:
            report(changes)
        else:
            withdraw(changes)


# ---- Filling --------------------------------------------------------------------------------------------------------


def area_to_fill(space: "AddressSpace", start: int, length: int) -> Area:
    """The registered area that holds a whole range. Raises ENOENT; EINVAL where a program cannot fill pages."""
    area = space.area_at(start)
    if area is None or area.handler is None or length > area.end - start:
        raise Errno(ENOENT)
    source = area.source
    if source is not None and source.fillable_pages() < 0:
        raise Errno(EINVAL)
    return area


def page_size(area: Area) -> int:
    """How many bytes of an area are filled at once."""
    return HUGE_SIZE if area.is_huge else PAGE_SIZE


def check_whole(area: Area, start: int, length: int) -> None:
    """Raise EINVAL unless a range consists of whole pages of an area."""
    if (start | length) & page_size(area) - 1 != 0:
        raise Errno(EINVAL)


def put_page(
    space: "AddressSpace", area: Area, address: int, frame: Frame, is_protected: bool, spares_marks: bool = False
) -> None:
    """Map a filled frame where there is no page: the frame itself if the page is private, a copy if the memory is
    shared. A mark gives way, in private memory unless the caller spares it. The caller keeps its reference. Raises
    EEXIST, EFAULT (past the end of a file), MemoryError.
    """
    entry = read_entry(space.pages.make(address))
    if names_frame(entry) or is_swapped(entry) or (entry != 0 and spares_marks and not area.shared):
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
    if source.has_page(index):
        raise Errno(EEXIST)
    shared = _page_of(source, index, for_write=True)
    copy_frame(shared, frame)
    _enter(space, area, address, shared, flags)


def show_page(space: "AddressSpace", area: Area, address: int, is_protected: bool = False) -> bool:
    """UFFDIO_CONTINUE: map a page that the shared memory has; in a private area only for reading, until a write copies
    it. A mark gives way. Sleeps where pages are huge, and where one is read from a swap area: then it returns False,
    and is to be called again. Raises EEXIST, EFAULT, EINVAL, ENOENT, MemoryError.
    """
    source = area.source
    if source is None:
        raise Errno(EINVAL)
    if area.is_huge:
        show_huge(space.pages, area, address, entry_flags(area), is_protected)
        return True
    entry = read_entry(space.pages.make(address))
    if names_frame(entry) or is_swapped(entry):
        raise Errno(EEXIST)
    index = area.index_of(address)
    if not source.has_page(index):
        raise Errno(EFAULT if index < source.fillable_pages() else EINVAL)
    if source.resident(index) == NO_FRAME:  # it lies in a swap area
        put_frame(_page_of(source, index, for_write=False))
        return False
    is_writable = area.shared and area.prot & PROT_WRITE != 0 and not is_protected
    frame = _page_of(source, index, is_writable)
    flags = entry_flags(area) | (WRITABLE | DIRTY if is_writable else 0) | (WRITE_WATCHED if is_protected else 0)
    _enter(space, area, address, frame, flags)
    return True


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
    """Let an entry without a frame map one; the entry takes over the reference."""
    slot = space.pages.find(address)
    write_entry(slot, make_entry(frame, flags))
    if area.prot & (PROT_READ | PROT_WRITE | PROT_EXEC) == 0:
        protect_entry(slot, area)  # it is kept, and nobody sees it yet
    space.resident += 1
    space.peak_resident = max(space.peak_resident, space.resident)


def poison_page(space: "AddressSpace", area: Area, address: int) -> None:
    """UFFDIO_POISON: let whoever touches a page that is not there get SIGBUS. Raises EEXIST, EFAULT (past the end of a
    file), MemoryError.
    """
    if area.is_huge:
        poison_huge(space.pages, address)
        space.note_broken()
        return
    slot = space.pages.make(address)
    source = area.source
    if source is not None and area.index_of(address) >= source.fillable_pages():
        raise Errno(EFAULT)
    if read_entry(slot) != 0:
        raise Errno(EEXIST)
    write_entry(slot, POISONED)
    space.note_broken()


def leaves_marks(area: Area) -> bool:
    """Whether pages of an area that are not there can be protected."""
    handler = area.handler
    if handler is None or area.fault_modes & WRITE_PROTECT == 0:
        return False
    return area.source is not None or handler.protects_absent


def protect_end(area: Area, start: int, end: int) -> int:
    """Where the part of an area that is protected at once has to end: marks are many."""
    return min(end, start + _MARKED_BYTES) if leaves_marks(area) and not area.is_huge else end


def protect_pages(space: "AddressSpace", area: Area, start: int, end: int, is_protected: bool) -> None:
    """UFFDIO_WRITEPROTECT for a part of an area, at once: `part_end` and `protect_end` say how large. Raises
    MemoryError, with some pages protected.
    """
    if area.is_huge:
        protect_huge_pages(space.pages, start, end, is_protected)
        return
    try:
        if is_protected and leaves_marks(area):
            for address in range(start, end, PAGE_SIZE):
                space.pages.make(address)
                protect_at(space, address, is_protected)
        else:
            address = space.pages.next_mapped(start, end)
            while address < end:
                protect_at(space, address, is_protected)
                address = space.pages.next_mapped(address + PAGE_SIZE, end)
    finally:
        space.pages.flush_range(start, end)


def protect_at(space: "AddressSpace", address: int, is_protected: bool) -> None:
    """The same for one page, whose table is there. The caller flushes."""
    slot = space.pages.find(address)
    entry = read_entry(slot)
    if entry & POISONED != 0 and not names_frame(entry):
        return
    write_entry(slot, (entry & ~WRITABLE) | WRITE_WATCHED if is_protected else entry & ~WRITE_WATCHED)


# ---- Moving ---------------------------------------------------------------------------------------------------------


def area_to_move_to(space: "AddressSpace", source: int, target: int, length: int, handler: FaultHandler) -> Area:
    """The area at `target`, once it is clear that pages can be moved there from `source`: both ranges are private
    memory of the same kind, and the handler serves the target. Raises ENOENT, EINVAL.
    """
    area = space.area_at(target)
    if area is None:
        raise Errno(ENOENT)
    other = area if area.start <= source < area.end else space.area_at(source)
    if other is None:
        raise Errno(ENOENT)
    if area.shared or other.shared or length > other.end - source or length > area.end - target:
        raise Errno(EINVAL)
    if area.prot != other.prot or area.key != other.key or (area.flags ^ other.flags) & MAP_LOCKED != 0:
        raise Errno(EINVAL)
    if area.prot & PROT_WRITE == 0 or area.handler is not handler:
        raise Errno(EINVAL)
    if area.source is not None or other.source is not None:
        raise Errno(EINVAL)
    return area


def move_page(space: "AddressSpace", area: Area, source: int, target: int, skips_holes: bool) -> None:
    """UFFDIO_MOVE for one page, to an area where there is none. The caller flushes what was at `source`. Raises EEXIST;
    ENOENT (nothing to move, unless holes are skipped), EBUSY (somebody else has the page), EFAULT, MemoryError.
    """
    pages = space.pages
    if not skips_holes and not pages.has_table(source):
        raise Errno(ENOENT)
    place = pages.make(target)
    if read_entry(place) != 0:
        raise Errno(EEXIST)
    entry = pages.entry_of(source)
    if entry == 0:
        if not skips_holes:
            raise Errno(ENOENT)
        return
    if is_swapped(entry):
        _move_slot(area, pages.find(source), place)
        return
    if names_broken(entry) or not names_frame(entry):
        raise Errno(EFAULT)
    frame = entry_frame(entry)
    is_own = entry & PRIVATE != 0 and entry & (WRITABLE | WRITE_WATCHED) != 0
    if not is_own or not has_sole_owner(frame) or is_pinned(frame):
        raise Errno(EBUSY)
    write_entry(pages.find(source), 0)
    area.has_own_pages = True
    write_entry(place, make_entry(frame, entry_flags(area) | WRITABLE | DIRTY | PRIVATE))


def _move_slot(area: Area, source: int, target: int) -> None:
    """The same for a page that lies in a slot. Raises EBUSY."""
    entry = read_entry(source)
    slot = entry_slot(entry)
    if SWAP.users(slot) != (1 if SWAP.find(slot) is None else 2):
        raise Errno(EBUSY)
    write_entry(source, 0)
    area.has_own_pages = True
    write_entry(target, entry & ~WRITE_WATCHED)


def move_large_page(space: "AddressSpace", area: Area, source: int, target: int) -> bool:
    """The same for a large page, as a whole, to a place where there is nothing at all; False where pages are to be
    moved one by one. The caller flushes. Raises MemoryError.
    """
    pages = space.pages
    slot = pages.find_large(source)
    if slot == 0 or (source | target) & HUGE_MASK != 0:
        return False
    entry = read_entry(slot)
    head = entry_frame(entry)
    if entry & WRITABLE == 0 or not is_row_alone(head) or is_huge_page_pinned(head):
        return False
    if pages.next_mapped(target, target + HUGE_SIZE) < target + HUGE_SIZE:
        return False
    area.has_own_pages = True
    return pages.move_large(source, target)
