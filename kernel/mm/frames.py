"""Physical memory: a buddy allocator of 4 KiB frames, with a reference count for each.

A frame is named by its number (physical address / 4096). Blocks of 2**order frames, order 0…10, are kept on one doubly
linked free list an order; the links live in the frame table, 16 bytes a frame, which `initialise` takes from the memory
that it is given. Frame 0 is never handed out, so 0 means "none". In front of the buddy lists stands a stack of single
frames, because nearly every request is for one.

A frame that a device may write to is *pinned* by whoever holds it for the transfer: while a program waits for what the
device puts there, the frame stays with the mapping that it was found in (fault.py).

Invariants: a free block is aligned to its size and its head alone carries ORDER_FREE | order; a frame in use has a
count of 1 or more, and no more pins than that; no two buddies of the same order are both free, except those on the
single-frame stack.

Context: never sleeps; interrupts are off in the kernel. Out of memory is `MemoryError`.
Safety: all accesses go to the frame table (bounded by `_frame_limit`) and to whole frames in the direct map.
Source: Knuth, The Art of Computer Programming, volume 1, section 2.5 (buddy system).
"""

from typing import Final, NewType

from arch import DIRECT_MAP_BASE
from kernel.lang import Span, inline, noinline, panic, u8
from kernel.lang.unsafe import (
    copy_bytes,
    fill_bytes,
    load_u16,
    load_u32,
    span_at,
    store_u16,
    store_u32,
)

Frame = NewType("Frame", int)

PAGE_SHIFT: Final = 12
PAGE_SIZE: Final = 4096
PAGE_MASK: Final = PAGE_SIZE - 1
NO_FRAME: Final = Frame(0)
MAX_ORDER: Final = 10

# One entry of the frame table.
_ENTRY_SHIFT: Final = 4
_COUNT: Final = 0  # u32: references; 0 while free
_NEXT: Final = 4  # u32: free list or stack link; in use: its owner's chain
_PREVIOUS: Final = 8  # u32
# u16: of the head of a free block, ORDER_FREE | order, and of a largest one perhaps REPORTED; in use: who is charged
# for it (`FrameCharger`), perhaps SHARED or MERGED, or 0; of a frame of a huge page, HUGE.
_STATE: Final = 12
_PINS: Final = 14  # u16: that many of the references are pins
_PIN_LIMIT: Final = (1 << 16) - 1

_ORDER_FREE: Final = 0x8000
_REPORTED: Final = 0x4000  # the host knows that the block is free
_SHARED: Final = 0x4000  # a page of a file in memory
_MERGED: Final = 0xC000  # programs' equal pages; so looks only a frame in use, or a free one that the host has
_KIND: Final = 0xC000  # … SHARED, MERGED, or neither
_CHARGE: Final = 0x3FFF
LAST_CHARGE: Final = 0x3FFE  # the largest number of a charged group
_HUGE: Final = 0x3FFF
HUGE_ORDER: Final = 9
HUGE_FRAMES: Final = 1 << HUGE_ORDER
_STACK_LIMIT: Final = 256  # single frames kept in front of the buddy lists

_REPORT_SHIFT: Final = 4  # a sixteenth of memory stays at hand while blocks are reported
# What user pages and page caches may not touch, so that the kernel can finish what it started: 1/64 of memory, at least
# this.
_RESERVE_MINIMUM: Final = 128

_table: int = 0
_frame_limit: int = 0
_total: int = 0
_free: int = 0
_reserve: int = 0
_mark: int = 0  # with that many free frames, user pages look at what is left: the reserve, or more (`watch`)
_heads: Final[list[int]] = [0] * (MAX_ORDER + 1)
_stack_head: int = 0
_stack_depth: int = 0


class RoomMaker:
    """Helps when frames run out. Base class: see kernel.cache.eviction. (An object rather than functions, so that the
    compiler sees that `make_room` never sleeps.)
    """

    def make_room(self, wanted: int) -> int:
        """Free up to `wanted` frames, a few hundred at once; returns how many. Never sleeps, allocates nothing."""
        return 0

    def may_find_more(self) -> bool:
        """Whether `make_room` found too little, but did not look at everything."""
        return False

    def droppable(self) -> int:
        """About how many more frames it could free."""
        return 0

    def wait_for_room(self) -> bool:
        """Sleep until something may have come free. False if nothing will."""
        return False

    def call_for_relief(self) -> None:
        """Memory is short: the running thread is to see to it before it goes on in user mode. Never sleeps."""


class PageSwapper:
    """Writes pages of programs to swap areas. Base class: see kernel.cache.swapper."""

    def wake(self) -> None:
        """User pages have passed the mark that `watch` has set. Never sleeps, allocates nothing."""

    def wait(self) -> bool:
        """Sleep until pages were swapped out, or for a while. False if none can be, or the thread must end. Raises
        MemoryError.
        """
        return False

    def wait_for_frame(self) -> bool:
        """The same for a caller that does nothing else but try again: False as well for a kernel thread, because the
        swapper may be waiting for it.
        """
        return False


