"""Contexts of asynchronous I/O: the number of requests in progress, and the ring of events of completed ones
(io_setup(2)).

A context belongs to an address space. Its ring is mapped there, and the address of the mapping is the context's name.
The program may take events from the ring by itself, moving `head`; the kernel uses a `tail` of its own, and reads
`head` only to count which slots are free again. Each request has a slot in the ring from its beginning, so that a
result always finds room.

A program's requests are carried out at once by the thread that submits them, as on Linux, except waits (aio_poll.py).

A thread that uses a context across a sleep holds it (`hold`, `begin`): its ring stays until none does. Threads that
take events do so one after the other (`readers`), so that none is given out twice.

Context: `complete` never sleeps or allocates.
Source: io_setup(2), io_submit(2), io_getevents(2); `struct aio_ring` of libaio.
"""

from typing import TYPE_CHECKING, Final, Literal

from kernel.ipc.eventfd import EventFile
from kernel.lang import EAGAIN, EINVAL, EIO, Array, Errno, Span, final, noraise, u8, u64
from kernel.lib.linked import Linked, LinkedList
from kernel.lib.pace import pace
from kernel.lib.proc_files import proc_file
from kernel.lib.settings import NO_BOUND, SystemSetting
from kernel.mm.async_contexts import AsyncContexts
from kernel.mm.frames import NO_FRAME, PAGE_MASK, PAGE_SHIFT, Frame, available_frame_count, get_frame
from kernel.mm.objects import MemoryObject
from kernel.mm.ring_memory import RingMemory
from kernel.sched import WaitQueue
from kernel.sched.mutex import Mutex
from kernel.sched.processor import PROCESSORS

if TYPE_CHECKING:
    from kernel.mm.area import Area

EVENT_SIZE: Final = 32  # of struct io_event: data, object, two results
# struct aio_ring: 32 bytes, and then the events.
_HEADER_SIZE: Final = 32
_ID: Final = 0
_COUNT: Final = 4
_HEAD: Final = 8
_TAIL: Final = 12
_MAGIC: Final = 16
_FEATURES: Final = 20
_HEADER_LENGTH: Final = 28
_RING_MAGIC: Final = 0xA10A_10A1
_RING_FEATURES: Final = 1

_MOST_EVENTS: Final = 0x1000_0000 // EVENT_SIZE
_SPARE_EVENTS: Final = 2  # beyond the requested number; between head and tail one stays empty
_SLOTS_OF_PROCESSOR: Final = 4
_CONTEXT_BYTES: Final = 800  # the cost of a context besides its ring, about
_LATER_BYTES: Final = 300  # … and a request that waits
# Instructions, for `pace`
_PAGE_COST: Final = 1500
_CANCEL_COST: Final = 1500
_DEVICE: Final = 1  # 00:01, of files in memory that are the kernel's own

_LIMIT: Final = SystemSetting(b"fs/aio-max-nr", [0x10000], 0, NO_BOUND)


@final
class Total:
    """The number of requests for which all contexts of the machine were created (fs.aio-nr)."""

    def __init__(self) -> None:
        self.count: int = 0


TOTAL: Final = Total()


@proc_file("sys/fs/aio-nr")
def _count_text() -> bytes:
    """The number of asynchronous requests reserved with io_setup(2), of at most aio-max-nr."""
    return f"{TOTAL.count}\n".encode()


@final
class AioRing(MemoryObject):
    """The memory that a program maps. The frames are freed when neither an area nor the context uses them."""

    def __init__(self, size_bytes: int) -> None:
        """Sleeps. Raises MemoryError."""
        self.context: AioContext | None = None  # until it is complete, and once it has ended
        self.memory: RingMemory = RingMemory(0)
        self._users: int = 1  # the context
        page_count = size_bytes >> PAGE_SHIFT
        if page_count > available_frame_count():
            raise MemoryError
        done = False
        try:
            for _ in range(page_count):
                self.memory.add_page()
                pace(_PAGE_COST)
            done = True
        finally:
            if not done:
                self._free()

    def page(self, index: int, for_write: bool) -> Frame:
        if not 0 <= index < len(self.memory.frames):
            raise Errno(EIO)
        frame = Frame(self.memory.frames[index])
        get_frame(frame)
        return frame

    def resident(self, index: int) -> Frame:
        return Frame(self.memory.frames[index]) if 0 <= index < len(self.memory.frames) else NO_FRAME

    def acquire(self) -> None:
        self._users += 1
        if self._users == 2:
            self._count_kept(-1)

    @noraise
    def release(self) -> None:
        self._users -= 1
        if self._users == 1:
            self._count_kept(1)
        elif self._users == 0:
            self._free()

    @noraise
    def _count_kept(self, change: int) -> None:
        """Count its pages for the space that maps them; without one, for the address space that has the context."""
        context = self.context
        owner = None if context is None else context.owner
        if context is not None and owner is not None:
            owner.context_bytes += change * context.size_bytes

    @noraise
    def _free(self) -> None:
        while self.memory.drop_page():
            pace(_PAGE_COST)

    def is_mapped(self) -> bool:
        """Whether anything maps it."""
        return self._users > 1

    def keeps_size(self) -> bool:
        return True

    def may_move(self, area: "Area") -> bool:
        space = area.space
        context = self.context
        owner = None if context is None else context.owner
        return space is not None and owner is not None and owner is space.contexts

    def name(self) -> bytes:
        return b"/[aio] (deleted)"

    def device_number(self) -> int:
        return _DEVICE


