"""What a server can do: one function for each message that the file system needs.

Context: everything sleeps, but `release` and `forget`. Every function raises the error that the server reports, EIO if
it reports nonsense, ENOTCONN and ECONNABORTED if nobody serves, EINTR if the thread is being killed, ENOSYS if the
server does not know the message, MemoryError.
"""

from typing import Final

from kernel.fs.descriptors import CALLER_FILES
from kernel.fs.fuse import protocol
from kernel.fs.fuse.connection import Connection, Moving, release_request
from kernel.fs.fuse.protocol import (
    ATTR_SIZE,
    ENTRY_SIZE,
    GETATTR_FH,
    LOCK_SIZE,
    LSEEK_SIZE,
    OPENED_SIZE,
    POLLED_SIZE,
    STATFS_SIZE,
    WRITTEN_SIZE,
    Answer,
    Attributes,
    DirectoryEntry,
    Entry,
    Message,
    Opened,
    ServedLock,
    Sizes,
    take_attr,
    take_directory_entry,
    take_entry,
    take_listed_entry,
    take_lock,
    take_opened,
    take_sizes,
)
from kernel.fs.fuse.request import Forgotten, Request
from kernel.lang import E2BIG, EINTR, EIO, ERANGE, ERESTARTSYS, Errno, Span, final, noraise, span_of, u8
from kernel.lib.credentials import Actor
from kernel.lib.user import Buffer
from kernel.mm.frames import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, Frame, frame_span
from kernel.sched import current_thread

_SECOND_NS: Final = 1_000_000_000
_LIST_LIMIT: Final = 4096  # bytes of an access control list
_POLL_EVENTS: Final = 0x27FF  # that poll(2) has
_TARGET_LIMIT: Final = 4096  # bytes of a link's text, without a NUL
XATTR_LIMIT: Final = 65_536  # bytes of a value, or of all names