class Shortage:
    """Helpers when frames run out; entered by a package above."""

    def __init__(self) -> None:
        self.helper: RoomMaker = RoomMaker()
        self.swapper: PageSwapper = PageSwapper()
        self.busy: bool = False
        self.is_felt: bool = False  # somebody should see to it: kernel.task.memory_shortage
        self.lacks_run: bool = False  # … and some frames in a row are what is missing


class FrameCharger:
    """Counts frames for those who take them, by numbers from 1 to LAST_CHARGE. Base class: see kernel/cgroup/memory.py.
    Nothing sleeps or allocates.
    """

    def charge(self) -> int:
        """Charge a frame to the running thread's; returns the number, 0 if nobody is charged. Raises MemoryError."""
        return 0

    def charges(self) -> bool:
        """Whether somebody is charged for what the running thread takes."""
        return False

    def permits(self, pages: int) -> bool:
        """Whether the running thread's may be charged for that many more, without any of them being dropped."""
        return True

    def uncharge(self, number: int, is_shared: bool) -> None:
        """A frame that was charged came free."""

    def mark_shared(self, number: int) -> None:
        """A frame that was charged is a page of a file in memory."""

    def heap_grew(self, pages: int) -> None:
        """The kernel's heap took pages for what the running thread does."""

    def successor(self, number: int, is_shared: bool) -> int:
        """Who is charged for a frame from now on, where that has changed."""
        return number


class Charging:
    """Whether anybody is charged, and by whom."""

    def __init__(self) -> None:
        self.is_on: bool = False
        self.charger: FrameCharger = FrameCharger()


CHARGING: Final = Charging()


class HugePageKeeper:
    """Gets huge pages back. Base class: see kernel/mm/huge_pool.py. Nothing sleeps or allocates."""

    def came_free(self, head: Frame) -> None:
        """Nobody uses any frame of a huge page any more; `head` is its first one."""


class HugePages:
    """A caller that keeps huge pages."""

    def __init__(self) -> None:
        self.keeper: HugePageKeeper = HugePageKeeper()


HUGE_PAGES: Final = HugePages()


class MergedPageKeeper:
    """Keeps lists of merged pages. Base class: see kernel/mm/merged_pages.py. Nothing sleeps or allocates."""

    def came_free(self, frame: Frame) -> None:
        """Nobody has a merged page any more: it is to leave its list."""


class MergedPages:
    """A caller that keeps merged pages."""

    def __init__(self) -> None:
        self.keeper: MergedPageKeeper = MergedPageKeeper()


MERGED_PAGES: Final = MergedPages()


class FreeBlocks:
    """For whoever looks from time to time (kernel.drivers.virtio.balloon)."""

    def __init__(self) -> None:
        self.has_new: bool = True  # a largest block came free since somebody looked


FREE_BLOCKS: Final = FreeBlocks()


def _feel_shortage() -> None:
    SHORTAGE.is_felt = True
    SHORTAGE.helper.call_for_relief()


SHORTAGE: Final = Shortage()
_ROOM: Final = 64  # frames made free at once
_ROUNDS: Final = 16  # tries to get a run of frames together
_ORDINARY_ORDER: Final = 2  # larger runs may be missing while there is memory enough


def _make_room(wanted: int) -> bool:
    """Whether something has been freed."""
    if SHORTAGE.busy:
        return False
    SHORTAGE.busy = True
    freed = SHORTAGE.helper.make_room(wanted)
    SHORTAGE.busy = False
    return freed > 0


@inline
def _check(frame: int) -> None:
    if frame <= 0 or frame >= _frame_limit:
        _refuse(frame)


@noinline
def _refuse(frame: int) -> None:
    panic(f"frame {frame} is not memory")


def _entry(frame: int) -> int:
    _check(frame)
    return _table + (frame << _ENTRY_SHIFT)


def frame_address(frame: Frame) -> int:
    """Kernel address of a frame's bytes, in the direct map."""
    return DIRECT_MAP_BASE + (frame << PAGE_SHIFT)


def frame_of_address(address: int) -> Frame:
    """The frame of a direct-map address."""
    return Frame((address - DIRECT_MAP_BASE) >> PAGE_SHIFT)


def frame_span(frame: Frame) -> Span[u8]:
    """The frame's 4096 bytes.

    Safety: the direct map covers every frame of the table, and the caller holds a reference to the frame while it uses
    the span.
    """
    _check(frame)
    return span_at(frame_address(frame), PAGE_SIZE)


# Free lists ---------------------------------------------------------------------------------------------------------