class LaterRequest(Linked["LaterRequest"]):
    """A request that goes on without the thread that submitted it. Base class: see aio_poll.py."""

    def __init__(self, address: int) -> None:
        super().__init__()
        self.address: int = address  # the address of its struct iocb, by which io_cancel(2) finds it

    def this(self) -> "LaterRequest":
        return self

    @noraise
    def cancel(self) -> None:
        """It is in no list any more: complete it, with its progress so far."""


@final
class LaterRequests(LinkedList[LaterRequest]):
    """Requests of one address: a program may submit one iocb several times."""


@final
class AioContext(Linked["AioContext"]):
    """One context."""

    def __init__(self, owner: "AioContexts", wanted: int) -> None:
        """For `wanted` requests at once, an unsigned number of 32 bits. Raises EINVAL, EAGAIN, MemoryError."""
        super().__init__()
        event_count, size_bytes = ring_size(wanted, len(PROCESSORS))
        self.owner: AioContexts | None = owner  # None: it ended
        self.wanted: int = wanted
        self.event_count: int = event_count
        self.size_bytes: int = size_bytes  # of the ring
        self.tail: int = 0
        self.completed: int = 0  # events whose slots the program has not given back
        self.slots: int = slot_count(event_count, len(PROCESSORS))
        self.under_way: int = 0
        self.later: dict[int, LaterRequests] = {}  # by the addresses of their iocbs
        self.later_count: int = 0
        self.holders: int = 0  # threads that use it across a sleep, besides requests in progress
        self.readers: Mutex = Mutex()  # threads that take events
        self.waiters: WaitQueue = WaitQueue()  # for events, and for the end of requests in progress
        ring = _new_ring(wanted, size_bytes)  # from here on it counts in TOTAL, and nothing raises
        self.ring: AioRing = ring
        ring.context = self
        memory = ring.memory
        memory.store(_ID, owner.made)
        memory.store(_COUNT, event_count)
        memory.store(_MAGIC, _RING_MAGIC)
        memory.store(_FEATURES, _RING_FEATURES)
        memory.store(_HEADER_LENGTH, _HEADER_SIZE)
        owner.enter(self)

    def this(self) -> "AioContext":
        return self

    def has_ended(self) -> bool:
        """Whether it was destroyed. A method, because it is checked again after each sleep."""
        return self.owner is None

    @noraise
    def stop(self) -> bool:
        """Destroy it: nothing new begins, waiting threads leave, `end` follows. False if that was done before."""
        owner = self.owner
        if owner is None:
            return False
        self.owner = None
        owner.leave(self)
        TOTAL.count -= self.wanted
        self.waiters.wake_all()
        return True

    @noraise
    def end(self) -> None:
        """After `stop`: cancel waiting requests. Sleeps until nothing is in progress and no thread uses it."""
        for requests in self.later.values():  # no one else changes them any more
            while True:
                request = requests.first()
                if request is None:
                    break
                requests.unlink(request)
                request.cancel()
                pace(_CANCEL_COST)
        self.later.clear()
        while self.is_in_use():
            self.waiters.wait()
        self.ring.context = None
        self.ring.release()

    def is_in_use(self) -> bool:
        """Whether its ring is still needed. A method, because it is checked again after each sleep."""
        return self.under_way + self.holders > 0

    def hold(self) -> None:
        """The running thread uses it until `let_go`. It has not ended, or is already held."""
        self.holders += 1

    @noraise
    def let_go(self) -> None:
        self.holders -= 1
        self._tell_if_unused()

    @noraise
    def _tell_if_unused(self) -> None:
        if self.owner is None and not self.is_in_use():
            self.waiters.wake_all()

    # ---- Slots ----------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """A request begins: it will end with `complete` or `forget`. Raises EAGAIN if the ring has no room."""
        if self.slots == 0:
            self._count_free()
        if self.slots == 0:
            raise Errno(EAGAIN)
        self.slots -= 1
        self.under_way += 1

    @noraise
    def forget(self) -> None:
        """The request was refused."""
        self.slots += 1
        self._is_done()

    def _is_done(self) -> None:
        self.under_way -= 1
        self._tell_if_unused()

    def _count_free(self) -> None:
        """Check how far the program has taken events. `head` may hold any value."""
        head = self.ring.memory.load(_HEAD) % self.event_count
        waiting = self.tail - head if head <= self.tail else self.event_count - (head - self.tail)
        if waiting < self.completed:
            self.slots += self.completed - waiting
            self.completed = waiting

    @noraise
    def complete(self, address: int, data: int, result: int, bell: EventFile | None) -> None:
        """A request is done: enter its event. `bell` is notified."""
        storage: Array[u8, Literal[32]] = Array()
        event = storage.span()
        event.store_u64(0, u64(data))
        event.store_u64(8, u64(address))
        event.store_u64(16, u64(result))
        memory = self.ring.memory
        memory.write(_HEADER_SIZE + self.tail * EVENT_SIZE, event)
        self.tail = (self.tail + 1) % self.event_count
        memory.store(_TAIL, self.tail)
        self.completed += 1
        if self.completed > 1:
            self._count_free()
        if bell is not None:
            bell.signal(1)
        self._is_done()
        self.waiters.wake_all()

    def ready(self) -> tuple[int, int]:
        """The index of the program's next event, and the number of events from there on, which may wrap around the
        ring's end: both by the values in the ring, as on Linux.
        """
        memory = self.ring.memory
        head = memory.load(_HEAD)
        tail = memory.load(_TAIL)
        if head == tail:
            return 0, 0
        head %= self.event_count
        tail %= self.event_count
        return head, tail - head if head <= tail else self.event_count - (head - tail)

    def read(self, index: int, events: Span[u8]) -> None:
        """Copy the events from an index on, as many as the span holds; none of them past the end of the ring."""
        self.ring.memory.read(_HEADER_SIZE + index * EVENT_SIZE, events)

    def take(self, end: int) -> None:
        """The program has taken the events before an index."""
        self.ring.memory.store(_HEAD, end)

    # ---- Requests that wait ---------------------------------------------------------------------------------------

    def add_later(self, request: LaterRequest) -> None:
        """A request continues without its thread. Raises MemoryError."""
        same = self.later.get(request.address)
        if same is None:
            same = LaterRequests()
            self.later[request.address] = same
        same.link_last(request)
        self._count_later(1)

    @noraise
    def drop_later(self, request: LaterRequest) -> None:
        """The request is done, or will be finished by the caller."""
        same = self.later.get(request.address)
        if same is None:
            return
        same.unlink(request)
        self._count_later(-1)
        if same.is_empty():
            self.later.pop(request.address)

    @noraise
    def _count_later(self, change: int) -> None:
        self.later_count += change
        owner = self.owner
        if owner is not None:
            owner.later_count += change

    def find_later(self, address: int) -> LaterRequest | None:
        """The first request with an iocb at that address that waits."""
        same = self.later.get(address)
        return None if same is None else same.first()


