"""Pipes and FIFOs (pipe(7), fifo(7)).

A pipe is a ring of bytes in frames that are allocated as needed: an empty pipe owns no memory but its bookkeeping.
In packet mode (O_DIRECT) each write is a packet, and a read returns at most one packet.

Invariants: `count` bytes are readable, starting at `head` (a position in the ring of `capacity` bytes). `readers` and
`writers` count open descriptions of each side. A write of at most PIPE_BUF bytes is not interleaved with others: it
waits for room for all.

The pages that a ring may hold are charged to the user that opened the pipe first, while it has an end. A user past
fs.pipe-user-pages-soft gets rings of two pages and cannot enlarge any; past fs.pipe-user-pages-hard there are no
new ones (pipe(7), proc_sys_fs(5)).

Context: reads and writes sleep; a copy to or from a program may sleep too, so a mutex guards
the ring during it. A copy from the ring to another file (splice(2)) may last, so whoever must end does not wait for it.
SIGPIPE is sent by the system call that gets EPIPE.
"""

from typing import Final

from kernel.fs.anonymous import PIPES, AnonymousInode, pipe_path
from kernel.fs.constants import (
    FIONREAD,
    O_ACCMODE,
    O_DIRECT,
    O_NONBLOCK,
    O_RDONLY,
    O_RDWR,
    O_WRONLY,
    POLLERR,
    POLLHUP,
    READABLE,
    S_IFIFO,
    WRITABLE,
)
from kernel.fs.file import DESCRIPTION_BYTES, File
from kernel.fs.open import SPECIAL
from kernel.fs.path import Path
from kernel.lang import (
    EAGAIN,
    EBUSY,
    EINVAL,
    ENFILE,
    ENOMEM,
    ENOTTY,
    ENXIO,
    EPERM,
    EPIPE,
    Errno,
    Span,
    UserAddr,
    final,
    inline,
    span_of,
    u8,
)
from kernel.lib import user
from kernel.lib.capabilities import CAP_SYS_ADMIN, CAP_SYS_RESOURCE
from kernel.lib.credentials import Credentials, caller_credentials
from kernel.lib.settings import NO_BOUND, SystemSetting
from kernel.lib.user import Buffer
from kernel.lib.user_account import UserAccount, account_of
from kernel.mm.frames import NO_FRAME, Frame, allocate_user_frame, frame_span, put_frame
from kernel.sched import Mutex, PollWaiter, WaitQueue

PIPE_BUF: Final = 4096
PAGE: Final = 4096
DEFAULT_PAGES: Final = 16
SMALL_PAGES: Final = 2  # of a ring, for a user past the soft limit
HIGHEST_CAPACITY: Final = 1 << 28
_HIGHEST_REQUEST: Final = 1 << 31


def ring_size(wanted: int) -> int:
    """The capacity in bytes, a power of two of pages, that holds `wanted` bytes. Raises EINVAL."""
    if wanted > _HIGHEST_REQUEST or wanted < 0:
        raise Errno(EINVAL)
    size = PAGE
    while size < wanted:
        size <<= 1
    return size


@final
class _LargestSize(SystemSetting):
    """In bytes; what is written is rounded up to what a ring can have."""

    def store(self, numbers: list[int]) -> None:
        wanted = numbers[0] & 0xFFFF_FFFF  # as on Linux, which looks no further
        if wanted > _HIGHEST_REQUEST:
            raise Errno(EINVAL)
        self.values[0] = ring_size(wanted)


LARGEST_SIZE: Final = _LargestSize(b"fs/pipe-max-size", [1 << 20], 0, NO_BOUND)  # for the unprivileged
LARGEST_SIZE.passes_rest = True
SOFT_LIMIT: Final = SystemSetting(b"fs/pipe-user-pages-soft", [1024 * DEFAULT_PAGES], 0, NO_BOUND)  # 0: none
HARD_LIMIT: Final = SystemSetting(b"fs/pipe-user-pages-hard", [0], 0, NO_BOUND)


def _is_limited(credentials: Credentials) -> bool:
    """Whether the limits on a user's pages apply to this thread."""
    return not credentials.capable(CAP_SYS_RESOURCE) and not credentials.capable(CAP_SYS_ADMIN)


