"""Memory objects of huge pages: what a mapping with MAP_HUGETLB shows, or one of a file of huge pages.

Every such mapping has an object, as every one of Linux's has a file. Shared mappings find the object's pages; private
ones have pages of their own, and reserve them by themselves (`Reservation`). An entry of the object's tree is a huge
page, or OWED, where a page is reserved for a shared mapping and not there yet. Pages of 1 GiB consist of pieces
(huge_pool.py); whoever has the page has each of them.

Faults in one page are served one after the other (`begin`, `finish`): to clear or copy a page takes long, and another
thread that found no page meanwhile would take a second one, which may not exist. What changes the size of the object,
drops its pages or reserves some is served in the same way, for the object as a whole (`WHOLE`).

Context: as each method says. Source: Linux's Documentation/mm/hugetlbfs_reserv.rst; mmap(2).
"""

from typing import TYPE_CHECKING, Final

from kernel.lang import EFAULT, EINVAL, Errno
from kernel.lib.pace import PACE, pace, pace_bytes
from kernel.mm.frame_tree import FrameTree
from kernel.mm.frames import (
    HUGE_FRAMES,
    HUGE_ORDER,
    NO_FRAME,
    PAGE_MASK,
    PAGE_SHIFT,
    PAGE_SIZE,
    Frame,
    copy_frame,
    frame_span,
    get_frame,
    get_huge_page,
    huge_mappings,
    put_huge_page,
    zero_frame,
)
from kernel.mm.huge_pool import POOL, HugePool, HugeQuota, Reservation
from kernel.mm.objects import SHARED_TOTALS, TrackedObject
from kernel.mm.reverse_map import forget_pages

if TYPE_CHECKING:
    from kernel.mm.area import Area

OWED: Final = Frame(1)  # never a huge page: that begins at a multiple of 512
WHOLE: Final = -1  # in place of a page's number
NUMBER_LIMIT: Final = 1 << 42  # above all pages' numbers
_OWED_COST: Final = 400  # instructions, for `pace`
_DROP_COST: Final = 40_000
_DEVICE: Final = 15  # 00:0f


def clear_huge_page(head: Frame) -> None:
    """Fill a page that nobody else knows with zeros. Has safe points."""
    for i in range(HUGE_FRAMES):
        zero_frame(Frame(head + i))
        pace_bytes(PAGE_SIZE)


def copy_huge_page(target: Frame, source: Frame) -> None:
    """Copy a page to one that nobody else knows; the caller uses both. Has safe points."""
    for i in range(HUGE_FRAMES):
        copy_frame(Frame(target + i), Frame(source + i))
        pace_bytes(2 * PAGE_SIZE)