def _push_block(frame: int, order: int) -> None:
    entry = _entry(frame)
    head = _heads[order]
    store_u16(entry + _STATE, _ORDER_FREE | order)
    store_u32(entry + _NEXT, head)
    store_u32(entry + _PREVIOUS, 0)
    if head != 0:
        store_u32(_entry(head) + _PREVIOUS, frame)
    _heads[order] = frame
    if order == MAX_ORDER:
        FREE_BLOCKS.has_new = True


def _unlink_block(frame: int, order: int) -> None:
    entry = _entry(frame)
    following = load_u32(entry + _NEXT)
    previous = load_u32(entry + _PREVIOUS)
    if previous != 0:
        store_u32(_entry(previous) + _NEXT, following)
    else:
        _heads[order] = following
    if following != 0:
        store_u32(_entry(following) + _PREVIOUS, previous)
    store_u16(entry + _STATE, 0)


def _release_block(frame: int, order: int) -> None:
    """Put a block back, merged with its buddies as far as they are free."""
    while order < MAX_ORDER:
        buddy = frame ^ (1 << order)
        if buddy <= 0 or buddy >= _frame_limit or load_u16(_entry(buddy) + _STATE) != _ORDER_FREE | order:
            break
        _unlink_block(buddy, order)
        frame = min(frame, buddy)
        order += 1
    _push_block(frame, order)


def _take_block(order: int) -> int:
    """A block of 2**order frames, split off the smallest that fits; 0 if there is none."""
    found = order
    while found <= MAX_ORDER and _heads[found] == 0:
        found += 1
    if found > MAX_ORDER:
        return 0
    frame = _heads[found]
    _unlink_block(frame, found)
    while found > order:
        found -= 1
        _push_block(frame + (1 << found), found)
    return frame


def _drain_stack() -> None:
    """Give the single frames back to the buddy lists, so that they can merge."""
    global _stack_head, _stack_depth
    while _stack_head != 0:
        frame = _stack_head
        _stack_head = load_u32(_entry(frame) + _NEXT)
        _release_block(frame, 0)
    _stack_depth = 0


# Public -------------------------------------------------------------------------------------------------------------


def initialise(table_address: int, frame_limit: int) -> None:
    """Begin with no free frame; `table_address` is the kernel address of 16 * frame_limit zeroed bytes for the
    table.
    """
    global _table, _frame_limit
    _table = table_address
    _frame_limit = frame_limit


def table_bytes(frame_limit: int) -> int:
    """Size of the frame table for frames 0…frame_limit - 1."""
    return frame_limit << _ENTRY_SHIFT


def add_range(first: int, end: int) -> None:
    """Hand the usable frames first…end - 1 to the allocator."""
    global _total, _free, _reserve, _mark
    first = max(first, 1)
    end = min(end, _frame_limit)
    frame = first
    while frame < end:
        order = MAX_ORDER
        while order > 0 and (frame & ((1 << order) - 1) != 0 or frame + (1 << order) > end):
            order -= 1
        _release_block(frame, order)
        _total += 1 << order
        _free += 1 << order
        frame += 1 << order
    _reserve = max(_RESERVE_MINIMUM, _total >> 6)
    _mark = _reserve


def allocate_frames(order: int) -> Frame:
    """2**order frames in a row, aligned to their size, contents undefined, each with one reference. Raises
    MemoryError.
    """
    global _free
    frame = _take_block(order)
    if frame == 0 and order > 0 and _stack_head != 0:
        _drain_stack()
        frame = _take_block(order)
    rounds = 0
    while frame == 0 and rounds < _ROUNDS and _make_room(_ROOM << order):
        _drain_stack()
        frame = _take_block(order)
        rounds += 1
    if frame == 0:
        if order <= _ORDINARY_ORDER:
            SHORTAGE.lacks_run = True
            _feel_shortage()
        raise MemoryError
    for i in range(1 << order):
        store_u32(_entry(frame + i) + _COUNT, 1)
    _free -= 1 << order
    return Frame(frame)


def allocate_frame() -> Frame:
    """One frame, contents undefined, with one reference. Raises MemoryError."""
    global _free, _stack_head, _stack_depth
    frame = _stack_head
    if frame == 0:
        return allocate_frames(0)
    _check(frame)
    _stack_head = load_u32(_table + (frame << _ENTRY_SHIFT) + _NEXT)
    _stack_depth -= 1
    store_u32(_table + (frame << _ENTRY_SHIFT) + _COUNT, 1)
    _free -= 1
    return Frame(frame)


def allocate_user_frame() -> Frame:
    """As `allocate_frame`, but leaves the kernel's reserve alone: for user pages and file contents."""
    if _free <= _mark:
        _look_at_rest()
    if CHARGING.is_on:
        return _allocate_charged()
    return allocate_frame()


