"""The memory in which samples lie: a page that says where, and a ring of pages that the program maps as well
(perf_event_open(2), "MMAP layout").

The program may write anything there at any time. So the kernel keeps places and lengths for itself; it reads back one
word, up to where the program has read, and whatever stands there, no record leaves the ring.

Context: any, between two threads and in interrupts too: nothing sleeps, but for getting pages and giving them back.
Source: struct perf_event_mmap_page in Linux's include/uapi/linux/perf_event.h.
"""

from typing import TYPE_CHECKING, Final

from kernel.lang import Span, final, u8
from kernel.lib.pace import pace
from kernel.lib.user_account import UserAccount
from kernel.mm.frames import (
    PAGE_MASK,
    PAGE_SHIFT,
    PAGE_SIZE,
    Frame,
    allocate_user_frame,
    available_frame_count,
    frame_span,
    put_frame,
    zero_frame,
)
from kernel.mm.space import AddressSpace
from kernel.perf.notices import NOTICES, Notice
from kernel.perf.words import load_word, store_word

if TYPE_CHECKING:
    from kernel.perf.event import Event

# Places in the first page
_LOCK: Final = 8
_INDEX: Final = 12
_OFFSET: Final = 16
_ENABLED: Final = 24
_RUNNING: Final = 32
_CAPABILITIES: Final = 40
_SIZE: Final = 72
_HEAD: Final = 1024
_TAIL: Final = 1032
_DATA_OFFSET: Final = 1040
_DATA_SIZE: Final = 1048

_BIT_0_IS_DEPRECATED: Final = 2
_DEFINED_BYTES: Final = 96  # what the page's words mean is known so far
_POSITIONS: Final = (1 << 63) - 1
_PAGE_COST: Final = 1000  # instructions to get one and clear it, for `pace`
_FREE_COST: Final = 100
_USER_COST: Final = 40  # … to tell one who writes here that there is news


