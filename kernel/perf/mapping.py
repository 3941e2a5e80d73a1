"""What mmap(2) maps of an event: its ring, whole. The first mapping makes it, the last one ends it.

While an area maps it, it keeps the event open.

A ring counts for the address space that makes it, and as held by each that maps it: it may outlive its maker there.

Context: system calls. The end of a ring may sleep.
"""

from typing import Final

from kernel.fs.file import File
from kernel.lang import EIO, EPERM, Errno, final
from kernel.lib.capabilities import CAP_IPC_LOCK
from kernel.lib.pace import pace
from kernel.lib.user_account import account_of
from kernel.mm.area import PROT_WRITE, Area
from kernel.mm.frames import NO_FRAME, PAGE_SHIFT, Frame, get_frame
from kernel.mm.objects import MemoryObject
from kernel.perf.event import Event
from kernel.perf.limits import RING_KIB, is_paranoid
from kernel.perf.ring import Ring
from kernel.sched.processor import PROCESSORS
from kernel.task.limits import RLIMIT_MEMLOCK, UNLIMITED
from kernel.task.task import Task, current

_NAME: Final = b"anon_inode:[perf_event]"
_DEVICE: Final = 14  # of anonymous inodes, as in /proc/PID/maps
_KIB_SHIFT: Final = PAGE_SHIFT - 10
_USER_COST: Final = 100  # instructions, for `pace`


@final
class RingMapping(MemoryObject):
    """The pages, as an area shows them."""

    def __init__(self, file: File, event: Event, ring: Ring) -> None:
        self._file: File = file
        self._event: Event = event
        self._ring: Ring = ring
        self._pages: int = len(ring.frames)
        self._is_dead: bool = False  # another thread closed the event before it was mapped

    def keeps_size(self) -> bool:
        return True

    def link_count(self) -> int:
        return 1

    def page(self, index: int, for_write: bool) -> Frame:
        frames = self._ring.frames
        if not 0 <= index < len(frames):
            raise Errno(EIO)
        frame = Frame(frames[index])
        get_frame(frame)
        return frame

    def resident(self, index: int) -> Frame:
        frames = self._ring.frames
        return Frame(frames[index]) if 0 <= index < len(frames) else NO_FRAME

    def attach(self, area: Area) -> None:
        if self._ring.mappings == 0:
            self._ring.overwrites = area.prot & PROT_WRITE == 0
        self._is_dead = self._file.users == 0  # the same for all areas: one that maps it keeps it open
        area.dont_fork = True
        area.dont_dump = True
        self._count(area, self._pages)
        self.acquire()

    def leaves(self, area: Area) -> None:
        self._count(area, -self._pages)

    def detach(self, area: Area) -> None:
        self._count(area, -self._pages)  # unless it has left its space already
        self.release()

    def _count(self, area: Area, pages: int) -> None:
        """Pages of the ring count for whoever maps it, and as locked in an address space that did not make it."""
        space = area.space
        if space is not None:
            space.ring_pages += pages
            if space is not self._ring.space:
                space.pinned_pages += pages

    def acquire(self) -> None:
        if not self._is_dead:
            self._file.acquire()
            self._event.mappings += 1
        self._ring.mappings += 1

    def release(self) -> None:
        ring = self._ring
        ring.mappings -= 1
        if ring.mappings == 0:
            end_ring(ring)
        if not self._is_dead:
            self._event.mappings -= 1
            self._file.release()

    def name(self) -> bytes:
        return _NAME

    def inode_number(self) -> int:
        return self._file.inode.ino

    def device_number(self) -> int:
        return _DEVICE


def end_ring(ring: Ring) -> None:
    """Nobody maps it: events write there no more. May sleep."""
    ring.is_ending = True
    while len(ring.users) > 0:
        event = ring.users.pop()
        event.ring = None
        event.waiters.wake_all()
        pace(_USER_COST)
    ring.free()


def _may_lock(task: Task, pages: int) -> bool:
    """Whether a task's address space may have that many more pages of rings than its user may."""
    most = task.process.limits.soft[RLIMIT_MEMLOCK]
    most_pages = most if most == UNLIMITED else most >> PAGE_SHIFT
    return task.space.pinned_pages + pages <= most_pages or not is_paranoid() or task.credentials.capable(CAP_IPC_LOCK)


def check_lock(ring: Ring) -> None:
    """Whether the running task may map a ring, perhaps one that another address space created. Raises EPERM."""
    task = current()
    if ring.space is not task.space and not _may_lock(task, len(ring.frames)):
        raise Errno(EPERM)


def charge(ring: Ring) -> None:
    """Count the pages of a new ring: for the user as far as kernel.perf_event_mlock_kb goes, further ones for the
    address space. Raises EPERM where they are too many, MemoryError; nothing is charged then.
    """
    task = current()
    space = task.space
    pages = ring.page_count() + 1
    limit = (max(RING_KIB.value, 0) >> _KIB_SHIFT) * len(PROCESSORS)
    account = account_of(task.credentials.uid)
    free = limit - min(account.perf_pages, limit)
    extra = max(0, pages - free)
    if not _may_lock(task, extra):
        account.release()
        raise Errno(EPERM)
    ring.account = account
    ring.account_pages = pages - extra
    account.perf_pages += pages - extra
    ring.space = space
    ring.space_pages = extra
    space.pinned_pages += extra