@noinline
def _look_at_rest() -> None:
    """Few frames are free. Raises MemoryError if only the reserve is left."""
    if _free > _reserve:
        SHORTAGE.swapper.wake()
        return
    before = _free
    _make_room(_reserve - _free + _ROOM)  # the kernel's own needs may have gone deep into the reserve
    if _free <= _reserve and _free < before + _ROOM:  # else it fills up again
        _feel_shortage()
        raise MemoryError


def allocate_last_frame() -> Frame:
    """As `allocate_user_frame`, for a thread that must end and needs the page for that: half of the kernel's reserve
    may go for such. Raises MemoryError.
    """
    if _free <= _reserve >> 1:
        raise MemoryError
    return allocate_frame()


def wait_for_swapping() -> bool:
    """Sleep until pages of programs were swapped out, or for a while, because there was no frame for a page. False if
    that is of no use: a control group's limit was in the way, nothing can be swapped out, the thread must end, or it is
    one of the kernel's. Raises MemoryError.
    """
    return _free <= _reserve and SHORTAGE.swapper.wait_for_frame()


def watch(frames: int) -> None:
    """Wake the swapper whenever user pages leave no more than that many frames beyond the reserve; 0: never."""
    global _mark
    _mark = _reserve + frames


@noinline
def _allocate_charged() -> Frame:
    """A frame for which the running thread's group is charged. Raises MemoryError."""
    number = CHARGING.charger.charge()
    try:
        frame = allocate_frame()
    except MemoryError:
        if number != 0:
            CHARGING.charger.uncharge(number, is_shared=False)
        raise
    store_u16(_entry(frame) + _STATE, number)
    return frame


@noinline
def _stays(frame: int) -> bool:
    """A frame with a state has lost its last reference: whether it is still out of everybody's reach, as a part of a
    huge page. If not, it is merged no more, and nobody is charged for it.
    """
    if load_u16(_entry(frame) + _STATE) == _HUGE:
        _leave_huge_page(frame)
        return True
    _clear_state(frame)
    return False


def _clear_state(frame: int) -> None:
    """A frame is no longer a merged page, and nobody is charged for it."""
    if load_u16(_entry(frame) + _STATE) & _KIND == _MERGED:
        MERGED_PAGES.keeper.came_free(Frame(frame))
    if load_u16(_entry(frame) + _STATE) != 0:
        _uncharge(frame)


@noinline
def _uncharge(frame: int) -> None:
    """A frame for which somebody was charged comes free."""
    entry = _entry(frame)
    state = load_u16(entry + _STATE)
    store_u16(entry + _STATE, 0)
    CHARGING.charger.uncharge(state & _CHARGE, is_shared=state & _SHARED != 0)


def mark_shared(frame: Frame) -> None:
    """A frame from `allocate_user_frame` is a page of a file in memory: its charge says so."""
    if CHARGING.is_on:
        entry = _entry(frame)
        state = load_u16(entry + _STATE)
        if state != 0 and state & _SHARED == 0:
            store_u16(entry + _STATE, state | _SHARED)
            CHARGING.charger.mark_shared(state)


def charged_for(frame: Frame) -> int:
    """The number of the group that is charged for a frame in use, or 0."""
    number = load_u16(_entry(frame) + _STATE) & _CHARGE
    return number if number <= LAST_CHARGE else 0


def recharge(first: int, end: int) -> None:
    """Bring up to date who is charged for the frames first … end - 1."""
    for frame in range(max(first, 1), min(end, _frame_limit)):
        entry = _table + (frame << _ENTRY_SHIFT)
        state = load_u16(entry + _STATE)
        if state & _CHARGE == 0 or state == _HUGE or load_u32(entry + _COUNT) == 0:
            continue
        kind = state & _KIND
        number = CHARGING.charger.successor(state & _CHARGE, is_shared=kind == _SHARED)
        if number != 0 or kind == _MERGED:
            number |= kind
        store_u16(entry + _STATE, number)


def frame_limit() -> int:
    """The number after that of the last frame."""
    return _frame_limit


def take_user_run(order: int) -> Frame:
    """2**order frames in a row, as `allocate_frames` gives them, where they are at hand and leave the kernel's reserve
    alone; else NO_FRAME. Each is given back by itself, with `put_frame`.
    """
    global _free
    if _free - (1 << order) <= _reserve or (CHARGING.is_on and CHARGING.charger.charges()):
        return NO_FRAME  # where frames are charged, they are taken one by one
    frame = _take_block(order)
    if frame == 0:
        return NO_FRAME
    for i in range(1 << order):
        store_u32(_entry(frame + i) + _COUNT, 1)
    _free -= 1 << order
    return Frame(frame)


def allocate_zeroed_frame() -> Frame:
    """One frame of zeros, with one reference. Raises MemoryError."""
    frame = allocate_frame()
    zero_frame(frame)
    return frame


