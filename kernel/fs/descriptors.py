"""The descriptor table of a process (dup(2), fcntl(2), close(2)). Shared by threads (CLONE_FILES), hence counted.

Invariants: `_next` is not above the lowest free descriptor; a slot holds one reference to its file. A reserved
descriptor, which a call has taken for a file to come, is neither free nor open.
"""

from collections.abc import Callable
from typing import Final

from kernel.cgroup.memory import MemoryControl
from kernel.fs.file import OPEN_FILES, File
from kernel.fs.locks import OWNERS
from kernel.fs.notification import WATCHES, descriptor_closed
from kernel.lang import EBADF, EBUSY, EINVAL, EMFILE, Errno, final, noraise
from kernel.lib.pace import pace
from kernel.lib.settings import SystemSetting

DEFAULT_LIMIT: Final = 1024
# Instructions for one descriptor, for `pace`
_CLOSE_COST: Final = 300
_COPY_COST: Final = 80
_LOOK_COST: Final = 20
_STEP_SHIFT: Final = 12
_STEP_MASK: Final = (1 << _STEP_SHIFT) - 1  # small tables are looked through at once
_MANY: Final = 4096  # descriptors
_RESERVED: Final = 2  # in `_close_on_exec`, where there is no file
_INT_MAX: Final = 0x7FFF_FFFF
# What RLIMIT_NOFILE cannot exceed, and no table either.
HIGHEST_LIMIT: Final = SystemSetting(b"fs/nr_open", [1024 * 1024], 64, _INT_MAX & -64)


@final
class CallerFiles:
    """Finds the running program's files, for code below the package of tasks, which enters it."""

    def __init__(self) -> None:
        self.find: Callable[[int], File] | None = None
        self.find_table: Callable[[], FileTable | None] | None = None
        self.find_umask: Callable[[], int] | None = None

    def umask(self) -> int:
        """The running program's; 0 for a kernel thread."""
        find = self.find_umask
        return find() if find is not None else 0

    def owner(self) -> int:
        """The number of the running program's table, as an owner of locks; 0 for a kernel thread."""
        find = self.find_table
        table = find() if find is not None else None
        return 0 if table is None else table.owner

    def get(self, descriptor: int) -> File:
        """What a descriptor leads to. Raises EBADF."""
        find = self.find
        if find is None:
            raise Errno(EBADF)
        return find(descriptor)


CALLER_FILES: Final = CallerFiles()


