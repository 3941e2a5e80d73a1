"""The pools of huge pages: those of 2 MiB and of 1 GiB that are set aside, and how many of them are reserved.

A pool has pages that root set aside (vm.nr_hugepages, `hugepages=` of the command line) and, where
vm.nr_overcommit_hugepages allows it, surplus ones that are taken from other memory when the pool is empty and go back
to it when they come free. Whoever maps huge pages reserves them (`reserve`), so that faults find them; a fault without
a reservation gets only what is reserved for nobody, or a surplus page. The numbers are those of /proc/meminfo.

A page of 1 GiB is 512 pages of 2 MiB in a row, its *pieces*, each with users and mappings of its own: page tables map
pieces. Such a page is taken as a whole, and comes free with the last of its pieces. There are no surplus ones but those
that were in use when root wanted fewer. One of these leaves the pool with its first piece that comes free, and each
piece goes back to other memory by itself: all of them at once would take millions of instructions.

A mount of hugetlbfs may have a quota (`HugeQuota`): a bound for the pages of its files, and a number of pages that the
pool keeps for them. A caller that takes or reserves pages for such a file names the quota. A page remembers it until it
comes free.

Invariant: `total` counts the pages in use and the free ones; `surplus` of them may leave the pool; `reserved` pages are
owed to mappings.

Context: `take`, `reserve`, `release` and `resize` may sleep, since they may look for memory; the rest doesn't. Source:
Linux's Documentation/admin-guide/mm/hugetlbpage.rst; proc_sys_vm(5).
"""

from typing import Final

from kernel.lang import ENOMEM, ENOSPC, Errno, final
from kernel.lib.pace import pace, spend
from kernel.lib.settings import NO_BOUND, SystemSetting
from kernel.mm.frames import (
    HUGE_ORDER,
    HUGE_PAGES,
    NO_FRAME,
    PAGE_SHIFT,
    Frame,
    HugePageKeeper,
    allocate_huge_page,
    frame_limit,
    free_frame_count,
    free_huge_page,
    huge_quota,
    link_huge_page,
    make_room,
    next_huge_page,
    open_huge_page,
    set_huge_quota,
    take_huge_page_at,
)

HUGE_SHIFT: Final = PAGE_SHIFT + HUGE_ORDER
HUGE_SIZE: Final = 1 << HUGE_SHIFT
HUGE_MASK: Final = HUGE_SIZE - 1
HUGE_KIB: Final = HUGE_SIZE // 1024
GIGABYTE_SHIFT: Final = 30
SHIFTS: Final[list[int]] = [HUGE_SHIFT, GIGABYTE_SHIFT]  # of the sizes that there are

# MAP_HUGE_*, SHM_HUGE_*, MFD_HUGE_*: the logarithm of a size in bits 26 to 31; 0 is the usual one.
_SHIFT_AT: Final = 26
_SHIFTS: Final = 63
SHIFT_FLAGS: Final = _SHIFTS << _SHIFT_AT

_INT_LEAST: Final = -(1 << 31)
_INT_MOST: Final = (1 << 31) - 1
_ROOM_AT_ONCE: Final = 256  # frames of caches freed before a safe point
_ROOM_ROUNDS: Final = 64
# Instructions, for `pace`
_ROOM_COST: Final = 150_000
_PAGE_COST: Final = 20_000


def shift_in(flags: int) -> int:
    """The logarithm of the size of a page that flags of mmap(2), shmget(2) or memfd_create(2) ask for. There may be no
    such pages (`SHIFTS`).
    """
    shift = flags >> _SHIFT_AT & _SHIFTS
    return HUGE_SHIFT if shift == 0 else shift


@final
class HugeQuota:
    """How many pages the files of a mount may have, and how many are kept for them. Counts what is taken and what is
    reserved.

    Invariant: the pool owes `kept` pages to the quota itself, at most `least`.
    """

    def __init__(self, most: int, least: int) -> None:
        """`most` and `least` in pages; -1: no limit. The caller has reserved the least."""
        self.most: int = most
        self.least: int = least
        self.used: int = 0  # counted only if there is a limit
        self.kept: int = max(0, least)
        self.has_ended: bool = False  # its mount is gone
        self.number: int = QUOTAS.enter(self)

    def grant(self, pages: int) -> int:
        """Count that many pages as used; how many of them the pool must have beyond those kept. Raises ENOSPC."""
        if self.most >= 0:
            if self.used + pages > self.most:
                raise Errno(ENOSPC)
            self.used += pages
        own = min(pages, self.kept)
        self.kept -= own
        return pages - own

    def cancel(self, pages: int, asked: int) -> int:
        """The pool did not have the `asked` pages: undo `grant`. Returns how many pages the pool owes less."""
        if self.most >= 0:
            self.used -= pages
        self.kept += pages - asked
        excess = max(0, self.kept - max(0, self.least))
        self.kept -= excess
        return excess

    def give_back(self, pages: int) -> int:
        """That many pages are no longer used. Returns how many of them need not be kept."""
        if self.most >= 0:
            self.used -= pages
        if self.least < 0 or self.used >= self.least:
            return pages
        kept = min(pages, self.least - self.kept)
        self.kept += kept
        return pages - kept

    def is_idle(self) -> bool:
        """Whether the mount is gone, and its pages as well."""
        return self.has_ended and (self.used == 0 if self.most >= 0 else self.kept == max(0, self.least))