def allocate_charged_frame() -> Frame:
    """The same for what the kernel keeps for the running program: its group is charged. Raises MemoryError."""
    frame = _allocate_charged() if CHARGING.is_on else allocate_frame()
    zero_frame(frame)
    return frame


def free_frames(frame: Frame, order: int) -> None:
    """Give back a block from `allocate_frames(order)`; every frame's count must be 1."""
    global _free
    for i in range(1 << order):
        entry = _entry(frame + i)
        if load_u32(entry + _COUNT) != 1:
            panic(f"frame {frame + i} freed with count {load_u32(entry + _COUNT)}")
        store_u32(entry + _COUNT, 0)
    _release_block(frame, order)
    _free += 1 << order


@noinline
def _refuse_free(frame: int) -> None:
    panic(f"frame {frame} is free, and was used")


def get_frame(frame: Frame) -> None:
    """Take one more reference."""
    _check(frame)
    # An address that is written as a sum where it is used is computed without checks of overflow.
    count = load_u32(_table + (frame << _ENTRY_SHIFT) + _COUNT)
    if count == 0:
        _refuse_free(frame)
    store_u32(_table + (frame << _ENTRY_SHIFT) + _COUNT, count + 1)


def put_frame(frame: Frame) -> None:
    """Drop a reference; the last one frees the frame."""
    global _free, _stack_head, _stack_depth
    _check(frame)
    count = load_u32(_table + (frame << _ENTRY_SHIFT) + _COUNT)
    if count == 0:
        _refuse_free(frame)
    store_u32(_table + (frame << _ENTRY_SHIFT) + _COUNT, count - 1)
    if count > 1:
        return
    if load_u16(_table + (frame << _ENTRY_SHIFT) + _STATE) != 0 and _stays(frame):
        return
    _free += 1
    if _stack_depth < _STACK_LIMIT:
        store_u32(_table + (frame << _ENTRY_SHIFT) + _NEXT, _stack_head)
        _stack_head = frame
        _stack_depth += 1
    else:
        _release_block(frame, 0)


def condemn_frame(frame: Frame) -> None:
    """Nobody is ever to be given a frame again that is in use now: take a reference for good, and charge nobody."""
    get_frame(frame)
    _clear_state(frame)


def free_frame(frame: Frame) -> None:
    """Drop what must be the only reference."""
    if frame_count(frame) != 1:
        panic(f"frame {frame} is shared")
    put_frame(frame)


def frame_count(frame: Frame) -> int:
    """How many references a frame has."""
    _check(frame)
    return load_u32(_table + (frame << _ENTRY_SHIFT) + _COUNT)


def pin_frame(frame: Frame) -> None:
    """Take a reference that is a pin: a device may write to the frame until `unpin_frame`. Raises MemoryError (there
    are 65,535 of them already).
    """
    entry = _entry(frame)
    pins = load_u16(entry + _PINS)
    count = load_u32(entry + _COUNT)
    if count == 0:
        panic(f"frame {frame} is free")
    if pins == _PIN_LIMIT:
        raise MemoryError
    store_u32(entry + _COUNT, count + 1)
    store_u16(entry + _PINS, pins + 1)


def unpin_frame(frame: Frame) -> None:
    """Drop a reference that is a pin."""
    entry = _entry(frame)
    pins = load_u16(entry + _PINS)
    if pins == 0:
        panic(f"frame {frame} is not pinned")
    store_u16(entry + _PINS, pins - 1)
    count = load_u32(entry + _COUNT)
    if count > 1:
        store_u32(entry + _COUNT, count - 1)
    else:
        put_frame(frame)


@inline
def is_pinned(frame: Frame) -> bool:
    """Whether a device may write to a frame."""
    _check(frame)
    return load_u16(_table + (frame << _ENTRY_SHIFT) + _PINS) != 0


def owner_count(frame: Frame) -> int:
    """How many references a frame has that are no pins."""
    entry = _entry(frame)
    return load_u32(entry + _COUNT) - load_u16(entry + _PINS)


def has_sole_owner(frame: Frame) -> bool:
    """Whether the one mapping of a frame may write to it: pins aside, it has no other reference, and is not merged."""
    return owner_count(frame) == 1 and load_u16(_table + (frame << _ENTRY_SHIFT) + _STATE) & _KIND != _MERGED


# Huge pages: 512 frames in a row that come free together --------------------------------------------------------------

# Each frame has its own count, so whoever looks at a part of a huge page holds just that frame. Those who have the
# whole page are counted apart, in links of its frames: while there are any, each frame has one reference for all of
# them.
_USERS_AT: Final = 1  # who has the whole page: mappings, and the object of which it is a page
_MAPPINGS_AT: Final = 2
_LEFT_AT: Final = 3  # how many of its frames nobody uses any more
_QUOTA_AT: Final = 4  # a number of its keeper's


