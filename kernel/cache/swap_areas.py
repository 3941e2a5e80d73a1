"""Swap areas on devices: where their slots lie, and the transfers of pages.

An area is a device, or the blocks of a file: runs of pages that follow each other on the device. The pages of an area
count from its header on, the blocks of a file that are no whole pages left out.

What is written: pages that `Sweep` has taken from programs (kernel/mm/swapping.py), which are not mapped any more, or
by nobody who may write to them. A page that could not be written stays in the swap cache, and its area gives out no
slot from then on. A page that cannot be read is an error for whoever touches it, not for the area.

If swapon(2) asks for it and the disk is not rotational, 512 slots in a row that have all come free are discarded, by
the swapper. As on Linux, the first ones, among which the header is, and those at the end are not, unless they fill a
chunk.

Context: sleeps. Source: swapon(2).
"""

from typing import Final

from kernel.block.device import SECTOR_SHIFT, BlockDevice, BlockRequest, Operation
from kernel.block.ranges import discard
from kernel.lang import EINTR, EIO, ENOMEM, EPERM, Errno, final, noraise, sleeps
from kernel.lib import log
from kernel.lib.pace import is_dying, is_interrupted, pace
from kernel.mm.frames import (
    PAGE_SHIFT,
    PAGE_SIZE,
    SHORTAGE,
    allocate_last_frame,
    allocate_user_frame,
    get_frame,
    put_frame,
    wait_for_swapping,
)
from kernel.mm.space import SPACES
from kernel.mm.swap_slots import (
    CHUNK_PAGES,
    CHUNK_SHIFT,
    MOST_AREAS,
    SWAP,
    CachedSlot,
    Slot,
    SlotLoader,
    SwapArea,
    page_of,
)
from kernel.mm.swapping import WRITER, PageWriter, Taken, bring_back, bring_object_back, swapped_trees
from kernel.sched import WaitQueue, current_thread, sleep_until
from kernel.time.clock import monotonic_ns

_PAGE_SECTORS_SHIFT: Final = PAGE_SHIFT - SECTOR_SHIFT
_CHUNK_COST: Final = 8000  # instructions
_SPACE_COST: Final = 200
_WAIT_NS: Final = 1_000_000
_TRIES_FOR_MEMORY: Final = 100
FIRST_PRIORITY: Final = -2

TRANSFERS: Final[WaitQueue] = WaitQueue()
"""Wakes whoever waits for a page of the swap cache, or for the end of a discard."""

SWAPPER_WORK: Final[WaitQueue] = WaitQueue()
"""Wakes the swapper (swapper.py)."""


@final
class DeviceArea(SwapArea):
    """An area on a device. `page_count`: with the header, and of its first pages `pages[i]` … lie from `sectors[i]`
    on.
    """

    def __init__(self, number: int, page_count: int, device: BlockDevice) -> None:
        super().__init__(number, page_count)
        self.device: BlockDevice = device
        self.pages: list[int] = []  # the first page of each run, and at the end `page_count`
        self.sectors: list[int] = []
        self._is_discarding: bool = False

    def add_run(self, page: int, sector: int) -> None:
        """The pages from this one on lie there. The first run begins with the header. Raises MemoryError."""
        self.pages.append(page)
        self.sectors.append(sector)

    def run_of(self, page: int) -> int:
        """The number of the run that holds a page."""
        low = 0
        high = len(self.sectors) - 1
        while low < high:
            middle = (low + high + 1) >> 1
            if self.pages[middle] <= page:
                low = middle
            else:
                high = middle - 1
        return low

    def sector_of(self, page: int) -> int:
        """Where a page lies."""
        run = self.run_of(page)
        return self.sectors[run] + ((page - self.pages[run]) << _PAGE_SECTORS_SHIFT)

    def run_end(self, page: int) -> int:
        """The first page after a page's run."""
        run = self.run_of(page)
        return self.pages[run + 1] if run + 1 < len(self.pages) else self.page_count

    @sleeps
    def prepare(self) -> None:
        """Make the table of slots. Raises MemoryError."""
        while len(self.chunks) * CHUNK_PAGES < self.page_count:
            self.add_chunk()
            pace(_CHUNK_COST)

    @sleeps
    def discard_all(self) -> None:
        """Nothing of what lies there matters, the header excepted. Raises nothing."""
        try:
            for run in range(len(self.sectors)):
                first = self.pages[run]
                last = self.pages[run + 1] if run + 1 < len(self.pages) else self.page_count
                skipped = 1 if first == 0 else 0
                count = last - first - skipped
                if count > 0:
                    start = self.sectors[run] + (skipped << _PAGE_SECTORS_SHIFT)
                    discard(self.device, start, count << _PAGE_SECTORS_SHIFT)
        except (Errno, MemoryError):
            return  # it would only have helped the device

    @noraise
    def came_free(self) -> None:
        SWAPPER_WORK.wake_all()

    @sleeps
    def discard_old(self) -> None:
        """Discard what came free, or wait until somebody who does that is done. Raises nothing."""
        while self._is_discarding:
            TRANSFERS.wait_for_disk()
        number = self.take_old()
        while number >= 0:
            self._is_discarding = True
            self._discard_chunk(number << CHUNK_SHIFT)
            self.end_discard(number)
            self._is_discarding = False
            TRANSFERS.wake_all()
            pace(_CHUNK_COST)
            number = self.take_old()

    def _discard_chunk(self, page: int) -> None:
        end = page + CHUNK_PAGES
        try:
            while page < end:
                stop = min(end, self.run_end(page))
                discard(self.device, self.sector_of(page), (stop - page) << _PAGE_SECTORS_SHIFT)
                page = stop
        except (Errno, MemoryError):
            return