@final
class HugeQuotas:
    """The quotas by number."""

    def __init__(self) -> None:
        self.by_number: dict[int, HugeQuota] = {}
        self.last: int = 0

    def enter(self, quota: HugeQuota) -> int:
        """The number of a new one. Raises MemoryError."""
        self.last += 1
        self.by_number[self.last] = quota
        return self.last


QUOTAS: Final = HugeQuotas()


@final
class Unit:
    """A page of several pieces."""

    def __init__(self, pieces: int) -> None:
        self.left: int = 0  # pieces in use
        self.is_leaving: bool = False  # it counts no more
        self.quota: int = 0  # what its first piece remembered, if so
        self.is_gone: bytearray = bytearray(pieces)  # … and which pieces went, and may be another's pages by now


@final
class HugePool:
    """All huge pages of a size."""

    def __init__(self, shift: int) -> None:
        self.shift: int = shift
        self.pieces: int = 1 << shift - HUGE_SHIFT  # pages of 2 MiB in one
        self.units: dict[int, Unit] = {}  # by where they lie, in their size; only if there are several pieces
        self.total: int = 0
        self.free: int = 0
        self.reserved: int = 0
        self.surplus: int = 0
        self.coming: int = 0  # surplus pages that are looked for
        self.first_free: Frame = NO_FRAME

    def came_free(self, head: Frame) -> None:
        """Nobody uses a page any more. Never sleeps."""
        self._give_to_quota(huge_quota(head))
        if self.surplus > 0 and self.pieces == 1:
            self.surplus -= 1
            self.total -= 1
            free_huge_page(head)
            spend(_PAGE_COST)
        else:
            self._put(head)

    def _give_to_quota(self, number: int) -> None:
        quota = QUOTAS.by_number.get(number)
        if quota is not None:
            self.reserved += 1 - quota.give_back(1)
            if quota.is_idle():
                QUOTAS.by_number.pop(quota.number)
                self.reserved -= max(0, quota.least)

    def _put(self, head: Frame) -> None:
        link_huge_page(head, self.first_free)
        self.first_free = head
        self.free += 1

    def _get(self) -> Frame:
        """A free page; there is one."""
        head = self.first_free
        assert head != NO_FRAME, "the pool is empty"
        self.first_free = next_huge_page(head)
        self.free -= 1
        return head

    def take(self, is_reserved: bool, quota: HugeQuota | None) -> Frame:
        """A page with one user, of undefined contents. `is_reserved`: it is one of the caller's reserved ones, which
        are one less then. Raises ENOSPC.
        """
        if quota is None:
            return self._take(is_reserved)
        asked = 0 if is_reserved else quota.grant(1)
        try:
            head = self._take(asked == 0)
        except Errno:
            self._release(quota.cancel(1, asked))
            raise
        set_huge_quota(head, quota.number)
        return head

    def _take(self, is_reserved: bool) -> Frame:
        while self.free <= (0 if is_reserved else self.reserved):
            if self.surplus + self.coming >= self._most_surplus() or not self._add_surplus():
                raise Errno(ENOSPC)
        if is_reserved:
            self.reserved -= 1
        head = self._get()
        self._open(head)
        return head

    def _open(self, head: Frame) -> None:
        unit = self._unit_of(head)
        if unit is None:
            open_huge_page(head)
            return
        unit.left = self.pieces
        unit.is_leaving = False
        for i in range(self.pieces):
            open_huge_page(Frame(head + (i << HUGE_ORDER)))
            pace(_PAGE_COST)

    def _unit_of(self, head: Frame) -> Unit | None:
        return self.units.get(head >> self.shift - PAGE_SHIFT)

    def is_leaving(self, head: Frame) -> bool:
        """Whether the page that a piece belongs to counts no more."""
        unit = self._unit_of(head)
        return unit is not None and unit.is_leaving

    def lose_piece(self, head: Frame) -> bool:
        """A page of 2 MiB came free; whether it is a piece of one of the pool's. Never sleeps."""
        if len(self.units) == 0:
            return False
        unit = self._unit_of(head)
        if unit is None:
            return False
        first = Frame(head & -(1 << self.shift - PAGE_SHIFT))
        piece = head - first >> HUGE_ORDER
        if unit.is_gone[piece] != 0:
            return False
        if self.surplus > 0 and unit.left == self.pieces:
            self.surplus -= 1
            self.total -= 1
            unit.is_leaving = True
            unit.quota = huge_quota(first)
        unit.left -= 1
        if unit.is_leaving:
            unit.is_gone[piece] = 1
            if unit.left == 0:
                self.units.pop(first >> self.shift - PAGE_SHIFT)
                self._give_to_quota(unit.quota)
            free_huge_page(head)
            spend(_PAGE_COST)
        elif unit.left == 0:
            self.came_free(first)
        return True

    def _most_surplus(self) -> int:
        return OVERCOMMIT.value if self.pieces == 1 else 0

    def reserve(self, pages: int, quota: HugeQuota | None) -> None:
        """Owe pages to a mapping, adding surplus ones where too few are free. Raises ENOMEM, with nothing reserved."""
        if quota is None:
            self._reserve(pages)
            return
        try:
            asked = quota.grant(pages)
        except Errno:
            raise Errno(ENOMEM) from None
        try:
            self._reserve(asked)
        except Errno:
            self._release(quota.cancel(pages, asked))
            raise

    def _reserve(self, pages: int) -> None:
        self.reserved += pages
        while self.reserved > self.free:
            lacking = self.reserved - self.free
            if lacking > self._most_surplus() - self.surplus - self.coming or not self._add_surplus():
                self._release(pages)
                raise Errno(ENOMEM)

    def _add_surplus(self) -> bool:
        """Find a surplus page. False if there is none. It counts once it is there: the size that root wants may change
        while it is looked for.
        """
        self.coming += 1  # nobody exceeds the limit meanwhile
        head = self._find_page()
        self.coming -= 1
        if head == NO_FRAME:
            return False
        self.surplus += 1
        self.total += 1
        self._put(head)
        return True

    def release(self, pages: int, quota: HugeQuota | None) -> None:
        """Owe that many pages less. Surplus ones that were added for them leave the pool."""
        if quota is not None:
            pages = quota.give_back(pages)
            self._drop_if_idle(quota)
        self._release(pages)

    def add_quota(self, most: int, least: int) -> HugeQuota:
        """A quota for a new mount. Raises ENOMEM, MemoryError."""
        pages = max(0, least)
        self._reserve(pages)
        done = False
        try:
            quota = HugeQuota(most, least)
            done = True
        finally:
            if not done:
                self._release(pages)
        return quota

    def end_quota(self, quota: HugeQuota) -> None:
        """Its mount is gone; what still uses its pages keeps it alive."""
        quota.has_ended = True
        self._drop_if_idle(quota)

    def _drop_if_idle(self, quota: HugeQuota) -> None:
        if quota.is_idle() and quota.number in QUOTAS.by_number:
            QUOTAS.by_number.pop(quota.number)
            self._release(max(0, quota.least))

    def _release(self, pages: int) -> None:
        self.reserved -= pages
        while pages > 0 and self.surplus > 0 and self.free > 0 and self.free > self.reserved:
            self.surplus -= 1  # before the safe point
            pages -= 1
            self._drop_free()

    def _drop_free(self) -> None:
        """Give a free page to the rest of the kernel."""
        self.total -= 1
        head = self._get()
        if self.pieces > 1:
            self.units.pop(head >> self.shift - PAGE_SHIFT)
        self._free_pieces(head, self.pieces)

    def resize(self, wanted: int) -> None:
        """Let that many pages not be surplus, as far as memory allows. Those that are in use become surplus ones where
        there are too many.
        """
        while self.surplus > 0 and self.total - self.surplus < wanted:
            self.surplus -= 1
        while self.total - self.surplus < wanted:
            head = self._find_page()
            if head == NO_FRAME:
                return
            self.total += 1
            self._put(head)
        while self.total - self.surplus > wanted and self.free > max(0, self.reserved) + self.surplus:
            self._drop_free()
        self.surplus = max(self.surplus, self.total - wanted)

    def _find_page(self) -> Frame:
        """A page for the pool, for which caches are emptied if need be; NO_FRAME if there is none. Sleeps."""
        for _ in range(_ROOM_ROUNDS):
            head = allocate_huge_page() if self.pieces == 1 else self._gather_any()
            if head != NO_FRAME:
                pace(_PAGE_COST)
                return head
            before = free_frame_count()
            make_room(_ROOM_AT_ONCE)
            if free_frame_count() <= before:
                return NO_FRAME
            pace(_ROOM_COST)
        return NO_FRAME

    def _gather_any(self) -> Frame:
        """A page all of whose pieces are free."""
        order = self.shift - PAGE_SHIFT
        for number in range(frame_limit() >> order):
            if free_frame_count() >> order == 0:
                break
            if number not in self.units and self._gather(Frame(number << order)):
                return Frame(number << order) if self._enter(number) else NO_FRAME
        return NO_FRAME

    def _enter(self, number: int) -> bool:
        """Know a new page; its pieces are given back if there is no memory for that."""
        try:
            self.units[number] = Unit(self.pieces)
            return True
        except MemoryError:
            self._free_pieces(Frame(number << self.shift - PAGE_SHIFT), self.pieces)
            return False

    def _free_pieces(self, head: Frame, count: int) -> None:
        """Give the first pieces of a page that counts no more to the rest of the kernel. Sleeps."""
        for i in range(count):
            free_huge_page(Frame(head + (i << HUGE_ORDER)))
            pace(_PAGE_COST)

    def _gather(self, head: Frame) -> bool:
        for i in range(self.pieces):
            if not take_huge_page_at(Frame(head + (i << HUGE_ORDER))):
                self._free_pieces(head, i)
                return False
            pace(_PAGE_COST)
        return True

    def demote(self, pages: int, smaller: "HugePool") -> None:
        """Let free pages become pages of 2 MiB, as many as there are."""
        while pages > 0 and self.free > max(0, self.reserved):
            pages -= 1
            head = self._get()
            self.total -= 1
            self.units.pop(head >> self.shift - PAGE_SHIFT)
            for i in range(self.pieces):
                smaller.total += 1
                smaller._put(Frame(head + (i << HUGE_ORDER)))
                pace(_PAGE_COST)


