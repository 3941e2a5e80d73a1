"""Shared memory segments of System V: named by a number, found by a key, mapped if permitted (shmget(2), shmat(2)).

A segment is a memory object: each area that maps it is an attachment. A removed segment lives on until its
last attachment goes; so it can still be attached by its number, but not found by its key.

Context: thread context; to make and to free a segment may sleep, the rest doesn't. Attachments come and go with areas:
fork adds some, execve and exit remove some. Source: shmget(2), shmat(2), shmctl(2), sysvipc(7).
"""

from typing import Final

from kernel.ipc.sysv import LOOK_COST, IpcObject, IpcTable, now_s
from kernel.lang import EINVAL, ENOMEM, ENOSPC, EPERM, Errno, final
from kernel.lib.capabilities import CAP_IPC_LOCK
from kernel.lib.credentials import Credentials
from kernel.lib.ids import KernelGid
from kernel.lib.namespace import UserNamespace
from kernel.lib.pace import pace
from kernel.lib.pid import Bearer, bearer_shown_to_caller
from kernel.lib.settings import NO_BOUND, SystemSetting
from kernel.mm.commitment import MODE, NEVER, promise
from kernel.mm.frames import PAGE_MASK, PAGE_SHIFT, Frame
from kernel.mm.huge_object import NUMBER_LIMIT, HugeObject
from kernel.mm.huge_pool import SHARER_GROUP, SHIFTS, HugePool, pool_of, shift_in
from kernel.mm.keeping import check_room_to_keep, has_room_to_keep
from kernel.mm.objects import MemoryObject, SharedMemory

SHM_DEST: Final = 0o1000  # in the mode that is shown: removed
SHM_LOCKED: Final = 0o2000

LARGEST_BYTES: Final = 1 << 46
_SHM_HUGETLB: Final = 0o4000
_SHM_NORESERVE: Final = 0o10000
_REMOVE_COST: Final = 20_000  # instructions, for `pace`: most segments are small
NO_LIMIT: Final = -(1 << 24) - 1  # as 64 bits without a sign: the value that Linux shows for unlimited sizes
_NO_LIMIT_TEXT: Final = b"18446744073692774399"


@final
class _SizeLimit(SystemSetting):
    """A limit, or NO_LIMIT. Raises EINVAL for other values from 2**63 on, which Linux keeps."""

    def text(self) -> bytes:
        return _NO_LIMIT_TEXT + b"\n" if self.value == NO_LIMIT else super().text()

    def store_text(self, text: bytes) -> int:
        if text.strip() != _NO_LIMIT_TEXT:
            return super().store_text(text)
        self.values[0] = NO_LIMIT
        return len(text)

    def permits(self, amount: int) -> bool:
        """Whether an amount is within the limit."""
        return self.value == NO_LIMIT or amount <= self.value


LARGEST_SEGMENT: Final = _SizeLimit(b"kernel/shmmax", [NO_LIMIT], 0, NO_BOUND)  # bytes
MOST_PAGES: Final = _SizeLimit(b"kernel/shmall", [NO_LIMIT], 0, NO_BOUND)  # of all segments
MOST_SEGMENTS: Final = SystemSetting(b"kernel/shmmni", [4096], 0, 1 << 15)


@final
class SegmentEntry(IpcObject):
    """The table's entry for a segment."""

    def __init__(self, key: int, mode: int, creator: Credentials, segment: "Segment", owner: UserNamespace) -> None:
        super().__init__(key, mode, creator, owner)
        self.segment: Segment | None = segment  # None once its memory has gone


@final
class HugeSegmentPages(HugeObject):
    """The memory of a segment of huge pages. Areas that map it are attachments of the segment."""

    def __init__(self, segment: "Segment", pages: int, pool: HugePool) -> None:
        super().__init__(pages, pool)
        self.segment: Segment | None = segment  # until its memory is freed

    def acquire(self) -> None:
        segment = self.segment
        if segment is not None:
            segment.acquire()

    def release(self) -> None:
        segment = self.segment
        if segment is not None:
            segment.release()

    def name(self) -> bytes:
        segment = self.segment
        return b"" if segment is None else segment.name()

    def inode_number(self) -> int:
        segment = self.segment
        return 0 if segment is None else segment.inode_number()


