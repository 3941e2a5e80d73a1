"""Address spaces: sorted areas over a page table.

Invariants: areas are sorted by start and do not overlap; every mapped page lies in an area; `resident` counts non-zero
entries. The task layer sets the limits (`address_limit`, `data_limit`, `stack_limit`, bytes) from the process's
resource limits.

Context: `fault` and `populate` may sleep; the rest does not.
Source: mmap(2), munmap(2), mprotect(2), brk(2), mremap(2), madvise(2).
"""

from typing import Final

from kernel.lang import EACCES, EEXIST, EINVAL, ENOMEM, EPERM, Errno, final
from kernel.mm.area import (
    MAP_32BIT,
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_FIXED_NOREPLACE,
    MAP_GROWSDOWN,
    MAP_LOCKED,
    MAP_PRIVATE,
    MAP_TYPE,
    PROT_EXEC,
    PROT_READ,
    PROT_WRITE,
    Area,
)
from kernel.mm.fault import Access, FaultOutcome, allows, protect_entry, resolve
from kernel.mm.frames import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, SHORTAGE
from kernel.mm.lowest import check_lowest, effective_lowest
from kernel.mm.objects import MemoryObject, SharedMemory
from kernel.mm.pages import USER_END, PageTable, drop_entries, share_entries, table_end

UNLIMITED: Final = (1 << 63) - 1
_STACK_GUARD: Final = 256 * PAGE_SIZE  # unmapped below a growing stack
_MEMORY_WAITS_LIMIT: Final = 1000  # for one fault; each ends when a page was written to a disk, or after a while
_AREA_LIMIT: Final = 65530  # vm.max_map_count
_PROT_ALL: Final = PROT_READ | PROT_WRITE | PROT_EXEC


def page_up(value: int) -> int:
    """Round up to a page; the caller has checked that it cannot overflow."""
    return (value + PAGE_MASK) & ~PAGE_MASK


def page_down(value: int) -> int:
    """Round down to a page."""
    return value & ~PAGE_MASK

DENY_WRITE_EXECUTE: Final = 1  # PR_MDWE_*
THIS_SPACE_ONLY: Final = 2


