"""Address spaces: a tree of areas (area_tree.py) over a page table.

Invariants: areas do not overlap; every mapped page lies in an area; `resident` counts entries that name
a frame. The task layer sets `limits` from the process's resource limits.

Large ranges are changed a part at a time, with safe points in between (kernel/lib/pace.py): other threads see some
parts changed and others not. A change that must look atomic holds the space (`hold`): other threads that would change
areas or entries, by a fault too, wait until it is let go (`settle`). So a forked child's memory is a snapshot, and a
new mapping replaces others without ever leaving a hole.

Context: everything that takes a range may sleep, except `discard` and looking up.
Source: mmap(2), munmap(2), mprotect(2), brk(2), mremap(2), madvise(2).
"""

from collections.abc import Iterator
from typing import Final

from arch import USER_END, key_count, key_forbids
from arch.programs import (
    HUGE,
    LEAF_TABLE_BYTES,
    POISONED,
    WRITE_WATCHED,
    LocalTable,
    PageTable,
    names_frame,
    share_entries,
    share_large,
    share_swapped,
    table_end,
)
from kernel.lang import EACCES, EEXIST, EFAULT, EHWPOISON, EINTR, EINVAL, ENOMEM, EPERM, Errno, final, noinline, panic
from kernel.lib.linked import Linked, LinkedList
from kernel.lib.namespace import FIRST_USER, UserNamespace
from kernel.lib.pace import PACE, is_dying, pace, spend
from kernel.lib.settings import SystemSetting
from kernel.mm.area import (
    DROPPABLE,
    MAP_32BIT,
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_FIXED_NOREPLACE,
    MAP_GROWSDOWN,
    MAP_LOCKED,
    MAP_NORESERVE,
    MAP_PRIVATE,
    MAP_STACK,
    MAP_TYPE,
    PROT_EXEC,
    PROT_READ,
    PROT_WRITE,
    UNWANTED,
    Area,
)
from kernel.mm.area_tree import STACK_GUARD, AreaTree, Emptied, following, lowest_start, preceding
from kernel.mm.async_contexts import AsyncContexts
from kernel.mm.broken import names_broken
from kernel.mm.commitment import MODE, NEVER, promise, take_back
from kernel.mm.fault import Access, FaultOutcome, allows, entry_flags, protect_entry, resolve
from kernel.mm.frames import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, SHORTAGE
from kernel.mm.huge_fault import DROP_COST, SHARE_COST, drop_huge, give_up_page, protect_huge, share_huge
from kernel.mm.huge_pool import HUGE_MASK, HUGE_SIZE, Reservation
from kernel.mm.large_pages import NOT_LARGE, renew_protection, resolve_large
from kernel.mm.lowest import check_lowest, effective_lowest
from kernel.mm.mergeable_space import MergeableSpace
from kernel.mm.objects import MemoryObject, SharedMemory
from kernel.mm.protection_keys import NO_KEY, ProtectionKeys
from kernel.mm.space_parts import SpaceLayout, SpaceLimits, SpaceSettings
from kernel.mm.userfault import Births, Change, expect_unmapping, flags_of, report, withdraw

UNLIMITED: Final = (1 << 63) - 1
_MEMORY_WAITS_LIMIT: Final = 1000  # for one fault; each ends when a page was written to a disk, or after a while
AREA_LIMIT: Final = SystemSetting(b"vm/max_map_count", [65530], 0, 0x7FFF_FFFF)  # of one space
_PROT_ALL: Final = PROT_READ | PROT_WRITE | PROT_EXEC
# How much of a range is changed at once. Costs are in instructions, for `pace`.
_TABLES_AT_ONCE: Final = 4
_BYTES_AT_ONCE: Final = _TABLES_AT_ONCE * LEAF_TABLE_BYTES
_WORK_AT_ONCE: Final = 128_000
_AREAS_AT_ONCE: Final = 64
_AREA_COST: Final = 500
_PIECE_COST: Final = 4000  # of at most _SMALL_PIECE bytes
_SMALL_PIECE: Final = 16 * PAGE_SIZE
_TABLE_COST: Final = 2000
_PAGE_COST: Final = 160
_PART_COST: Final = 150_000
_HUGE_AT_ONCE: Final = 1 << 30  # bytes: 512 pages
_FAULT_COST: Final = 1500
_LOOKS_MASK: Final = 4095  # a safe point after looking at that many areas
_LOOKS_COST: Final = 80_000


def page_up(value: int) -> int:
    """Round up to a page; the caller has checked that it cannot overflow."""
    return (value + PAGE_MASK) & ~PAGE_MASK


def page_down(value: int) -> int:
    """Round down to a page."""
    return value & ~PAGE_MASK


DENY_WRITE_EXECUTE: Final = 1  # PR_MDWE_*
THIS_SPACE_ONLY: Final = 2

# Kinds of areas that a core file shows (core(5), /proc/PID/coredump_filter)
DUMP_ANONYMOUS: Final = 1  # private, and changed private mappings of files
DUMP_SHARED_ANONYMOUS: Final = 2
DUMP_FILES: Final = 4  # private
DUMP_SHARED_FILES: Final = 8
DUMP_ELF_HEADERS: Final = 16  # the first page of files, where it is an ELF header
DUMP_HUGE: Final = 32  # private huge pages
DUMP_SHARED_HUGE: Final = 64
DUMP_KINDS: Final = 0x1FF
DUMPED_BY_DEFAULT: Final = 0x33  # with private huge pages

SPACES: Final[LinkedList["AddressSpace"]] = LinkedList()  # all that are in use, from the newest


@final
class SweepPlace:
    """Where the search for pages that can be swapped out goes on (swapping.py)."""

    def __init__(self) -> None:
        self.space: AddressSpace | None = None
        self.address: int = 0

    def go_to(self, space: "AddressSpace | None") -> None:
        """It goes on at the beginning of a space; None: a new round begins."""
        self.space = space
        self.address = 0


SWEEP_PLACE: Final = SweepPlace()


