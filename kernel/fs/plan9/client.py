"""What a server can do: one function for each message that the file system needs.

Files are named by fids, numbers that the client chooses: `walk` assigns one to a file, `clunk` frees it. A fid that is
no longer needed is retired, which never sleeps; a kernel thread clunks it.

Few messages are under way at a time, each with memory of its own. One more is kept for page faults, which do not wait
for those. None waits for the memory of a program, which may last as long as another program likes: what is read is
copied there after the message, and what is written before it.

Context: everything but `retire` sleeps. Every function raises the error that the server reports, EIO if it reports
nonsense, MemoryError.
"""

from typing import Final

from kernel.fs.plan9 import message
from kernel.fs.plan9.channel import Channel
from kernel.fs.plan9.message import LARGEST, OVERHEAD, QID_SIZE, Call
from kernel.lang import EIO, ENOENT, Errno, Span, final, noraise, span_of, u8
from kernel.lib import log
from kernel.lib.user import Buffer
from kernel.mm.frames import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, Frame, frame_span
from kernel.sched import WaitQueue, spawn_kernel_thread

DIALECT: Final = b"9P2000.L"
CALL_LIMIT: Final = 4
SMALLEST: Final = 4096  # bytes of a message that a server must take
_NO_FID: Final = 0xFFFF_FFFF
_ROOT_USER: Final = 0

WANTED_ATTRIBUTES: Final = 0x7FF  # mode … blocks: what stat(2) shows
HAS_BIRTH_TIME: Final = 0x800

# What SET_ATTRIBUTES sets.
SET_MODE: Final = 1
SET_UID: Final = 2
SET_GID: Final = 4
SET_SIZE: Final = 8
SET_ACCESS_TIME: Final = 0x10 | 0x80
SET_MODIFICATION_TIME: Final = 0x20 | 0x100

REMOVE_DIRECTORY: Final = 0x200  # AT_REMOVEDIR

_SECONDS_LIMIT: Final = 9_000_000_000
_SECOND_NS: Final = 1_000_000_000
_SIZE_LIMIT: Final = 1 << 62


@final
class Fid:
    """A number by which the server knows a file. It is not another file's while a message needs it."""

    def __init__(self, number: int) -> None:
        self.number: int = number
        self.uses: int = 0  # messages under way, or that wait for a call
        self.is_retired: bool = False  # it is retired after the last of them
        self.next: Fid | None = None  # on the list of retired or free ones


@final
class Attributes:
    """What GET_ATTRIBUTES reports. Times in nanoseconds since 1970."""

    def __init__(self) -> None:
        self.identity: bytes = b""  # eight bytes that identify the file, whatever its name
        self.mode: int = 0
        self.uid: int = 0  # the host's numbers, which are the kernel's
        self.gid: int = 0
        self.links: int = 0
        self.device: int = 0
        self.size: int = 0
        self.blocks: int = 0
        self.accessed_ns: int = 0
        self.modified_ns: int = 0
        self.changed_ns: int = 0


@final
class DirectoryEntry:
    """A name in a directory. `kind` as getdents(2) has it, `next_offset` where a later read goes on."""

    def __init__(self, name: bytes, number: int, kind: int, next_offset: int) -> None:
        self.name: bytes = name
        self.number: int = number
        self.kind: int = kind
        self.next_offset: int = next_offset


@final
class Sizes:
    """What STATFS reports."""

    def __init__(self) -> None:
        self.block_size: int = 0
        self.blocks: int = 0
        self.blocks_free: int = 0
        self.blocks_available: int = 0
        self.files: int = 0
        self.files_free: int = 0


@final
class Borrowed:
    """A call, for the duration of a `with`. `fid`: used by it until then."""

    def __init__(self, client: "Client", kind: int, is_urgent: bool, fid: Fid | None = None) -> None:
        self.client: Client = client
        self.fid: Fid | None = fid
        self.call: Call = client.take_call(is_urgent)
        self.call.begin(kind)

    def __enter__(self) -> Call:
        return self.call

    def __exit__(self, kind: object, value: object, traceback: object) -> None:
        self.client.give_call(self.call)
        fid = self.fid
        if fid is not None:
            self.client.end_use(fid)