@sleeps
def discard_what_came_free() -> None:
    """In all areas. Raises nothing."""
    for number in range(len(SWAP.areas)):
        area = SWAP.areas[number]
        if area is not None and area.has_old() and isinstance(area, DeviceArea):
            area.discard_old()


def has_old_slots() -> bool:
    """Whether there is something to discard."""
    for area in SWAP.areas:
        if area is not None and area.has_old():
            return True
    return False


class Priorities:
    """What areas get that are given no priority: each a lower one."""

    def __init__(self) -> None:
        self.lowest: int = FIRST_PRIORITY + 1


PRIORITIES: Final = Priorities()


def next_number() -> int:
    """The number for a new area. Raises EPERM if there are too many, MemoryError."""
    for number in range(len(SWAP.areas)):
        if SWAP.areas[number] is None:
            return number
    if len(SWAP.areas) == MOST_AREAS:
        raise Errno(EPERM)
    SWAP.areas.append(None)
    return len(SWAP.areas) - 1


def open_area(area: DeviceArea, priority: int) -> None:
    """Let slots of an area be taken; a negative priority means the next lower one, also for an area that is opened
    again. Raises nothing.
    """
    if priority < 0:
        PRIORITIES.lowest -= 1
        priority = PRIORITIES.lowest
    area.priority = priority
    area.is_open = True
    SWAP.areas[area.number] = area
    SWAP.open_count += 1


def close_area(area: DeviceArea) -> int:
    """No more slots are taken. Areas without a priority of their own move up. Returns the priority that it had."""
    priority = area.priority
    area.is_open = False
    SWAP.open_count -= 1
    if priority < 0:
        for other in SWAP.areas:
            if other is not None and other.is_open and other.priority < priority:
                other.priority += 1
        PRIORITIES.lowest += 1
    return priority


# Transfers ------------------------------------------------------------------------------------------------------------


@final
class DeviceLoader(SlotLoader):
    """The loader of all areas, which are `DeviceArea`s."""

    def load(self, slot: Slot) -> None:
        page = SWAP.find(slot)
        if page is not None:
            if page.is_reading:
                TRANSFERS.wait_for_disk()
            return
        try:
            frame = allocate_user_frame()
        except MemoryError:
            if not is_dying():
                if wait_for_swapping():
                    return
                raise
            frame = allocate_last_frame()
        SWAP.get(slot)
        try:
            page = SWAP.enter(slot, frame)
        except MemoryError:
            SWAP.put(slot)
            raise
        finally:
            put_frame(frame)  # the cache has it
        page.is_reading = True
        error = _transfer(Operation.READ, [page], 0, 1)
        page.is_reading = False
        TRANSFERS.wake_all()
        if error != 0:
            SWAP.leave(page)
            if error == ENOMEM:
                raise MemoryError
            raise Errno(EIO)
        SWAP.swapped_in += 1
        current_thread().accounts.disk_read_bytes += PAGE_SIZE
        if SWAP.is_last(page):
            SWAP.leave(page)

    def settle(self, page: CachedSlot) -> None:
        frame = page.frame
        get_frame(frame)  # else it would come free once it is written, and the caller would have to read it
        while page.is_busy():
            TRANSFERS.wait_for_disk()
        put_frame(frame)


