"""Slots: the pages of swap areas, how many refer to each, and which of them are in memory as well (the swap cache).

A slot is a number: the area's above, the page's within the area below. Page tables name it in an entry that is not
present (SWAPPED), memory objects in the place of a frame. Each of those counts as a user of the slot, and so does the
swap cache while it has the page. The last user's leaving frees the slot.

The swap cache has a page while it is being written or read, and for as long as some users have it in memory again and
others do not: so all of them find the same frame. Nobody writes to such a frame, because the cache's reference makes it
one of several (`has_sole_owner`). A page that is not being transferred leaves the cache with the slot's last other
user, or, clean, when memory is short and nobody maps it.

Areas and their devices are those of kernel/cache/swap_areas.py. Nothing here needs memory but `SwapArea.prepare` and
`SwapSlots.enter`.

Context: never sleeps.
Source: swapon(2).
"""

from typing import Final, Literal, NewType

from kernel.lang import Array, final, noinline, noraise, u16, u32
from kernel.lib.linked import Linked, LinkedList
from kernel.mm.frames import Frame, frame_count, get_frame, put_frame

Slot = NewType("Slot", int)

NO_SLOT: Final = Slot(0)  # the first page of the first area is its header, as that of each area is
SLOT_LIMIT: Final = 1 << 31
_PAGE_BITS: Final = 26
_PAGE_MASK: Final = (1 << _PAGE_BITS) - 1
MOST_PAGES: Final = 1 << _PAGE_BITS  # of an area that are used
MOST_AREAS: Final = 23
CHUNK_SHIFT: Final = 9
CHUNK_PAGES: Final = 1 << CHUNK_SHIFT
_CHUNK_MASK: Final = CHUNK_PAGES - 1
_UNUSABLE: Final = 0xFFFF_FFFF
_TURN: Final = 256  # slots of an area before another one of its priority has its turn


def make_slot(area: int, page: int) -> Slot:
    """The slot of a page of an area."""
    return Slot(area << _PAGE_BITS | page)


def area_of(slot: Slot) -> int:
    """The number of a slot's area."""
    return slot >> _PAGE_BITS


def page_of(slot: Slot) -> int:
    """Its page in the area."""
    return slot & _PAGE_MASK


@final
class SlotChunk:
    """512 slots in a row."""

    users: Array[u32, Literal[512]]
    owners: Array[u16, Literal[512]]  # the control groups that they are charged to, 0 for none

    def __init__(self) -> None:
        self.used: int = 0
        self.is_old: bool = False  # on its area's list of those to discard
        self.next_old: int = -1


