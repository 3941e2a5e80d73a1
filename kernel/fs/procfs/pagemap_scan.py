"""PAGEMAP_SCAN, a command of /proc/PID/pagemap: finds the pages of a range that are of the categories a program asks
for, and may protect them against writes at once.

With asynchronous protection (kernel/mm/userfault.py) a page is WRITTEN until it is protected, and again from the first
write on: a program that looks at intervals sees what changed between. Pages next to each other that look alike are one
region of the result. As on Linux, what is not there counts as written where there is a table.

Context: sleeps. Source: Linux's Documentation/admin-guide/mm/pagemap.rst.
"""

from typing import Final

from arch import USER_END
from arch.programs import PRIVATE, WRITE_WATCHED, names_frame, read_entry, table_end
from kernel.lang import EFAULT, EINTR, EINVAL, ENOMEM, EPERM, Errno, Span, UserAddr, final, span_of, u8, u64
from kernel.lib import user
from kernel.lib.pace import is_dying, pace
from kernel.mm.area import Area
from kernel.mm.frames import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE
from kernel.mm.huge_fault import protect_huge_pages
from kernel.mm.huge_pool import HUGE_MASK, HUGE_SIZE
from kernel.mm.space import AddressSpace
from kernel.mm.userfault import WRITE_PROTECT, leaves_marks, protect_at

SCAN: Final = 0xC060_6610
ARGUMENT_BYTES: Final = 96  # struct pm_scan_arg
_WALK_END_AT: Final = 32

_PROTECTS: Final = 1  # PM_SCAN_WP_MATCHING
_INSISTS: Final = 2  # PM_SCAN_CHECK_WPASYNC

# PAGE_IS_*
_PROTECTABLE: Final = 1
_WRITTEN: Final = 2
_FILE: Final = 4
_PRESENT: Final = 8
_SWAPPED: Final = 16
_HUGE: Final = 64
_SOFT_DIRTY: Final = 128
_CATEGORIES: Final = 255

_REGION_BYTES: Final = 24  # struct page_region
_REGIONS_AT_ONCE: Final = 512
_NO_LIMIT: Final = 1 << 60
_PART_COST: Final = 40_000  # instructions, for `pace`
_AREA_COST: Final = 400