@final
class Segment(SharedMemory):
    """One segment. Its memory is the object itself, or `huge`. Invariant: it is in the table of its `owner` until it is
    removed and has no attachment.
    """

    def __init__(
        self, owner: "Segments", key: int, size_bytes: int, mode: int, creator: Credentials, process: Bearer
    ) -> None:
        super().__init__(size_bytes)
        self.owner: Segments = owner
        self.entry: SegmentEntry = SegmentEntry(key, mode, creator, self, owner.user_namespace)
        self.size: int = size_bytes
        self.creator: Bearer = process
        self.last_user: Bearer | None = None
        self.attached_s: int = 0
        self.detached_s: int = 0
        self.is_removed: bool = False
        self.is_locked: bool = False
        self.huge: HugeSegmentPages | None = None

    def memory(self) -> MemoryObject:
        """What an attachment maps."""
        huge = self.huge
        return self if huge is None else huge

    def mapped_bytes(self) -> int:
        """The length of an attachment."""
        huge = self.huge
        return self.page_limit << PAGE_SHIFT if huge is None else huge.page_limit << huge.shift

    def resident_count(self) -> int:
        """How many of its pages are in memory."""
        huge = self.huge
        return self.frames.count - self.frames.swapped if huge is None else huge.present << huge.order

    def use_huge_pages(self, pool: HugePool, reserves: bool) -> None:
        """Before it is first attached: let its memory consist of huge pages. Sleeps. Raises ENOMEM, MemoryError."""
        pages = (self.size + (1 << pool.shift) - 1) >> pool.shift  # fits: LARGEST_BYTES
        huge = HugeSegmentPages(self, pages, pool)
        self.huge = huge
        if reserves:
            huge.reserve_shared(0, huge.page_limit)  # if memory fails, the caller frees what was reserved

    def free_memory(self) -> None:
        """Free all of it: nothing maps it any more. Sleeps."""
        self.free_frames()
        huge = self.huge
        if huge is not None:
            huge.drop_pages(0, NUMBER_LIMIT)
            huge.segment = None

    def page(self, index: int, for_write: bool) -> Frame:
        if not self.has_page(index) and not has_room_to_keep():
            raise Errno(ENOSPC)
        return super().page(index, for_write)

    def release(self) -> None:
        self.users -= 1
        self.detached_s = now_s()
        if self.users == 0 and self.is_removed:
            self.owner.forget(self)

    def name(self) -> bytes:
        return f"/SYSV{self.entry.key & 0xFFFF_FFFF:08x} (deleted)".encode()

    def takes_names(self) -> bool:
        return False

    def inode_number(self) -> int:
        return self.entry.identifier

    def wants_promise(self) -> bool:
        return False  # it was promised at creation

    def shown_mode(self) -> int:
        """The mode, with flags for the segment's state."""
        return self.entry.mode | (SHM_DEST if self.is_removed else 0) | (SHM_LOCKED if self.is_locked else 0)

    def attached(self, process: Bearer) -> None:
        self.last_user = process
        self.attached_s = now_s()

    def remove(self) -> None:
        """IPC_RMID."""
        self.is_removed = True
        self.owner.table.forget_key(self.entry)
        if self.users == 0:
            self.owner.forget(self)