@final
class AddressSpace(Linked["AddressSpace"]):
    """The user half of one or more tasks' memory. Counted by `acquire` and `release`."""

    layout: SpaceLayout
    limits: SpaceLimits
    settings: SpaceSettings

    def __init__(self) -> None:
        super().__init__()
        self.pages: PageTable = PageTable()
        self.areas: AreaTree = AreaTree()
        self.users: int = 1
        self.user_namespace: UserNamespace = FIRST_USER  # whose administrator may look into it (ptrace(2))
        self.resident: int = 0  # pages
        self.peak_resident: int = 0
        self.memory_waits: int = 0  # of a fault that has not come to its end
        self.mapped_bytes: int = 0
        self.layout.mapping_top = USER_END - (1 << 30)
        self.limits.address = UNLIMITED
        self.limits.data = UNLIMITED
        self.limits.stack = 8 << 20
        self.auxiliary_vector: bytes = b""  # as the program got it
        self.settings.dump_filter = DUMPED_BY_DEFAULT
        self.segments: LocalTable | None = None  # that the program describes itself (modify_ldt(2))
        self.keys: ProtectionKeys | None = None  # protection keys; None: only the first is in use
        self.contexts: AsyncContexts | None = None  # of asynchronous I/O (io_setup(2))
        self.barriers: int = 0  # membarrier(2): the registrations
        self.pinned_pages: int = 0  # of rings for samples, beyond what their user may have (RLIMIT_MEMLOCK)
        self.ring_pages: int = 0  # of all rings for samples that it maps, once for each area
        self.is_being_entered: bool = False  # a program is put there by execve(2), and has not begun: samples omit it
        self.future_flags: int = 0  # MAP_LOCKED after mlockall with MCL_FUTURE: what new areas get
        self.future_present: bool = False  # … and are made present
        self.is_new: bool = False  # execve is building it, and has checked addresses against the new program's rights
        self.is_held: bool = False  # by a change that must look atomic: other changes wait
        self.has_handlers: bool = False  # areas of it have had handlers of their faults
        self.has_broken: bool = False  # pages of it are broken, or were (broken.py)
        self.merging: MergeableSpace | None = None  # there while pages of it may be merged with equal ones (merging.py)
        self.needs_care: bool = False  # one of the three: faults look for what is in their way
        SPACES.link_first(self)

    def this(self) -> "AddressSpace":
        return self

    @property
    def root(self) -> int:
        """What CR3 holds for this space: a physical address."""
        return self.pages.root

    # Life --------------------------------------------------------------------------------------------------------

    def acquire(self) -> None:
        """One more task uses the space."""
        if self.users == 0:
            panic("an address space that has ended")
        self.users += 1

    def release(self) -> None:
        """A task is done with it; the last one unmaps everything. That task touches no user address any more: the
        processor keeps cached translations until it loads another table.
        """
        self.users -= 1
        if self.users > 0:
            return
        if SWEEP_PLACE.space is self:
            SWEEP_PLACE.go_to(self.after())
        SPACES.unlink(self)
        merging = self.merging
        if merging is not None:
            self.merging = None
            merging.end()
        contexts = self.contexts
        if contexts is not None:
            self.contexts = None
            contexts.end()
        area = self.areas.root
        late: Area | None = None  # a chain of those that may wait: all the others' memory is free before
        while area is not None:
            area = self.areas.some_leaf(area)
            self._give_back(area)
            self._forget_promise(area)
            above = self.areas.drop_leaf(area)
            source = area.source
            if source is not None and source.waits_at_end():
                area.parent = late
                late = area
            else:
                area.detach()
            area = above
        while late is not None:
            area = late
            late = area.parent
            area.parent = None
            area.detach()
        self.pages.abandon()
        segments = self.segments
        if segments is not None:
            self.segments = None
            segments.release()

    def _give_back(self, area: Area) -> None:
        """Free the pages of an area that nobody will touch again: no flush of the processor's translations is
        needed.
        """
        pages = self.pages
        address = pages.next_table(area.start, area.end)
        while address < area.end:
            stop = min(area.end, table_end(address))
            count = pages.drop(address, (stop - address) >> PAGE_SHIFT)
            self.resident -= count
            pace(_TABLE_COST + count * _PAGE_COST)
            address = pages.next_table(stop, area.end)
        if area.is_huge:
            self._empty_huge(area.start, area.end)
        pace(_AREA_COST)

    def _empty_huge(self, start: int, end: int) -> None:
        """Give the huge pages of a range back. Has safe points."""
        address = self.pages.next_huge(start, end)
        while address < end:
            drop_huge(self.pages, address)
            pace(DROP_COST)
            self.settle()
            address = self.pages.next_huge(address, end)

    def hold(self) -> None:
        """Make other changes wait until `let_go`. The caller has settled, and has not slept since."""
        self.is_held = True
        self.needs_care = True

    def settle(self) -> None:
        """Wait until nobody holds the space: all code that changes areas or entries calls this first."""
        if self.is_held:
            self._wait_for_holder()

    def settled_area(self, start: int, end: int) -> Area | None:
        """The first area of a range once nobody holds the space; None if there is none. A walk over areas with a safe
        point before each calls this once for each, from where the last one ended.
        """
        self.settle()
        area = self.areas.first_above(start)
        return None if area is None or area.start >= end else area

    @noinline
    def _wait_for_holder(self) -> None:
        while self.is_still_held():
            PACE.rest.wait_for_change()

    def is_still_held(self) -> bool:
        """`is_held`, asked anew after a sleep."""
        return self.is_held

    def let_go(self) -> None:
        """Let the others go on; also on behalf of a thread that died on the way."""
        if self.is_held:
            self.is_held = False
            self.needs_care = self.has_handlers or self.has_broken
            PACE.rest.report_change()

    def activate(self) -> None:
        """Make it the space that user addresses refer to on this processor."""
        self.pages.activate()

    def fork(self, births: Births | None = None) -> "AddressSpace":
        """A copy-on-write copy. `births` collects what is to be reported to handlers of faults; without it none serves
        the copy. Raises ENOMEM, MemoryError, with nothing changed but what a fault restores.
        """
        self.settle()
        child = AddressSpace()
        child.layout.is_being_copied = True
        self.hold()
        work = 0
        try:
            last: Area | None = None
            area = self.areas.first()
            while area is not None:
                if not area.dont_fork:
                    copy = area.copy(area.start, area.end, child)
                    self._prepare_copy(copy)
                    child.areas.insert(last, copy, None)
                    if births is not None:
                        births.inherit_handler(area, copy, child)
                    last = copy
                    child.mapped_bytes += area.end - area.start
                    work += _AREA_COST
                    if not area.wipe_on_fork:
                        work = self._fork_area(child, area, work)
                    work = self._rest_in_fork(work)
                area = following(area)
            child._copy_description(self)
        except (Errno, MemoryError):
            child.release()
            raise
        finally:
            self.pages.flush_range(0, USER_END)
            self.let_go()
        return child

    def _prepare_copy(self, copy: Area) -> None:
        """A child's area is not locked (mlock(2)), and is promised as well. Raises ENOMEM, with the area detached."""
        copy.flags &= ~MAP_LOCKED
        if not copy.is_promised:
            return
        try:
            promise(copy.end - copy.start, self.mapped_bytes)
        except Errno:
            copy.is_promised = False
            copy.detach()
            raise

    def _copy_description(self, other: "AddressSpace") -> None:
        self.layout = other.layout
        self.limits = other.limits
        self.auxiliary_vector = other.auxiliary_vector
        self.user_namespace = other.user_namespace
        self.inherit_settings(other)
        merging = other.merging
        if merging is not None and self.merging is None:
            self.merging = merging.copy_for(self)
        if other.has_broken:
            self.note_broken()
        self.barriers = other.barriers
        keys = other.keys
        if keys is not None:
            self.keys = keys.copy()
        segments = other.segments
        if segments is not None:
            self.segments = segments.copy()

    def inherit_settings(self, other: "AddressSpace") -> None:
        """Take over what a new program keeps of the old one's memory settings. Raises MemoryError."""
        self.settings = other.settings
        if self.settings.write_execute_rule & THIS_SPACE_ONLY != 0:
            self.settings.write_execute_rule = 0
        merging = other.merging
        if merging is not None and merging.takes_all:
            self.merging = merging.copy_for(self)

    def _deny_write_execute(self, before: int, prot: int) -> None:
        """Raise EACCES if memory would be writable and executable, or become executable, and the program forbade it."""
        if self.settings.write_execute_rule != 0 and prot & PROT_EXEC != 0:
            if prot & PROT_WRITE != 0 or before & PROT_EXEC == 0:
                raise Errno(EACCES)

    def _fork_area(self, child: "AddressSpace", area: Area, work: int) -> int:
        """Copy the entries of one area. `work`: instructions since the last safe point, passed in and returned."""
        if area.is_huge:
            return self._fork_huge(child, area, work)
        address = self.pages.next_mapped(area.start, area.end)
        while address < area.end:
            stop = min(area.end, table_end(address))
            mapped = self._share(child, area, address, stop)
            child.resident += mapped
            work = self._rest_in_fork(work + _TABLE_COST + mapped * _PAGE_COST)
            address = self.pages.next_table(stop, area.end)
        return work

    def _share(self, child: "AddressSpace", area: Area, start: int, end: int) -> int:
        """Give the child the pages of a part of an area that one table maps, or a large page. Returns how many."""
        mapped = 0
        if self.pages.large_count > 0 and end - start == LEAF_TABLE_BYTES:
            mapped = share_large(self.pages, child.pages, start)
        if mapped == 0:
            slot = self.pages.find(start)
            mapped = share_entries(slot, child.pages.make(start), (end - start) >> PAGE_SHIFT, area.shared)
            if self.pages.swapped > 0:
                share_swapped(self.pages, child.pages, start, (end - start) >> PAGE_SHIFT)
        return mapped

    def _fork_huge(self, child: "AddressSpace", area: Area, work: int) -> int:
        """The same for an area of huge pages."""
        address = self.pages.next_huge(area.start, area.end)
        while address < area.end:
            self.pages.flush_range(0, USER_END)  # sharing may sleep
            share_huge(self.pages, child.pages, area, address)
            work = self._rest_in_fork(work + SHARE_COST)
            address = self.pages.next_huge(address + HUGE_SIZE, area.end)
        address = self.pages.next_huge_mark(area.start, area.end)
        while address < area.end:
            mark = self.pages.entry_of(address)
            if not area.shared or mark & POISONED == 0:
                child.pages.set_huge_mark(address, mark)
            work = self._rest_in_fork(work + _AREA_COST)
            address = self.pages.next_huge_mark(address + HUGE_SIZE, area.end)
        return work

    def _rest_in_fork(self, work: int) -> int:
        """Take a safe point if `work` instructions are enough for one; returns the instructions since the last. Before
        others may run, write permissions are flushed from the processor.
        """
        if work <= _WORK_AT_ONCE and PACE.left > 0:
            return work
        self.pages.flush_range(0, USER_END)
        pace(work)
        return 0

    # Looking up ----------------------------------------------------------------------------------------------------

    def area_at(self, address: int) -> Area | None:
        """The area that holds `address`."""
        return self.areas.at(address)

    def is_free(self, start: int, end: int) -> bool:
        """Whether no area touches start…end."""
        area = self.areas.first_above(start)
        return area is None or area.start >= end

    def find_gap(self, length: int, top: int) -> int:
        """The highest free run of `length` bytes below `top`. Raises ENOMEM."""
        above = self.areas.first_above(top)
        bound = USER_END
        if above is not None:
            bound = above.start
            top = min(top, lowest_start(above))
        below = self.areas.before(above)
        if below is None:
            return self._above_lowest(top, length)
        if top - below.end >= length:
            return top - length
        above = self.areas.highest_gap(bound, length)
        if above is not None:
            return lowest_start(above) - length
        lowest = self.areas.first()
        return self._above_lowest(top if lowest is None else min(top, lowest_start(lowest)), length)

    def find_room(self, length: int) -> int:
        """The address for a mapping of `length` bytes if the program names none. Raises ENOMEM."""
        if self.layout.mapping_bottom != 0:
            return self._find_gap_upwards(self.layout.mapping_bottom, length)
        try:
            return self.find_gap(length, self.layout.mapping_top)
        except Errno:
            return self.find_gap(length, USER_END)

    def _find_gap_upwards(self, bottom: int, length: int) -> int:
        """The lowest free run of `length` bytes above `bottom`. Raises ENOMEM."""
        above = self.areas.first_above(bottom)
        if above is None or bottom + length <= lowest_start(above):
            start = bottom
        else:
            found = self.areas.lowest_gap(above.start, length)
            before = self.areas.last() if found is None else preceding(found)
            start = bottom if before is None else before.end
        if length > USER_END - start:
            raise Errno(ENOMEM)
        return start

    def _above_lowest(self, top: int, length: int) -> int:
        """The place right below `top`, where no area is below. Raises ENOMEM if it is too low."""
        if top - effective_lowest() < length:
            raise Errno(ENOMEM)
        return top - length

    # Mapping -------------------------------------------------------------------------------------------------------

    def map(
        self,
        address: int,
        length: int,
        prot: int,
        flags: int,
        source: MemoryObject | None,
        first_page: int,
        maximum_prot: int = _PROT_ALL,
        like: Area | None = None,
        reservation: Reservation | None = None,
    ) -> int:
        """Map `length` bytes (rounded up) and return the address; `like` is an area to take further settings from, and
        `reservation` what is reserved for a private mapping of huge pages, whose length and offset are whole ones.

        Raises EINVAL (length, alignment, parts of huge pages), ENOMEM, EEXIST (MAP_FIXED_NOREPLACE), EACCES (prot
        beyond maximum_prot), EPERM (a fixed address that is too low).
        """
        if length <= 0 or length > USER_END:
            raise Errno(EINVAL if length == 0 else ENOMEM)
        length = page_up(length)
        if prot & _PROT_ALL & ~maximum_prot != 0:
            raise Errno(EACCES)
        self._deny_write_execute(prot, prot)
        self.settle()
        if source is not None and source.is_huge():
            page_bytes = 1 << source.page_shift()
            if (length | first_page << PAGE_SHIFT) & page_bytes - 1 != 0:
                raise Errno(EINVAL)  # a program's file, whose segments are not whole ones
            start = self.choose_huge(address, length, flags, page_bytes)
        else:
            start = self.choose(address, length, flags, may_be_large=source is None and flags & MAP_TYPE == MAP_PRIVATE)
        if length > self.limits.address - min(self.mapped_bytes, self.limits.address):
            raise Errno(ENOMEM)
        if self.areas.count > AREA_LIMIT.value:
            raise Errno(ENOMEM)
        if source is None and flags & MAP_TYPE != MAP_PRIVATE:
            source = SharedMemory(length)
            first_page = 0
        area = Area(start, start + length, prot & _PROT_ALL, maximum_prot, self._kept_flags(flags), source, first_page)
        use = area.huge
        if use is not None:
            use.reservation = reservation
        self._describe(area, like, flags)
        if flags & MAP_FIXED != 0 and not self.is_free(start, start + length):
            self._replace(area)
        else:
            self._insert(area)
        return start

    def _kept_flags(self, flags: int) -> int:
        """What an area keeps of mmap's flags."""
        kept = (flags & (MAP_TYPE | MAP_GROWSDOWN | MAP_LOCKED | MAP_NORESERVE | DROPPABLE)) | self.future_flags
        return kept if MODE.value != NEVER or flags & DROPPABLE != 0 else kept & ~MAP_NORESERVE

    def _describe(self, area: Area, like: Area | None, flags: int) -> None:
        """Give a new area its key and other settings, by mmap's flags or those of `like`, attach it, and count it, or
        what it shares, as promised if needed. Raises ENOMEM, MemoryError, with the area detached.
        """
        is_promised = area.prot & PROT_WRITE != 0 and not area.shared and area.flags & MAP_NORESERVE == 0
        if flags & MAP_STACK != 0:
            area.advise_large(UNWANTED)
        if area.is_huge:
            is_promised = False
            area.flags &= ~MAP_LOCKED  # they stay in memory anyway
        source = area.source
        if like is not None:
            area.follow(like)
            is_promised = like.is_promised
        elif source is not None and source.is_secret():
            area.dont_dump = True
        elif flags & DROPPABLE != 0:
            area.dont_dump = True
            area.wipe_on_fork = True
        elif area.prot == PROT_EXEC:
            area.key = max(0, self._execute_only_key())
        merging = self.merging
        if merging is not None and merging.takes_all and like is None:
            area.mergeable = area.may_merge()
        area.attach(self)
        size = area.end - area.start
        try:
            if is_promised:
                promise(size, self.mapped_bytes)
                area.is_promised = True
            elif isinstance(source, SharedMemory) and source.wants_promise() and area.flags & MAP_NORESERVE == 0:
                promise(size, self.mapped_bytes)
                source.promised_bytes = size
        except Errno:
            area.detach()
            raise

    def _prepare_replacing(self, start: int, length: int) -> None:
        """Before a new mapping replaces what lies in a large range, give the pages back, so that the rest is quick."""
        if not self.is_free(start, start + length):
            self.check_unsealed(start, start + length)
            self.settle()  # with very many areas, that slept
            self.check_cuts(start, start + length)
            self._cut_out(start, start + length)  # what can fail comes first
            self.empty(start, start + length)
            self.settle()

    def _replace(self, area: Area) -> None:
        """Enter an area in place of what is there. Raises EPERM (sealed areas), with `area` detached again."""
        done = False
        changes: Change | None = None
        emptied: Emptied | None = None
        try:
            changes = expect_unmapping(self, area.start, area.end - area.start)
            if area.end - area.start > _BYTES_AT_ONCE:
                emptied = self.begin_emptying(area.start, area.end)
                self._prepare_replacing(area.start, area.end - area.start)
            self._exchange(area)
            done = True
        finally:
            if emptied is not None:
                self.end_emptying(emptied)
            if not done:
                withdraw(changes)
                self._forget_promise(area)
                area.detach()
        report(changes)

    def _exchange(self, area: Area) -> None:
        """The same in one change. Raises EPERM."""
        self.settle()
        self.hold()
        try:
            self.check_unsealed(area.start, area.end)
            self.unmap_held(area.start, area.end)
            self._insert(area)
        finally:
            self.let_go()

    def unmap_held(self, start: int, end: int) -> None:
        """Remove all areas of a range, which are not sealed, while the caller holds the space. Sleeps. Raises
        MemoryError only where one of them crosses the start or the end of the range.
        """
        while start < end:
            start = self._unmap_part(start, end)
            if start < end:
                pace(_PART_COST)

    def enter_like(self, area: Area, address: int, start: int, length: int, growth: int) -> Area:
        """Enter an area at a free place, which shows what `area` shows from `address` on. It is joined with no
        neighbour, so that it can go again without a cut, and `growth` bytes are promised for it, not all. Raises
        ENOMEM, MemoryError, with nothing changed.
        """
        if growth > self.limits.address - min(self.mapped_bytes, self.limits.address):
            raise Errno(ENOMEM)
        first = area.index_of(address)
        other = Area(start, start + length, area.prot, area.maximum_prot, area.flags, area.source, first)
        other.follow(area)
        if area.is_promised:
            promise(growth, self.mapped_bytes)
        try:
            other.attach(self)
        except MemoryError:
            if area.is_promised:
                take_back(growth)
            raise
        self.mapped_bytes += length
        after = self.areas.first_above(start)
        self.areas.insert(self.areas.before(after), other, after)
        return other

    def withdraw(self, other: Area, area: Area, growth: int) -> None:
        """Remove an area that `enter_like` has entered, and that has no pages. The caller holds the space. Sleeps."""
        if area.is_promised:
            take_back(growth)
        self.unmap_held(other.start, other.end)

    def _forget_promise(self, area: Area) -> None:
        """Release the promise of an area that goes."""
        if area.is_promised:
            area.is_promised = False
            take_back(area.end - area.start)

    def choose(self, address: int, length: int, flags: int, may_be_large: bool = False) -> int:
        """The address of a new mapping of `length` bytes: what the program names, or what is free. Whole large pages
        that may be such lie at a multiple of their size if the program names no address. Raises what `check_fixed`
        raises, and ENOMEM.
        """
        if flags & (MAP_FIXED | MAP_FIXED_NOREPLACE) != 0:
            self.check_fixed(address, length, flags)
            return address
        if PAGE_SIZE <= address <= USER_END - length:
            hint = max(page_down(address), page_up(effective_lowest()))
            if hint <= USER_END - length and self.is_free(hint, hint + length):
                return hint
        if may_be_large and address == 0 and length & HUGE_MASK == 0 and length < USER_END - HUGE_SIZE:
            try:
                return self._find_aligned(length, flags)
            except Errno:
                pass  # there is no room for more than the pages
        return self._find(length, flags)

    def _find(self, length: int, flags: int) -> int:
        if flags & MAP_32BIT != 0:
            return self.find_gap(length, 0x8000_0000)
        return self.find_room(length)

    def _find_aligned(self, length: int, flags: int) -> int:
        """The address for a mapping of whole large pages. Raises ENOMEM."""
        more = HUGE_MASK if self.layout.mapping_bottom != 0 else HUGE_SIZE
        return (self._find(length + HUGE_SIZE, flags) + more) & ~HUGE_MASK

    def choose_huge(self, address: int, length: int, flags: int, page_bytes: int) -> int:
        """The same for huge pages. Raises EINVAL, too, for a fixed address that is not a multiple of their size."""
        mask = page_bytes - 1
        if flags & (MAP_FIXED | MAP_FIXED_NOREPLACE) != 0:
            self.check_fixed(address, length, flags)
            if address & mask != 0:
                raise Errno(EINVAL)
            return address
        if PAGE_SIZE <= address <= USER_END - length - page_bytes:
            address = (address + mask) & ~mask
            if self.is_free(address, address + length):
                return address
        more = page_bytes - PAGE_SIZE
        if flags & MAP_32BIT != 0:
            return (self.find_gap(length + more, 0x8000_0000) + more) & ~mask
        return (self.find_room(length + more) + more) & ~mask

    def check_fixed(self, address: int, length: int, flags: int) -> None:
        """Check whether a mapping of `length` bytes, whole pages, may lie at the address on which the program insists
        (flags: MAP_FIXED…). Raises EINVAL, ENOMEM, EPERM, EEXIST.
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
        after = self.areas.first_above(area.start)
        before = self.areas.before(after)
        if before is not None and before.continues(area):
            before.end = area.end
            before.has_own_pages = before.has_own_pages or area.has_own_pages
            area.detach()
            area = before
            self.areas.moved(area)
        else:
            self.areas.insert(before, area, after)
        self._join_next(area)

    def _join_next(self, area: Area) -> bool:
        """Join an area with the next one if they are of one kind."""
        after = following(area)
        if after is None or not area.continues(after):
            return False
        area.end = after.end
        area.has_own_pages = area.has_own_pages or after.has_own_pages
        self.areas.remove(after)
        after.detach()
        return True

    def _split(self, area: Area, address: int) -> Area:
        """Cut an area in two at `address`, strictly inside it. Returns the upper part. Raises EINVAL (inside a huge
        page), MemoryError.
        """
        if address & area.page_bytes - 1 != 0:
            raise Errno(EINVAL)
        after = following(area)
        upper = area.copy(address, area.end, self)
        use = area.huge
        upper_use = upper.huge
        if use is not None and upper_use is not None:
            upper_use.follow(use)
        upper.handler = area.handler
        upper.fault_modes = area.fault_modes
        area.end = address
        self.areas.insert(area, upper, after)
        if address & HUGE_MASK != 0 and self.pages.large_count > 0:
            self.pages.find(address)  # no large page lies in two areas
        return upper

    def isolate(self, start: int, end: int) -> Area | None:
        """Cut areas so that none crosses `start` or `end`; returns the first area at or above `start`. Raises ENOMEM
        (too many areas; there may be a cut at `start` then, as on Linux), MemoryError, with nothing changed.
        """
        area = self.areas.first_above(start)
        if area is not None and area.start < start:
            self._check_room_for_cut()
            area = self._split(area, start)
        last = self.areas.at(end - 1)
        if last is not None and end < last.end:
            self._check_room_for_cut()
            self._split_upper(last, start, end)
        return area

    def _split_upper(self, last: Area, start: int, end: int) -> None:
        """Cut at the end of a range, at whose start there was a cut before. Raises EINVAL, MemoryError, without
        either.
        """
        try:
            self._split(last, end)
        except (Errno, MemoryError):
            self.rejoin(start, start)
            raise

    def check_cuts(self, start: int, end: int) -> None:
        """Raise EINVAL if a range begins or ends inside a huge page."""
        for address in (start, end):
            area = self.areas.at(address)
            if area is not None and address & area.page_bytes - 1 != 0:
                raise Errno(EINVAL)

    def _check_room_for_cut(self) -> None:
        if self.areas.count >= AREA_LIMIT.value:
            raise Errno(ENOMEM)

    def unmap(self, start: int, length: int) -> None:
        """Remove all mappings in a range; there may be none. Raises EINVAL, EPERM (sealed ones), ENOMEM (too
        many areas after a cut).
        """
        if start & PAGE_MASK != 0 or start < 0 or length <= 0 or length > USER_END or start > USER_END - length:
            raise Errno(EINVAL)
        end = start + page_up(length)
        self.settle()
        if self.is_free(start, end):
            return
        if end - start > _BYTES_AT_ONCE:
            emptied = self.begin_emptying(start, end)
            try:
                self._unmap(start, end)
            finally:
                self.end_emptying(emptied)
        else:
            self._unmap(start, end)

    def _unmap(self, start: int, end: int) -> None:
        """The same. A large range is not sealed meanwhile."""
        is_large = end - start > _BYTES_AT_ONCE
        self.check_unsealed(start, end)
        self.settle()  # with very many areas, that slept
        self.check_cuts(start, end)
        if is_large:
            self._cut_out(start, end)  # what can fail comes first
            self.empty(start, end)
        while True:
            self.settle()
            start = self._unmap_part(start, end)
            if start >= end:
                break
            pace(_PART_COST)
            if not is_large:
                self.check_unsealed(start, end)

    def begin_emptying(self, start: int, end: int) -> Emptied:
        """Let nobody seal a range until `end_emptying`. Raises MemoryError."""
        emptied = Emptied(start, end)
        self.areas.emptied.append(emptied)
        return emptied

    def end_emptying(self, emptied: Emptied) -> None:
        """Its pages are gone."""
        self.areas.emptied.remove(emptied)
        PACE.rest.report_change()

    def unmap_aloud(self, start: int, length: int) -> None:
        """`unmap`, of which the handlers of the range's faults hear if they want to."""
        report(self.unmap_announced(start, length))

    def unmap_announced(self, start: int, length: int) -> Change | None:
        """The same, except that the caller reports it."""
        changes = expect_unmapping(self, start, length)
        done = False
        try:
            self.unmap(start, length)
            done = True
        finally:
            if not done:
                withdraw(changes)
        return changes

    def _unmap_part(self, start: int, end: int) -> int:
        """Remove the first areas of a range, at once; returns where the rest begins. Notifies their sources at the end,
        because that may sleep.
        """
        area = self._cut_out(start, end)
        limit = _AREAS_AT_ONCE
        stop = end
        flush_from = end
        flush_to = start
        gone: Area | None = None
        while area is not None and area.start < end:
            if limit == 0:
                stop = area.start
                break
            limit -= 1
            after = following(area)
            self.areas.remove(area)
            flush_from = min(flush_from, area.start)
            flush_to = max(flush_to, area.end)
            self._drop_pages(area.start, area.end)
            self._forget_promise(area)
            self.mapped_bytes -= area.end - area.start
            source = area.source
            if source is not None:
                source.leaves(area)
                area.space = None
            area.parent = gone
            gone = area
            area = after
        self.pages.drop_leaf_tables(start, stop)
        if flush_from < flush_to:
            self.pages.flush_range(flush_from, flush_to)
        while gone is not None:
            rest = gone.parent
            gone.parent = None
            gone.detach()
            gone = rest
        return stop

    def _cut_out(self, start: int, end: int) -> Area | None:
        """As `isolate`, for areas that go: as on Linux, only a hole in one area needs room for another."""
        area = self.areas.first_above(start)
        if area is not None and area.start < start:
            if end < area.end:
                self._check_room_for_cut()
            area = self._split(area, start)
        last = self.areas.at(end - 1)
        if last is not None and end < last.end:
            self._split_upper(last, start, end)
        return area

    def empty(self, start: int, end: int, kept: int = 0) -> None:
        """Give the pages of a range back. The areas stay, and what other threads touch meanwhile is faulted in
        again. `kept`: the `kept_bits` of the area.
        """
        flushed = start
        work = 0
        address = self.pages.next_table(start, end)
        while address < end:
            stop = min(end, table_end(address))
            count = self.pages.drop(address, (stop - address) >> PAGE_SHIFT, kept)
            self.resident -= count
            work += _TABLE_COST + count * _PAGE_COST
            if work > _WORK_AT_ONCE or PACE.left < work:
                self.pages.flush_range(flushed, stop)
                flushed = stop
                pace(work)
                work = 0
                self.settle()
            address = self.pages.next_table(stop, end)
        self.pages.flush_range(flushed, end)
        if self.pages.huge_count > 0:
            self._empty_huge(start, end)

    def _drop_pages(self, start: int, end: int) -> None:
        """Clear the entries of a range and give their frames back, at once. The caller flushes."""
        address = self.pages.next_mapped(start, end)
        while address < end:
            stop = min(end, table_end(address))
            self.resident -= self.pages.drop(address, (stop - address) >> PAGE_SHIFT)
            address = self.pages.next_mapped(stop, end)
        address = self.pages.next_huge(start, end)
        while address < end:
            drop_huge(self.pages, address)
            spend(DROP_COST)
            address = self.pages.next_huge(address, end)
        self.pages.keep_huge_marks(start, end, 0)

    def discard(self, start: int, end: int, kept: int = 0) -> int:
        """Forget the pages of a part of an area, as many as may be done at once; the next touch reads the source anew
        (truncation). `kept`: the `kept_bits` of the area, and what else stays. Returns where the rest begins. Never
        sleeps.
        """
        work = 0
        address = self.pages.next_table(start, end)
        while address < end and work < _WORK_AT_ONCE:
            stop = min(end, table_end(address))
            swapped = self.pages.swapped
            count = self.pages.drop(address, (stop - address) >> PAGE_SHIFT, kept)
            self.resident -= count
            work += _TABLE_COST + (count + swapped - self.pages.swapped) * _PAGE_COST
            address = self.pages.next_table(stop, end)
        self.pages.flush_range(start, address)
        reached = address
        self.pages.keep_huge_marks(start, reached, kept & WRITE_WATCHED)
        address = self.pages.next_huge(start, reached)
        while address < reached and work < _WORK_AT_ONCE:
            area = self.areas.at(address)
            if area is not None and area.is_huge:
                give_up_page(self.pages, area, address)
            else:
                drop_huge(self.pages, address)
            work += DROP_COST
            address = self.pages.next_huge(address, reached)
        spend(work)
        return address

    def own_keys(self) -> ProtectionKeys:
        """The protection keys, for a program that asks for them. Raises MemoryError."""
        keys = self.keys
        if keys is None:
            keys = ProtectionKeys()
            self.keys = keys
        return keys

    def _execute_only_key(self) -> int:
        """The key for memory that may only be executed, or NO_KEY. Raises MemoryError."""
        return self.own_keys().execute_only_key() if key_count() > 1 else NO_KEY

    def _key_for(self, area: Area, prot: int, key: int) -> int:
        """The key that an area gets with a new protection; `key` is the one that the program names, or NO_KEY. Raises
        MemoryError.
        """
        if key != NO_KEY:
            return key
        keys = self.keys
        if prot == PROT_EXEC:
            own = self._execute_only_key()
            return own if own > 0 else area.key
        if keys is not None and area.prot == PROT_EXEC and area.key == keys.execute_only:
            return 0
        return area.key

    def forbids(self, address: int, is_write: bool) -> bool:
        """Whether the running task, of this space, is denied the access by its protection keys."""
        area = self.area_at(address)
        return area is not None and key_forbids(area.key, is_write)

    def key_at(self, address: int) -> int:
        """The protection key of the pages there."""
        area = self.area_at(address)
        return 0 if area is None else area.key

    def protect(self, start: int, length: int, prot: int, key: int = NO_KEY, run_what_is_read: bool = False) -> None:
        """Change the protection of a range, and its protection key if one is named; `run_what_is_read` adds PROT_EXEC
        where that is possible. Raises EINVAL, ENOMEM (a hole, or too many areas), EPERM (sealed ones), EACCES;
        everything below the offending place has been changed then.
        """
        if start & PAGE_MASK != 0:
            raise Errno(EINVAL)
        if length == 0:
            return
        if length < 0 or length > USER_END or start < 0 or start > USER_END - length:
            raise Errno(ENOMEM)
        end = start + page_up(length)
        while start < end:
            self.settle()
            area = self.areas.at(start)
            if area is None:
                raise Errno(ENOMEM)
            if prot & ~area.maximum_prot != 0:
                raise Errno(EACCES)
            self._deny_write_execute(area.prot, prot)
            if area.sealed:
                raise Errno(EPERM)
            if area.is_huge:
                self.check_cuts(start, min(end, area.end))
            stop = self.part_end(start, min(end, area.end))
            optional = PROT_EXEC & area.maximum_prot if run_what_is_read else 0
            self._protect_piece(area, start, stop, prot | optional, key)
            if stop < end:
                pace(_PIECE_COST if stop - start <= _SMALL_PIECE else _PART_COST)
            start = stop

    def _protect_piece(self, area: Area, start: int, end: int, prot: int, key: int) -> None:
        """The same for a part of one area. What becomes writable is promised; what is no longer writable and was never
        touched is released. Raises ENOMEM, MemoryError.
        """
        was_promised = area.is_promised
        is_promised = was_promised
        if prot & PROT_WRITE == 0:
            is_promised = was_promised and (area.source is not None or not self._is_untouched(area))
        elif area.prot & PROT_WRITE == 0 and not area.shared and area.flags & MAP_NORESERVE == 0:
            is_promised = not area.is_huge
        if is_promised and not was_promised:
            promise(end - start, self.mapped_bytes)
        done = False
        try:
            self._protect_part(start, end, prot, key, is_promised)
            done = True
        finally:
            if was_promised != is_promised and done != is_promised:
                take_back(end - start)

    def _is_untouched(self, area: Area) -> bool:
        """Whether no page of an area is present, as far as a look at a few tables tells."""
        address = self.pages.next_table(area.start, area.end)
        for _ in range(_TABLES_AT_ONCE):
            if address >= area.end:
                return True
            stop = min(area.end, table_end(address))
            if self.pages.next_mapped(address, stop) < stop:
                return False
            address = self.pages.next_table(stop, area.end)
        return False

    def rest(self, stop: int, end: int) -> int:
        """Between two parts of a range: let others run if `end` is not reached. Returns `stop`."""
        if stop < end:
            pace(_PART_COST)
            self.settle()
        return stop

    def part_end(self, start: int, end: int) -> int:
        """The end of the part of a range that is changed at once: a few areas, or what a few page tables map."""
        area = self.areas.first_above(start)
        for _ in range(_AREAS_AT_ONCE - 1):
            if area is None or area.end >= end:
                break
            area = following(area)
        if area is not None:
            end = min(end, area.end)
            if area.is_huge:
                return min(end, max(start, area.start) + _HUGE_AT_ONCE)
        if end - start <= _BYTES_AT_ONCE:
            return end
        stop = start
        for _ in range(_TABLES_AT_ONCE):
            stop = table_end(self.pages.next_table(stop, end))
            if stop >= end:
                return end
        return stop

    def _protect_part(self, start: int, end: int, prot: int, key: int, is_promised: bool) -> None:
        area = self.isolate(start, end)
        while area is not None and area.start < end:
            area.key = self._key_for(area, prot, key)
            area.prot = prot
            area.is_promised = is_promised
            address = self.pages.next_mapped(area.start, area.end)
            while address < area.end:
                address = self.pages.next_mapped(self._protect_at(area, address), area.end)
            address = self.pages.next_huge(area.start, area.end)
            while address < area.end:
                protect_huge(self.pages.find_huge(address), area, entry_flags(area) | HUGE)
                address = self.pages.next_huge(address + HUGE_SIZE, area.end)
            area = following(area)
        self.rejoin(start, end)
        self.pages.flush_range(start, end)

    def _protect_at(self, area: Area, address: int) -> int:
        """Bring the entry of a page in line with its area's new protection, or that of a large page which lies wholly
        in it. Returns where the next one begins.
        """
        if self.pages.large_count > 0 and address & HUGE_MASK == 0 and area.end - address >= HUGE_SIZE:
            slot = self.pages.find_large(address)
            if slot != 0:
                renew_protection(slot, area)
                return address + HUGE_SIZE
        protect_entry(self.pages.find(address), area)
        return address + PAGE_SIZE

    def rejoin(self, start: int, end: int) -> None:
        """Join neighbours that became of one kind."""
        area = self.areas.first_above(start)
        if area is not None:
            before = preceding(area)
            area = area if before is None else before
        while area is not None and area.start <= end:
            if not self._join_next(area):
                area = following(area)

    def seal(self, start: int, end: int) -> None:
        """Forbid changes to a range permanently (mseal(2)). Waits for those under way. Raises ENOMEM (a hole)."""
        self.check_mapped(start, end)
        while start < end:
            while self.is_still_held() or self.areas.is_emptied(start, end):
                PACE.rest.wait_for_change()
            stop = self.part_end(start, end)
            self.check_mapped(start, stop)  # others may have unmapped it; so few areas take no safe point
            area = self.isolate(start, stop)
            while area is not None and area.start < stop:
                area.sealed = True
                area = following(area)
            self.rejoin(start, stop)
            start = self.rest(stop, end)

    def check_unsealed(self, start: int, end: int) -> None:
        """Raise EPERM if a sealed area lies in a range."""
        looks = 0
        area = self.areas.first_above(start)
        while area is not None and area.start < end:
            if area.sealed:
                raise Errno(EPERM)
            start = area.end
            area = following(area)
            looks += 1
            if looks & _LOOKS_MASK == 0:
                pace(_LOOKS_COST)
                area = self.areas.first_above(start)

    def check_mapped(self, start: int, end: int) -> None:
        """Raise ENOMEM unless every page of start…end lies in an area. Sleeps if there are very many."""
        looks = 0
        area = self.areas.first_above(start)
        while start < end:
            if area is None or area.start > start:
                raise Errno(ENOMEM)
            start = area.end
            area = following(area)
            looks += 1
            if looks & _LOOKS_MASK == 0:
                pace(_LOOKS_COST)
                area = self.areas.first_above(start)

    def set_brk(self, address: int, prot: int = PROT_READ | PROT_WRITE) -> int:
        """Move the end of the heap; returns where it is (the old place if the new one cannot be had). Its new part has
        the protection `prot`.
        """
        self.settle()
        if address < self.layout.brk_start or address > USER_END:
            return self.layout.brk_end
        if address - self.layout.brk_start > self.limits.data:
            return self.layout.brk_end
        old_top = page_up(self.layout.brk_end)
        new_top = page_up(address)
        try:
            if new_top > old_top:
                if not self.is_free(old_top, new_top + PAGE_SIZE):
                    return self.layout.brk_end
                self.map(old_top, new_top - old_top, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, None, 0)
                area = self.area_at(old_top)
                if area is not None:
                    area.label = b"[heap]"
                    self.rejoin(old_top, new_top)
            elif new_top < old_top:
                self.check_unsealed(new_top, old_top)
                self.layout.brk_end = address  # before the sleep: another thread may move it further
                self.unmap_aloud(new_top, old_top - new_top)
                return address
        except Errno:
            return self.layout.brk_end
        self.layout.brk_end = address
        return address

    # Faults --------------------------------------------------------------------------------------------------------

    def fault(self, address: int, access: Access) -> FaultOutcome:
        """Make the page at `address` accessible, or return why not. May sleep."""
        if self.needs_care and self._is_served(address, access):
            return FaultOutcome.SERVED
        if address < 0 or address >= USER_END:
            return FaultOutcome.NOT_MAPPED
        area = self.area_at(address)
        if area is None:
            area = self._grow_stack(address)
            if area is None:
                return FaultOutcome.NOT_MAPPED
            if area.handler is not None:
                return FaultOutcome.DONE  # the instruction faults again, and may be served
        if not allows(area, access):
            return FaultOutcome.NOT_ALLOWED
        try:
            grown = self._resolve(area, page_down(address), access)  # may unmap pages, too
            self.resident += grown
        except Errno as error:
            return FaultOutcome.BROKEN if error.code == EHWPOISON else FaultOutcome.NO_SUCH_PAGE
        except MemoryError:
            return self._wait_for_memory()
        self.memory_waits = 0
        self.peak_resident = max(self.peak_resident, self.resident)
        return FaultOutcome.DONE

    def _resolve(self, area: Area, page: int, access: Access) -> int:
        """`resolve`, by a large page where there is or may be one."""
        block = page & ~HUGE_MASK
        if block >= area.start and block + HUGE_SIZE <= area.end and area.source is None:
            grown = resolve_large(self, area, page, access)
            if grown != NOT_LARGE:
                return grown
        return resolve(self.pages, area, page, access)

    @noinline
    def _is_served(self, address: int, access: Access) -> bool:
        """Whether a page is left to a program that serves the area's faults, once nobody holds the space; or is broken,
        which `ask` reports.
        """
        if self.is_held:
            self._wait_for_holder()
        area = self.area_at(address)
        if area is None or not allows(area, access):
            return False
        page = page_down(address)
        return self.is_broken(page) or (self.has_handlers and flags_of(self, area, page, access) >= 0)

    def note_broken(self) -> None:
        """A page of the space is broken: faults look out for such from now on."""
        self.has_broken = True
        self.needs_care = True

    def is_broken(self, page: int) -> bool:
        """Whether a page is broken that was mapped when it broke."""
        if not self.has_broken:
            return False
        return names_broken(self.pages.entry_of(page))

    def ask(self, address: int, access: Access, by_kernel: bool) -> FaultOutcome:
        """Leave a page that is SERVED to whoever serves it. DONE: look again. Sleeps."""
        if self.is_broken(page_down(address)):
            return FaultOutcome.BROKEN
        area = self.area_at(address)
        handler = None if area is None else area.handler
        if area is None or handler is None:
            return FaultOutcome.DONE
        if handler.is_closed:
            area.handler = None  # it is just about to do so itself
            area.fault_modes = 0
            return FaultOutcome.DONE
        flags = flags_of(self, area, page_down(address), access)
        if flags < 0:
            return FaultOutcome.DONE
        try:
            page = address & -area.page_bytes
            return handler.ask(address, page, flags, by_kernel)
        except MemoryError:
            return self._wait_for_memory()

    def touch(self, address: int, access: Access) -> FaultOutcome:
        """`fault` for the kernel, which waits for the page's handler. DONE: it is present, or look again. Sleeps."""
        outcome = self.fault(address, access)
        return self.ask(address, access, by_kernel=True) if outcome == FaultOutcome.SERVED else outcome

    def _wait_for_memory(self) -> FaultOutcome:
        """No memory for a fault. DONE: some may have come free while this slept, so let the instruction fault again.
        The number of waits is bounded, since others may take whatever comes free.
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
        area = self.areas.first_above(address)
        if area is None:
            return None
        start = page_down(address)
        if area.flags & MAP_GROWSDOWN == 0 or area.end - start > self.limits.stack or start < effective_lowest():
            return None
        before = preceding(area)
        if before is not None and start - before.end < STACK_GUARD:
            return None
        if area.start - start > self.limits.address - min(self.mapped_bytes, self.limits.address):
            return None
        if area.is_promised:
            try:
                promise(area.start - start, self.mapped_bytes)
            except Errno:
                return None
        self.mapped_bytes += area.start - start
        area.start = start
        self.areas.moved(area)
        return area

    def populate(self, start: int, end: int) -> None:
        """Fault in a range as far as it goes (MAP_POPULATE, mlock). May sleep. Raises ENOMEM; EFAULT where there is no
        page to be had, EHWPOISON where one is broken.
        """
        address = page_down(start)
        while address < end:
            area = self.area_at(address)
            if area is None:
                raise Errno(ENOMEM)
            if area.source is not None and area.source.is_secret():
                raise Errno(ENOMEM)
            access = Access.WRITE if area.prot & PROT_WRITE != 0 and not area.shared else Access.READ
            if not allows(area, access):
                address = area.end
            else:
                outcome = self.touch(address, access)
                if outcome == FaultOutcome.NO_MEMORY:
                    raise Errno(ENOMEM)
                if is_dying():
                    raise Errno(EINTR)
                if outcome == FaultOutcome.NO_SUCH_PAGE:
                    raise Errno(EFAULT)
                if outcome == FaultOutcome.BROKEN:
                    raise Errno(EHWPOISON)
                if (not self.has_handlers and self.pages.swapped == 0) or self._is_there(address):
                    is_large = area.is_huge or self.pages.find_large(address) != 0
                    address = (address | HUGE_MASK) + 1 if is_large else address + PAGE_SIZE
            pace(_FAULT_COST)
            if is_dying():
                raise Errno(EINTR)

    def _is_there(self, page: int) -> bool:
        """Whether a page is mapped: its handler may have woken the waiting threads too early, and a page that is read
        from a swap area takes another fault.
        """
        return names_frame(self.pages.entry_of(page))


def each_area(space: AddressSpace, address: int = 0) -> Iterator[Area]:
    """All areas that end above an address, lowest first. Other threads run in between and may change them; the caller
    holds a reference unless the space is its own.
    """
    area = space.areas.first_above(address)
    while area is not None:
        address = area.end
        yield area
        pace(_AREA_COST)
        area = space.areas.first_above(address)
