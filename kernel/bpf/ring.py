"""Maps of kind RINGBUF: records of any length, from programs of BPF to a process that maps the ring.

A page says how far the process has read, which it writes itself; the next one, how far records reach; then come pages
of records, that can be mapped twice in a row, so that no record seems to wrap around. A record has a header of two
words: its length, with bits while it is written and if it is to be passed over, and the distance in pages from the
beginning of what Linux has before it.

The process may write anything into the first page. So the ring keeps its own places: `produced` counts all bytes ever
written, and `unfinished` has the positions of records that programs still write.

Context: any; only `grow` and `clear` take long, and `grow` may raise MemoryError. Those who wait are woken by the
thread "async".
Source: Linux's Documentation/bpf/ringbuf.rst.
"""

from typing import Final

from kernel.bpf.arithmetic import WORD_MASK, compute
from kernel.bpf.code import SUB
from kernel.bpf.maps import ALL_COPIES, NOT_SUPPORTED, RING, Map
from kernel.bpf.pages import PageRelease
from kernel.lang import Errno, Span, final, span_of, u8
from kernel.lib.pace import pace_bytes, spend
from kernel.mm.frames import PAGE_SHIFT, PAGE_SIZE
from kernel.mm.ring_memory import RingMemory
from kernel.sched.later import Job
from kernel.sched.wait import WaitQueue

POSITION_PAGES: Final = 2  # before those of records, as they are mapped
MOST_RECORD: Final = 65536  # bytes that a program can write at once
HEADER: Final = 8
_READ_AT: Final = 0
_PRODUCED_AT: Final = PAGE_SIZE
_BUSY: Final = 1 << 31
_PASSED_OVER: Final = 1 << 30
_PAGES_BEFORE: Final = 3  # what a record's header counts from
_COST: Final = 200

# Flags of submission.
NO_WAKEUP: Final = 1
FORCE_WAKEUP: Final = 2

FULL: Final = -1


@final
class News(Job):
    """What wakes those who wait for records."""

    def __init__(self) -> None:
        super().__init__()
        self.waiters: WaitQueue = WaitQueue()

    def run(self) -> None:
        self.waiters.wake_all()


@final
class RingMap(Map):
    """A ring."""

    def __init__(self, most: int, flags: int) -> None:
        super().__init__(RING, 0, 0, most, flags)
        self.has_values = False
        self.slots = 0
        self.memory: RingMemory = RingMemory(0)
        self._nothing: RingMemory = RingMemory(0)  # in its place at the end
        self._release: PageRelease = PageRelease()
        self.news: News = News()
        self.produced: int = 0
        self.unfinished: list[int] = []

    def page_count(self) -> int:
        """Without those that are mapped a second time."""
        return POSITION_PAGES + (self.most >> PAGE_SHIFT)

    def grow(self) -> bool:
        if len(self.memory.frames) >= self.page_count():
            return False
        self.memory.add_page()
        pace_bytes(PAGE_SIZE)
        return True

    def held_bytes(self) -> int:
        return (self.page_count() << PAGE_SHIFT) + 256

    def clear(self) -> None:
        leaving = self.memory
        self.memory = self._nothing
        self._release.begin(leaving)

    # Records --------------------------------------------------------------------------------------------------------

    def is_ready(self) -> bool:
        """Whether it has all its pages, and has them still."""
        return len(self.memory.frames) == self.page_count()

    def read_position(self) -> int:
        """How far the process says that it has read: any number."""
        if not self.is_ready():
            return 0
        high = self.memory.load(_READ_AT + 4)
        return (high - (1 << 32) if high >= 1 << 31 else high) << 32 | self.memory.load(_READ_AT)

    def unread(self) -> int:
        """The bytes between both positions, modulo 2**64."""
        return compute(SUB, self.produced, self.read_position())

    def reserve(self, size: int) -> int:
        """The position of a new record, which is busy until it is finished; FULL if there is no room. Raises
        MemoryError.
        """
        length = _length(size)
        if length > self.most or not self.is_ready():
            return FULL
        spend(_COST)
        start = self.produced
        end = start + length
        oldest = self.unfinished[0] if len(self.unfinished) > 0 else start
        if not 0 <= compute(SUB, end, self.read_position()) < self.most or end - oldest >= self.most:
            return FULL
        self.unfinished.append(start)
        place = start & self.most - 1
        self._store(place, size | _BUSY)
        self._store(place + 4, _PAGES_BEFORE + (place >> PAGE_SHIFT))
        self.produced = end
        self.memory.store(_PRODUCED_AT, end & WORD_MASK)
        self.memory.store(_PRODUCED_AT + 4, end >> 32)
        return start

    def finish(self, start: int, data: Span[u8], flags: int, *, discards: bool) -> None:
        """Fill in a record, and let the process have it. `data` has the size that was reserved."""
        at = 0
        while at < len(self.unfinished) and self.unfinished[at] != start:
            at += 1
        if at == len(self.unfinished):
            return
        self.unfinished.pop(at)
        spend(_COST + at)
        if not self.is_ready():
            return
        place = start & self.most - 1
        self._write(place + HEADER & self.most - 1, data)
        self._store(place, len(data) | (_PASSED_OVER if discards else 0))
        is_next = self.read_position() & self.most - 1 == place
        if flags & FORCE_WAKEUP != 0 or (is_next and flags & NO_WAKEUP == 0):
            self.news.schedule()

    def _store(self, place: int, word: int) -> None:
        self.memory.store((POSITION_PAGES << PAGE_SHIFT) + place, word)

    def _write(self, place: int, data: Span[u8]) -> None:
        first = min(len(data), self.most - place)
        base = POSITION_PAGES << PAGE_SHIFT
        spend(len(data))
        self.memory.write(base + place, data[0:first])
        if first < len(data):
            self.memory.write(base, data[first : len(data)])

    # System calls ---------------------------------------------------------------------------------------------------

    def look_up(self, key: bytes) -> bytes:
        raise Errno(NOT_SUPPORTED)

    def update(self, key: bytes, value: Span[u8], flags: int, processor: int = ALL_COPIES) -> None:
        raise Errno(NOT_SUPPORTED)

    def remove(self, key: bytes) -> None:
        raise Errno(NOT_SUPPORTED)

    def next_key(self, key: bytes | None) -> bytes:
        raise Errno(NOT_SUPPORTED)


def _length(size: int) -> int:
    """The bytes that a record takes with its header."""
    return (size + HEADER + 7) & ~7


@final
class Record:
    """A record that a program writes: a copy, until it is finished."""

    def __init__(self, ring: RingMap, size: int) -> None:
        """Raises MemoryError."""
        self.ring: RingMap = ring
        self.start: int = FULL  # its position there
        self.data: bytearray = bytearray(size)
        self.is_open: bool = False

    def finish(self, flags: int, *, discards: bool) -> None:
        """The program may no longer write it."""
        if self.is_open:
            self.is_open = False
            self.ring.finish(self.start, span_of(self.data), flags, discards=discards)
