"""The descriptor table of a process (dup(2), fcntl(2), close(2)). Shared by threads (CLONE_FILES), hence counted.

Invariants: `_next` is not above the lowest free descriptor; a slot holds one reference to its file. A reserved
descriptor, which a call has taken for a file to come, is neither free nor open. Those from NEAR on are in pieces.
"""

from collections.abc import Callable
from typing import Final

from kernel.cgroup.memory import MemoryControl
from kernel.fs.far_descriptors import NEAR, PIECE, RESERVED, FarDescriptors
from kernel.fs.file import OPEN_FILES, File
from kernel.fs.locks import OWNERS
from kernel.fs.notification import WATCHES, descriptor_closed
from kernel.lang import EBADF, EBUSY, EINVAL, EMFILE, Errno, final, inline, noinline, noraise
from kernel.lib.pace import pace
from kernel.lib.settings import SystemSetting

DEFAULT_LIMIT: Final = 1024
# Instructions for one descriptor, for `pace`
_CLOSE_COST: Final = 450
_COPY_COST: Final = 120
_LOOK_COST: Final = 40
_MEASURE_COST: Final = 200
_PIECE_COST: Final = 40_000
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
        self._close_on_exec: bytearray = bytearray()  # marks: 1, or RESERVED where there is no file
        self._far: FarDescriptors | None = None
        self._next: int = 0
        self.limit: int = DEFAULT_LIMIT
        self.users: int = 1
        self.owner: int = OWNERS.next()  # its number as an owner of locks
        # Counts of memory (memory_shortage.py): the last one that has it, the last one that looked through it, and
        # what the end of its files would free, as found then.
        self.counted: int = 0
        self.measured: int = 0
        self.held_bytes: int = 0
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
        elif self._far is not None:
            far_file = self._find_far(descriptor)
            if far_file is not None:
                return far_file
        raise Errno(EBADF)

    def find(self, descriptor: int) -> File | None:
        if 0 <= descriptor < len(self._files):
            return self._files[descriptor]
        return self._find_far(descriptor)

    @noinline
    def _find_far(self, descriptor: int) -> File | None:
        far = self._far
        return None if far is None else far.find(descriptor)

    def size(self) -> int:
        """One past the highest descriptor that may be open."""
        far = self._far
        return len(self._files) if far is None else max(NEAR, far.size())

    def after(self, descriptor: int) -> int:
        """The descriptor after one, past those that nothing is kept for."""
        far = self._far
        return descriptor + 1 if far is None else far.after(descriptor)

    def lowest_free(self, lowest: int) -> int:
        """The lowest free descriptor that is not below `lowest`; EMFILE if the limit forbids it."""
        files = self._files
        candidate = max(lowest, self._next)
        while True:
            while candidate < len(files) and (
                files[candidate] is not None or self._close_on_exec[candidate] == RESERVED
            ):
                candidate += 1
            if candidate < NEAR:
                break
            candidate = self._lowest_far(candidate, lowest)
            if candidate >= NEAR:
                break
        if candidate >= self.limit or (candidate >= HIGHEST_LIMIT.value and not self._has_place(candidate)):
            raise Errno(EMFILE)
        return candidate

    @noinline
    def _lowest_far(self, candidate: int, lowest: int) -> int:
        """The same from a candidate beyond the first ones on, with safe points. Below those: another thread has closed
        one meanwhile.
        """
        while candidate >= NEAR:
            far = self._far
            found = candidate if far is None else far.lowest_free(candidate)
            if found >= 0:
                return found
            candidate = self._rest_before((candidate | PIECE - 1) + 1, lowest)
        return candidate

    def _rest_before(self, candidate: int, lowest: int) -> int:
        """A safe point in a long search, which has found none free from `lowest` on. Returns where it goes on: lower if
        another thread has closed one meanwhile, so that `install` leaves none free below `_next`.
        """
        if lowest <= self._next:
            self._next = candidate
        pace(_PIECE_COST)
        return self._next if lowest <= self._next else candidate

    def reserve(self) -> int:
        """Take the lowest free descriptor for a file to come, before what would be lost without: `fill` or `give_back`
        follows. Raises EMFILE, MemoryError.
        """
        descriptor = self._room_for_one(0)
        self._put(descriptor, None, RESERVED)
        self._next = descriptor + 1
        return descriptor

    def fill(self, descriptor: int, file: File, cloexec: bool) -> int:
        """Let a reserved descriptor, which is returned, lead to a file. The caller's reference becomes the table's."""
        self._put(descriptor, file, 1 if cloexec else 0)
        if not file.is_counted:
            OPEN_FILES.enter(file)
        return descriptor

    @noraise
    def give_back(self, descriptor: int) -> None:
        """A reserved descriptor is free after all."""
        self._put(descriptor, None, 0)
        if descriptor < self._next:
            self._next = descriptor

    def _room_for_one(self, lowest: int) -> int:
        """The lowest free descriptor that is not below `lowest`, with a place in the table. Raises EMFILE,
        MemoryError.
        """
        descriptor = self.lowest_free(lowest)
        while not self._has_place(descriptor):
            self._grow(descriptor)
            descriptor = self.lowest_free(lowest)  # another may have been taken while the table grew
        return descriptor

    def install(self, file: File, cloexec: bool, lowest: int = 0) -> int:
        """Give `file` a descriptor. The caller's reference becomes the table's; on EMFILE the file is released."""
        try:
            descriptor = self._room_for_one(lowest)
        except (Errno, MemoryError):
            file.release()
            raise
        self._put(descriptor, file, 1 if cloexec else 0)
        if not file.is_counted:
            OPEN_FILES.enter(file)
        if lowest <= self._next:
            self._next = descriptor + 1
        return descriptor

    def replace(self, descriptor: int, file: File, cloexec: bool) -> None:
        """dup2: put `file` at `descriptor`, closing what was there. Takes a reference of its own. The caller holds
        `file`: it may be closed while the table grows. Raises EBADF, EBUSY for a reserved one, MemoryError.
        """
        if descriptor < 0 or descriptor >= self.limit:
            raise Errno(EBADF)
        if not self._has_place(descriptor):
            if descriptor >= HIGHEST_LIMIT.value:
                raise Errno(EBADF)
            self._grow(descriptor)
        old = self.find(descriptor)
        if old is None and self._mark(descriptor) == RESERVED:
            raise Errno(EBUSY)
        self._put(descriptor, file.acquire(), 1 if cloexec else 0)
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
        descriptor = first
        while descriptor <= last and descriptor < self.size():
            self._close_slot(descriptor)
            descriptor = self.after(descriptor)
            pace(_CLOSE_COST)

    def closes_on_exec(self, descriptor: int) -> bool:
        self.get_any(descriptor)
        return self._mark(descriptor) != 0

    def set_close_on_exec(self, descriptor: int, cloexec: bool) -> None:
        self._put(descriptor, self.get_any(descriptor), 1 if cloexec else 0)

    def close_on_exec(self) -> None:
        """Close what execve(2) does not keep."""
        descriptor = 0
        while descriptor < self.size():
            if self._mark(descriptor) == 1:
                self._close_slot(descriptor)
                pace(_CLOSE_COST)
            descriptor = self.after(descriptor)
            pace(_LOOK_COST)

    def copy(self) -> "FileTable":
        """A table with the same files (fork)."""
        table = FileTable()
        table.limit = self.limit
        near = len(self._files)
        table._files = [None] * near
        table._close_on_exec = bytearray(near)
        if self._far is not None:
            self._copy_pieces(table)
        count = self.size()
        lowest = near  # that is free in the copy: other threads may open and close while this sleeps
        descriptor = 0
        while descriptor < count:
            file = self.find(descriptor)
            if file is None:
                lowest = min(lowest, descriptor)
            elif table._has_place(descriptor):
                table._put(descriptor, file.acquire(), self._mark(descriptor))
            descriptor = self.after(descriptor)
            pace(_COPY_COST)
        table._next = lowest
        return table

    def _copy_pieces(self, table: "FileTable") -> None:
        """Let a table have the same pieces, without files. Raises MemoryError."""
        descriptor = NEAR
        while descriptor < self.size():
            if self._has_place(descriptor):
                table._grow(descriptor)
            descriptor += PIECE

    def acquire(self) -> None:
        self.users += 1

    @noraise
    def release(self) -> None:
        """The last user's release closes everything."""
        self.users -= 1
        if self.users == 0:
            self.count_for(None, 0)
            self.close_range(0, _INT_MAX)
            far = self._far
            while far is not None and len(far.pieces) > 0:
                far.pieces.pop()
                pace(_PIECE_COST)
            self._far = None
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

    @noraise
    def measure(self, count: int) -> None:
        """Find out what the end of its files would free, for the count of memory with this number. Sleeps if there are
        many. Allocates nothing.
        """
        self.measured = count
        held_bytes = 0
        descriptor = 0
        while descriptor < self.size():
            file = self.find(descriptor)
            if file is not None:
                held_bytes += file.counted_bytes(count)
                locks = file.inode.locks
                if locks is not None:
                    held_bytes += locks.held_by(self, file, count)
            descriptor = self.after(descriptor)
            pace(_MEASURE_COST)
        self.held_bytes = held_bytes

    def open_count(self) -> int:
        count = 0
        for descriptor in range(self.size()):
            if self.find(descriptor) is not None:
                count += 1
        return count

    @noraise
    def _close_slot(self, descriptor: int) -> None:
        file = self.find(descriptor)
        if file is None:
            return
        self._put(descriptor, None, 0)
        if descriptor < self._next:
            self._next = descriptor
        self._dispose(file)

    @inline
    def _has_place(self, descriptor: int) -> bool:
        """Whether `_put` can be done."""
        return descriptor < len(self._files) or self._has_piece(descriptor)

    @noinline
    def _has_piece(self, descriptor: int) -> bool:
        far = self._far
        return far is not None and far.piece_of(descriptor) is not None

    @inline
    @noraise
    def _put(self, descriptor: int, file: File | None, mark: int) -> None:
        """What a descriptor, which has a place, leads to, and its mark."""
        if descriptor < len(self._files):
            self._files[descriptor] = file
            self._close_on_exec[descriptor] = mark
        else:
            self._put_far(descriptor, file, mark)

    @noinline
    @noraise
    def _put_far(self, descriptor: int, file: File | None, mark: int) -> None:
        far = self._far
        if far is not None:
            far.put(descriptor, file, mark)

    def _mark(self, descriptor: int) -> int:
        if descriptor < len(self._close_on_exec):
            return self._close_on_exec[descriptor]
        far = self._far
        return 0 if far is None else far.mark(descriptor)

    def _grow(self, descriptor: int) -> None:
        """Make a place for a descriptor. Sleeps. Raises MemoryError."""
        while len(self._files) <= descriptor and len(self._files) < NEAR:
            if len(self._close_on_exec) == len(self._files):
                self._close_on_exec.append(0)
            self._files.append(None)
        if descriptor >= NEAR:
            far = self._far
            if far is None:
                far = FarDescriptors()
                self._far = far
            far.grow(descriptor)
            pace(_PIECE_COST)

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