class SwapArea:
    """The slots of an area. Base class: kernel/cache/swap_areas.py knows where they lie."""

    def __init__(self, number: int, page_count: int) -> None:
        self.number: int = number
        self.page_count: int = page_count  # with the header and unusable pages
        self.usable: int = 0
        self.in_use: int = 0
        self.priority: int = 0
        self.is_open: bool = False  # slots may be taken
        self.is_failing: bool = False  # a write failed: no more are taken
        self.turn: int = 0  # when it last had its turn among those of its priority
        self.taken: int = 0  # in this turn
        self.chunks: list[SlotChunk] = []
        self.discards: bool = False  # chunks that come free
        self._resting: int = 0  # slots of a chunk that is being discarded
        self._first_old: int = -1
        self._next: int = 1

    def add_chunk(self) -> None:
        """Make the table longer, by slots that nobody uses. Raises MemoryError."""
        first = len(self.chunks) << CHUNK_SHIFT
        chunk = SlotChunk()
        self.chunks.append(chunk)
        for place in range(CHUNK_PAGES):
            page = first + place
            if page == 0 or page >= self.page_count:
                chunk.users[place] = u32(_UNUSABLE)
                chunk.used += 1
        self.usable += CHUNK_PAGES - chunk.used

    def exclude(self, page: int) -> None:
        """A page cannot be used (a bad block). As on Linux, one that is named twice costs another one."""
        chunk = self.chunks[page >> CHUNK_SHIFT]
        self.usable -= 1
        if chunk.users[page & _CHUNK_MASK] != _UNUSABLE:
            chunk.users[page & _CHUNK_MASK] = u32(_UNUSABLE)
            chunk.used += 1

    def users(self, page: int) -> int:
        """How many use a slot, with the swap cache."""
        return self.chunks[page >> CHUNK_SHIFT].users[page & _CHUNK_MASK]

    def has_free(self) -> bool:
        """Whether a slot may be taken."""
        return self.is_open and not self.is_failing and self.in_use + self._resting < self.usable

    def take(self, owner: int) -> int:
        """Take a free slot, with one user; there is one. The search goes on where it ended."""
        page = self._next
        while True:
            if page >= self.page_count:
                page = 1
            chunk = self.chunks[page >> CHUNK_SHIFT]
            if chunk.used == CHUNK_PAGES:
                page = (page | _CHUNK_MASK) + 1
                continue
            if chunk.users[page & _CHUNK_MASK] == 0:
                break
            page += 1
        self._next = page + 1
        chunk.users[page & _CHUNK_MASK] = u32(1)
        chunk.owners[page & _CHUNK_MASK] = u16(owner)
        chunk.used += 1
        self.in_use += 1
        return page

    def add_user(self, page: int) -> None:
        """One more uses a slot."""
        chunk = self.chunks[page >> CHUNK_SHIFT]
        chunk.users[page & _CHUNK_MASK] = u32(chunk.users[page & _CHUNK_MASK] + 1)

    def drop_user(self, page: int) -> int:
        """A user of a slot goes; returns how many are left. The last one frees it."""
        chunk = self.chunks[page >> CHUNK_SHIFT]
        left = chunk.users[page & _CHUNK_MASK] - 1
        chunk.users[page & _CHUNK_MASK] = u32(left)
        if left == 0:
            chunk.used -= 1
            self.in_use -= 1
            owner = chunk.owners[page & _CHUNK_MASK]
            if owner != 0:
                SWAP.charger.uncharge(owner)
            if chunk.used == 0 and self.discards and not chunk.is_old:
                chunk.is_old = True
                chunk.next_old = self._first_old
                self._first_old = page >> CHUNK_SHIFT
                self.came_free()
        return left

    @noraise
    def came_free(self) -> None:
        """A chunk may be discarded (`take_old`). Never sleeps."""

    def has_old(self) -> bool:
        """Whether there may be a chunk to discard."""
        return self._first_old >= 0

    def take_old(self) -> int:
        """The number of a chunk that nobody uses since it came free, or -1. Its slots are not taken before
        `end_discard`: what is written to them must not be discarded.
        """
        while self._first_old >= 0:
            number = self._first_old
            chunk = self.chunks[number]
            self._first_old = chunk.next_old
            chunk.is_old = False
            if chunk.used == 0:
                chunk.used = CHUNK_PAGES
                self._resting += CHUNK_PAGES
                return number
        return -1

    def end_discard(self, number: int) -> None:
        """A chunk has been discarded."""
        self.chunks[number].used = 0
        self._resting -= CHUNK_PAGES


class SlotCharger:
    """Counts slots for control groups, by the numbers that frames carry. Base class: kernel/cgroup/memory.py. Nothing
    sleeps or allocates.
    """

    def has_room(self, number: int) -> bool:
        """Whether `charge` would succeed."""
        return True

    def charge(self, number: int) -> bool:
        """Count a slot; whether the group may have one more."""
        return True

    def uncharge(self, number: int) -> None:
        """A slot that was counted came free."""


class SlotLoader:
    """Reads slots. Base class: kernel/cache/swap_areas.py."""

    def load(self, slot: Slot) -> None:
        """Sleep until the swap cache has the page of a used slot, or nobody uses it any more; or for a while: look
        again. Raises EIO, MemoryError.
        """

    def settle(self, page: "CachedSlot") -> None:
        """Sleep until a page of the cache is not being transferred. Raises nothing."""


@final
class CachedSlot(Linked["CachedSlot"]):
    """A slot whose page is in memory as well."""

    def __init__(self, slot: Slot, frame: Frame) -> None:
        super().__init__()
        self.slot: Slot = slot
        self.frame: Frame = frame
        self.is_reading: bool = False
        self.is_writing: bool = False
        self.is_dirty: bool = False  # its contents are not, or not yet, on the device

    def this(self) -> "CachedSlot":
        return self

    def is_busy(self) -> bool:
        """Whether a transfer is under way."""
        return self.is_reading or self.is_writing