POOL: Final = HugePool(HUGE_SHIFT)
GIGANTIC: Final = HugePool(GIGABYTE_SHIFT)


def pool_of(shift: int) -> HugePool:
    """The pool of a size that there is."""
    return POOL if shift == HUGE_SHIFT else GIGANTIC


def pooled_frames() -> int:
    """How many frames the pools have."""
    return (POOL.total << HUGE_ORDER) + (GIGANTIC.total << GIGABYTE_SHIFT - PAGE_SHIFT)


@final
class PoolKeeper(HugePageKeeper):
    """Lets pages that come free go to their pools."""

    def came_free(self, head: Frame) -> None:
        if not GIGANTIC.lose_piece(head):
            POOL.came_free(head)


@final
class Reservation:
    """The pages that the pool owes to a private mapping, whatever parts it is cut into."""

    def __init__(self, first: int, pages: int) -> None:
        self.first: int = first  # the number of its first page in the object
        self.is_used: bytearray = bytearray(pages)
        self.is_attached: bool = False

    def has(self, index: int) -> bool:
        """Whether a page is still owed."""
        return self.is_used[index - self.first] == 0

    def use(self, index: int) -> None:
        """A page was taken."""
        self.is_used[index - self.first] = 1

    def restore(self, index: int) -> None:
        """A page was given back, and is owed again."""
        self.is_used[index - self.first] = 0

    def unused(self, first: int, end_page: int) -> int:
        """How many of the pages first … end_page - 1 are owed."""
        count = 0
        for index in range(first, end_page):
            count += 1 - self.is_used[index - self.first]
        return count