@final
class Client:
    """Asks one server."""

    def __init__(self, connection: Connection) -> None:
        self.connection: Connection = connection

    def _ask(self, kind: int, node: int, message: Message, answer_size: int) -> Answer:
        """Ask for an answer of one size."""
        request = Request(kind, node, message, answer_size, is_exact=True)
        self.connection.perform(request)
        return request.reading()

    def _create(self, kind: int, directory: int, message: Message, creator: Actor) -> Entry:
        """Ask for something to be created for somebody."""
        request = Request(kind, directory, message, ENTRY_SIZE, is_exact=True)
        request.creator = creator
        self.connection.perform(request)
        return take_entry(request.reading())

    def _ask_for_text(self, kind: int, node: int, message: Message, limit: int) -> bytes:
        """Ask for an answer that is a text."""
        request = Request(kind, node, message, limit, is_exact=False)
        self.connection.perform(request)
        answer = request.reading()
        return answer.take(answer.left()).to_bytes()

    # ---- Names ------------------------------------------------------------------------------------------------

    def look_up(self, directory: int, name: bytes) -> Entry:
        """LOOKUP. Raises ENOENT."""
        return take_entry(self._ask(protocol.LOOKUP, directory, Message(len(name) + 1).name(name), ENTRY_SIZE))

    @noraise
    def forget(self, record: Forgotten) -> None:
        """FORGET, later."""
        self.connection.forget(record)

    def read_link(self, node: int) -> bytes:
        return self._ask_for_text(protocol.READLINK, node, Message(0), _TARGET_LIMIT)

    def make_symlink(self, directory: int, name: bytes, target: bytes, creator: Actor) -> Entry:
        message = Message(len(name) + len(target) + 2).name(name).name(target)
        return self._create(protocol.SYMLINK, directory, message, creator)

    def make_node(self, directory: int, name: bytes, mode: int, device: int, creator: Actor) -> Entry:
        message = Message(16 + len(name) + 1).u32(mode).u32(device).u32(CALLER_FILES.umask()).u32(0).name(name)
        return self._create(protocol.MKNOD, directory, message, creator)

    def make_directory(self, directory: int, name: bytes, mode: int, creator: Actor) -> Entry:
        message = Message(8 + len(name) + 1).u32(mode).u32(CALLER_FILES.umask()).name(name)
        return self._create(protocol.MKDIR, directory, message, creator)

    def create(self, directory: int, name: bytes, flags: int, mode: int, creator: Actor) -> Request:
        """Create and open a file. `created` reads the answer."""
        message = Message(16 + len(name) + 1).u32(flags).u32(mode).u32(CALLER_FILES.umask()).u32(0).name(name)
        request = Request(protocol.CREATE, directory, message, ENTRY_SIZE + OPENED_SIZE, is_exact=True)
        request.creator = creator
        self.connection.perform(request)
        return request

    def link(self, directory: int, name: bytes, target: int) -> Entry:
        message = Message(8 + len(name) + 1).u64(target).name(name)
        return take_entry(self._ask(protocol.LINK, directory, message, ENTRY_SIZE))

    def unlink(self, directory: int, name: bytes) -> None:
        self._ask(protocol.UNLINK, directory, Message(len(name) + 1).name(name), 0)

    def remove_directory(self, directory: int, name: bytes) -> None:
        self._ask(protocol.RMDIR, directory, Message(len(name) + 1).name(name), 0)

    def rename(self, directory: int, name: bytes, new_directory: int, new_name: bytes) -> None:
        message = Message(8 + len(name) + len(new_name) + 2).u64(new_directory).name(name).name(new_name)
        self._ask(protocol.RENAME, directory, message, 0)

    def rename_by(
        self, flag: int, directory: int, name: bytes, other_directory: int, other_name: bytes, creator: Actor | None
    ) -> None:
        """`creator`: for whom a whiteout is created."""
        message = Message(16 + len(name) + len(other_name) + 2).u64(other_directory).u32(flag).u32(0)
        request = Request(protocol.RENAME2, directory, message.name(name).name(other_name), 0, is_exact=True)
        request.creator = creator
        self.connection.perform(request)

    # ---- Attributes -------------------------------------------------------------------------------------------

    def attributes(self, node: int, opened: Opened | None) -> Attributes:
        message = Message(16)
        if opened is not None:
            message.u32(GETATTR_FH).u32(0).u64(opened.handle)
        return take_attr(self._ask(protocol.GETATTR, node, message, ATTR_SIZE))

    def set_attributes(self, node: int, opened: Opened | None, change: "Change") -> Attributes:
        """SETATTR; returns the new attributes."""
        valid = change.valid
        handle = 0
        if opened is not None:
            valid |= protocol.SET_FH
            handle = opened.handle
        owner = 0
        if valid & protocol.SET_SIZE != 0:
            owner = CALLER_FILES.owner()
            valid |= protocol.SET_LOCK_OWNER
        message = Message(88).u32(valid).u32(0).u64(handle).u64(change.size).u64(owner)
        message.u64(change.accessed_ns // _SECOND_NS).u64(change.modified_ns // _SECOND_NS).u64(0)
        message.u32(change.accessed_ns % _SECOND_NS).u32(change.modified_ns % _SECOND_NS).u32(0)
        message.u32(change.mode).u32(0).u32(change.uid).u32(change.gid).u32(0)
        return take_attr(self._ask(protocol.SETATTR, node, message, ATTR_SIZE))

    def sizes(self, node: int) -> Sizes:
        return take_sizes(self._ask(protocol.STATFS, node, Message(0), STATFS_SIZE))

    def check_access(self, node: int, mask: int) -> None:
        self._ask(protocol.ACCESS, node, Message(8).u32(mask).u32(0), 0)

    def destroy(self) -> None:
        """DESTROY: the file system is unmounted. The unmounting thread waits for the answer, unless it is killed."""
        try:
            self._ask(protocol.DESTROY, 0, Message(0), 0)
        except (Errno, MemoryError):
            return  # it gets nothing more in any case

    # ---- Contents ---------------------------------------------------------------------------------------------

    def open(self, node: int, flags: int, *, is_directory: bool) -> Opened:
        kind = protocol.OPENDIR if is_directory else protocol.OPEN
        return take_opened(self._ask(kind, node, Message(8).u32(flags).u32(0), OPENED_SIZE))

    @noraise
    def release(self, request: Request) -> None:
        """RELEASE, without waiting; `request` was created when the file was opened."""
        self.connection.post(request)

    def release_of(self, node: int, opened: Opened, flags: int, *, is_directory: bool) -> Request:
        return release_request(node, opened.handle, flags, is_directory=is_directory)

    def flush(self, node: int, opened: Opened, owner: int) -> None:
        """A descriptor was closed: the server drops the record locks of `owner`. An exiting task does not wait for the
        answer.
        """
        message = Message(24).u64(opened.handle).u64(0).u64(owner)
        request = Request(protocol.FLUSH, node, message, 0, is_exact=True)
        if not current_thread().is_parting():
            self.connection.perform(request)
        elif not self.connection.lacks(protocol.FLUSH):
            self.connection.post(request)

    def read_limit(self) -> int:
        """Bytes that one READ asks for at most."""
        return min(self.connection.read_limit, protocol.DATA_LIMIT)

    def read(self, node: int, opened: Opened, flags: int, offset: int, buffer: Buffer) -> int:
        """Read into a buffer, at most what one message moves; 0 at the end of the file."""
        answer = self._read_data(node, opened, flags, offset, min(buffer.remaining, self.read_limit()))
        return buffer.put(answer.take(answer.left()))

    def _read_data(self, node: int, opened: Opened, flags: int, offset: int, count: int) -> Answer:
        with Moving(self.connection, self.connection.reading):
            return self._read(protocol.READ, node, opened, flags, offset, count, CALLER_FILES.owner()).reading()

    def read_frames(self, node: int, opened: Opened, offset: int, frames: list[int], filled: int) -> int:
        """Read into frames, of which `filled` bytes are filled already; 0 at the end of the file."""
        wanted = min((len(frames) << PAGE_SHIFT) - filled, self.read_limit())
        with Moving(self.connection, self.connection.paging):
            answer = self._read(protocol.READ, node, opened, 0, offset + filled, wanted, 0).reading()
            data = answer.take(answer.left())
            _spread(data, frames, filled)
            return len(data)

    def _read(self, kind: int, node: int, opened: Opened, flags: int, offset: int, count: int, owner: int) -> Request:
        """`owner`: whose locks do not forbid it; 0 for the kernel."""
        message = Message(40).u64(opened.handle).u64(offset).u32(count)
        message.u32(protocol.READ_LOCK_OWNER if owner != 0 else 0).u64(owner).u32(flags).u32(0)
        request = Request(kind, node, message, count, is_exact=False)
        self.connection.perform(request)
        return request

    def write(self, node: int, opened: Opened, flags: int, offset: int, buffer: Buffer) -> int:
        """Write a buffer, at most what one message moves; returns how much the server took."""
        payload = bytearray(min(buffer.remaining, self.connection.data_limit()))
        count = buffer.take(span_of(payload))
        if count < len(payload):
            payload = payload[0:count]
        with Moving(self.connection, self.connection.writing):
            return self._write(node, opened, flags, offset, payload, CALLER_FILES.owner())

    def write_page(self, node: int, opened: Opened, offset: int, source: Span[u8]) -> int:
        """Write from the kernel's memory."""
        with Moving(self.connection, self.connection.paging):
            payload = bytearray(min(len(source), self.connection.data_limit()))
            span_of(payload).copy_from(source[0 : len(payload)])
            return self._write(node, opened, 0, offset, payload, 0)

    def _write(self, node: int, opened: Opened, flags: int, offset: int, payload: bytearray, owner: int) -> int:
        count = len(payload)
        if count == 0:
            return 0
        message = Message(40).u64(opened.handle).u64(offset).u32(count)
        message.u32(protocol.WRITE_LOCK_OWNER if owner != 0 else 0).u64(owner).u32(flags).u32(0)
        request = Request(protocol.WRITE, node, message, WRITTEN_SIZE, is_exact=True)
        request.payload = payload
        self.connection.perform(request)
        done = request.reading().u32()
        if done > count:
            raise Errno(EIO)
        return done

    def sync(self, node: int, opened: Opened, *, only_data: bool, is_directory: bool) -> None:
        kind = protocol.FSYNCDIR if is_directory else protocol.FSYNC
        message = Message(16).u64(opened.handle).u32(protocol.FSYNC_DATA if only_data else 0)
        self._ask(kind, node, message, 0)

    def allocate(self, node: int, opened: Opened, mode: int, offset: int, length: int) -> None:
        message = Message(32).u64(opened.handle).u64(offset).u64(length).u32(mode).u32(0)
        self._ask(protocol.FALLOCATE, node, message, 0)

    def copy(
        self, node: int, opened: Opened, offset: int, to_node: int, to_opened: Opened, to_offset: int, count: int
    ) -> int:
        """COPY_FILE_RANGE; returns how many bytes the server has copied."""
        message = Message(56).u64(opened.handle).u64(offset).u64(to_node).u64(to_opened.handle)
        message.u64(to_offset).u64(count).u64(0)
        done = self._ask(protocol.COPY_FILE_RANGE, node, message, WRITTEN_SIZE).u32()
        if done > count:
            raise Errno(EIO)
        return done

    def seek(self, node: int, opened: Opened, offset: int, whence: int) -> int:
        """Where data or a hole is. Raises ENXIO."""
        message = Message(24).u64(opened.handle).u64(offset).u32(whence).u32(0)
        return self._ask(protocol.LSEEK, node, message, LSEEK_SIZE).count()

    def command(
        self, node: int, opened: Opened, flags: int, command: int, argument: int, given: bytes, out_size: int
    ) -> Answer:
        """IOCTL, whose data the number of the command describes."""
        message = Message(32 + len(given)).u64(opened.handle).u32(flags).u32(command).u64(argument)
        message.u32(len(given)).u32(out_size).raw(given)
        request = Request(protocol.IOCTL, node, message, protocol.IOCTL_SIZE + out_size, is_exact=False)
        self.connection.perform(request)
        return request.reading()

    def read_directory(self, node: int, opened: Opened, offset: int, size: int, *, looks_up: bool) -> "Listing":
        """Entries from an offset on, which is 0 or taken from an entry; none at the end. `looks_up`: with what the
        names lead to (READDIRPLUS), each of which counts as a look-up.
        """
        listing = Listing()
        kind = protocol.READDIRPLUS if looks_up else protocol.READDIR
        with Moving(self.connection, self.connection.reading):
            answer = self._read(kind, node, opened, 0, offset, size, 0).reading()
            try:
                entry = take_listed_entry(answer) if looks_up else take_directory_entry(answer)
                while entry is not None:
                    listing.entries.append(entry)
                    entry = take_listed_entry(answer) if looks_up else take_directory_entry(answer)
            except Errno:
                listing.is_broken = True
        return listing

    def poll(self, node: int, opened: Opened, number: int, wanted: int, *, notifies: bool) -> int:
        """POLL: which of the wanted events (POLL*) hold. `notifies`: when that changes, the server sends the number."""
        message = Message(24).u64(opened.handle).u64(number)
        message.u32(protocol.POLL_SCHEDULE_NOTIFY if notifies else 0).u32(wanted)
        return self._ask(protocol.POLL, node, message, POLLED_SIZE).u32() & _POLL_EVENTS

    # ---- Locks ------------------------------------------------------------------------------------------------

    def keeps_record_locks(self) -> bool:
        """Whether the server keeps record locks, not the kernel."""
        agreed = self.connection.agreed
        return agreed is not None and agreed.keeps_record_locks()

    def keeps_whole_locks(self) -> bool:
        """The same for flock(2)."""
        agreed = self.connection.agreed
        return agreed is not None and agreed.keeps_whole_locks()

    def find_lock(self, node: int, opened: Opened, owner: int, wanted: ServedLock) -> ServedLock:
        """GETLK: a lock that is in the way of the wanted one, or one of kind F_UNLCK."""
        message = _lock_message(opened, owner, wanted, 0)
        return take_lock(self._ask(protocol.GETLK, node, message, LOCK_SIZE))

    def set_lock(
        self, node: int, opened: Opened, owner: int, wanted: ServedLock, *, waits: bool, is_whole: bool
    ) -> None:
        """SETLK or SETLKW, of a range or (flock) of the whole file. Raises EAGAIN, ERESTARTSYS (the server ended the
        wait at a signal).
        """
        message = _lock_message(opened, owner, wanted, protocol.LK_FLOCK if is_whole else 0)
        try:
            self._ask(protocol.SETLKW if waits else protocol.SETLK, node, message, 0)
        except Errno as error:
            raise Errno(ERESTARTSYS if error.code == EINTR else error.code) from None

    # ---- Extended attributes ----------------------------------------------------------------------------------

    def read_attribute(self, node: int, name: bytes) -> bytes:
        """The value of an extended attribute. Raises ENODATA, ERANGE (it is longer than any may be)."""
        message = Message(8 + len(name) + 1).u32(XATTR_LIMIT).u32(0).name(name)
        return self._ask_for_text(protocol.GETXATTR, node, message, XATTR_LIMIT)

    def read_list(self, node: int, name: bytes) -> bytes:
        """The value of an attribute that is an access control list. Raises ENODATA, E2BIG."""
        message = Message(8 + len(name) + 1).u32(_LIST_LIMIT).u32(0).name(name)
        try:
            return self._ask_for_text(protocol.GETXATTR, node, message, _LIST_LIMIT)
        except Errno as error:
            raise Errno(E2BIG if error.code == ERANGE else error.code) from None

    def attribute_names(self, node: int) -> bytes:
        """All names, each with a NUL after it."""
        return self._ask_for_text(protocol.LISTXATTR, node, Message(8).u32(XATTR_LIMIT).u32(0), XATTR_LIMIT)

    def write_attribute(self, node: int, name: bytes, value: bytes, flags: int) -> None:
        message = Message(8 + len(name) + 1 + len(value)).u32(len(value)).u32(flags).name(name).raw(value)
        self._ask(protocol.SETXATTR, node, message, 0)

    def remove_attribute(self, node: int, name: bytes) -> None:
        self._ask(protocol.REMOVEXATTR, node, Message(len(name) + 1).name(name), 0)


def _spread(data: Span[u8], frames: list[int], filled: int) -> None:
    """Copy to frames, of which `filled` bytes are filled already."""
    at = 0
    while at < len(data):
        place = filled + at
        within = place & PAGE_MASK
        part = min(PAGE_SIZE - within, len(data) - at)
        frame_span(Frame(frames[place >> PAGE_SHIFT]))[within : within + part].copy_from(data[at : at + part])
        at += part


def _lock_message(opened: Opened, owner: int, wanted: ServedLock, flags: int) -> Message:
    """struct fuse_lk_in."""
    message = Message(48).u64(opened.handle).u64(owner).u64(wanted.start).u64(wanted.end)
    return message.u32(wanted.kind).u32(wanted.process).u32(flags).u32(0)


@final
class Listing:
    """What READDIR or READDIRPLUS answers."""

    def __init__(self) -> None:
        self.entries: list[DirectoryEntry] = []
        self.is_broken: bool = False  # nonsense follows the entries


@final
class Change:
    """What SETATTR sets: `valid` says which fields (SET_*)."""

    def __init__(self, valid: int) -> None:
        self.valid: int = valid
        self.mode: int = 0
        self.uid: int = 0
        self.gid: int = 0
        self.size: int = 0
        self.accessed_ns: int = 0
        self.modified_ns: int = 0