@final
class AioContexts(AsyncContexts):
    """The contexts of an address space."""

    def __init__(self) -> None:
        self.list: LinkedList[AioContext] = LinkedList()
        self.made: int = 0
        # What the contexts on the list hold
        self.later_count: int = 0
        self.context_bytes: int = 0  # including those rings that no one maps

    def enter(self, context: AioContext) -> None:
        """Add a context."""
        self.list.link_last(context)
        self.made = (self.made + 1) & 0x7FFF_FFFF
        self.context_bytes += _CONTEXT_BYTES + context.size_bytes  # no one maps its ring yet

    @noraise
    def leave(self, context: AioContext) -> None:
        """Remove a context."""
        self.list.unlink(context)
        self.later_count -= context.later_count
        self.context_bytes -= _CONTEXT_BYTES + (0 if context.ring.is_mapped() else context.size_bytes)

    @noraise
    def end(self) -> None:
        while True:
            context = self.list.first()
            if context is None:
                return
            context.stop()
            context.end()
            pace(_CANCEL_COST)

    def held_bytes(self) -> int:
        return self.context_bytes + self.later_count * _LATER_BYTES


def ring_size(wanted: int, processors: int) -> tuple[int, int]:
    """How many events the ring for `wanted` requests (32 bits, unsigned) holds, and its size in bytes, whole pages.
    Twice the requested number, and what fits on the last page, as on Linux: programs see the number. Raises
    EINVAL, EAGAIN.
    """
    count = max(wanted, processors * _SLOTS_OF_PROCESSOR) * 2 & 0xFFFF_FFFF
    if count > _MOST_EVENTS:
        raise Errno(EINVAL)
    if count == 0 or wanted > _LIMIT.value:
        raise Errno(EAGAIN)
    size_bytes = (_HEADER_SIZE + (count + _SPARE_EVENTS) * EVENT_SIZE + PAGE_MASK) >> PAGE_SHIFT << PAGE_SHIFT
    return (size_bytes - _HEADER_SIZE) // EVENT_SIZE, size_bytes


def _new_ring(wanted: int, size_bytes: int) -> AioRing:
    """The ring of a context for `wanted` requests, which count from now on. Sleeps. Raises EAGAIN, MemoryError."""
    if wanted > _LIMIT.value - min(_LIMIT.value, TOTAL.count):
        raise Errno(EAGAIN)
    TOTAL.count += wanted
    done = False
    try:
        ring = AioRing(size_bytes)
        done = True
        return ring
    finally:
        if not done:
            TOTAL.count -= wanted


def slot_count(event_count: int, processors: int) -> int:
    """How many requests may be in progress or unread: Linux gives slots to processors in batches, and the remainder
    to none.
    """
    batch = max(1, (event_count - 1) // (processors * _SLOTS_OF_PROCESSOR))
    return (event_count - 1) // batch * batch