def use_pool() -> None:
    """Let huge pages that come free go to the pool."""
    HUGE_PAGES.keeper = PoolKeeper()


use_pool()


@final
class HugeUse:
    """What an area of huge pages has beside its object."""

    def __init__(self, shift: int) -> None:
        self.shift: int = shift  # the logarithm of the size of a page
        self.reservation: Reservation | None = None  # of pages that are its own
        self.lost_pages: bool = False  # to its parent: faults find none (huge_fault.py)

    def follow(self, other: "HugeUse") -> None:
        """Have what another area of the same mapping has."""
        self.reservation = other.reservation
        self.lost_pages = other.lost_pages


@final
class _Size(SystemSetting):
    """How many pages root wants in the pool; shows how many there are."""

    def prepare(self) -> None:
        self.values[0] = POOL.total

    def store(self, numbers: list[int]) -> None:
        POOL.resize(numbers[0])


SIZE: Final = _Size(b"vm/nr_hugepages", [0], 0, NO_BOUND)
SIZE_BY_POLICY: Final = _Size(b"vm/nr_hugepages_mempolicy", [0], 0, NO_BOUND)  # all memory lies on the one node
OVERCOMMIT: Final = SystemSetting(b"vm/nr_overcommit_hugepages", [0], 0, NO_BOUND)
SHARER_GROUP: Final = SystemSetting(b"vm/hugetlb_shm_group", [0], _INT_LEAST, _INT_MOST)