class Pipe:
    """The ring, and its ends."""

    def __init__(self) -> None:
        self.account: UserAccount | None = None  # the user charged for `frames`; None while there are no ends
        self.frames: list[int] = []
        self.capacity: int = 0
        self.head: int = 0
        self.count: int = 0
        self.readers: int = 0
        self.writers: int = 0
        self.reader_generation: int = 0  # counts openings, so that a FIFO's opener sees a partner that has left again
        self.writer_generation: int = 0
        self.packets: list[int] = []  # lengths, when some writer is in packet mode
        self.lock: Mutex = Mutex()
        self.read_queue: WaitQueue = WaitQueue()
        self.write_queue: WaitQueue = WaitQueue()

    def free(self) -> int:
        """How many bytes fit. The read part of the first frame is not reused before all of it was read, so that the
        end of the ring never lies in the frame of its beginning.
        """
        return self.capacity - self.count - self.head % PAGE

    # ---- Moving bytes -----------------------------------------------------------------------------------------

    def put_into(self, buffer: Buffer, limit: int) -> int:
        """Move up to `limit` readable bytes to a reader."""
        done = 0
        while done < limit and self.count > 0:
            within = self.head % PAGE
            index = self.head // PAGE
            length = min(PAGE - within, self.count, limit - done)
            if buffer.put(frame_span(Frame(self.frames[index]))[within : within + length]) < length:
                break  # as on Linux, a part that ends in a fault counts as unread
            self._consume(length)
            done += length
        return done

    def peek_into(self, buffer: Buffer, limit: int) -> int:
        """Copy up to `limit` readable bytes without taking them (tee(2))."""
        done = 0
        position = self.head
        left = min(limit, self.count)
        while done < left:
            within = position % PAGE
            length = min(PAGE - within, left - done)
            moved = buffer.put(frame_span(Frame(self.frames[position // PAGE]))[within : within + length])
            done += moved
            position += moved
            if position == self.capacity:
                position = 0
            if moved < length:
                break
        return done

    def _consume(self, length: int) -> None:
        """Remove bytes of one frame from the head, and free the frame when it is used up."""
        index = self.head // PAGE
        self.head += length
        self.count -= length
        if self.count == 0:
            # Keep one frame: a pipe used alternately would allocate and free it all the time.
            if self.head % PAGE == 0 or index != 0:
                self._move_frame_to_front(index)
            self.head = 0
            return
        if self.head // PAGE != index:
            self._free_frame(index)
        if self.head == self.capacity:
            self.head = 0

    def _move_frame_to_front(self, index: int) -> None:
        frame = self.frames[index]
        self.frames[index] = NO_FRAME
        if self.frames[0] == NO_FRAME:
            self.frames[0] = frame
        else:
            put_frame(Frame(frame))

    def _free_frame(self, index: int) -> None:
        frame = self.frames[index]
        self.frames[index] = NO_FRAME
        put_frame(Frame(frame))

    def take_from(self, buffer: Buffer, limit: int) -> int:
        """Move up to `limit` bytes from a writer into the ring; there is room."""
        done = 0
        while done < limit:
            position = self.head + self.count
            if position >= self.capacity:
                position -= self.capacity
            within = position % PAGE
            length = min(PAGE - within, limit - done)
            frame = self._frame_at(position // PAGE, is_needed=done == 0)
            if frame == NO_FRAME or buffer.take(frame_span(frame)[within : within + length]) < length:
                break  # as on Linux, a part that ends in a fault is not written
            self.count += length
            done += length
        return done

    @inline
    def _frame_at(self, index: int, is_needed: bool = True) -> Frame:
        """The frame at a place of the ring. Raises MemoryError, or returns NO_FRAME instead unless it `is_needed`."""
        frame = self.frames[index]
        if frame == NO_FRAME:
            try:
                frame = allocate_user_frame()
            except MemoryError:
                if is_needed:
                    raise
                return NO_FRAME
            self.frames[index] = frame
        return Frame(frame)

    # ---- The ring ---------------------------------------------------------------------------------------------

    def charge(self, credentials: Credentials) -> None:
        """Give a pipe without ends its ring, and charge it to a user. Raises ENOMEM (the hard limit), MemoryError."""
        if self.account is not None:
            return
        pages = DEFAULT_PAGES
        if pages * PAGE > LARGEST_SIZE.value and not credentials.capable(CAP_SYS_RESOURCE):
            pages = LARGEST_SIZE.value // PAGE
        account = account_of(credentials.uid)
        is_limited = _is_limited(credentials)
        if is_limited and 0 < SOFT_LIMIT.value < account.pipe_pages + pages:
            pages = SMALL_PAGES
        is_refused = is_limited and 0 < HARD_LIMIT.value < account.pipe_pages + pages
        if is_refused:
            account.release()
            raise Errno(ENOMEM)
        try:
            frames: list[int] = [NO_FRAME] * pages
        except MemoryError:
            account.release()
            raise
        account.pipe_pages += pages
        self.account = account
        self.frames = frames
        self.capacity = pages * PAGE

    def uncharge(self) -> None:
        """The pipe has lost its last end, or never got one: free its ring."""
        account = self.account
        if account is None:
            return
        self.account = None
        self.release_frames()
        account.pipe_pages -= len(self.frames)
        account.release()
        self.capacity = 0

    def set_capacity(self, wanted: int, credentials: Credentials) -> int:
        """F_SETPIPE_SZ: a power of two of pages. Waits for whoever copies. Raises EINVAL, EPERM, ENOMEM, EBUSY (it
        holds more), EINTR (the thread must end), MemoryError.
        """
        size = ring_size(wanted)
        self.lock.acquire_unless_dying()
        try:
            self._resize(size, credentials)
        finally:
            self.lock.release()
        self.write_queue.wake_all()
        return size

    def _resize(self, size: int, credentials: Credentials) -> None:
        pages = size // PAGE
        account = self.account
        if account is None:
            raise Errno(EINVAL)  # cannot be: the caller has an end
        total = account.pipe_pages + pages - len(self.frames)
        if size > self.capacity:
            if size > LARGEST_SIZE.value and not credentials.capable(CAP_SYS_RESOURCE):
                raise Errno(EPERM)
            is_beyond = 0 < SOFT_LIMIT.value < total or 0 < HARD_LIMIT.value < total
            if is_beyond and _is_limited(credentials):
                raise Errno(EPERM)
        if size > HIGHEST_CAPACITY:
            raise Errno(ENOMEM)
        used = (self.head % PAGE + self.count + PAGE - 1) // PAGE
        if pages < used:
            raise Errno(EBUSY)
        self._move_to_ring([NO_FRAME] * pages, used)
        account.pipe_pages = total
        self.capacity = size

    def _move_to_ring(self, fresh: list[int], used: int) -> None:
        """Make the `used` frames from the head on the first ones of another ring."""
        old = self.frames
        first = self.head // PAGE
        for i in range(used):
            place = (first + i) % len(old)
            fresh[i] = old[place]
            old[place] = NO_FRAME
        for frame in old:
            if frame != NO_FRAME:
                put_frame(Frame(frame))
        self.frames = fresh
        self.head %= PAGE

    def release_frames(self) -> None:
        for index in range(len(self.frames)):
            if self.frames[index] != NO_FRAME:
                self._free_frame(index)
        self.count = 0
        self.head = 0
        self.packets.clear()

    # ---- Reading and writing ----------------------------------------------------------------------------------

    def read(self, buffer: Buffer, nonblocking: bool) -> int:
        """The next bytes; waits for the first. 0 once there are no writers."""
        if buffer.remaining == 0:
            return 0
        while True:
            if self.count > 0:
                done = self._read_available(buffer)
                if done > 0 or buffer.faulted:
                    return done
                continue
            if self.writers == 0:
                return 0
            if nonblocking:
                raise Errno(EAGAIN)
            self.read_queue.sleep(interruptible=True)

    def _read_available(self, buffer: Buffer) -> int:
        self.lock.acquire_unless_dying()
        try:
            done = self._read_packet(buffer) if self.packets else self.put_into(buffer, buffer.remaining)
        finally:
            self.lock.release()
        if done > 0:
            self.write_queue.wake_all()
        if self.count > 0:
            self.read_queue.wake_one()
        return done

    def lock_readable(self, nonblocking: bool) -> bool:
        """Wait until there is something to read, and keep other readers away. False once there are no writers."""
        while True:
            self.lock.acquire_unless_dying()
            if self.count > 0:
                return True
            self.lock.release()
            if self.writers == 0:
                return False
            if nonblocking:
                raise Errno(EAGAIN)
            self.read_queue.sleep(interruptible=True)

    def unlock_readable(self, taken: int) -> None:
        """After `lock_readable`: take the bytes that were used, and let others read."""
        left = taken
        while left > 0:
            part = min(left, PAGE - self.head % PAGE)
            self._consume(part)
            left -= part
        left = taken
        while left > 0 and len(self.packets) > 0:
            part = min(left, self.packets[0])
            left -= part
            self.packets[0] -= part
            if self.packets[0] == 0:
                self.packets.pop(0)
        self.lock.release()
        if taken > 0:
            self.write_queue.wake_all()
        if self.count > 0:
            self.read_queue.wake_one()

    def _read_packet(self, buffer: Buffer) -> int:
        length = self.packets[0]
        done = self.put_into(buffer, min(length, buffer.remaining))
        if done == 0 and buffer.faulted:
            return 0
        # What did not fit is lost, as pipe(2) says.
        left = length - done
        while left > 0:
            part = min(left, PAGE - self.head % PAGE)
            self._consume(part)
            left -= part
        self.packets.pop(0)
        return done

    def write(self, buffer: Buffer, nonblocking: bool, as_packets: bool) -> int:
        """Write all bytes, waiting for room; EPIPE without readers. An interrupted write returns its progress."""
        total = buffer.remaining
        if total == 0:
            return 0
        if self.readers == 0:
            raise Errno(EPIPE)
        done = 0
        while buffer.remaining > 0:
            wanted = buffer.remaining
            if as_packets:
                wanted = min(wanted, PIPE_BUF)
            needed = wanted if total <= PIPE_BUF or as_packets else 1
            try:
                self.wait_for_room(needed, nonblocking)
            except Errno:
                if done > 0:
                    return done
                raise
            try:
                moved = self._write_available(buffer, wanted, needed, as_packets)
            except MemoryError:
                if done > 0:
                    return done
                raise
            done += moved
            if buffer.faulted:
                break
        return done

    def write_message(self, message: bytearray) -> None:
        """Write at most PIPE_BUF bytes of the kernel's own as a packet, waiting for room. They need no `Buffer`, so the
        compiler knows that no program's memory is touched, however deep the caller is. Raises EPIPE, ERESTARTSYS,
        MemoryError.
        """
        written = False
        while not written:
            self.wait_for_room(len(message), nonblocking=False)
            with self.lock:
                if self.free() >= len(message):
                    self._put(span_of(message))
                    written = True
        self.read_queue.wake_all()

    def _put(self, message: Span[u8]) -> None:
        """Add a packet, for which there is room. Raises MemoryError, with the ring as it was."""
        length = len(message)
        position = (self.head + self.count) % self.capacity
        within = position % PAGE
        first = min(PAGE - within, length)
        frame = self._frame_at(position // PAGE)
        following = frame if first == length else self._frame_at((position + first) % self.capacity // PAGE)
        self.packets.append(length)
        frame_span(frame)[within : within + first].copy_from(message[:first])
        frame_span(following)[: length - first].copy_from(message[first:])
        self.count += length

    def _write_available(self, buffer: Buffer, wanted: int, needed: int, as_packets: bool) -> int:
        self.lock.acquire_unless_dying()
        try:
            if self.free() < needed:
                return 0  # another was faster
            moved = self.add(buffer, min(wanted, self.free()), as_packets)
        finally:
            self.lock.release()
        self.read_queue.wake_all()
        return moved

    def add(self, buffer: Buffer, length: int, as_packet: bool) -> int:
        """Move up to `length` bytes from a writer into the locked ring, where there is room. Raises MemoryError, with
        nothing moved.
        """
        if not as_packet:
            return self.take_from(buffer, length)
        self.packets.append(0)  # first: it may find no memory
        moved = 0
        try:
            moved = self.take_from(buffer, length)
        finally:
            if moved > 0:
                self.packets[len(self.packets) - 1] = moved
            else:
                self.packets.pop()
        return moved

    def wait_for_room(self, needed: int, nonblocking: bool) -> None:
        """Sleep until that many bytes fit. Raises EPIPE, EAGAIN, ERESTARTSYS."""
        while True:
            if self.readers == 0:
                raise Errno(EPIPE)
            if self.free() >= needed:
                return
            if nonblocking:
                raise Errno(EAGAIN)
            self.write_queue.sleep(interruptible=True)

    # ---- Ends -------------------------------------------------------------------------------------------------

    def add_end(self, readable: bool, writable: bool) -> None:
        if readable:
            self.readers += 1
            self.reader_generation += 1
        if writable:
            self.writers += 1
            self.writer_generation += 1

    def drop_end(self, readable: bool, writable: bool) -> None:
        if readable:
            self.readers -= 1
        if writable:
            self.writers -= 1
        if self.readers == 0 and self.writers == 0:
            self.uncharge()
        self.read_queue.wake_all()
        self.write_queue.wake_all()


class PipeFile(File):
    """An end of a pipe, or a FIFO's open description, which may be both ends."""

    def __init__(self, path: Path, flags: int, pipe: Pipe) -> None:
        super().__init__(path, flags)
        self.pipe: Pipe = pipe
        self.writer_generation_at_open: int = pipe.writer_generation
        pipe.add_end(self.readable, self.writable)

    def waits_for_memory(self) -> bool:
        return True

    def close(self) -> None:
        self.pipe.drop_end(self.readable, self.writable)
        if self.pipe.readers == 0 and self.pipe.writers == 0:
            FIFOS.forget(self.pipe, self.inode.ino, self.inode.file_system.device)

    def held_bytes(self) -> int:
        return DESCRIPTION_BYTES + len(self.pipe.frames) * 8 + self.pipe.count

    def heap_bytes(self, count: int) -> int:
        return DESCRIPTION_BYTES + len(self.pipe.frames) * 8

    def read(self, buffer: Buffer) -> int:
        return self.pipe.read(buffer, self.flags & O_NONBLOCK != 0)

    def write(self, buffer: Buffer) -> int:
        return self.pipe.write(buffer, self.flags & O_NONBLOCK != 0, self.flags & O_DIRECT != 0)

    def read_at_once(self, buffer: Buffer) -> int:
        return self.pipe.read(buffer, nonblocking=True)

    def write_at_once(self, buffer: Buffer) -> int:
        return self.pipe.write(buffer, nonblocking=True, as_packets=self.flags & O_DIRECT != 0)

    def poll(self, waiter: PollWaiter | None) -> int:
        pipe = self.pipe
        state = 0
        if self.readable:
            if waiter is not None:
                waiter.wait_on(pipe.read_queue)
            if pipe.count > 0:
                state |= READABLE
            # A FIFO that never had a writer is not hung up.
            if pipe.writers == 0 and pipe.writer_generation != self.writer_generation_at_open:
                state |= POLLHUP
        if self.writable:
            if waiter is not None:
                waiter.wait_on(pipe.write_queue)
            if pipe.free() >= PIPE_BUF:
                state |= WRITABLE
            if pipe.readers == 0:
                state |= POLLERR
        return state

    def input_queue(self) -> WaitQueue | None:
        return self.pipe.read_queue if self.readable else None

    def output_queue(self) -> WaitQueue | None:
        return self.pipe.write_queue if self.writable else None

    def ioctl(self, command: int, argument: int) -> int:
        if command == FIONREAD:
            user.write_i32(UserAddr(argument), self.pipe.count)
            return 0
        raise Errno(ENOTTY)


class PipeInode(AnonymousInode):
    """The inode of a pipe without a name: it can be opened again through /proc/PID/fd."""

    def __init__(self, pipe: Pipe, credentials: Credentials) -> None:
        super().__init__(PIPES.file_system, PIPES.file_system.new_ino(), S_IFIFO | 0o600)
        self.uid = credentials.fsuid
        self.gid = credentials.fsgid
        self.pipe: Pipe = pipe


class PipeEnds:
    """Both ends of a new pipe."""

    def __init__(self, reader: PipeFile, writer: PipeFile) -> None:
        self.reader: PipeFile = reader
        self.writer: PipeFile = writer


def make_pipe(credentials: Credentials, flags: int) -> PipeEnds:
    """pipe2(2). `flags`: O_NONBLOCK, O_DIRECT. Raises ENFILE (fs.pipe-user-pages-hard), MemoryError."""
    pipe = Pipe()
    path = pipe_path(PipeInode(pipe, credentials))
    try:
        pipe.charge(credentials)
    except Errno:
        raise Errno(ENFILE) from None
    reader: PipeFile | None = None
    writer: PipeFile | None = None
    try:
        reader = PipeFile(path, O_RDONLY | flags, pipe)
        # The reading end was opened before there was a writer, but a pipe's writer counts from the start.
        reader.writer_generation_at_open = -1
        writer = PipeFile(path, O_WRONLY | flags, pipe)
        return PipeEnds(reader, writer)
    except (Errno, MemoryError):
        if reader is not None:
            reader.release()
        if writer is not None:
            writer.release()
        pipe.uncharge()
        raise


class FifoTable:
    """The pipes behind FIFOs that are open now, by device and inode number."""

    def __init__(self) -> None:
        self.devices: dict[int, dict[int, Pipe]] = {}

    def find(self, ino: int, device: int) -> Pipe:
        """The pipe of a FIFO, a new one if it has none. Raises MemoryError."""
        pipes = self.devices.get(device)
        pipe = pipes.get(ino) if pipes is not None else None
        if pipe is not None:
            return pipe
        pipe = Pipe()
        if pipes is None:
            pipes = {}
            self.devices[device] = pipes
        pipes[ino] = pipe
        return pipe

    def forget(self, pipe: Pipe, ino: int, device: int) -> None:
        """The FIFO has lost its last end. Needs no memory."""
        pipes = self.devices.get(device)
        if pipes is None or pipes.get(ino) is not pipe:
            return
        del pipes[ino]
        if len(pipes) == 0:
            del self.devices[device]


FIFOS: Final = FifoTable()


def _open_end(path: Path, flags: int, pipe: Pipe) -> PipeFile:
    """A description of a pipe that may have no ends yet: the ring is charged to the first opener. Raises ENOMEM
    (fs.pipe-user-pages-hard), MemoryError.
    """
    credentials = caller_credentials()
    end: PipeFile | None = None
    try:
        pipe.charge(credentials if credentials is not None else Credentials())
        end = PipeFile(path, flags, pipe)
        return end
    finally:
        if end is None and pipe.readers == 0 and pipe.writers == 0:
            pipe.uncharge()
            FIFOS.forget(pipe, path.inode().ino, path.inode().file_system.device)


def open_fifo(path: Path, flags: int) -> File:
    """open(2) of a FIFO: waits for the other side, unless it is opened for both or without blocking (fifo(7))."""
    inode = path.inode()
    if flags & O_ACCMODE == O_ACCMODE:
        raise Errno(EINVAL)
    if isinstance(inode, PipeInode):  # no one waits for the other end of a pipe without a name
        end = _open_end(path, flags, inode.pipe)
        end.writer_generation_at_open = -1
        return end
    access = flags & O_ACCMODE
    pipe = FIFOS.find(inode.ino, inode.file_system.device)
    nonblocking = flags & O_NONBLOCK != 0
    if access == O_WRONLY and nonblocking and pipe.readers == 0:
        if pipe.writers == 0:
            FIFOS.forget(pipe, inode.ino, inode.file_system.device)
        raise Errno(ENXIO)
    file = _open_end(path, flags, pipe)
    pipe.read_queue.wake_all()
    pipe.write_queue.wake_all()
    if access == O_RDWR or nonblocking:
        return file
    try:
        if access == O_RDONLY:
            seen = pipe.writer_generation
            while pipe.writers == 0 and pipe.writer_generation == seen:
                pipe.read_queue.sleep(interruptible=True)
        else:
            seen = pipe.reader_generation
            while pipe.readers == 0 and pipe.reader_generation == seen:
                pipe.write_queue.sleep(interruptible=True)
    except (Errno, MemoryError):
        file.release()
        raise
    # A blocking opener has seen a writer: from now on its absence is a hang-up.
    file.writer_generation_at_open = -1
    return file


SPECIAL.open_fifo = open_fifo