@final
class SwapSlots(LinkedList["CachedSlot"]):
    """All areas, and the swap cache: its pages, the oldest first."""

    def __init__(self) -> None:
        super().__init__()
        self.areas: list[SwapArea | None] = []  # by number
        self.open_count: int = 0
        self.charger: SlotCharger = SlotCharger()
        self.loader: SlotLoader = SlotLoader()
        self.swapped_in: int = 0  # pages since the machine started
        self.swapped_out: int = 0
        self.has_unwritten: bool = False  # for some pages there was no memory to write them
        self._turns: int = 0
        self._by_slot: dict[int, CachedSlot] = {}
        self._by_frame: dict[int, CachedSlot] = {}

    # ---- Slots ------------------------------------------------------------------------------------------------

    def total(self) -> int:
        """Usable pages of all areas, of those that are being taken out of use only what is left there."""
        pages = 0
        for area in self.areas:
            if area is not None:
                pages += area.usable if area.is_open else area.in_use
        return pages

    def free(self) -> int:
        """How many slots nobody uses, of areas that are in use: what is left in others is used."""
        pages = 0
        for area in self.areas:
            if area is not None and area.is_open:
                pages += area.usable - area.in_use
        return pages

    def _area_to_use(self) -> SwapArea | None:
        """The area whose turn it is: of the highest priority that has free slots."""
        best: SwapArea | None = None
        for area in self.areas:
            if area is None or not area.has_free():
                continue
            if best is None or area.priority > best.priority:
                best = area
            elif area.priority == best.priority and area.turn < best.turn:
                best = area
        return best

    def has_free(self) -> bool:
        """Whether a slot may be taken."""
        return self.open_count > 0 and self._area_to_use() is not None

    def take(self, owner: int) -> Slot:
        """Take a free slot for a page that is charged to a group (or to none, 0), with one user; NO_SLOT if there is
        none, or the group may not have it.
        """
        area = self._area_to_use()
        if area is None or (owner != 0 and not self.charger.charge(owner)):
            return NO_SLOT
        page = area.take(owner)
        area.taken += 1
        if area.taken >= _TURN:
            area.taken = 0
            self._turns += 1
            area.turn = self._turns
        return make_slot(area.number, page)

    def area(self, slot: Slot) -> SwapArea:
        """The area of a slot in use."""
        area = self.areas[area_of(slot)]
        assert area is not None, "a slot of no area"
        return area

    def users(self, slot: Slot) -> int:
        """How many use a slot, with the cache."""
        return self.area(slot).users(page_of(slot))

    def get(self, slot: Slot) -> None:
        """One more uses a slot."""
        self.area(slot).add_user(page_of(slot))

    @noraise
    def put(self, slot: Slot) -> None:
        """A user other than the cache goes."""
        if self.area(slot).drop_user(page_of(slot)) == 1:
            page = self._by_slot.get(slot)
            if page is not None and not page.is_busy():
                self.leave(page)

    @noraise
    def put_for_frame(self, page: CachedSlot) -> None:
        """The only user beside the cache goes, and takes the frame: the cache's reference is the caller's."""
        slot = page.slot
        self.forget(page)
        self.area(slot).drop_user(page_of(slot))

    # ---- The cache --------------------------------------------------------------------------------------------

    def count(self) -> int:
        """Pages in the cache."""
        return len(self._by_slot)

    def find(self, slot: Slot) -> CachedSlot | None:
        """The page of a slot, if it is in memory."""
        return self._by_slot.get(slot)

    def find_frame(self, frame: Frame) -> CachedSlot | None:
        """The slot that has a frame as its page."""
        return self._by_frame.get(frame)

    def enter(self, slot: Slot, frame: Frame) -> CachedSlot:
        """Let the cache have a frame as the page of a slot, of which the caller has made it a user already. It takes a
        reference of its own. Raises MemoryError, with nothing changed.
        """
        page = CachedSlot(slot, frame)
        self._by_slot[slot] = page
        try:
            self._by_frame[frame] = page
        except MemoryError:
            del self._by_slot[slot]
            raise
        get_frame(frame)
        self.link_last(page)
        return page

    @noraise
    def leave(self, page: CachedSlot) -> None:
        """The cache gives a page up, which is not being transferred."""
        self.forget(page)
        put_frame(page.frame)

    @noraise
    def forget(self, page: CachedSlot) -> None:
        """The same, except that its reference to the frame becomes the caller's."""
        del self._by_slot[page.slot]
        del self._by_frame[page.frame]
        self.unlink(page)
        self.area(page.slot).drop_user(page_of(page.slot))

    def takes_users(self, page: CachedSlot) -> bool:
        """Whether the slot of a page may have more users: its area is not being emptied, and can be written to if the
        page must be.
        """
        area = self.area(page.slot)
        return area.is_open and not (page.is_dirty and area.is_failing)

    def is_last(self, page: CachedSlot) -> bool:
        """Whether the slot of a page has no user beside the cache."""
        return self.users(page.slot) == 1

    @noraise
    def transferred(self, page: CachedSlot) -> bool:
        """A transfer has ended, and the page is not busy any more: it leaves if nobody needs it here. Returns whether
        it left.
        """
        if self.is_last(page) or (not page.is_dirty and frame_count(page.frame) == 1):
            self.leave(page)
            return True
        return False

    @noinline
    def drop_unused(self, wanted: int, most: int) -> int:
        """Let clean pages leave that nobody maps, the oldest first; looks at no more than `most`. Returns how many
        left.
        """
        dropped = 0
        looks = min(most, self.count())
        while looks > 0 and dropped < wanted:
            looks -= 1
            page = self.first()
            if page is None:
                break
            if page.is_busy() or page.is_dirty or frame_count(page.frame) != 1:
                self.unlink(page)
                self.link_last(page)
                continue
            self.leave(page)
            dropped += 1
        return dropped


SWAP: Final = SwapSlots()