@final
class Segments:
    """All segments of a namespace."""

    def __init__(self, user_namespace: UserNamespace) -> None:
        self.user_namespace: UserNamespace = user_namespace
        self.table: IpcTable[SegmentEntry] = IpcTable()
        self.page_count: int = 0

    def get(self, identifier: int) -> Segment:
        """The segment with a number. Raises EINVAL if there is none."""
        return segment_of(self.table.get(identifier))

    def open(self, key: int, size: int, flags: int, credentials: Credentials, process: Bearer) -> int:
        """shmget(2): the number of the segment of a key, a new one if need be. Raises ENOENT, EEXIST, EINVAL, EACCES,
        ENOSPC, MemoryError.
        """
        while True:
            found = self.table.find(key, flags)
            if found is not None:
                break
            identifier = self._create(key, size, flags, credentials, process)
            if identifier >= 0:
                return identifier
        if size > segment_of(found).size or size < 0:
            raise Errno(EINVAL)
        found.check_permission(credentials, flags)
        return found.identifier

    def _create(self, key: int, size: int, flags: int, credentials: Credentials, process: Bearer) -> int:
        """Returns -1 if another thread was faster: reserving huge pages sleeps."""
        is_huge = flags & _SHM_HUGETLB != 0
        is_enormous = size > LARGEST_BYTES or (is_huge and size <= LARGEST_SEGMENT.value == NO_LIMIT)
        if size == 0 or (size < 0 and not is_enormous) or not LARGEST_SEGMENT.permits(size):
            raise Errno(EINVAL)
        if is_enormous:
            if is_huge:
                _check_huge(flags, credentials)
            raise Errno(ENOMEM)
        if not MOST_PAGES.permits(self.page_count + (size + PAGE_MASK >> PAGE_SHIFT)):
            raise Errno(ENOSPC)
        if len(self.table.objects) >= MOST_SEGMENTS.value:
            raise Errno(ENOSPC)
        check_room_to_keep()
        if is_huge:
            _check_huge(flags, credentials)
        segment = Segment(self, key, size, flags, credentials, process)
        entry = segment.entry
        try:
            if is_huge:
                segment.use_huge_pages(pool_of(shift_in(flags)), reserves=flags & _SHM_NORESERVE == 0)
            elif flags & _SHM_NORESERVE == 0 or MODE.value == NEVER:
                promise(size + PAGE_MASK & ~PAGE_MASK, 0)  # fits: at most 2**46
                segment.promised_bytes = size + PAGE_MASK & ~PAGE_MASK
            identifier = -1 if key in self.table.by_key else self.table.add(entry)
        except (Errno, MemoryError):
            segment.free_memory()
            entry.segment = None
            raise
        if identifier < 0:
            segment.free_memory()
            entry.segment = None
            return identifier
        self.page_count += (size + PAGE_MASK) >> PAGE_SHIFT
        return identifier

    def forget(self, segment: Segment) -> None:
        """It was removed and has no attachment: free its memory."""
        self.table.remove(segment.entry)  # first: nobody finds it while its memory is freed
        segment.entry.segment = None
        self.page_count -= segment.page_limit
        segment.free_memory()

    def resident_count(self) -> int:
        """Pages in memory. Takes safe points."""
        total = 0
        for entry in self.table.all(LOOK_COST):
            total += segment_of(entry).resident_count()
        return total

    def swapped_count(self) -> int:
        """Pages in swap areas. Takes safe points."""
        total = 0
        for entry in self.table.all(LOOK_COST):
            total += segment_of(entry).frames.swapped
        return total

    def remove_all(self) -> None:
        """Their namespace ends: remove all. Attached segments live on until they are detached. Has safe points."""
        for index in range(self.table.highest_index() + 1):
            entry = self.table.objects.get(index)
            segment = None if entry is None else entry.segment
            if segment is not None and not segment.is_removed:
                segment.remove()
                pace(_REMOVE_COST)
            pace(LOOK_COST)


def _check_huge(flags: int, credentials: Credentials) -> None:
    """Whether a segment of huge pages may be created. Raises EINVAL (no such size), EPERM."""
    shift = shift_in(flags)
    if shift not in SHIFTS:
        raise Errno(EINVAL)
    if not credentials.capable(CAP_IPC_LOCK) and not credentials.in_group(KernelGid(SHARER_GROUP.value)):
        raise Errno(EPERM)


def segment_behind(source: MemoryObject | None) -> Segment | None:
    """The segment whose memory an object is."""
    if isinstance(source, HugeSegmentPages):
        return source.segment
    return source if isinstance(source, Segment) else None


def segment_of(entry: SegmentEntry) -> Segment:
    """The segment of an entry of the table."""
    segment = entry.segment
    assert segment is not None
    return segment


HEADING: Final = (
    b"       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime"
    b"      dtime      ctime                   rss                  swap\n"
)


def segment_line(entry: SegmentEntry) -> bytes:
    """A line of /proc/sysvipc/shm."""
    segment = segment_of(entry)
    creator = bearer_shown_to_caller(segment.creator)
    last_user = bearer_shown_to_caller(segment.last_user)
    return (
        f"{entry.key:10d} {entry.identifier:10d}  {segment.shown_mode():4o} {segment.size:21d}"
        f" {creator:5d} {last_user:5d}  {segment.users:5d}"
        f"{entry.owner_columns()}"
        f" {segment.attached_s:10d} {segment.detached_s:10d} {entry.changed_s:10d}"
        f" {segment.resident_count() << PAGE_SHIFT:21d}"
        f" {segment.frames.swapped << PAGE_SHIFT:21d}\n"
    ).encode()