def _area(slot: Slot) -> DeviceArea:
    area = SWAP.area(slot)
    assert isinstance(area, DeviceArea), "all areas lie on devices"
    return area


@sleeps
def _transfer(operation: Operation, pages: list[CachedSlot], first: int, count: int) -> int:
    """Carry out one request for pages whose slots follow each other on the device. Returns 0 or an errno. The pages
    are marked as busy, so the cache keeps their frames.
    """
    area = _area(pages[first].slot)
    try:
        request = BlockRequest(operation, area.sector_of(page_of(pages[first].slot)))
        request.is_paid = operation == Operation.WRITE
        for place in range(first, first + count):
            request.frames.append(pages[place].frame)
        request.length = count << PAGE_SHIFT
        area.device.start(request)
        request.wait()
    except Errno as error:
        return error.code
    except MemoryError:
        return ENOMEM
    return 0


def _run_length(pages: list[CachedSlot], first: int) -> int:
    """How many pages from one on can be written by one request."""
    area = _area(pages[first].slot)
    page = page_of(pages[first].slot)
    most = min(len(pages) - first, area.run_end(page) - page)
    most = min(most, max(1, area.device.largest_transfer))
    count = 1
    while count < most and pages[first + count].slot == pages[first].slot + count:
        count += 1
    return count


@sleeps
def write_out(taken: Taken) -> int:
    """Write what was taken from programs. Returns how many frames came free. Raises nothing."""
    freed = 0
    first = 0
    pages = taken.pages
    while first < len(pages):
        count = _run_length(pages, first)
        error = _transfer(Operation.WRITE, pages, first, count)
        if error != 0 and error != ENOMEM:
            _report_failure(_area(pages[first].slot), error)
        for place in range(first, first + count):
            page = pages[place]
            page.is_writing = False
            if error == 0:
                page.is_dirty = False
                SWAP.swapped_out += 1
            elif error == ENOMEM:
                SWAP.has_unwritten = True
            if SWAP.transferred(page):
                freed += 1
        TRANSFERS.wake_all()
        first += count
    taken.clear()
    return freed


def _report_failure(area: DeviceArea, error: int) -> None:
    if not area.is_failing:
        area.is_failing = True
        try:
            log.error(f"swap: error {error} in writing to {area.device.name.decode()}: no more is swapped out there")
        except MemoryError:
            return


# Taking an area out of use --------------------------------------------------------------------------------------------


@sleeps
def empty_area(area: DeviceArea) -> None:
    """Bring back everything that lies in an area that is closed. Raises EINTR, ENOMEM, EIO (of memory that is shared),
    with some brought back, and the rest where it was.
    """
    tries = 0
    while area.in_use > 0:
        try:
            _bring_back_all(area)
            if area.in_use > 0:
                _wait_a_little()  # for transfers, and for programs that were forked or are ending
        except MemoryError:
            tries += 1
            if tries > _TRIES_FOR_MEMORY or not _wait_for_room():
                raise Errno(ENOMEM) from None
        if is_interrupted():
            raise Errno(EINTR)


def _wait_for_room() -> bool:
    try:
        return SHORTAGE.helper.wait_for_room()
    except (Errno, MemoryError):
        return False


def _wait_a_little() -> None:
    sleep_until(monotonic_ns() + _WAIT_NS, interruptible=False)


def _bring_back_all(area: DeviceArea) -> None:
    """Go through all spaces and memory objects once. Raises EINTR, EIO, MemoryError."""
    space = SPACES.first()
    if space is not None:
        space.acquire()
    while space is not None:
        following = None
        try:
            bring_back(space, area.number)
            following = space.after()
            if following is not None:
                following.acquire()
        finally:
            space.release()
        space = following
        pace(_SPACE_COST)
    for tree in swapped_trees():
        bring_object_back(tree, area.number)


@final
class AreaWriter(PageWriter):
    """For whoever takes pages on request."""

    def write(self, taken: Taken) -> int:
        return write_out(taken)


SWAP.loader = DeviceLoader()
WRITER.writer = AreaWriter()
