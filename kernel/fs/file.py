"""Open file descriptions: what a descriptor refers to (open(2)).

`File` is the base of pipes, sockets, terminals, event descriptors; `InodeFile` reads and writes an inode by offset. A
description is counted: by each descriptor, and by whoever uses it across a sleep. The last `release()` calls `close()`,
exactly once.

Access rights (`readable`, `writable`) are checked by the system calls, not here. A read or write moves what it can and
returns the count; it looks at `buffer.faulted` only to stop early.

Context: read, write, poll, ioctl may sleep; close may free frames.
"""

from typing import TYPE_CHECKING, Final

from kernel.cache.store import SyncScope
from kernel.fs.append_bound import check_bound
from kernel.fs.constants import (
    F_UNLCK,
    LOCK_UN,
    MAX_FILE_SIZE,
    MS_NOEXEC,
    MS_NOSUID,
    O_ACCMODE,
    O_APPEND,
    O_NOATIME,
    O_NOCTTY,
    O_PATH,
    O_RDONLY,
    O_RDWR,
    O_WRONLY,
    READABLE,
    SEEK_CUR,
    SEEK_DATA,
    SEEK_END,
    SEEK_HOLE,
    SEEK_SET,
    WRITABLE,
)
from kernel.fs.inode import CachedPages, Inode
from kernel.fs.locks import LockList
from kernel.fs.notification import WATCHES, tell_closed
from kernel.fs.path import FsContext, Path
from kernel.fs.record_locks import RecordLock
from kernel.lang import (
    EBADF,
    EFBIG,
    EINVAL,
    ENFILE,
    ENODEV,
    ENOTDIR,
    ENOTTY,
    ENXIO,
    EOPNOTSUPP,
    ESPIPE,
    ETXTBSY,
    Errno,
    final,
    noinline,
    noraise,
    u16,
)
from kernel.lib.capabilities import CAP_SYS_ADMIN
from kernel.lib.credentials import Credentials, caller_credentials
from kernel.lib.domain import Scope
from kernel.lib.ids import ROOT_USER, KernelUid
from kernel.lib.pace import pace
from kernel.lib.pid import UNSET, Pid
from kernel.lib.settings import NO_BOUND, SystemSetting
from kernel.lib.user import Buffer
from kernel.mm.frames import PAGE_SIZE, total_frame_count
from kernel.sched import Mutex, mutex_or_new

if TYPE_CHECKING:
    from kernel.mm.objects import MemoryObject
    from kernel.sched import PollWaiter, WaitQueue


DESCRIPTION_BYTES: Final = 512  # of a description with its dentry
AT_POSITION: Final = -1  # as the offset of a write: at the position, which then moves


_FEWEST_FILES: Final = 8192  # fs.file-max on a small machine
_KIB: Final = 1024
_WATCHER_COST: Final = 700  # instructions to notify one that its file has ended