@final
class Ring(Notice):
    """The pages, and what is written there. `positions` count all bytes ever written, modulo 2**63."""

    def __init__(self, page_count: int, watermark: int, is_backward: bool) -> None:
        """`page_count` of data, a power of two or 0; `watermark` in bytes, 0: half of it. It has its pages once `fill`
        has brought them. Raises MemoryError.
        """
        super().__init__()
        self.frames: list[int] = []
        self.size: int = page_count << PAGE_SHIFT
        self.watermark: int = min(watermark, self.size) if watermark > 0 else self.size // 2
        self.is_backward: bool = is_backward
        self.overwrites: bool = False  # the program maps it read-only: what it has not read is lost
        self.is_paused: bool = page_count == 0
        self.has_news: bool = False  # since somebody polled
        self.head: int = 0
        self.wake_at: int = 0  # how far the program was woken for
        self.lost: int = 0  # records, since one said so
        self.samples: int = 0  # since somebody was woken for them
        self.mappings: int = 0
        self.users: list[Event] = []  # events that write here; each knows its place
        self.untold: int = 0  # of the users, the first ones: they have not heard of news yet
        self.has_more_news: bool = False  # since the last of them were reported
        self.is_ending: bool = False  # its users leave one by one, and nobody maps it any more
        # Who pays
        self.account: UserAccount | None = None
        self.account_pages: int = 0
        self.space: AddressSpace | None = None
        self.space_pages: int = 0

    def fill(self) -> None:
        """Bring the pages. May sleep. Raises MemoryError, and the caller frees what there is."""
        page_count = self.page_count() + 1
        if page_count > available_frame_count():
            raise MemoryError
        while len(self.frames) < page_count:
            self._add_frame()
            pace(_PAGE_COST)
        page = self._first_page()
        page.store_u32(_CAPABILITIES, _BIT_0_IS_DEPRECATED)
        page.store_u32(_SIZE, _DEFINED_BYTES)
        store_word(page, _DATA_OFFSET, PAGE_SIZE)
        store_word(page, _DATA_SIZE, self.size)

    def _add_frame(self) -> None:
        frame = allocate_user_frame()
        zero_frame(frame)
        try:
            self.frames.append(frame)
        except MemoryError:
            put_frame(frame)
            raise

    def free(self) -> None:
        """The ring's own use of the pages ends, and whoever paid gets it back. Nobody writes here any more. May
        sleep.
        """
        NOTICES.remove(self)
        self.size = 0
        self.is_paused = True
        while len(self.frames) > 0:
            put_frame(Frame(self.frames.pop()))
            pace(_FREE_COST)
        account = self.account
        self.account = None
        if account is not None:
            account.perf_pages -= self.account_pages
            account.release()
        space = self.space
        self.space = None
        if space is not None:
            space.pinned_pages -= self.space_pages

    def page_count(self) -> int:
        """Pages of data."""
        return self.size >> PAGE_SHIFT

    def _first_page(self) -> Span[u8]:
        return frame_span(Frame(self.frames[0]))

    # ---- Who writes here ---------------------------------------------------------------------------------------------

    def add_user(self, event: "Event") -> None:
        """One more event. Raises MemoryError, and the event keeps its place in another ring."""
        self.users.append(event)
        event.place_in_ring = len(self.users) - 1

    def remove_user(self, place: int) -> None:
        """The event at a place among the users writes here no more. The last one takes its place."""
        last = self.users.pop()
        if place < len(self.users):
            last.place_in_ring = place
            self.users[place] = last

    def announce(self) -> None:
        """There is something to read: those who poll an event that writes here hear of it soon."""
        self.has_news = True
        if self.is_due:
            self.has_more_news = True
            return
        self.untold = len(self.users)
        NOTICES.add(self)

    def tell(self, instructions: int) -> int:
        left = instructions
        while left > 0:
            self.untold = min(self.untold, len(self.users)) - 1
            if self.untold < 0:
                if not self.has_more_news:
                    return left
                self.has_more_news = False
                self.untold = len(self.users)
            else:
                self.users[self.untold].waiters.wake_all()
            left -= _USER_COST
        return left

    # ---- What an event has counted ---------------------------------------------------------------------------------

    def show(self, count: int, enabled_ns: int, running_ns: int) -> None:
        """Tell the program, which reads it without a system call."""
        if len(self.frames) == 0:
            return
        page = self._first_page()
        page.store_u32(_LOCK, page.load_u32(_LOCK) + 1 & 0xFFFF_FFFF)
        page.store_u32(_INDEX, 0)
        store_word(page, _OFFSET, count)
        store_word(page, _ENABLED, enabled_ns)
        store_word(page, _RUNNING, running_ns)
        page.store_u32(_LOCK, page.load_u32(_LOCK) + 1 & 0xFFFF_FFFF)

    # ---- Records -----------------------------------------------------------------------------------------------------

    def has_room(self, size: int) -> bool:
        """Whether there is room for a record of that size."""
        if size > self.size:
            return False
        if self.overwrites:
            return True
        tail = load_word(self._first_page(), _TAIL) & self.size - 1  # whatever it is, it is in the ring
        used = self.head + tail if self.is_backward else self.head - tail
        return used & self.size - 1 <= self.size - 1 - size

    def write(self, record: Span[u8]) -> None:
        """Put a record that fits, of a multiple of 8 bytes. The program sees it once `publish` says so."""
        size = len(record)
        at = self.head
        self.head = self.head + size & _POSITIONS
        if self.is_backward:
            at = -self.head
        done = 0
        while done < size:
            place = at + done & self.size - 1
            part = min(size - done, PAGE_SIZE - (place & PAGE_MASK))
            page = frame_span(Frame(self.frames[1 + (place >> PAGE_SHIFT)]))
            page[place & PAGE_MASK : (place & PAGE_MASK) + part].copy_from(record[done : done + part])
            done += part

    def publish(self) -> bool:
        """Show what was written. True if readers that wait should be woken."""
        store_word(self._first_page(), _HEAD, -self.head if self.is_backward else self.head)
        if self.head - self.wake_at & _POSITIONS > self.watermark:
            self.wake_at = self.wake_at + self.watermark & _POSITIONS
            return True
        return False

    def counts_sample(self, wanted: int) -> bool:
        """A sample was written, and its event wants to be heard for each so many: whether it is time."""
        self.samples += 1
        if self.samples < wanted:
            return False
        self.samples = 0
        return True