@final
class Scan:
    """One such call. The caller holds the space by `acquire`."""

    def __init__(self, space: AddressSpace, argument: Span[u8]) -> None:
        """`argument` is a struct pm_scan_arg. Raises EINVAL, EFAULT, MemoryError."""
        self.space: AddressSpace = space
        self.flags: int = _word(argument, 8)
        self.start: int = _word(argument, 16)
        self.end: int = _word(argument, 24)
        self.vector: int = _word(argument, 40)  # where the regions go, 0 for nowhere
        self.room: int = _word(argument, 48)  # for regions
        most = _word(argument, 56)
        self.inverted: int = _word(argument, 64)
        self.required: int = _word(argument, 72)
        self.any_of: int = _word(argument, 80)
        self.returned: int = _word(argument, 88)
        self.walk_end: int = 0  # where a full result ends
        self.regions: int = 0  # that were returned
        self.most_pages: int = most if 0 < most < _NO_LIMIT else _NO_LIMIT
        self.found_pages: int = 0
        self._check(_word(argument, 0))
        self.end = (self.end + PAGE_MASK) & ~PAGE_MASK  # fits: it was checked
        if self.room == 0:
            self.vector = 0
        self._is_full: bool = False
        self._buffer: bytearray = bytearray(_REGION_BYTES * min(self.room, _REGIONS_AT_ONCE))  # fits: it was checked
        self._buffered: int = 0  # regions, without the last
        self._last_start: int = 0  # the last region; its end is 0 if there is none
        self._last_end: int = 0
        self._last_categories: int = 0
        self._kind: int = 0  # categories of all pages of the area

    def _check(self, size: int) -> None:
        if size != ARGUMENT_BYTES or self.flags & ~(_PROTECTS | _INSISTS) != 0:
            raise Errno(EINVAL)
        if (self.inverted | self.required | self.any_of | self.returned) & ~_CATEGORIES != 0:
            raise Errno(EINVAL)
        if self.start & PAGE_MASK != 0:
            raise Errno(EINVAL)
        if not 0 <= self.start <= self.end <= USER_END:
            raise Errno(EFAULT)
        if self.vector == 0 and self.room != 0:
            raise Errno(EINVAL)
        if self.vector != 0:
            if not 0 <= self.room <= USER_END // _REGION_BYTES:
                raise Errno(EFAULT)
            if not 0 <= self.vector <= USER_END - self.room * _REGION_BYTES:
                raise Errno(EFAULT)

    def run(self) -> int:
        """Returns how many regions were found. Raises EPERM (the caller insists on memory that can be protected),
        EINTR, EFAULT, ENOMEM; `walk_end` holds then as well.
        """
        place = self.start
        error = 0
        while place < self.end and error == 0:
            try:
                place = self._scan(place)
            except Errno as failure:
                error = failure.code
            except MemoryError:
                error = ENOMEM
            try:
                self._flush()
            except Errno as failure:
                error = failure.code
            if not self._is_full:
                continue
            if self.room == 0 or self.found_pages == self.most_pages:
                break
            self._is_full = False
            self.walk_end = 0
        if self.walk_end == 0:
            self.walk_end = self.end
        if error != 0:
            raise Errno(error)
        return self.regions

    def _scan(self, place: int) -> int:
        """Look at pages until the result is full; returns where the rest begins. Raises EPERM, EINTR, MemoryError."""
        space = self.space
        while place < self.end:
            if is_dying():
                raise Errno(EINTR)
            if self.flags & _PROTECTS != 0:
                space.settle()
            area = space.areas.first_above(place)
            if area is None or area.start >= self.end:
                return self.end
            place = max(place, area.start)
            stop = min(area.end, self.end)
            if self._takes(area):
                place = self._scan_part(area, place, stop)
                if self._is_full:
                    return place
                pace(_PART_COST)
            else:
                place = stop
                pace(_AREA_COST)
        return place

    def _takes(self, area: Area) -> bool:
        """Whether pages of an area can be in the result. Raises EPERM."""
        handler = area.handler
        is_protectable = handler is not None and handler.is_asynchronous and leaves_marks(area)
        if not is_protectable:
            if self.flags & _INSISTS != 0:
                raise Errno(EPERM)
            if self.flags & _PROTECTS != 0:
                return False
        self._kind = _SOFT_DIRTY | (_PROTECTABLE if is_protectable else 0)
        required = self.required & _PROTECTABLE
        return (self._kind ^ self.inverted) & required == required

    def _scan_part(self, area: Area, start: int, end: int) -> int:
        """Look at pages of an area that is taken, as many as are looked at at once. Returns where the rest begins."""
        pages = self.space.pages
        if area.is_huge:
            return self._scan_huge(area, start, end)
        first = pages.next_table(start, end)
        if first > start:
            if self.flags & _PROTECTS != 0:
                first = min(first, table_end(start))
            return self._hole(area, start, first)
        end = min(end, table_end(start))
        if pages.find_large(start) != 0:
            return self._scan_large(area, start, end)
        try:
            return self._scan_table(area, start, end)
        finally:
            if self.flags & _PROTECTS != 0:
                pages.flush_range(start, end)

    def _hole(self, area: Area, start: int, end: int) -> int:
        """Pages without a table."""
        if not self._is_wanted(self._kind):
            return end
        end = self._put(self._kind, start, end)
        if self.flags & _PROTECTS != 0:
            for address in range(start, end, PAGE_SIZE):
                self.space.pages.make(address)
                protect_at(self.space, address, is_protected=True)
        return end

    def _scan_large(self, area: Area, start: int, end: int) -> int:
        """A part of a large page, or the whole."""
        entry = self.space.pages.entry_of(start)
        categories = self._kind | self._categories_of(area, entry) | _HUGE
        if not self._is_wanted(categories):
            return end
        if self.flags & _PROTECTS != 0 and categories & _WRITTEN != 0:
            self.space.pages.find(start)  # from now on they are single pages
            if end - start < HUGE_SIZE:  # fits: both are user addresses
                return start
        end = self._put(categories, start, end)
        if self.flags & _PROTECTS != 0 and categories & _WRITTEN != 0:
            for address in range(start, end, PAGE_SIZE):
                protect_at(self.space, address, is_protected=True)
            self.space.pages.flush_range(start, end)
        return end

    def _scan_huge(self, area: Area, start: int, end: int) -> int:
        """A huge page, or a part of it, which cannot be protected."""
        pages = self.space.pages
        end = min(end, (start & ~HUGE_MASK) + HUGE_SIZE)  # fits: it is a user address
        categories = self._kind
        if pages.has_upper_tables(start):
            categories |= _HUGE | self._categories_of(area, pages.entry_of(start))
        if not self._is_wanted(categories):
            return end
        stop = self._put(categories, start, end)
        if self.flags & _PROTECTS != 0 and stop > start and categories & (_WRITTEN | _HUGE) != _HUGE:
            if stop - start < HUGE_SIZE:
                self._take_back(start, stop)
                return end
            protect_huge_pages(pages, start, stop, is_protected=True)
        return stop

    def _scan_table(self, area: Area, start: int, end: int) -> int:
        """Pages that one table maps. The caller flushes."""
        protects = self.flags & _PROTECTS != 0
        any_will_do = protects and self.vector == 0
        only_written = (
            self.any_of == 0 and self.inverted == 0 and self.required == _WRITTEN and self.returned == _WRITTEN
        )
        slot = self.space.pages.find(start)
        for address in range(start, end, PAGE_SIZE):
            entry = read_entry(slot)
            is_watched = _is_watched(area, entry)
            if any_will_do or only_written:
                categories = self._kind | _WRITTEN
                is_wanted = not is_watched
            else:
                categories = self._kind | self._categories_of(area, entry)
                is_wanted = self._is_wanted(categories)
            if is_wanted:
                if self._put(categories, address, address + PAGE_SIZE) == address:  # fits: it is a user address
                    return address
                if protects and categories & _WRITTEN != 0:
                    protect_at(self.space, address, is_protected=True)
                if self._is_full:
                    return address + PAGE_SIZE  # fits: it is a user address
            slot += 8
        return end

    def _categories_of(self, area: Area, entry: int) -> int:
        """Those of a page by its entry."""
        if names_frame(entry):
            is_own = area.source is None or entry & PRIVATE != 0
            categories = _PRESENT | (0 if is_own else _FILE)
        elif entry == 0 or (entry == WRITE_WATCHED and area.fault_modes & WRITE_PROTECT == 0):
            return 0 if area.is_huge else _WRITTEN
        else:
            categories = _SWAPPED
        return categories | (0 if _is_watched(area, entry) else _WRITTEN)

    def _is_wanted(self, categories: int) -> bool:
        categories ^= self.inverted
        if categories & self.required != self.required:
            return False
        return self.any_of == 0 or categories & self.any_of != 0

    # ---- The result -------------------------------------------------------------------------------------------------

    def _put(self, categories: int, start: int, end: int) -> int:
        """Add pages to the result, unless there is none. Returns up to where they were added; if it is full now,
        `walk_end` says so as well.
        """
        if self.vector == 0:
            return end
        categories &= self.returned
        excess = self.found_pages + (end - start >> PAGE_SHIFT) - self.most_pages  # fits: no more than user memory has
        if excess > 0:
            end -= excess << PAGE_SHIFT  # fits: it is in the range
            self._is_full = True
        if end > start and not self._add(categories, start, end):
            end = start
            self._is_full = True
        self.found_pages += end - start >> PAGE_SHIFT  # fits: no more than user memory has
        if self._is_full:
            self.walk_end = end
        return end

    def _add(self, categories: int, start: int, end: int) -> bool:
        """Add a region, or lengthen the last; whether there was room."""
        if self._last_end == start and self._last_categories == categories:
            self._last_end = end
            return True
        if self._last_end != 0:
            if self._buffered >= min(self.room, _REGIONS_AT_ONCE) - 1:  # fits: it was checked
                return False
            self._store_last()
        elif self.room == 0:
            return False
        self._last_start = start
        self._last_end = end
        self._last_categories = categories
        return True

    def _take_back(self, start: int, end: int) -> None:
        """Take back the pages that were put into the result last."""
        self._is_full = False
        self.walk_end = 0
        if self.vector == 0:
            return
        self.found_pages -= end - start >> PAGE_SHIFT
        self._last_end = 0 if self._last_start == start else start

    def _store_last(self) -> None:
        """Put the last region into the buffer."""
        span = span_of(self._buffer)
        place = self._buffered * _REGION_BYTES
        span.store_u64(place, u64(self._last_start))
        span.store_u64(place + 8, u64(self._last_end))
        span.store_u64(place + 16, u64(self._last_categories))
        self._buffered += 1
        self._last_end = 0

    def _flush(self) -> None:
        """Return the regions that were found so far to the caller. Raises EFAULT."""
        if self._last_end != 0:
            self._store_last()
        count = self._buffered
        if count == 0:
            return
        self._buffered = 0
        user.write_bytes(UserAddr(self.vector), bytes(self._buffer[: count * _REGION_BYTES]))
        self.vector += count * _REGION_BYTES
        self.room -= count  # fits: as many were found
        self.regions += count


def _is_watched(area: Area, entry: int) -> bool:
    return entry & WRITE_WATCHED != 0 and area.fault_modes & WRITE_PROTECT != 0


def _word(argument: Span[u8], offset: int) -> int:
    low = argument.load_u32(offset)
    high = argument.load_u32(offset + 4)
    return low | (high - (1 << 32) if high >= 1 << 31 else high) << 32


def scan(space: AddressSpace, address: UserAddr) -> int:
    """PAGEMAP_SCAN with the struct pm_scan_arg at an address of the caller's; returns how many regions were found."""
    argument = span_of(user.read_bytes(address, ARGUMENT_BYTES))
    work = Scan(space, argument)
    if space.users == 0:
        user.write_i64(user.at(address, _WALK_END_AT), work.end)
        return 0  # it has ended
    space.acquire()
    try:
        return work.run()
    finally:
        space.release()
        user.write_i64(user.at(address, _WALK_END_AT), work.walk_end)