@final
class _FileLimit(SystemSetting):
    """The limit on open files: one for each 10 KiB of memory, unless it was set."""

    def prepare(self) -> None:
        if self.values[0] < 0:
            self.store([max(total_frame_count() * (PAGE_SIZE // _KIB) // 10, _FEWEST_FILES)])

    def store(self, numbers: list[int]) -> None:
        self.values[0] = numbers[0]
        OPEN_FILES.limit = numbers[0]


@final
class OpenFiles:
    """How many descriptions have a descriptor, and how many may have one (fs.file-nr, fs.file-max)."""

    def __init__(self) -> None:
        self.count: int = 0
        self.limit: int = 0  # the setting's value, once it was read

    def enter(self, file: "File") -> None:
        """A description got its first descriptor."""
        file.is_counted = True
        self.count += 1

    @noinline
    def check(self) -> None:
        """Raise ENFILE unless the running program may have another description; CAP_SYS_ADMIN always may."""
        FILE_LIMIT.prepare()
        if self.count >= self.limit:
            who = caller_credentials()
            if who is not None and not who.capable(CAP_SYS_ADMIN):
                raise Errno(ENFILE)


OPEN_FILES: Final = OpenFiles()
FILE_LIMIT: Final = _FileLimit(b"fs/file-max", [-1], 0, NO_BOUND)


def check_room_for_file() -> None:
    """Called before steps that cannot be undone: raise ENFILE where creating a description would."""
    if OPEN_FILES.count >= OPEN_FILES.limit:
        OPEN_FILES.check()


class DirectorySink:
    """Receives directory entries. `emit` returns False when there is no room: the entry was not taken."""

    def __init__(self) -> None:
        self.position: int = 0  # where the next read of the directory goes on

    def emit(self, name: bytes, ino: int, kind: int, next_position: int) -> bool:
        return False

    def pass_over(self, position: int) -> None:
        """There is nothing between the last emitted entry and `position`, where the next read continues."""
        self.position = position


class FileWatcher:
    """Is notified when a description ends (epoll). The watchers of a file are a chain: there may be very many. They are
    linked by hand: a file has one word for the first, and none for the last.
    """

    def __init__(self) -> None:
        self.next_watcher: FileWatcher | None = None
        self.previous_watcher: FileWatcher | None = None

    def watch(self, file: "File") -> None:
        following = file.watchers
        self.next_watcher = following
        if following is not None:
            following.previous_watcher = self
        file.watchers = self

    @noraise
    def stop_watching(self, file: "File") -> None:
        following = self.next_watcher
        previous = self.previous_watcher
        if previous is not None:
            previous.next_watcher = following
        else:
            file.watchers = following
        if following is not None:
            following.previous_watcher = previous
        self.next_watcher = None
        self.previous_watcher = None

    def file_closed(self) -> None:
        """The last reference is gone. It must leave the chain."""


class SignalWatch:
    """Sends SIGIO to the owner of a file with O_ASYNC. Base class: see kernel/task/async_io.py."""

    def signal_changed(self) -> None:
        """Another signal was chosen (F_SETSIG). May raise MemoryError."""

    @noraise
    def close(self) -> None:
        """The file ends, or O_ASYNC was taken away."""


class GroupTeller:
    """Sends signals to the members of large groups later. Base class: see kernel/task/owner_telling.py."""


TELLERS: Final[dict["File", GroupTeller]] = {}
"""Of files that a group owns, or has owned."""

# The domains of threads that chose an owner, where these restrict signals: few files have one.
CHOOSERS: Final[dict["File", Scope]] = {}

# What `owner` identifies (F_SETOWN_EX).
OWNER_THREAD: Final = 0
OWNER_PROCESS: Final = 1
OWNER_GROUP: Final = 2


class Listing:
    """A text in pieces, each produced when it is reached. Base class."""

    def next_piece(self) -> bytes | None:
        """The next piece, which may be empty; None at the end. Raises MemoryError."""
        return None


class File:
    """Base of all open file descriptions."""

    def __init__(self, path: Path, flags: int) -> None:
        """Raises ENFILE where there are too many, before anything is held that must be given back."""
        if OPEN_FILES.count >= OPEN_FILES.limit:
            OPEN_FILES.check()
        # From here on it is counted: a subclass allocates what it needs before it calls this.
        self.path: Path = path.pin()
        self.inode: Inode = path.inode()
        self.flags: int = flags & ~O_NOCTTY  # O_NOCTTY matters only while opening
        self.position: int = 0
        self.users: int = 1
        self.readable: bool = flags & O_PATH == 0 and (flags & O_ACCMODE == O_RDONLY or flags & O_ACCMODE == O_RDWR)
        self.writable: bool = flags & O_PATH == 0 and (flags & O_ACCMODE == O_WRONLY or flags & O_ACCMODE == O_RDWR)
        self.seekable: bool = False
        self.owner: Pid = UNSET  # F_SETOWN: the next field gives its kind; 0: nobody
        self.owner_kind: int = OWNER_THREAD
        self.owner_uid: KernelUid = ROOT_USER  # of the thread that chose the owner
        self.owner_euid: KernelUid = ROOT_USER
        self.owner_signal: int = 0  # F_SETSIG; 0 is SIGIO
        self.signals: SignalWatch | None = None  # with O_ASYNC
        self.denied: u16 = 0  # rights that the opener's domain lacked (landlock.py)
        self.has_teller: bool = False  # see TELLERS
        self.has_confined_owner: bool = False  # the thread that chose the owner was in a domain: see CHOOSERS
        self.lacks_room: bool = True  # the owner wants a signal when there is room: sockets set it when they had none
        self.has_locks: bool = False  # may hold flock or OFD locks, or a lease
        self.watchers: FileWatcher | None = None  # the latest
        self.is_program: bool = False  # keeps its inode from being written
        self.is_new: bool = False  # opening it created the file
        self.is_counted: bool = False  # among OPEN_FILES
        self.flush_error: u16 = 0  # what `flush` found, until close(2) reports it
        self.position_lock: Mutex | None = None  # created by `take_turn`
        self.inode.users += 1
        if self.readable and not self.writable:
            self.inode.readers += 1
        self.is_writer: bool = self.writable  # counts as a writer of its inode
        if self.writable:
            self._count_writers(1)

    def acquire(self) -> "File":
        self.users += 1
        return self

    @noraise
    def release(self) -> None:
        self.users -= 1
        if self.users == 0:
            if self.is_counted:
                OPEN_FILES.count -= 1
            watcher = self.watchers
            while watcher is not None:
                watcher.file_closed()
                pace(_WATCHER_COST)
                watcher = self.watchers
            if WATCHES.count != 0 and self.flags & O_PATH == 0:
                tell_closed(self)
            signals = self.signals
            if signals is not None:
                self.signals = None
                signals.close()
            if self.has_confined_owner:
                CHOOSERS.pop(self)
            if self.has_teller:
                TELLERS.pop(self)
            if self.has_locks and self.inode.locks is not None:
                self.inode.locks.drop_description(self)
            self.close()
            if self.readable and not self.writable:
                self.inode.readers -= 1
            self.stop_counting_as_writer()
            if self.is_program:
                self.inode.executions -= 1
            self.inode.release()
            self.path.unpin()

    @noraise
    def stop_counting_as_writer(self) -> None:
        """Let the inode be run and leased, though the description may go on writing."""
        if self.is_writer:
            self.is_writer = False
            self._count_writers(-1)

    @noraise
    def _count_writers(self, change: int) -> None:
        self.inode.writers += change
        if self.inode.is_regular():
            self.inode.file_system.writers += change
            self.path.mount.writers += change

    def deny_writing(self) -> None:
        """A program runs from here: while the description lives, its inode cannot be opened for writing."""
        if self.inode.writers > 0:
            raise Errno(ETXTBSY)
        if not self.is_program:
            self.is_program = True
            self.inode.executions += 1

    def allow_writing(self) -> None:
        """Undo `deny_writing`."""
        if self.is_program:
            self.is_program = False
            self.inode.executions -= 1

    def close(self) -> None:
        """The last reference is gone: end what the description refers to. Derived classes override it."""

    @noraise
    def flush(self, owner: int) -> None:
        """A descriptor of it was closed, in the table with that number (`FileTable.owner`; 0: the kernel has used it).
        Errors go to `flush_error`.
        """

    def take_flush_error(self) -> int:
        """The error that a `flush` found; returned once."""
        error = self.flush_error
        self.flush_error = 0
        return error

    def held_bytes(self) -> int:
        """About how much memory the end of the description frees. Never sleeps, allocates nothing."""
        return DESCRIPTION_BYTES

    def counted_bytes(self, count: int) -> int:
        """The same with what its end closes, apart from what the count of memory with this number has met already.
        Sleeps if that is much. Allocates nothing.
        """
        return self.held_bytes()

    def heap_bytes(self, count: int) -> int:
        """As `counted_bytes`, without pages that were charged when they were taken."""
        return self.counted_bytes(count)

    def listing(self) -> "Listing | None":
        """What /proc/PID/fdinfo shows after `describe`, if it may be long. Raises MemoryError."""
        return None

    def breaks_with_signal(self) -> bool:
        """Whether a write that fails with EPIPE also sends SIGPIPE."""
        return True

    def waits_for_memory(self) -> bool:
        """Whether a write that finds no memory is retried when there is some, as all are on Linux, rather than fail: a
        pipe must not report an error because some other program takes all memory.
        """
        return False

    def is_path_only(self) -> bool:
        return self.flags & O_PATH != 0

    def on_noexec_mount(self) -> bool:
        return self.path.mount.flags & MS_NOEXEC != 0

    def grants_privileges(self, context: FsContext) -> bool:
        """Whether set-ID bits and capabilities of the file take effect when it is executed: the program must see the
        mount, which must permit it, and be at or below the user namespace that owns the file system.
        """
        mount = self.path.mount
        if mount.flags & MS_NOSUID != 0 or mount.namespace is not context.namespace:
            return False
        return mount.file_system.user_namespace.contains(context.credentials.user_namespace)

    # ---- Locks ------------------------------------------------------------------------------------------------

    def find_conflict(self, request: RecordLock) -> RecordLock | None:
        """A lock that `request` would conflict with. Sleeps where a server keeps the locks."""
        locks = self.inode.locks
        return locks.find_conflict(request) if locks is not None else None

    def set_record_lock(self, request: RecordLock, *, waits: bool) -> None:
        """Acquire, change or release a range. Raises EAGAIN, EDEADLK, ERESTARTSYS, MemoryError."""
        locks = self.inode.locks
        if locks is None:
            if request.kind == F_UNLCK:
                return
            locks = LockList()
            self.inode.locks = locks
        if request.table is None:
            self.has_locks = True
        locks.set_record(request, waits)

    def set_whole_lock(self, kind: int, *, waits: bool) -> None:
        """flock(2): LOCK_SH, LOCK_EX or LOCK_UN. Raises EAGAIN, ERESTARTSYS, MemoryError."""
        locks = self.inode.locks
        if locks is None:
            if kind == LOCK_UN:
                return
            locks = LockList()
            self.inode.locks = locks
        locks.set_flock(self, kind, waits)

    # ---- Data -------------------------------------------------------------------------------------------------

    def read(self, buffer: Buffer) -> int:
        """Read at the position, or the next bytes of a stream. 0 is end of file."""
        raise Errno(EINVAL)

    def write(self, buffer: Buffer) -> int:
        raise Errno(EINVAL)

    def pread(self, buffer: Buffer, offset: int) -> int:
        raise Errno(ESPIPE)

    def pwrite(self, buffer: Buffer, offset: int) -> int:
        raise Errno(ESPIPE)

    def pread_direct(self, buffer: Buffer, offset: int) -> int:
        """As `pread`, bypassing the page cache whatever the flags say, if the file has one."""
        return self.pread(buffer, offset)

    def pwrite_direct(self, buffer: Buffer, offset: int) -> int:
        """As `pwrite`, bypassing the page cache."""
        return self.pwrite(buffer, offset)

    def read_at_once(self, buffer: Buffer) -> int:
        """Like `read`, but EAGAIN rather than waiting, whatever the flags say (RWF_NOWAIT). Few kinds of files can."""
        raise Errno(EOPNOTSUPP)

    def write_at_once(self, buffer: Buffer) -> int:
        raise Errno(EOPNOTSUPP)

    def can_copy_from(self, source: "File") -> bool:
        """Whether `copy_from` may work: a server keeps both files."""
        return False

    def copy_from(self, source: "File", source_offset: int, offset: int, count: int) -> int:
        """Have the server of both files copy bytes; returns how many it has copied. EOPNOTSUPP: it cannot."""
        raise Errno(EOPNOTSUPP)

    def can_read(self) -> bool:
        """Whether this kind of file can be read at all: if not, EINVAL comes before what is wrong with memory."""
        return True

    def can_write(self) -> bool:
        return True

    def can_be_spliced(self) -> bool:
        """Whether splice(2) and sendfile(2) read from it."""
        return not self.inode.is_directory() and self.inode.gives_pages()

    def has_offsets(self) -> bool:
        """Whether pread(2) and pwrite(2) may be tried, instead of ESPIPE before all other errors."""
        return not self.inode.is_fifo() and not self.inode.is_socket()

    def has_offsets_to_write(self) -> bool:
        """The same for pwrite(2) alone."""
        return self.has_offsets()

    def takes_any_offset(self) -> bool:
        """Whether offsets are addresses: then the file itself checks where a range ends."""
        return False

    def take_turn(self) -> bool:
        """Keep others from using the position until the caller, who holds a reference, calls `end_turn`. Only of
        regular files and directories, else it is False: a read of others may wait for ever. Raises EINTR (the caller is
        dying), EIO, MemoryError.
        """
        if not self.inode.is_regular() and not self.inode.is_directory():
            return False
        turn = mutex_or_new(self.position_lock)
        self.position_lock = turn
        turn.acquire_unless_dying()
        return True

    @noraise
    def end_turn(self) -> None:
        turn = self.position_lock
        if turn is not None:
            turn.release()

    def seek(self, offset: int, whence: int) -> int:
        raise Errno(ESPIPE)

    def read_directory(self, sink: DirectorySink) -> None:
        """Emit entries from the position on and advance it."""
        raise Errno(ENOTDIR)

    def truncate(self, size: int) -> None:
        raise Errno(EINVAL)

    def allocate(self, mode: int, offset: int, length: int) -> None:
        raise Errno(ESPIPE if self.inode.is_fifo() else EOPNOTSUPP if self.inode.is_regular() else ENODEV)

    def fsync(self) -> None:
        raise Errno(EINVAL)

    def fdatasync(self) -> None:
        """As `fsync`, but times need not be on the disk."""
        self.fsync()

    def sync_range(self, first_page: int, end_page: int, flags: int) -> None:
        """sync_file_range(2): SYNC_FILE_RANGE_*. Nothing to do where there is no disk."""

    def advise(self, advice: int, offset: int, length: int) -> None:
        """posix_fadvise(2): POSIX_FADV_*; `length` 0 is up to the end. Nothing to do for files in memory."""

    def cached_pages(self, first: int, end: int) -> CachedPages:
        """Which of the pages first … end - 1 are in memory (cachestat(2)). Raises MemoryError."""
        return self.inode.cached_pages(first, end)

    def poll(self, waiter: "PollWaiter | None") -> int:
        """POLL* bits that hold now; the waiter, if any, is queued to be woken when they change."""
        return READABLE | WRITABLE

    def can_be_watched(self) -> bool:
        """Whether epoll(7) takes it: false for files that are always ready."""
        return not self.seekable

    def input_queue(self) -> "WaitQueue | None":
        """Woken when there is something to read. None: this kind of file sends no SIGIO."""
        return None

    def output_queue(self) -> "WaitQueue | None":
        """Woken when there is room to write."""
        return None

    def room_told(self) -> None:
        """The owner was notified of room (SIGIO)."""

    def set_owner(self, who: Pid, kind: int, credentials: Credentials, scope: Scope | None) -> None:
        """Set who gets SIGIO and SIGURG (OWNER_*; groups are negative), and who chose that. The `scope` is that of the
        domain that the signals must not leave, if any. Raises MemoryError, with nothing changed.
        """
        if scope is not None:
            CHOOSERS[self] = scope
        elif self.has_confined_owner:
            CHOOSERS.pop(self)
        self.has_confined_owner = scope is not None
        self.owner = who
        self.owner_kind = kind
        self.owner_uid = credentials.uid
        self.owner_euid = credentials.euid

    def choose_owner(self) -> None:
        """O_ASYNC was set before an owner was chosen: some files have a natural one."""

    def ioctl(self, command: int, argument: int) -> int:
        raise Errno(ENOTTY)

    def memory_object(self) -> "MemoryObject":
        raise Errno(ENODEV)

    def is_swap_area(self) -> bool:
        """Whether it is in use for swapping, so that nobody may write to it."""
        return self.inode.is_swap_area

    def must_be_shared(self) -> bool:
        """Whether it allows no private mappings (memfd_secret(2))."""
        return False

    def mapping_limit(self, offset: int, size_bytes: int, prot: int, most: int) -> int:
        """What a mapping of these pages with `prot` may ever be allowed, of `most`. Raises Errno for one that may not
        be.
        """
        return most

    def mapped_part(self, offset: int, size_bytes: int) -> "MemoryObject":
        """What mmap(2) maps of these whole pages. Most kinds of files leave missing pages to page faults."""
        return self.memory_object()

    def set_status_flags(self, flags: int) -> None:
        """F_SETFL; `flags` holds all of the new flags."""
        self.flags = flags

    def describe(self) -> bytes:
        """Further lines of /proc/PID/fdinfo."""
        return b""


class InodeFile(File):
    """A regular file, directory or anything else that is read by offset."""

    def __init__(self, path: Path, flags: int) -> None:
        super().__init__(path, flags)
        self.seekable = True

    def held_bytes(self) -> int:
        return DESCRIPTION_BYTES + self.inode.held_bytes()

    def heap_bytes(self, count: int) -> int:
        return DESCRIPTION_BYTES

    def read(self, buffer: Buffer) -> int:
        offset = self.position
        done = self.inode.read_at(buffer, offset)
        self.position = offset + done
        if self.flags & O_NOATIME == 0:
            self.path.mount.touch_accessed(self.inode)
        return done

    def pread(self, buffer: Buffer, offset: int) -> int:
        done = self.inode.read_at(buffer, offset)
        if self.flags & O_NOATIME == 0:
            self.path.mount.touch_accessed(self.inode)
        return done

    def write(self, buffer: Buffer) -> int:
        return self.write_by(buffer, AT_POSITION, appends=self.flags & O_APPEND != 0)

    def pwrite(self, buffer: Buffer, offset: int) -> int:
        # O_APPEND wins over the offset, as on Linux (pwrite(2), BUGS).
        return self.write_by(buffer, offset, appends=self.flags & O_APPEND != 0)

    def write_by(self, buffer: Buffer, offset: int, *, appends: bool) -> int:
        """Write at an offset, AT_POSITION, or at the end, whatever O_APPEND says. There is one writer at a time: the
        end must not move between the look at it and the last byte.
        """
        if buffer.remaining == 0:
            return 0
        lock = self.inode.lock_contents()
        try:
            start = self.size_now() if appends else self.position if offset == AT_POSITION else offset
            if not 0 <= start < MAX_FILE_SIZE:
                raise Errno(EFBIG)
            if appends:
                check_bound(buffer, start)
            buffer.remaining = min(buffer.remaining, MAX_FILE_SIZE - start)
            done = self.write_here(buffer, start)
            if offset == AT_POSITION and done > 0:
                self.position = start + done
            return done
        finally:
            lock.release()

    def write_here(self, buffer: Buffer, offset: int) -> int:
        """Write, under the lock of the inode's contents."""
        return self.inode.write_at(buffer, offset)

    def size_now(self) -> int:
        """Where the file ends."""
        return self.inode.size

    def seek(self, offset: int, whence: int) -> int:
        inode = self.inode
        if whence == SEEK_SET:
            target = offset
        elif whence == SEEK_CUR:
            target = add_offset(self.position, offset)
        elif not inode.seeks_from_end():
            raise Errno(EINVAL)
        elif whence == SEEK_END:
            target = add_offset(inode.size, offset)
        elif whence == SEEK_DATA or whence == SEEK_HOLE:
            if offset < 0 or offset >= inode.size:
                raise Errno(ENXIO)
            target = inode.seek_data(offset) if whence == SEEK_DATA else inode.seek_hole(offset)
        else:
            raise Errno(EINVAL)
        if target < 0:
            raise Errno(EINVAL)
        self.position = target
        return target

    def read_directory(self, sink: DirectorySink) -> None:
        inode = self.inode
        if not inode.is_directory():
            raise Errno(ENOTDIR)
        sink.position = self.position
        if self.position == 0 and sink.emit(b".", inode.ino, 4, 1):
            sink.position = 1
        if sink.position == 1:
            dentry = self.path.dentry
            above = dentry.parent
            ino = inode.ino
            if above is not None and above.inode is not None and dentry is not self.path.mount.root:
                ino = above.inode.ino
            if sink.emit(b"..", ino, 4, 2):
                sink.position = 2
        if sink.position >= 2:
            self.emit_entries(sink.position, sink)
        self.position = sink.position
        self.path.mount.touch_accessed(inode)

    def emit_entries(self, position: int, sink: DirectorySink) -> None:
        """Emit the entries of a directory except "." and "..", from a position on."""
        self.inode.read_directory(position, sink)

    def truncate(self, size: int) -> None:
        self.inode.truncate(size)

    def allocate(self, mode: int, offset: int, length: int) -> None:
        self.inode.allocate(mode, offset, length)

    def fsync(self) -> None:
        self.inode.sync(SyncScope.ALL)

    def poll(self, waiter: "PollWaiter | None") -> int:
        return self.inode.poll_at(waiter, self.flags)

    def ioctl(self, command: int, argument: int) -> int:
        return self.inode.ioctl(command, argument)

    def memory_object(self) -> "MemoryObject":
        result = self.inode.memory_object()
        self.inode.mapped_through(self.path)
        return result


class PathFile(File):
    """What O_PATH opens: a place, without access to the contents."""

    def read(self, buffer: Buffer) -> int:
        raise Errno(EBADF)

    def write(self, buffer: Buffer) -> int:
        raise Errno(EBADF)

    def seek(self, offset: int, whence: int) -> int:
        raise Errno(EBADF)

    def ioctl(self, command: int, argument: int) -> int:
        raise Errno(EBADF)

    def memory_object(self) -> "MemoryObject":
        raise Errno(EBADF)


def add_offset(base: int, offset: int) -> int:
    """base + offset for lseek; EINVAL rather than a trap."""
    if offset > 0 and base > MAX_FILE_SIZE - offset:
        raise Errno(EINVAL)
    return base + offset


def bytes_to_read(file: File) -> int:
    """FIONREAD of a regular file."""
    return max(0, min(file.inode.size - file.position, 0x7FFFFFFF))