def _huge_word(head: Frame, place: int) -> int:
    return load_u32(_entry(head + place) + _NEXT)


def _set_huge_word(head: Frame, place: int, value: int) -> None:
    store_u32(_entry(head + place) + _NEXT, value)


def allocate_huge_page() -> Frame:
    """The first of 512 frames in a row, for the pool of huge pages, with no references; NO_FRAME if none are at hand.
    The kernel's reserve is left alone.
    """
    global _free
    if _free - HUGE_FRAMES <= _reserve:
        return NO_FRAME
    head = _take_block(HUGE_ORDER)
    if head == 0:
        _drain_stack()
        head = _take_block(HUGE_ORDER)
        if head == 0:
            return NO_FRAME
    for i in range(HUGE_FRAMES):
        store_u16(_entry(head + i) + _STATE, _HUGE)
    _free -= HUGE_FRAMES
    return Frame(head)


def take_huge_page_at(head: Frame) -> bool:
    """The same of 512 given frames in a row; whether they are at hand."""
    global _free
    if _free - HUGE_FRAMES <= _reserve:
        return False
    if not _take_block_at(head):
        _drain_stack()
        if not _take_block_at(head):
            return False
    for i in range(HUGE_FRAMES):
        store_u16(_entry(head + i) + _STATE, _HUGE)
    _free -= HUGE_FRAMES
    return True


def _take_block_at(head: int) -> bool:
    """Take 512 given frames from the free block that holds them, if there is one."""
    for order in range(HUGE_ORDER, MAX_ORDER + 1):
        block = head & ~((1 << order) - 1)
        if block > 0 and load_u16(_entry(block) + _STATE) & ~_REPORTED == _ORDER_FREE | order:
            _unlink_block(block, order)
            while order > HUGE_ORDER:
                order -= 1
                _push_block(block if head & 1 << order != 0 else block + (1 << order), order)
                block |= head & 1 << order
            return True
    return False


def free_huge_page(head: Frame) -> None:
    """Give back what `allocate_huge_page` returned; nobody uses it."""
    global _free
    for i in range(HUGE_FRAMES):
        entry = _entry(head + i)
        if load_u32(entry + _COUNT) != 0:
            panic(f"frame {head + i} freed with count {load_u32(entry + _COUNT)}")
        store_u16(entry + _STATE, 0)
    _release_block(head, HUGE_ORDER)
    _free += HUGE_FRAMES


def open_huge_page(head: Frame) -> None:
    """Let a huge page that nobody uses have one user, and no mapping."""
    for i in range(HUGE_FRAMES):
        store_u32(_entry(head + i) + _COUNT, 1)
    _set_huge_word(head, _USERS_AT, 1)
    _set_huge_word(head, _MAPPINGS_AT, 0)
    _set_huge_word(head, _LEFT_AT, 0)
    _set_huge_word(head, _QUOTA_AT, 0)


def get_huge_page(head: Frame) -> None:
    """One more user of the whole page."""
    _set_huge_word(head, _USERS_AT, _huge_word(head, _USERS_AT) + 1)


def put_huge_page(head: Frame) -> None:
    """A user less; the last one gives all frames back, and the page goes to its keeper once nobody looks at any."""
    users = _huge_word(head, _USERS_AT)
    if users == 0:
        _refuse_free(head)
    _set_huge_word(head, _USERS_AT, users - 1)
    if users == 1:
        for i in range(HUGE_FRAMES):
            put_frame(Frame(head + i))


def huge_users(head: Frame) -> int:
    """How many have the whole page."""
    return _huge_word(head, _USERS_AT)


def huge_mappings(head: Frame) -> int:
    """How many entries map the page."""
    return _huge_word(head, _MAPPINGS_AT)


def count_huge_mapping(head: Frame, change: int) -> None:
    """An entry more maps the page, or one less."""
    _set_huge_word(head, _MAPPINGS_AT, _huge_word(head, _MAPPINGS_AT) + change)


def huge_quota(head: Frame) -> int:
    """A number that its keeper has set since the page was opened, or 0."""
    return _huge_word(head, _QUOTA_AT)


def set_huge_quota(head: Frame, number: int) -> None:
    """Set that number."""
    _set_huge_word(head, _QUOTA_AT, number)


def is_huge_page_pinned(head: Frame) -> bool:
    """Whether a device may write to a part of the page."""
    for i in range(HUGE_FRAMES):
        if is_pinned(Frame(head + i)):
            return True
    return False


def next_huge_page(head: Frame) -> Frame:
    """The link of a huge page that nobody uses: its keeper's."""
    return Frame(_huge_word(head, 0))


def link_huge_page(head: Frame, following: Frame) -> None:
    """Set that link."""
    _set_huge_word(head, 0, following)