class FileTable:
    """Descriptors 0 … len - 1. `limit` follows RLIMIT_NOFILE."""

    def __init__(self) -> None:
        self._files: list[File | None] = []
        self._close_on_exec: bytearray = bytearray()
        self._next: int = 0
        self.limit: int = DEFAULT_LIMIT
        self.users: int = 1
        self.owner: int = OWNERS.next()  # its number as an owner of locks
        self.counted: int = 0  # the last count of memory that has it (memory_shortage.py)
        # The control group's that counts what the kernel holds for it, and how many pages (task/group_holdings.py)
        self.control: MemoryControl | None = None
        self.control_pages: int = 0

    def get(self, descriptor: int) -> File:
        """EBADF if it is not open, or open with O_PATH only."""
        file = self.get_any(descriptor)
        if file.is_path_only():
            raise Errno(EBADF)
        return file

    def get_any(self, descriptor: int) -> File:
        """The same, but O_PATH descriptors are fine."""
        if 0 <= descriptor < len(self._files):
            file = self._files[descriptor]
            if file is not None:
                return file
        raise Errno(EBADF)

    def find(self, descriptor: int) -> File | None:
        if 0 <= descriptor < len(self._files):
            return self._files[descriptor]
        return None

    def size(self) -> int:
        """One past the highest descriptor that may be open."""
        return len(self._files)

    def lowest_free(self, lowest: int) -> int:
        """The lowest free descriptor that is not below `lowest`; EMFILE if the limit forbids it."""
        files = self._files
        candidate = max(lowest, self._next)
        while candidate < len(files) and (
            files[candidate] is not None or self._close_on_exec[candidate] == _RESERVED
        ):
            candidate += 1
            if candidate & _STEP_MASK == 0:
                candidate = self._rest_before(candidate, lowest)
        if candidate >= self.limit or (candidate >= len(files) and candidate >= HIGHEST_LIMIT.value):
            raise Errno(EMFILE)
        return candidate

    def _rest_before(self, candidate: int, lowest: int) -> int:
        """A safe point in a long search, which has found none free from `lowest` on. Returns where it goes on: lower if
        another thread has closed one meanwhile, so that `install` leaves none free below `_next`.
        """
        if lowest <= self._next:
            self._next = candidate
        pace(_LOOK_COST << _STEP_SHIFT)
        return self._next if lowest <= self._next else candidate

    def reserve(self) -> int:
        """Take the lowest free descriptor for a file to come, before what would be lost without: `fill` or `give_back`
        follows. Raises EMFILE, MemoryError.
        """
        descriptor = self._room_for_one(0)
        self._close_on_exec[descriptor] = _RESERVED
        self._next = descriptor + 1
        return descriptor

    def fill(self, descriptor: int, file: File, cloexec: bool) -> int:
        """Let a reserved descriptor, which is returned, lead to a file. The caller's reference becomes the table's."""
        self._files[descriptor] = file
        if not file.is_counted:
            OPEN_FILES.enter(file)
        self._close_on_exec[descriptor] = 1 if cloexec else 0
        return descriptor

    @noraise
    def give_back(self, descriptor: int) -> None:
        """A reserved descriptor is free after all."""
        self._close_on_exec[descriptor] = 0
        if descriptor < self._next:
            self._next = descriptor

    def _room_for_one(self, lowest: int) -> int:
        """The lowest free descriptor that is not below `lowest`, with a place in the table. Raises EMFILE,
        MemoryError.
        """
        descriptor = self.lowest_free(lowest)
        while descriptor >= len(self._files):
            self._grow(descriptor + 1)
            descriptor = self.lowest_free(lowest)  # another may have been taken while the table grew
        return descriptor

    def install(self, file: File, cloexec: bool, lowest: int = 0) -> int:
        """Give `file` a descriptor. The caller's reference becomes the table's; on EMFILE the file is released."""
        try:
            descriptor = self._room_for_one(lowest)
        except (Errno, MemoryError):
            file.release()
            raise
        self._files[descriptor] = file
        if not file.is_counted:
            OPEN_FILES.enter(file)
        self._close_on_exec[descriptor] = 1 if cloexec else 0
        if lowest <= self._next:
            self._next = descriptor + 1
        return descriptor

    def replace(self, descriptor: int, file: File, cloexec: bool) -> None:
        """dup2: put `file` at `descriptor`, closing what was there. Takes a reference of its own. The caller holds
        `file`: it may be closed while the table grows. Raises EBADF, EBUSY for a reserved one, MemoryError.
        """
        if descriptor < 0 or descriptor >= self.limit:
            raise Errno(EBADF)
        if descriptor >= len(self._files) and descriptor >= HIGHEST_LIMIT.value:
            raise Errno(EBADF)
        self._grow(descriptor + 1)
        old = self._files[descriptor]
        if old is None and self._close_on_exec[descriptor] == _RESERVED:
            raise Errno(EBUSY)
        file.acquire()
        self._files[descriptor] = file
        self._close_on_exec[descriptor] = 1 if cloexec else 0
        if old is not None:
            self._dispose(old)

    def duplicate(self, descriptor: int, lowest: int, cloexec: bool) -> int:
        """F_DUPFD."""
        file = self.get_any(descriptor)
        if lowest < 0 or lowest >= self.limit:
            raise Errno(EINVAL)
        return self.install(file.acquire(), cloexec, lowest)

    def close(self, descriptor: int) -> None:
        """close(2). Raises EBADF, and what `File.flush` found; the descriptor is closed then, too."""
        file = self.get_any(descriptor)
        self._close_slot(descriptor)
        if file.flush_error != 0:
            raise Errno(file.take_flush_error())

    def take_back(self, descriptor: int, file: File) -> None:
        """Close what a call has installed and cannot return after all. Another thread may have closed it, and reused
        its number.
        """
        if self.find(descriptor) is file:
            self._close_slot(descriptor)

    def close_range(self, first: int, last: int) -> None:
        for descriptor in range(first, min(last + 1, len(self._files))):
            self._close_slot(descriptor)
            pace(_CLOSE_COST)

    def closes_on_exec(self, descriptor: int) -> bool:
        self.get_any(descriptor)
        return self._close_on_exec[descriptor] != 0

    def set_close_on_exec(self, descriptor: int, cloexec: bool) -> None:
        self.get_any(descriptor)
        self._close_on_exec[descriptor] = 1 if cloexec else 0

    def close_on_exec(self) -> None:
        """Close what execve(2) does not keep."""
        for descriptor in range(len(self._files)):
            if self._close_on_exec[descriptor] == 1:
                self._close_on_exec[descriptor] = 0
                self._close_slot(descriptor)
            pace(_LOOK_COST)

    def copy(self) -> "FileTable":
        """A table with the same files (fork)."""
        table = FileTable()
        table.limit = self.limit
        count = len(self._files)
        if count <= _STEP_MASK:
            table._files = [None] * count
            table._close_on_exec = bytearray(count)
        else:
            table._grow(count)
        lowest = count  # that is free in the copy: other threads may open and close while this sleeps
        for descriptor in range(count):
            file = self._files[descriptor]
            if file is not None:
                table._files[descriptor] = file.acquire()
                table._close_on_exec[descriptor] = self._close_on_exec[descriptor]
            elif descriptor < lowest:
                lowest = descriptor
            pace(_COPY_COST)
        table._next = lowest
        return table

    def acquire(self) -> None:
        self.users += 1

    @noraise
    def release(self) -> None:
        """The last user's release closes everything."""
        self.users -= 1
        if self.users == 0:
            self.count_for(None, 0)
            self.close_range(0, len(self._files))
            while len(self._files) > _MANY:
                self._files.pop()
                pace(_LOOK_COST)
            self._files.clear()

    @noraise
    def count_for(self, control: MemoryControl | None, pages: int) -> None:
        """Count what the kernel holds for the descriptors for a control group, and for no other."""
        old = self.control
        if old is not None:
            old.keep(-self.control_pages)
        self.control = control
        self.control_pages = pages
        if control is not None:
            control.keep(pages)

    def open_count(self) -> int:
        count = 0
        for file in self._files:
            if file is not None:
                count += 1
        return count

    @noraise
    def _close_slot(self, descriptor: int) -> None:
        file = self._files[descriptor]
        if file is None:
            return
        self._files[descriptor] = None
        if descriptor < self._next:
            self._next = descriptor
        self._dispose(file)

    def _grow(self, size: int) -> None:
        while len(self._files) < size:
            if len(self._close_on_exec) == len(self._files):
                self._close_on_exec.append(0)
            self._files.append(None)
            if len(self._files) & _STEP_MASK == 0:
                pace(_LOOK_COST << _STEP_SHIFT + 1)

    def _dispose(self, file: File) -> None:
        """Drop the table's reference. Closing any descriptor of a file drops the process's record locks on it, and
        ends F_NOTIFY (fcntl(2)).
        """
        locks = file.inode.locks
        if locks is not None:
            locks.drop_owner(self)
        if WATCHES.count != 0:
            descriptor_closed(file, self)
        file.flush(self.owner)
        file.release()