@final
class Client:
    """A session with a server. `attach` comes first."""

    def __init__(self, channel: Channel) -> None:
        self.data_limit: int = LARGEST - OVERHEAD  # bytes that one message moves
        self._channel: Channel = channel
        self._urgent: Call = Call(CALL_LIMIT)
        self._is_urgent_used: bool = False
        self._unused: Call | None = None
        self._call_count: int = 0
        self._waiters: WaitQueue = WaitQueue()
        self._next_number: int = 0
        self._free_fids: Fid | None = None
        self._retired: Fid | None = None
        self._is_over: bool = False

    # ---- Calls ------------------------------------------------------------------------------------------------

    def take_call(self, is_urgent: bool) -> Call:
        """Raises MemoryError."""
        if is_urgent:
            while self._is_urgent_used:
                self._waiters.sleep(interruptible=False)
            self._is_urgent_used = True
            return self._urgent
        while True:
            unused = self._unused
            if unused is not None:
                self._unused = unused.next
                unused.next = None
                return unused
            if self._call_count < CALL_LIMIT:
                call = Call(self._call_count)
                self._call_count += 1
                return call
            self._waiters.sleep(interruptible=False)

    @noraise
    def give_call(self, call: Call) -> None:
        if call is self._urgent:
            self._is_urgent_used = False
        else:
            call.next = self._unused
            self._unused = call
        self._waiters.wake_all()

    def _borrow(self, kind: int, fid: Fid, is_urgent: bool = False) -> Borrowed:
        """A call of a kind whose first field is a fid."""
        fid.uses += 1
        done = False
        try:
            borrowed = Borrowed(self, kind, is_urgent, fid)
            done = True
        finally:
            if not done:
                self.end_use(fid)
        borrowed.call.put_u32(fid.number)
        return borrowed

    def _run(self, call: Call) -> None:
        call.accept(self._channel.transact(call.finish(), span_of(call.reply)))

    # ---- Fids -------------------------------------------------------------------------------------------------

    def _new_fid(self) -> Fid:
        fid = self._free_fids
        if fid is None:
            fid = Fid(self._next_number)
            self._next_number += 1
            return fid
        self._free_fids = fid.next
        fid.next = None
        return fid

    def _free(self, fid: Fid) -> None:
        fid.next = self._free_fids
        self._free_fids = fid

    @noraise
    def retire(self, fid: Fid) -> None:
        """Nobody needs the fid any more, but messages that name it. Never sleeps."""
        if self._is_over:
            return
        if fid.uses > 0:
            fid.is_retired = True
            return
        fid.next = self._retired
        self._retired = fid
        CLUNKER.queue.wake_all()

    @noraise
    def end_use(self, fid: Fid) -> None:
        """A message with the fid was answered, or will not be sent."""
        fid.uses -= 1
        if fid.uses == 0 and fid.is_retired:
            fid.is_retired = False
            self.retire(fid)

    def _take_retired(self) -> Fid | None:
        fid = self._retired
        if fid is not None:
            self._retired = fid.next
        return fid

    def clunk_retired(self) -> bool:
        """Clunk retired fids; returns whether there were any."""
        is_busy = False
        while self._retired is not None:
            with Borrowed(self, message.CLUNK, is_urgent=False) as call:
                fid = self._take_retired()  # the session may have ended while waiting for a call
                if fid is None:
                    return is_busy
                is_busy = True
                call.put_u32(fid.number)
                try:
                    self._run(call)
                except Errno as error:
                    log.debug(f"9p: a file cannot be closed: error {error.code}")
            self._free(fid)  # whatever the server says
        return is_busy

    # ---- Sessions ---------------------------------------------------------------------------------------------

    def attach(self, root_name: bytes) -> Fid:
        """Begin a session; returns the fid of its root directory."""
        with Borrowed(self, message.VERSION, is_urgent=False) as call:
            call.put_u32(LARGEST)
            call.put_text(DIALECT)
            self._run(call)
            size = call.take_u32()
            if not SMALLEST <= size <= LARGEST or call.take_text() != DIALECT:
                raise Errno(EIO)
            self.data_limit = size - OVERHEAD
        fid = self._new_fid()
        with self._borrow(message.ATTACH, fid) as call:
            call.put_u32(_NO_FID)
            call.put_text(b"root")
            call.put_text(root_name)
            call.put_u32(_ROOT_USER)
            self._run(call)
        return fid

    def leave(self) -> None:
        """End the session: the server forgets all fids, and their numbers may soon be those of another one."""
        self._is_over = True
        self._retired = None
        with Borrowed(self, message.VERSION, is_urgent=False) as call:
            call.put_u32(LARGEST)
            call.put_text(DIALECT)
            self._run(call)

    def sizes(self, fid: Fid) -> Sizes:
        with self._borrow(message.STATFS, fid) as call:
            self._run(call)
            result = Sizes()
            call.take_u32()
            result.block_size = call.take_u32()
            result.blocks = min(call.take_u64(), _SIZE_LIMIT)
            result.blocks_free = min(call.take_u64(), _SIZE_LIMIT)
            result.blocks_available = min(call.take_u64(), _SIZE_LIMIT)
            result.files = min(call.take_u64(), _SIZE_LIMIT)
            result.files_free = min(call.take_u64(), _SIZE_LIMIT)
            return result

    # ---- Names ------------------------------------------------------------------------------------------------

    def clone(self, fid: Fid) -> Fid:
        """Another fid for the same file."""
        return self._walk(fid, b"")

    def walk(self, directory: Fid, name: bytes) -> Fid:
        """A fid for a name in a directory. Raises ENOENT."""
        return self._walk(directory, name)

    def _walk(self, start: Fid, name: bytes) -> Fid:
        steps = 1 if len(name) > 0 else 0
        fid = self._new_fid()
        done = False
        try:
            with self._borrow(message.WALK, start) as call:
                call.put_u32(fid.number)
                call.put_u16(steps)
                if steps > 0:
                    call.put_text(name)
                self._run(call)
                if call.take_u16() != steps:
                    raise Errno(ENOENT)
            done = True
            return fid
        finally:
            if not done:
                self._free(fid)

    def read_link(self, fid: Fid) -> bytes:
        with self._borrow(message.READ_LINK, fid) as call:
            self._run(call)
            return call.take_text()

    def make_directory(self, directory: Fid, name: bytes, mode: int, gid: int) -> None:
        with self._borrow(message.MAKE_DIRECTORY, directory) as call:
            call.put_text(name)
            call.put_u32(mode)
            call.put_u32(gid)
            self._run(call)

    def make_node(self, directory: Fid, name: bytes, mode: int, major: int, minor: int, gid: int) -> None:
        with self._borrow(message.MAKE_NODE, directory) as call:
            call.put_text(name)
            call.put_u32(mode)
            call.put_u32(major)
            call.put_u32(minor)
            call.put_u32(gid)
            self._run(call)

    def make_symlink(self, directory: Fid, name: bytes, target: bytes, gid: int) -> None:
        with self._borrow(message.SYMLINK, directory) as call:
            call.put_text(name)
            call.put_text(target)
            call.put_u32(gid)
            self._run(call)

    def link(self, directory: Fid, target: Fid, name: bytes) -> None:
        with self._borrow(message.LINK, directory) as call:
            call.put_u32(target.number)
            call.put_text(name)
            self._run(call)

    def unlink(self, directory: Fid, name: bytes, flags: int) -> None:
        with self._borrow(message.UNLINK, directory) as call:
            call.put_text(name)
            call.put_u32(flags)
            self._run(call)

    def rename(self, directory: Fid, name: bytes, new_directory: Fid, new_name: bytes) -> None:
        with self._borrow(message.RENAME, directory) as call:
            call.put_text(name)
            call.put_u32(new_directory.number)
            call.put_text(new_name)
            self._run(call)

    def read_directory(self, fid: Fid, offset: int) -> list[DirectoryEntry]:
        """Entries of an open directory, from an offset that is 0 or one of theirs; none at the end."""
        entries: list[DirectoryEntry] = []
        with self._borrow(message.READ_DIRECTORY, fid) as call:
            call.put_u64(offset)
            call.put_u32(self.data_limit)
            self._run(call)
            length = call.take_u32()
            end = call.at + length
            if length > self.data_limit:
                raise Errno(EIO)
            while call.at < end:
                call.take_u8()
                call.take_u32()
                number = _number(call)
                next_offset = call.take_i64()
                kind = call.take_u8()
                entries.append(DirectoryEntry(call.take_text(), number, kind, next_offset))
        return entries

    # ---- Attributes -------------------------------------------------------------------------------------------

    def attributes(self, fid: Fid, is_urgent: bool = False) -> Attributes:
        with self._borrow(message.GET_ATTRIBUTES, fid, is_urgent) as call:
            call.put_u64(WANTED_ATTRIBUTES)
            self._run(call)
            result = Attributes()
            call.take(8)
            result.identity = call.take_bytes(QID_SIZE)[5:QID_SIZE]
            result.mode = call.take_u32()
            result.uid = call.take_u32()
            result.gid = call.take_u32()
            result.links = call.take_u64()
            result.device = call.take_u64() & 0xFFFF_FFFF
            result.size = call.take_u64()
            call.take(8)
            result.blocks = call.take_u64()
            if result.size >= _SIZE_LIMIT or result.blocks >= _SIZE_LIMIT or result.links >= 1 << 32:
                raise Errno(EIO)
            result.accessed_ns = _time_ns(call)
            result.modified_ns = _time_ns(call)
            result.changed_ns = _time_ns(call)
            return result

    def _set(
        self, fid: Fid, valid: int, mode: int, uid: int, gid: int, size: int, atime_ns: int, mtime_ns: int
    ) -> None:
        with self._borrow(message.SET_ATTRIBUTES, fid) as call:
            call.put_u32(valid)
            call.put_u32(mode)
            call.put_u32(uid)
            call.put_u32(gid)
            call.put_u64(size)
            call.put_u64(atime_ns // _SECOND_NS)
            call.put_u64(atime_ns % _SECOND_NS)
            call.put_u64(mtime_ns // _SECOND_NS)
            call.put_u64(mtime_ns % _SECOND_NS)
            self._run(call)

    def set_mode(self, fid: Fid, mode: int) -> None:
        self._set(fid, SET_MODE, mode, 0, 0, 0, 0, 0)

    def set_owner(self, fid: Fid, uid: int, gid: int) -> None:
        self._set(fid, SET_UID | SET_GID, 0, uid, gid, 0, 0, 0)

    def set_size(self, fid: Fid, size: int) -> None:
        self._set(fid, SET_SIZE, 0, 0, 0, size, 0, 0)

    def set_times(self, fid: Fid, accessed_ns: int, modified_ns: int) -> None:
        self._set(fid, SET_ACCESS_TIME | SET_MODIFICATION_TIME, 0, 0, 0, 0, accessed_ns, modified_ns)

    # ---- Contents ---------------------------------------------------------------------------------------------

    def open(self, fid: Fid, flags: int) -> None:
        """Open a fid for reading and writing, as O_* say; it is no longer usable for walks."""
        with self._borrow(message.OPEN, fid) as call:
            call.put_u32(flags)
            self._run(call)

    def create(self, directory: Fid, name: bytes, flags: int, mode: int, gid: int) -> None:
        """Create and open a file; the directory's fid becomes the file's."""
        with self._borrow(message.CREATE, directory) as call:
            call.put_text(name)
            call.put_u32(flags)
            call.put_u32(mode)
            call.put_u32(gid)
            self._run(call)

    def read(self, fid: Fid, offset: int, buffer: Buffer) -> int:
        """Read into a buffer, at most what one message holds; 0 at the end of the file."""
        with self._borrow(message.READ, fid) as call:
            data = self._read(call, offset, min(buffer.remaining, self.data_limit)).to_bytes()
        return buffer.put_bytes(data)

    def read_frames(self, fid: Fid, offset: int, frames: list[int], filled: int) -> int:
        """Read into frames, of which `filled` bytes are filled already, for a page fault; 0 at the end of the file."""
        with self._borrow(message.READ, fid, is_urgent=True) as call:
            wanted = min((len(frames) << PAGE_SHIFT) - filled, self.data_limit)
            data = self._read(call, offset + filled, wanted)
            at = 0
            while at < len(data):
                place = filled + at
                within = place & PAGE_MASK
                part = min(PAGE_SIZE - within, len(data) - at)
                frame_span(Frame(frames[place >> PAGE_SHIFT]))[within : within + part].copy_from(data[at : at + part])
                at += part
            return len(data)

    def _read(self, call: Call, offset: int, count: int) -> Span[u8]:
        call.put_u64(offset)
        call.put_u32(count)
        self._run(call)
        length = call.take_u32()
        if length > count:
            raise Errno(EIO)
        return call.take(length)

    def write(self, fid: Fid, offset: int, buffer: Buffer) -> int:
        """Write a buffer, at most what one message holds; returns how much the server took."""
        data = buffer.take_bytes(self.data_limit)
        with self._borrow(message.WRITE, fid) as call:
            call.put_u64(offset)
            length_at = call.end
            call.put_u32(0)
            call.room(len(data)).copy_from(span_of(data))
            return self._finish_writing(call, length_at, len(data))

    def write_page(self, fid: Fid, offset: int, source: Span[u8]) -> int:
        """Write from the kernel's memory."""
        with self._borrow(message.WRITE, fid, is_urgent=True) as call:
            call.put_u64(offset)
            count = min(len(source), self.data_limit)
            length_at = call.end
            call.put_u32(0)
            call.room(count).copy_from(source[0:count])
            return self._finish_writing(call, length_at, count)

    def _finish_writing(self, call: Call, length_at: int, count: int) -> int:
        if count == 0:
            return 0
        call.end = length_at
        call.put_u32(count)
        call.end += count
        self._run(call)
        done = call.take_u32()
        if done > count:
            raise Errno(EIO)
        return done

    def sync(self, fid: Fid, only_data: bool) -> None:
        with self._borrow(message.SYNC, fid) as call:
            call.put_u32(1 if only_data else 0)
            self._run(call)

    # ---- Extended attributes ----------------------------------------------------------------------------------

    def read_attribute(self, fid: Fid, name: bytes, limit: int) -> bytes:
        """The value of an extended attribute, or with an empty name the list of their names. Raises ENODATA, EIO for
        one of more than `limit` bytes.
        """
        value = self._new_fid()
        done = False
        try:
            with self._borrow(message.WALK_ATTRIBUTE, fid) as call:
                call.put_u32(value.number)
                call.put_text(name)
                self._run(call)
                size = call.take_u64()
            done = True
        finally:
            if not done:
                self._free(value)
        try:
            if size > limit:
                raise Errno(EIO)
            text = b""
            while len(text) < size:
                with self._borrow(message.READ, value) as call:
                    part = self._read(call, len(text), min(size - len(text), self.data_limit)).to_bytes()
                if len(part) == 0:
                    raise Errno(EIO)
                text += part
            return text
        finally:
            self.retire(value)

    def write_attribute(self, fid: Fid, name: bytes, value: bytes, flags: int) -> None:
        """Set an extended attribute; an empty value removes it. Clunking the fid completes the change."""
        place = self.clone(fid)
        try:
            with self._borrow(message.CREATE_ATTRIBUTE, place) as call:
                call.put_text(name)
                call.put_u64(len(value))
                call.put_u32(flags)
                self._run(call)
            at = 0
            while at < len(value):
                part = value[at : at + self.data_limit]
                with self._borrow(message.WRITE, place) as call:
                    call.put_u64(at)
                    length_at = call.end
                    call.put_u32(0)
                    call.room(len(part)).copy_from(span_of(part))
                    if self._finish_writing(call, length_at, len(part)) != len(part):
                        raise Errno(EIO)
                at += len(part)
        except (Errno, MemoryError):
            self.retire(place)
            raise
        try:
            with self._borrow(message.CLUNK, place) as call:
                self._run(call)
        finally:
            self._free(place)


def _number(call: Call) -> int:
    """The eight bytes of a file's identity as an inode number, which is not negative."""
    low = call.take_u32()
    return (call.take_u32() & 0x7FFF_FFFF) << 32 | low


def inode_number(identity: bytes) -> int:
    """The same of bytes."""
    return int.from_bytes(identity[0:4], "little") | (int.from_bytes(identity[4:8], "little") & 0x7FFF_FFFF) << 32


def _time_ns(call: Call) -> int:
    seconds = max(-_SECONDS_LIMIT, min(_SECONDS_LIMIT, call.take_i64()))
    return seconds * _SECOND_NS + call.take_u64() % _SECOND_NS


@final
class Clunker:
    """The thread that clunks retired fids, for all clients."""

    def __init__(self) -> None:
        self.queue: WaitQueue = WaitQueue()
        self.clients: list[Client] = []
        self._runs: bool = False

    def add(self, client: Client) -> None:
        """Raises MemoryError."""
        if not self._runs:
            spawn_kernel_thread(b"9p-clunk", _clunk, 0)
            self._runs = True
        self.clients.append(client)

    def drop(self, client: Client) -> None:
        for i in range(len(self.clients)):
            if self.clients[i] is client:
                self.clients[i] = self.clients[len(self.clients) - 1]
                self.clients.pop()
                return

    def clunk_all(self) -> bool:
        """Clunk everything retired; returns whether there was anything. Raises MemoryError."""
        is_busy = False
        for client in list(self.clients):
            is_busy = client.clunk_retired() or is_busy
        return is_busy


CLUNKER: Final = Clunker()


def _clunk(_: int) -> None:
    while True:
        try:
            while CLUNKER.clunk_all():
                pass
        except MemoryError:
            log.error("9p: no memory to close files")
        CLUNKER.queue.sleep(interruptible=False)
