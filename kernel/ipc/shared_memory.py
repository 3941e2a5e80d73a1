"""Shared memory segments of System V: named by a number, found by a key, mapped by whoever may (shmget(2), shmat(2)).

A segment is a memory object: each area that maps it is an attachment. A segment that was removed lives on until the
last attachment goes; so it can still be attached by its number, but not found by its key.

Context: thread context; nothing sleeps. Attachments come and go with areas: fork adds some, execve and exit take some.
Source: shmget(2), shmat(2), shmctl(2), sysvipc(7).
"""

from typing import Final

from kernel.lang import EACCES, EEXIST, EINVAL, ENOENT, ENOSPC, EPERM, Errno, final
from kernel.lib.credentials import Credentials
from kernel.mm.frames import PAGE_MASK, PAGE_SHIFT
from kernel.mm.objects import SharedMemory
from kernel.time import realtime_ns

IPC_PRIVATE: Final = 0
IPC_CREAT: Final = 0o1000
IPC_EXCL: Final = 0o2000
SHM_DEST: Final = 0o1000  # in the mode that is shown: removed
SHM_LOCKED: Final = 0o2000

LARGEST_BYTES: Final = 1 << 46
MOST_SEGMENTS: Final = 4096
MOST_PAGES: Final = (1 << 63) - (1 << 24)  # what Linux shows: no limit
_INDEX_BITS: Final = 15
_NS: Final = 1_000_000_000


@final
class Segment(SharedMemory):
    """One segment. Invariant: it is in `SEGMENTS` until it is removed and nobody has it attached."""

    def __init__(self, identifier: int, key: int, size_bytes: int, mode: int, creator: Credentials, pid: int) -> None:
        super().__init__(size_bytes)
        self.identifier: int = identifier
        self.key: int = key
        self.size: int = size_bytes
        self.mode: int = mode & 0o777
        self.uid: int = creator.euid
        self.gid: int = creator.egid
        self.creator_uid: int = creator.euid
        self.creator_gid: int = creator.egid
        self.creator_pid: int = pid
        self.last_pid: int = 0
        self.attached_s: int = 0
        self.detached_s: int = 0
        self.changed_s: int = now_s()
        self.is_removed: bool = False
        self.is_locked: bool = False

    def release(self) -> None:
        self.users -= 1
        self.detached_s = now_s()
        if self.users == 0 and self.is_removed:
            SEGMENTS.forget(self)

    def name(self) -> bytes:
        return f"/SYSV{self.key & 0xFFFF_FFFF:08x} (deleted)".encode()

    def inode_number(self) -> int:
        return self.identifier

    def shown_mode(self) -> int:
        """The mode with what has become of the segment."""
        return self.mode | (SHM_DEST if self.is_removed else 0) | (SHM_LOCKED if self.is_locked else 0)

    def check_permission(self, credentials: Credentials, wanted: int) -> None:
        """Raise EACCES unless all permissions in `wanted` (a mode: its three digits are one) are given."""
        needed = (wanted >> 6 | wanted >> 3 | wanted) & 7
        granted = self.mode
        if credentials.euid == self.uid or credentials.euid == self.creator_uid:
            granted = self.mode >> 6
        elif credentials.in_group(self.gid) or credentials.in_group(self.creator_gid):
            granted = self.mode >> 3
        if needed & ~granted & 7 != 0 and not credentials.capable():
            raise Errno(EACCES)

    def check_owner(self, credentials: Credentials) -> None:
        """Raise EPERM for all but the owner, the creator and root."""
        if credentials.euid != self.uid and credentials.euid != self.creator_uid and not credentials.capable():
            raise Errno(EPERM)

    def attached(self, pid: int) -> None:
        self.last_pid = pid
        self.attached_s = now_s()

    def remove(self) -> None:
        """IPC_RMID."""
        self.is_removed = True
        self.key = IPC_PRIVATE
        if self.users == 0:
            SEGMENTS.forget(self)


@final
class Segments:
    """All segments, by index; the number of a segment tells its index and how often that was used before."""

    def __init__(self) -> None:
        self.table: dict[int, Segment] = {}  # by index
        self.sequence: int = 0
        self.page_count: int = 0

    def get(self, identifier: int) -> Segment:
        """Raises EINVAL if there is no such segment."""
        found = self.table.get(identifier & ((1 << _INDEX_BITS) - 1)) if identifier >= 0 else None
        if found is None or found.identifier != identifier:
            raise Errno(EINVAL)
        return found

    def find(self, key: int) -> Segment | None:
        for index in self.table.keys():
            if self.table[index].key == key:
                return self.table[index]
        return None

    def open(self, key: int, size: int, flags: int, credentials: Credentials, pid: int) -> int:
        """shmget(2): the number of the segment with this key, made if need be. Raises ENOENT, EEXIST, EINVAL, EACCES,
        ENOSPC, MemoryError.
        """
        found = self.find(key) if key != IPC_PRIVATE else None
        if found is None:
            if key != IPC_PRIVATE and flags & IPC_CREAT == 0:
                raise Errno(ENOENT)
            return self._create(key, size, flags, credentials, pid)
        if flags & (IPC_CREAT | IPC_EXCL) == IPC_CREAT | IPC_EXCL:
            raise Errno(EEXIST)
        if size > found.size or size < 0:
            raise Errno(EINVAL)
        found.check_permission(credentials, flags)
        return found.identifier

    def _create(self, key: int, size: int, flags: int, credentials: Credentials, pid: int) -> int:
        if size < 1 or size > LARGEST_BYTES:
            raise Errno(EINVAL)
        if len(self.table) >= MOST_SEGMENTS:
            raise Errno(ENOSPC)
        index = 0
        while index in self.table:
            index += 1
        identifier = self.sequence << _INDEX_BITS | index
        self.table[index] = Segment(identifier, key, size, flags, credentials, pid)
        self.sequence = (self.sequence + 1) & 0xFFFF
        self.page_count += (size + PAGE_MASK) >> PAGE_SHIFT
        return identifier

    def forget(self, segment: Segment) -> None:
        """It was removed and nobody has it attached: free its memory."""
        segment.free_frames()
        self.page_count -= segment.page_limit
        self.table.pop(segment.identifier & ((1 << _INDEX_BITS) - 1))

    def highest_index(self) -> int:
        highest = 0
        for index in self.table.keys():
            highest = max(highest, index)
        return highest

    def resident_count(self) -> int:
        """Pages in memory."""
        total = 0
        for index in self.table.keys():
            total += len(self.table[index].frames)
        return total


SEGMENTS: Final = Segments()


def now_s() -> int:
    """The time that IPC_STAT shows, in seconds."""
    return realtime_ns() // _NS