def _leave_huge_page(frame: int) -> None:
    """A frame of a huge page has lost its last reference."""
    head = Frame(frame & ~(HUGE_FRAMES - 1))
    left = _huge_word(head, _LEFT_AT) + 1
    _set_huge_word(head, _LEFT_AT, left)
    if left == HUGE_FRAMES:
        HUGE_PAGES.keeper.came_free(head)


# Large pages: 512 frames in a row, each on its own --------------------------------------------------------------------


def allocate_frame_row(spared: int) -> Frame:
    """512 frames in a row for user pages, contents undefined, each with one reference and charged as others are.
    NO_FRAME if there are none at hand, or less than `spared` frames would stay free, or the running thread's group may
    have no more. Where nothing is spared, single frames are joined for it, too.
    """
    global _free
    if lacks_frames_for_row(spared):
        return NO_FRAME
    if CHARGING.is_on and not CHARGING.charger.permits(HUGE_FRAMES):
        return NO_FRAME
    head = _take_block(HUGE_ORDER)
    if head == 0 and spared == 0:
        _drain_stack()
        head = _take_block(HUGE_ORDER)
    if head == 0:
        return NO_FRAME
    for i in range(HUGE_FRAMES):
        store_u32(_table + (head + i << _ENTRY_SHIFT) + _COUNT, 1)
    _free -= HUGE_FRAMES
    if CHARGING.is_on and not _charge_row(head):
        put_frame_row(Frame(head))
        return NO_FRAME
    return Frame(head)


def lacks_frames_for_row(spared: int) -> bool:
    """Whether fewer frames are free than `allocate_frame_row` needs, in a row or not."""
    return _free - HUGE_FRAMES <= max(_reserve, spared)


def _charge_row(head: int) -> bool:
    """Charge each frame of a row; whether that was possible. Those that were not charged need not be given back."""
    for i in range(HUGE_FRAMES):
        number = 0
        try:
            number = CHARGING.charger.charge()
        except MemoryError:
            return False
        store_u16(_entry(head + i) + _STATE, number)
    return True


def put_frame_row(head: Frame) -> None:
    """Drop a reference of each of 512 frames in a row that begin at a multiple of 512."""
    global _free
    for i in range(HUGE_FRAMES):
        if load_u32(_entry(head + i) + _COUNT) != 1:
            for k in range(HUGE_FRAMES):
                put_frame(Frame(head + k))
            return
    for i in range(HUGE_FRAMES):
        if load_u16(_entry(head + i) + _STATE) != 0:
            _clear_state(head + i)
        store_u32(_entry(head + i) + _COUNT, 0)
    _free += HUGE_FRAMES
    _release_block(head, HUGE_ORDER)


def is_row_alone(head: Frame) -> bool:
    """`has_sole_owner`, for each of 512 frames in a row."""
    for i in range(HUGE_FRAMES):
        if not has_sole_owner(Frame(head + i)):
            return False
    return True


# Chains: the links of a frame in use are its owner's -----------------------------------------------------------------


def start_chain(frame: Frame) -> None:
    """Let a frame that the caller owns be a ring of one."""
    entry = _entry(frame)
    store_u32(entry + _NEXT, frame)
    store_u32(entry + _PREVIOUS, frame)


def chain_frame(frame: Frame, anchor: Frame) -> None:
    """Put a frame into the ring after `anchor`. The caller owns both."""
    entry = _entry(frame)
    anchor_entry = _entry(anchor)
    following = load_u32(anchor_entry + _NEXT)
    store_u32(entry + _NEXT, following)
    store_u32(entry + _PREVIOUS, anchor)
    store_u32(anchor_entry + _NEXT, frame)
    store_u32(_entry(following) + _PREVIOUS, frame)


def unchain_frame(frame: Frame) -> None:
    """Take a frame out of its ring."""
    entry = _entry(frame)
    following = load_u32(entry + _NEXT)
    previous = load_u32(entry + _PREVIOUS)
    store_u32(_entry(previous) + _NEXT, following)
    store_u32(_entry(following) + _PREVIOUS, previous)


def next_in_chain(frame: Frame) -> Frame:
    """The frame after this one in its ring."""
    return Frame(load_u32(_entry(frame) + _NEXT))


# Merged pages (kernel/mm/merged_pages.py): lists of frames in use, each of which has a number -------------------------

_LIST: Final = 1 << 31  # in the link to the frame before, of the first one: the rest is the number of its list


def is_merged(frame: Frame) -> bool:
    """Whether a frame in use holds equal pages of programs, so that nobody may write to it."""
    return load_u16(_entry(frame) + _STATE) & _KIND == _MERGED