@final
class AddressSpace:
    """The user half of one or more tasks' memory. Counted by `acquire` and `release`."""

    def __init__(self) -> None:
        self.pages: PageTable = PageTable()
        self.areas: list[Area] = []
        self.users: int = 1
        self.resident: int = 0  # pages
        self.peak_resident: int = 0
        self.memory_waits: int = 0  # of a fault that has not come to its end
        self.mapped_bytes: int = 0
        self.mapping_top: int = USER_END - (1 << 30)  # mmap looks for room below this
        self.brk_start: int = 0
        self.brk_end: int = 0
        self.address_limit: int = UNLIMITED
        self.data_limit: int = UNLIMITED
        self.stack_limit: int = 8 << 20
        self.argument_start: int = 0
        self.argument_end: int = 0
        self.environment_start: int = 0
        self.environment_end: int = 0
        self.auxiliary_vector: bytes = b""  # as the program got it
        # prctl(2): kept by fork and execve
        self.refuses_huge_pages: bool = False
        self.write_execute_rule: int = 0  # PR_SET_MDWE: DENY_WRITE_EXECUTE, and perhaps THIS_SPACE_ONLY
        self.stack_top: int = 0
        self.code_start: int = 0
        self.code_end: int = 0
        self.vdso_start: int = 0
        self.barriers: int = 0  # membarrier(2): the registrations
        self.future_flags: int = 0  # MAP_LOCKED after mlockall with MCL_FUTURE: what new areas get
        self.future_present: bool = False  # … and are made present
        self.is_new: bool = False  # execve lays it out, and has checked the addresses by the new program's rights

    @property
    def root(self) -> int:
        """What CR3 holds for this space: a physical address."""
        return self.pages.root

    # Life --------------------------------------------------------------------------------------------------------

    def acquire(self) -> None:
        """One more task uses the space."""
        self.users += 1

    def release(self) -> None:
        """A task is done with it; the last one unmaps everything. That task touches no user address any more: what the
        processor remembers of translations lasts until it loads another table.
        """
        self.users -= 1
        if self.users > 0:
            return
        for area in self.areas:
            self._drop_pages(area, area.start, area.end)
            area.detach()
        self.areas.clear()
        self.pages.abandon()

    def activate(self) -> None:
        """Make it the one that user addresses mean on this processor."""
        self.pages.activate()

    def fork(self) -> "AddressSpace":
        """A copy-on-write copy. Raises MemoryError with nothing changed but write permission that a fault restores."""
        child = AddressSpace()
        child._copy_description(self)
        try:
            for area in self.areas:
                if area.dont_fork:
                    continue
                copy = area.copy(area.start, area.end, child)
                copy.flags &= ~MAP_LOCKED  # mlock(2): locks are not inherited
                child.areas.append(copy)
                child.mapped_bytes += area.end - area.start
                if not area.wipe_on_fork:
                    self._fork_area(child, area)
        except MemoryError:
            child.release()
            raise
        finally:
            self.pages.flush_range(0, USER_END)
        return child

    def _copy_description(self, other: "AddressSpace") -> None:
        self.mapping_top = other.mapping_top
        self.brk_start = other.brk_start
        self.brk_end = other.brk_end
        self.address_limit = other.address_limit
        self.data_limit = other.data_limit
        self.stack_limit = other.stack_limit
        self.argument_start = other.argument_start
        self.argument_end = other.argument_end
        self.environment_start = other.environment_start
        self.environment_end = other.environment_end
        self.auxiliary_vector = other.auxiliary_vector
        self.inherit_settings(other)
        self.stack_top = other.stack_top
        self.code_start = other.code_start
        self.code_end = other.code_end
        self.vdso_start = other.vdso_start
        self.barriers = other.barriers

    def inherit_settings(self, other: "AddressSpace") -> None:
        """What a new program keeps of the old one's memory."""
        self.refuses_huge_pages = other.refuses_huge_pages
        self.write_execute_rule = 0 if other.write_execute_rule & THIS_SPACE_ONLY != 0 else other.write_execute_rule

    def _deny_write_execute(self, before: int, prot: int) -> None:
        """EACCES if what could be written would be run, and the program asked for that to be impossible."""
        if self.write_execute_rule != 0 and prot & PROT_EXEC != 0:
            if prot & PROT_WRITE != 0 or before & PROT_EXEC == 0:
                raise Errno(EACCES)

    def _fork_area(self, child: "AddressSpace", area: Area) -> None:
        address = self.pages.next_mapped(area.start, area.end)
        while address < area.end:
            stop = min(area.end, table_end(address))
            child.resident += share_entries(
                self.pages.find(address), child.pages.make(address), (stop - address) >> PAGE_SHIFT, area.shared
            )
            address = self.pages.next_mapped(stop, area.end)

    # Looking up ----------------------------------------------------------------------------------------------------

    def position(self, address: int) -> int:
        """Index of the first area that ends above `address`; len(areas) if there is none."""
        low = 0
        high = len(self.areas)
        while low < high:
            middle = (low + high) // 2
            if self.areas[middle].end <= address:
                low = middle + 1
            else:
                high = middle
        return low

    def area_at(self, address: int) -> Area | None:
        """The area that holds `address`."""
        i = self.position(address)
        if i < len(self.areas) and self.areas[i].start <= address:
            return self.areas[i]
        return None

    def is_free(self, start: int, end: int) -> bool:
        """Whether no area touches start…end."""
        i = self.position(start)
        return i == len(self.areas) or self.areas[i].start >= end

    def find_gap(self, length: int, top: int) -> int:
        """The highest free run of `length` bytes below `top`. Raises ENOMEM."""
        i = self.position(top)
        if i < len(self.areas) and self.areas[i].start < top:
            top = self.areas[i].start
        while i > 0:
            below = self.areas[i - 1]
            if top - below.end >= length:
                return top - length
            top = min(top, self._lowest_start(below))
            i -= 1
        if top - effective_lowest() >= length:
            return top - length
        raise Errno(ENOMEM)

    def _lowest_start(self, area: Area) -> int:
        """Where an area may begin once it has grown into its guard gap."""
        return area.start - _STACK_GUARD if area.flags & MAP_GROWSDOWN != 0 else area.start

    # Mapping -------------------------------------------------------------------------------------------------------

    def map(
        self,
        address: int,
        length: int,
        prot: int,
        flags: int,
        source: MemoryObject | None,
        offset: int,
        maximum_prot: int = _PROT_ALL,
    ) -> int:
        """Map `length` bytes (rounded up) and return the address. Takes its own reference to `source`.

        Raises EINVAL (length, alignment), ENOMEM, EEXIST (MAP_FIXED_NOREPLACE), EACCES (prot beyond maximum_prot),
        EPERM (a fixed address that is too low).
        """
        if length <= 0 or length > USER_END:
            raise Errno(EINVAL if length == 0 else ENOMEM)
        length = page_up(length)
        if prot & _PROT_ALL & ~maximum_prot != 0:
            raise Errno(EACCES)
        self._deny_write_execute(prot, prot)
        start = self._choose(address, length, flags)
        if length > self.address_limit - min(self.mapped_bytes, self.address_limit):
            raise Errno(ENOMEM)
        if len(self.areas) >= _AREA_LIMIT:
            raise Errno(ENOMEM)
        if source is None and flags & MAP_TYPE != MAP_PRIVATE:
            source = SharedMemory(length)
            offset = 0
        if flags & MAP_FIXED != 0:
            self.unmap(start, length)
        kept = (flags & (MAP_TYPE | MAP_GROWSDOWN | MAP_LOCKED)) | self.future_flags
        area = Area(start, start + length, prot & _PROT_ALL, maximum_prot, kept, source, offset)
        area.attach(self)
        self._insert(area)
        return start

    def _choose(self, address: int, length: int, flags: int) -> int:
        if flags & (MAP_FIXED | MAP_FIXED_NOREPLACE) != 0:
            self.check_fixed(address, length, flags)
            return address
        if PAGE_SIZE <= address <= USER_END - length:
            hint = max(page_down(address), page_up(effective_lowest()))
            if hint <= USER_END - length and self.is_free(hint, hint + length):
                return hint
        if flags & MAP_32BIT != 0:
            return self.find_gap(length, 0x8000_0000)
        try:
            return self.find_gap(length, self.mapping_top)
        except Errno:
            return self.find_gap(length, USER_END)

    def check_fixed(self, address: int, length: int, flags: int) -> None:
        """Whether a mapping of `length` bytes, whole pages, may lie where the program wants it, if it insists (flags:
        MAP_FIXED…). Raises EINVAL, ENOMEM, EPERM, EEXIST.
        """
        if flags & (MAP_FIXED | MAP_FIXED_NOREPLACE) == 0:
            return
        if address < 0 or address > USER_END - length:
            raise Errno(ENOMEM)
        if address & PAGE_MASK != 0:
            raise Errno(EINVAL)
        if not self.is_new:
            check_lowest(address)
        if flags & MAP_FIXED_NOREPLACE != 0 and not self.is_free(address, address + length):
            raise Errno(EEXIST)

    def _insert(self, area: Area) -> None:
        """Enter an area where nothing is mapped, joined with its neighbours where they are of one kind."""
        self.mapped_bytes += area.end - area.start
        i = self.position(area.start)
        if i > 0 and self.areas[i - 1].continues(area):
            self.areas[i - 1].end = area.end
            area.detach()
            i -= 1
        else:
            self.areas.insert(i, area)
        self._join_next(i)

    def _join_next(self, i: int) -> None:
        if i + 1 < len(self.areas) and self.areas[i].continues(self.areas[i + 1]):
            following = self.areas.pop(i + 1)
            self.areas[i].end = following.end
            following.detach()

    def _split(self, i: int, address: int) -> None:
        """Cut area `i` in two at `address`, strictly inside it."""
        area = self.areas[i]
        upper = area.copy(address, area.end, self)
        self.areas.insert(i + 1, upper)
        area.end = address

    def isolate(self, start: int, end: int) -> int:
        """Cut areas so that none crosses `start` or `end`; returns the index of the first area at or above `start`."""
        i = self.position(start)
        if i < len(self.areas) and self.areas[i].start < start:
            self._split(i, start)
            i += 1
        j = self.position(end - 1)
        if j < len(self.areas) and self.areas[j].start < end < self.areas[j].end:
            self._split(j, end)
        return i

    def unmap(self, start: int, length: int) -> None:
        """Remove all mappings in a range; it is fine if there are none. Raises EINVAL, EPERM (sealed ones), ENOMEM (too
        many areas after a cut).
        """
        if start & PAGE_MASK != 0 or start < 0 or length <= 0 or length > USER_END or start > USER_END - length:
            raise Errno(EINVAL)
        end = start + page_up(length)
        if self.is_free(start, end):
            return
        self.check_unsealed(start, end)
        i = self.isolate(start, end)
        flush_from = end
        flush_to = start
        while i < len(self.areas) and self.areas[i].start < end:
            area = self.areas.pop(i)
            flush_from = min(flush_from, area.start)
            flush_to = max(flush_to, area.end)
            self._drop_pages(area, area.start, area.end)
            self.mapped_bytes -= area.end - area.start
            area.detach()
        self.pages.drop_leaf_tables(start, end)
        if flush_from < flush_to:
            self.pages.flush_range(flush_from, flush_to)

    def _drop_pages(self, area: Area, start: int, end: int) -> None:
        """Clear the entries of a range of an area and give their frames back. The caller flushes."""
        address = self.pages.next_mapped(start, end)
        while address < end:
            stop = min(end, table_end(address))
            self.resident -= drop_entries(self.pages.find(address), (stop - address) >> PAGE_SHIFT)
            address = self.pages.next_mapped(stop, end)

    def discard(self, start: int, end: int) -> None:
        """Forget the pages of a mapped range; the next touch reads the source or zeros anew (madvise MADV_DONTNEED,
        truncation).
        """
        i = self.position(start)
        while i < len(self.areas) and self.areas[i].start < end:
            area = self.areas[i]
            self._drop_pages(area, max(start, area.start), min(end, area.end))
            i += 1
        self.pages.flush_range(start, end)

    def protect(self, start: int, length: int, prot: int) -> None:
        """Change the protection of a range that is wholly mapped. Raises EINVAL, ENOMEM (a hole), EPERM (sealed ones),
        EACCES.
        """
        if start & PAGE_MASK != 0:
            raise Errno(EINVAL)
        if length == 0:
            return
        if length < 0 or length > USER_END or start < 0 or start > USER_END - length:
            raise Errno(ENOMEM)
        end = start + page_up(length)
        self.check_mapped(start, end)
        self.check_unsealed(start, end)
        i = self.position(start)
        while i < len(self.areas) and self.areas[i].start < end:
            if prot & ~self.areas[i].maximum_prot != 0:
                raise Errno(EACCES)
            self._deny_write_execute(self.areas[i].prot, prot)
            i += 1
        i = self.isolate(start, end)
        while i < len(self.areas) and self.areas[i].start < end:
            area = self.areas[i]
            area.prot = prot
            address = self.pages.next_mapped(area.start, area.end)
            while address < area.end:
                protect_entry(self.pages.find(address), area)
                address = self.pages.next_mapped(address + PAGE_SIZE, area.end)
            i += 1
        self.rejoin(start, end)
        self.pages.flush_range(start, end)

    def rejoin(self, start: int, end: int) -> None:
        """Join neighbours that became of one kind."""
        i = max(0, self.position(start) - 1)
        while i < len(self.areas) and self.areas[i].start <= end:
            before = len(self.areas)
            self._join_next(i)
            if len(self.areas) == before:
                i += 1

    def seal(self, start: int, end: int) -> None:
        """Forbid for good to change a range (mseal(2)). Raises ENOMEM (a hole)."""
        self.check_mapped(start, end)
        i = self.isolate(start, end)
        while i < len(self.areas) and self.areas[i].start < end:
            self.areas[i].sealed = True
            i += 1
        self.rejoin(start, end)

    def check_unsealed(self, start: int, end: int) -> None:
        """Raise EPERM if a sealed area lies in a range."""
        i = self.position(start)
        while i < len(self.areas) and self.areas[i].start < end:
            if self.areas[i].sealed:
                raise Errno(EPERM)
            i += 1

    def check_mapped(self, start: int, end: int) -> None:
        """Raise ENOMEM unless every page of start…end lies in an area."""
        i = self.position(start)
        while start < end:
            if i >= len(self.areas) or self.areas[i].start > start:
                raise Errno(ENOMEM)
            start = self.areas[i].end
            i += 1

    def set_brk(self, address: int) -> int:
        """Move the end of the heap; returns where it is (the old place if the new one cannot be had)."""
        if address < self.brk_start or address > USER_END:
            return self.brk_end
        if address - self.brk_start > self.data_limit:
            return self.brk_end
        old_top = page_up(self.brk_end)
        new_top = page_up(address)
        try:
            if new_top > old_top:
                if not self.is_free(old_top, new_top + PAGE_SIZE):
                    return self.brk_end
                self.map(
                    old_top, new_top - old_top, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, None, 0
                )
                area = self.area_at(old_top)
                if area is not None:
                    area.label = b"[heap]"
                    self.rejoin(old_top, new_top)
            elif new_top < old_top:
                self.unmap(new_top, old_top - new_top)
        except Errno:
            return self.brk_end
        self.brk_end = address
        return address

    # Faults --------------------------------------------------------------------------------------------------------

    def fault(self, address: int, access: Access) -> FaultOutcome:
        """Make the page at `address` accessible, or say why not. May sleep."""
        if address < 0 or address >= USER_END:
            return FaultOutcome.NOT_MAPPED
        area = self.area_at(address)
        if area is None:
            area = self._grow_stack(address)
            if area is None:
                return FaultOutcome.NOT_MAPPED
        if not allows(area, access):
            return FaultOutcome.NOT_ALLOWED
        try:
            self.resident += resolve(self.pages, area, page_down(address), access)
        except Errno:
            return FaultOutcome.NO_SUCH_PAGE
        except MemoryError:
            return self._wait_for_memory()
        self.memory_waits = 0
        self.peak_resident = max(self.peak_resident, self.resident)
        return FaultOutcome.DONE

    def _wait_for_memory(self) -> FaultOutcome:
        """No memory for a fault. DONE: some may have come free while this slept, let the instruction fault again. Not
        for ever: others may take whatever comes free.
        """
        self.memory_waits += 1
        if self.memory_waits > _MEMORY_WAITS_LIMIT:
            self.memory_waits = 0
            return FaultOutcome.NO_MEMORY
        try:
            if SHORTAGE.helper.wait_for_room():
                return FaultOutcome.DONE
        except MemoryError:
            return FaultOutcome.NO_MEMORY  # not even for a timer
        except Errno:
            return FaultOutcome.DONE  # a signal ended the wait: it is served first
        return FaultOutcome.NO_MEMORY

    def _grow_stack(self, address: int) -> Area | None:
        """Extend the stack area above `address` down to it, within the stack limit and above the guard gap."""
        i = self.position(address)
        if i >= len(self.areas):
            return None
        area = self.areas[i]
        start = page_down(address)
        if area.flags & MAP_GROWSDOWN == 0 or area.end - start > self.stack_limit or start < effective_lowest():
            return None
        if i > 0 and start - self.areas[i - 1].end < _STACK_GUARD:
            return None
        if area.start - start > self.address_limit - min(self.mapped_bytes, self.address_limit):
            return None
        self.mapped_bytes += area.start - start
        area.start = start
        return area

    def populate(self, start: int, end: int) -> None:
        """Fault in a range as far as it goes (MAP_POPULATE, mlock). May sleep. Raises ENOMEM."""
        for address in range(page_down(start), end, PAGE_SIZE):
            area = self.area_at(address)
            if area is None:
                raise Errno(ENOMEM)
            access = Access.WRITE if area.prot & PROT_WRITE != 0 and not area.shared else Access.READ
            if allows(area, access) and self.fault(address, access) == FaultOutcome.NO_MEMORY:
                raise Errno(ENOMEM)