class HugeObject(TrackedObject):
    """Huge pages by number. Counted by its areas and, where there is one, by its owner."""

    def __init__(self, page_limit: int, pool: HugePool = POOL) -> None:
        super().__init__()
        self.pool: HugePool = pool
        self.shift: int = pool.shift  # the logarithm of the size of a page
        self.order: int = pool.shift - PAGE_SHIFT
        self.page_limit: int = page_limit  # in huge pages
        self.frames: FrameTree = FrameTree()
        self.users: int = 0
        self.number: int = SHARED_TOTALS.next_number()
        self.busy: list[int] = []  # numbers of pages in which a fault is being served, and WHOLE
        self.present: int = 0  # how many pages are there
        self.quota: HugeQuota | None = None  # of the mount in which the file lies

    # What an address space asks of it

    def page(self, index: int, for_write: bool) -> Frame:
        """A part of a page that is there. Raises EFAULT."""
        frame = self.resident(index)
        if frame == NO_FRAME:
            raise Errno(EFAULT)
        get_frame(frame)
        return frame

    def resident(self, index: int) -> Frame:
        head = self.huge_page(index >> self.order)
        return NO_FRAME if head == NO_FRAME else Frame(head + (index & (1 << self.order) - 1))

    def next_kept(self, index: int) -> int:
        huge = index >> self.order
        found = self.frames.next_from(huge)
        while found >= 0 and self.frames.get(found) == OWED:
            found = self.frames.next_from(found + 1)
        return index if found == huge else found << self.order if found >= 0 else -1

    def attach(self, area: "Area") -> None:
        use = area.huge
        reservation = None if use is None else use.reservation
        if reservation is not None:
            reservation.is_attached = True
        super().attach(area)

    def detach(self, area: "Area") -> None:
        """Sleeps: what the pool owed to the area is given up."""
        use = area.huge
        reservation = None if use is None else use.reservation
        if use is not None and reservation is not None:
            use.reservation = None
            first = self.number_at(area, area.start)
            self.pool.release(reservation.unused(first, first + (area.end - area.start >> self.shift)), self.quota)
        super().detach(area)

    def acquire(self) -> None:
        self.users += 1

    def release(self) -> None:
        """Sleeps: the last user's release frees the pages."""
        self.users -= 1
        if self.users == 0:
            self.drop_pages(0, NUMBER_LIMIT)

    def is_huge(self) -> bool:
        return True

    def page_shift(self) -> int:
        return self.shift

    def fillable_pages(self) -> int:
        return self.page_limit << self.order

    def name(self) -> bytes:
        return b"/anon_hugepage (deleted)"

    def inode_number(self) -> int:
        return self.number

    def device_number(self) -> int:
        return _DEVICE

    # Pages

    def number_at(self, area: "Area", address: int) -> int:
        """The number of the huge page that an area shows at an address."""
        return area.index_of(address) >> self.order

    def huge_page(self, number: int) -> Frame:
        """A page that is there, or NO_FRAME."""
        head = self.frames.get(number) if number >= 0 else NO_FRAME
        return NO_FRAME if head == OWED else head

    def clear(self, head: Frame) -> None:
        """Fill a page that nobody else knows with zeros. Has safe points."""
        for i in range(self.pool.pieces):
            clear_huge_page(Frame(head + (i << HUGE_ORDER)))

    def copy(self, target: Frame, source: Frame) -> None:
        """Copy a page to one that nobody else knows; the caller uses both. Has safe points."""
        for i in range(self.pool.pieces):
            copy_huge_page(Frame(target + (i << HUGE_ORDER)), Frame(source + (i << HUGE_ORDER)))

    def hold(self, head: Frame) -> None:
        """One more user of a page."""
        for i in range(self.pool.pieces):
            get_huge_page(Frame(head + (i << HUGE_ORDER)))

    def drop(self, head: Frame, first: int = 0) -> None:
        """A user less, of the pieces from `first` on. Has safe points if there are several."""
        for i in range(first, self.pool.pieces):
            put_huge_page(Frame(head + (i << HUGE_ORDER)))
            if self.pool.pieces > 1:
                pace(_DROP_COST)

    def _is_mapped(self, head: Frame) -> bool:
        for i in range(self.pool.pieces):
            if huge_mappings(Frame(head + (i << HUGE_ORDER))) > 0:
                return True
        return False

    def begin(self, number: int) -> None:
        """Wait until no fault in a page is being served, and begin to serve one; or the same with a change of the
        object as a whole (WHOLE). Sleeps. Raises MemoryError.
        """
        while number in self.busy:
            PACE.rest.wait_for_change()
        self.busy.append(number)

    def finish(self, number: int) -> None:
        """The fault is served."""
        self.busy.remove(number)
        PACE.rest.report_change()

    def obtain(self, number: int) -> Frame:
        """A page of the object, created if there is none, with a user more for the caller. The caller serves a fault in
        it. Sleeps. Raises ENOSPC, EINVAL (past the end), MemoryError.
        """
        found = self.frames.get(number)
        if found != NO_FRAME and found != OWED:
            self.hold(found)
            return found
        if found == NO_FRAME:
            self.frames.put(number, OWED)  # so that nothing needs memory later
        try:
            head = self.pool.take(found == OWED, self.quota)
        except Errno:
            if found == NO_FRAME:
                self.frames.remove(number)
            raise
        self.clear(head)
        self.adopt(number, head)
        return head

    def adopt(self, number: int, head: Frame) -> None:
        """A page that nobody else knows is the object's, where it was OWED; with a user more for the caller."""
        self.frames.put(number, head)
        self.present += 1
        self.count_changed()
        self.hold(head)

    def count_changed(self) -> None:
        """Another number of pages is there."""

    def is_sealed(self) -> bool:
        """Whether no new mapping may be writable (memfd_create(2))."""
        return False

    def grow_to(self, size_bytes: int) -> None:
        """A mapping through which programs may write ends there: a file becomes as long."""

    def reserve_shared(self, first: int, end_page: int) -> None:
        """Have the pages first … end_page - 1 reserved that are not there yet. Sleeps. Raises ENOMEM, MemoryError."""
        missing = end_page - first - self._known(first, end_page)
        if missing <= 0:
            return
        self.pool.reserve(missing, self.quota)
        number = first
        try:
            while number < end_page and missing > 0:
                if self.frames.get(number) == NO_FRAME:
                    self.frames.put(number, OWED)
                    missing -= 1
                number += 1
                pace(_OWED_COST)
        finally:
            if missing > 0:
                self.pool.release(missing, self.quota)  # no memory; or a fault created some of them meanwhile

    def _known(self, first: int, end_page: int) -> int:
        count = 0
        number = self.frames.next_from(first)
        while 0 <= number < end_page:
            count += 1
            number = self.frames.next_from(number + 1)
            pace(_OWED_COST)
        return count

    def drop_pages(self, first: int, end_page: int, keeps_owed: bool = False) -> None:
        """Forget the pages first … end_page - 1, also those that are only owed unless the caller wants these kept. They
        have been unmapped; those that were mapped again meanwhile are unmapped now. Sleeps.
        """
        number = self.frames.next_from(first)
        while 0 <= number < end_page:
            while number in self.busy:
                PACE.rest.wait_for_change()
            head = self.frames.get(number)
            if head == OWED:
                if keeps_owed:
                    number += 1
                else:
                    self.frames.remove(number)
                    self.pool.release(1, self.quota)
            elif head != NO_FRAME:
                while self._is_mapped(head):
                    forget_pages(self, number << self.order, (number + 1) << self.order)
                self.frames.remove(number)
                self.present -= 1
                self.count_changed()
                self.drop(head)
            pace(_DROP_COST)
            number = self.frames.next_from(number)

    def punch(self, first_index: int, end_index: int) -> None:
        """Sleeps. Raises MemoryError."""
        self.begin(WHOLE)
        try:
            self.clear_range(first_index << PAGE_SHIFT, end_index << PAGE_SHIFT)
        finally:
            self.finish(WHOLE)

    def clear_range(self, start: int, end: int) -> None:
        """Let the bytes start…end - 1 be zeros. A page can only go as a whole, so that parts of pages are cleared. What
        is owed stays owed. The caller has begun with the object as a whole. Sleeps.
        """
        first = (start >> self.shift) + (1 if start & (1 << self.shift) - 1 != 0 else 0)
        end_page = end >> self.shift
        if first > end_page:  # within one page
            self._clear(start, end)
            return
        self._clear(start, first << self.shift)
        if first < end_page:
            forget_pages(self, first << self.order, end_page << self.order)
            self.drop_pages(first, end_page, keeps_owed=True)
        self._clear(end_page << self.shift, end)

    def _clear(self, start: int, end: int) -> None:
        """The same within one page."""
        while start < end:
            within = start & PAGE_MASK
            count = min(PAGE_SIZE - within, end - start)
            frame = self.resident(start >> PAGE_SHIFT)
            if frame != NO_FRAME:
                frame_span(frame)[within : within + count].fill(0)
            start += count
            pace_bytes(count)


def prepare_mapping(source: HugeObject, offset: int, length: int, shared: bool, reserves: bool) -> Reservation | None:
    """Reserve what a new mapping of whole huge pages will need; returns what is its own. Sleeps. Raises EINVAL (the
    offset), ENOMEM, MemoryError.
    """
    if offset & (1 << source.shift) - 1 != 0:
        raise Errno(EINVAL)
    if not reserves:
        return None
    first = offset >> source.shift
    pages = length >> source.shift
    if shared:
        source.begin(WHOLE)
        try:
            source.reserve_shared(first, first + pages)
        finally:
            source.finish(WHOLE)
        return None
    source.pool.reserve(pages, source.quota)
    done = False
    try:
        reservation = Reservation(first, pages)
        done = True
    finally:
        if not done:
            source.pool.release(pages, source.quota)
    return reservation
