"""The descriptor of a ring: what io_uring_setup(2) returns.

It is ready for reading when there are completions, or deferred work for its task; for writing, when there is room for
submissions. Its end cancels what waits, which the tasks of these requests see on their next way to user mode.

Context: `close` may sleep.
"""

from typing import Final

from kernel.fs.anonymous import anonymous_path
from kernel.fs.constants import O_CLOEXEC, O_RDWR, READABLE, WRITABLE
from kernel.fs.file import DESCRIPTION_BYTES, File, Listing
from kernel.lang import EBADF, ECANCELED, EINVAL, ENOMEM, Errno, final
from kernel.lib.pace import pace
from kernel.mm.frames import PAGE_SHIFT
from kernel.mm.objects import MemoryObject
from kernel.sched import PollWaiter
from kernel.task.memory_shortage import COUNTS
from kernel.uring import layout
from kernel.uring.description import RingListing
from kernel.uring.memory import RingPages
from kernel.uring.ring import Ring

_COST: Final = 100  # instructions, for `pace`


@final
class UringFile(File):
    """A ring that is open."""

    def __init__(self, ring: Ring) -> None:
        super().__init__(anonymous_path(b"[io_uring]"), O_RDWR | O_CLOEXEC)
        self.ring: Ring = ring

    def can_read(self) -> bool:
        return False

    def can_write(self) -> bool:
        return False

    def has_offsets(self) -> bool:
        return False

    def held_bytes(self) -> int:
        self.ring.held.counted_by = COUNTS.last
        return DESCRIPTION_BYTES + self.ring.held_bytes()

    def memory_object(self) -> MemoryObject:
        raise Errno(EINVAL)

    def mapped_part(self, offset: int, size_bytes: int) -> MemoryObject:
        if self.users == 0:
            raise Errno(EBADF)
        ring = self.ring
        held_pages = ring.memory.size_bytes() + ring.entries.size_bytes() + ring.held.group_bytes >> PAGE_SHIFT
        kind = offset & layout.MAP_KIND
        if ring.setup & layout.SETUP_NO_MMAP != 0 and kind != layout.MAP_BUFFERS:
            raise Errno(ENOMEM)  # the program has it already
        if kind == layout.MAP_SQ or kind == layout.MAP_CQ:
            return RingPages(self, ring.memory, kind >> PAGE_SHIFT, held_pages)
        if kind == layout.MAP_ENTRIES:
            return RingPages(self, ring.entries, kind >> PAGE_SHIFT, held_pages)
        if kind == layout.MAP_BUFFERS:
            group = ring.registered.groups.get((offset & ~layout.MAP_BUFFERS) >> layout.MAP_BUFFERS_SHIFT)
            memory = None if group is None else group.memory
            if memory is not None:
                return RingPages(self, memory, offset >> PAGE_SHIFT, held_pages)
        raise Errno(ENOMEM)  # as Linux, which finds no addresses for it

    def listing(self) -> Listing:
        return RingListing(self.ring)

    def poll(self, waiter: PollWaiter | None) -> int:
        ring = self.ring
        if waiter is not None:
            waiter.wait_on(ring.listeners.waiters)
        state = 0
        if ring.offered() != ring.shape.entry_count:
            state |= WRITABLE
        if ring.waiting_completions() != 0 or not ring.overflow.is_empty() or ring.due.first is not None:
            state |= READABLE
        return state

    def close(self) -> None:
        ring = self.ring
        ring.is_ended = True
        ring.listeners.job.ring = None
        served = ring.served
        ring.served = None
        taker = None if served is None else served.taker
        if served is not None and taker is not None:
            taker.leave(served)
        while True:
            due = ring.due.take()
            if due is None:
                break
            due.note_due()  # now on its task's list
            pace(_COST)
        request = ring.requests.first()
        while request is not None:
            place = request.place()
            request.settle(-ECANCELED)
            request.leave_other_place()
            pace(_COST)
            request = ring.requests.first_after(place)
        while True:
            deferred = ring.deferred.first()
            if deferred is None:
                break
            ring.undefer(deferred)
            deferred.end.refusal = ECANCELED
            deferred.note_due()
            pace(_COST)
        ring.end.ring = ring
        ring.end.schedule()