def enter_merged(frame: Frame, following: Frame, number: int) -> None:
    """Let a program's frame be merged from now on, as the first of list `number`; `following` was the first, or is
    NO_FRAME.
    """
    entry = _entry(frame)
    store_u16(entry + _STATE, load_u16(entry + _STATE) | _MERGED)
    store_u32(entry + _NEXT, following)
    store_u32(entry + _PREVIOUS, _LIST | number)
    if following != NO_FRAME:
        store_u32(_entry(following) + _PREVIOUS, frame)


def leave_merged(frame: Frame) -> int:
    """Let a merged frame be an ordinary one. Returns the number of its list if it was the first, else -1."""
    entry = _entry(frame)
    following = load_u32(entry + _NEXT)
    previous = load_u32(entry + _PREVIOUS)
    store_u16(entry + _STATE, load_u16(entry + _STATE) & ~_MERGED)
    if following != 0:
        store_u32(_entry(following) + _PREVIOUS, previous)
    if previous & _LIST != 0:
        return previous & ~_LIST
    store_u32(_entry(previous) + _NEXT, following)
    return -1


def zero_frame(frame: Frame) -> None:
    """Fill a frame with zeros."""
    _check(frame)
    fill_bytes(frame_address(frame), 0, PAGE_SIZE)


def copy_frame(target: Frame, source: Frame) -> None:
    """Copy a frame's 4096 bytes."""
    _check(target)
    _check(source)
    copy_bytes(frame_address(target), frame_address(source), PAGE_SIZE)


def free_frame_count() -> int:
    """Frames that nobody uses."""
    return _free


def total_frame_count() -> int:
    """Frames that the allocator was given."""
    return _total


def available_frame_count() -> int:
    """Frames that user pages may still take."""
    return max(0, _free - _reserve)


def missing_frame_count() -> int:
    """How many frames the kernel's reserve lacks: what it needs to go on, and user pages leave alone."""
    return max(0, _reserve - _free)


def has_ordinary_run() -> bool:
    """Whether there are as many frames in a row as objects and stacks are made of."""
    _drain_stack()
    for order in range(_ORDINARY_ORDER, MAX_ORDER + 1):
        if _heads[order] != 0:
            return True
    return False


def make_room(wanted: int) -> None:
    """Free up to `wanted` frames of caches, if there are any. Never sleeps."""
    _make_room(wanted)


# Memory that the host may take (kernel.drivers.virtio.balloon). -------------------------------------------------------


def take_unreported_block() -> Frame:
    """A largest block that came free since it was last reported, out of everybody's reach; NO_FRAME if there is none,
    or too little memory is free to do without one.
    """
    global _free
    if _free - (1 << MAX_ORDER) <= max(2 * _reserve, _total >> _REPORT_SHIFT):
        return NO_FRAME
    frame = _heads[MAX_ORDER]
    while frame != 0 and load_u16(_entry(frame) + _STATE) & _REPORTED != 0:
        frame = load_u32(_entry(frame) + _NEXT)
    if frame == 0:
        return NO_FRAME
    _unlink_block(frame, MAX_ORDER)
    _free -= 1 << MAX_ORDER
    return Frame(frame)


def give_block_back(frame: Frame, is_reported: bool) -> None:
    """Put a block from `take_unreported_block` back. Its contents may have changed. Those that the host took are the
    last that anybody gets, because to use them costs the host something.
    """
    global _free
    following = _heads[MAX_ORDER]
    previous = 0
    while is_reported and following != 0 and load_u16(_entry(following) + _STATE) & _REPORTED == 0:
        previous = following
        following = load_u32(_entry(following) + _NEXT)
    entry = _entry(frame)
    store_u16(entry + _STATE, _ORDER_FREE | MAX_ORDER | (_REPORTED if is_reported else 0))
    store_u32(entry + _NEXT, following)
    store_u32(entry + _PREVIOUS, previous)
    if following != 0:
        store_u32(_entry(following) + _PREVIOUS, frame)
    if previous != 0:
        store_u32(_entry(previous) + _NEXT, frame)
    else:
        _heads[MAX_ORDER] = frame
    _free += 1 << MAX_ORDER


def count_lent_frames(change: int) -> None:
    """That many more frames are the host's, or fewer: they do not count as the machine's meanwhile."""
    global _total
    _total -= change


# The heap's supply of pages (kernel.mm.heap). -------------------------------------------------------------------------


def take_pages(order: int) -> int:
    """Kernel address of 2**order frames in a row, or 0."""
    address = 0
    try:
        address = frame_address(allocate_frames(order))
    except MemoryError:
        return 0
    if _free < _reserve:
        _feel_shortage()  # the heap goes on with what is left
    if CHARGING.is_on:
        CHARGING.charger.heap_grew(1 << order)
    return address


def give_pages(address: int, order: int) -> None:
    """Give back what `take_pages` returned."""
    free_frames(frame_of_address(address), order)
