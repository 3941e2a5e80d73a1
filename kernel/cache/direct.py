"""O_DIRECT: between a program and the device past the page cache.

Bytes travel through a few frames that belong to the call, and leave nothing in the cache. What the cache has is
brought into line: before a transfer its dirty pages of the range are written, after a write its pages are taken from
who maps them and dropped, or read anew where somebody holds them. Two programs that write the same bytes at once, one
directly and one through the cache, get one or the other, as everywhere.

A write needs places on the device. Bytes behind the end of a file get new blocks, as far as they fill them; a hole,
and a part of a new block, are written through the cache and brought to the device at once.

Context: sleeps. The caller of `write_direct` holds the inode's lock.
"""

from typing import Final

from kernel.block.device import SECTOR_SHIFT, BlockDevice, BlockRequest, Operation
from kernel.cache import file_io
from kernel.cache.file_cache import FileCache
from kernel.cache.frame_source import FrameSource
from kernel.cache.store import HOLE, BackingStore, Runs
from kernel.lang import Errno
from kernel.lib.user import Buffer
from kernel.mm.frames import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, Frame, frame_span, put_frame

_LARGEST: Final = 256  # frames that one call moves at a time
_PIECE: Final = 64  # frames in one request of a large read, so that those that came are copied while others come


class Bounce:
    """The frames of one call."""

    def __init__(self, cache: FileCache, length: int) -> None:
        pages = (length + PAGE_MASK) >> PAGE_SHIFT
        self.limit: int = min(_LARGEST, max(1, pages)) << PAGE_SHIFT
        self.frames: list[int] = []
        self.source: FrameSource = FrameSource(min(_LARGEST, pages))
        self.requests: list[BlockRequest] = []  # under way or finished, in order
        self.starts: list[int] = []  # where their bytes begin

    def require(self, length: int) -> None:
        """Have frames for so many bytes, at most `limit`. Raises MemoryError."""
        while len(self.frames) << PAGE_SHIFT < length:
            frame = self.source.take()
            try:
                self.frames.append(frame)
            except MemoryError:
                put_frame(frame)
                raise

    def release(self) -> None:
        for request in self.requests:
            while not request.is_finished():
                request.waiters.sleep(interruptible=False)
        self.requests.clear()
        self.source.close()
        for frame in self.frames:
            put_frame(Frame(frame))
        self.frames.clear()

    def put(self, buffer: Buffer, length: int) -> int:
        """Give the first `length` bytes to a reader, as they come; how many it took. Raises EIO."""
        done = 0
        arrived = 0
        while done < length:
            part = min(PAGE_SIZE, length - done)
            while arrived < len(self.requests) and self.starts[arrived] < done + part:
                self.requests[arrived].wait()
                arrived += 1
            moved = buffer.put(frame_span(Frame(self.frames[done >> PAGE_SHIFT]))[0:part])
            done += moved
            if moved < part:
                break
        return done

    def take(self, buffer: Buffer, length: int) -> int:
        """Fill the first `length` bytes from a writer; how many it gave."""
        done = 0
        while done < length:
            part = min(PAGE_SIZE, length - done)
            moved = buffer.take(frame_span(Frame(self.frames[done >> PAGE_SHIFT]))[0:part])
            done += moved
            if moved < part:
                break
        return done

    def clear(self, start: int, length: int) -> None:
        """Zero a range of bytes."""
        while length > 0:
            within = start & PAGE_MASK
            part = min(PAGE_SIZE - within, length)
            frame_span(Frame(self.frames[start >> PAGE_SHIFT]))[within : within + part].fill(0)
            start += part
            length -= part

    def request(
        self, operation: Operation, position: int, length: int, sector: int, device: BlockDevice
    ) -> BlockRequest:
        """A transfer of the bytes at `position` of the frames, or of as many as the device takes at once, of whole
        frames then. Raises MemoryError.
        """
        request = BlockRequest(operation, sector)
        request.offset = position & PAGE_MASK
        most = device.largest_joined_transfer
        if operation == Operation.READ:
            most = min(most, _PIECE)
        runs = 0
        before = -1
        for index in range(position >> PAGE_SHIFT, (position + length + PAGE_MASK) >> PAGE_SHIFT):
            frame = self.frames[index]
            if frame != before + 1:
                runs += 1
            if runs > device.largest_transfer or len(request.frames) >= most:
                break
            before = frame
            request.frames.append(frame)
        request.length = min(length, (len(request.frames) << PAGE_SHIFT) - request.offset)
        return request

    def start(self, cache: FileCache, operation: Operation, runs: Runs, length: int) -> None:
        """Begin to move the first `length` bytes, a multiple of a sector, from or to where the runs say. Holes read as
        zeros. What was begun before is finished. Raises MemoryError, having begun nothing.
        """
        device = cache.store.device()
        self.requests.clear()
        self.starts.clear()
        requests: list[BlockRequest] = []
        position = 0
        for index in range(len(runs.sectors)):
            part = min(runs.lengths[index], length - position)
            if part <= 0:
                break
            sector = runs.sectors[index]
            if sector == HOLE:
                self.clear(position, part)
                position += part
                continue
            end = position + part
            while position < end:
                request = self.request(operation, position, end - position, sector, device)
                requests.append(request)
                self.starts.append(position)
                position += request.length
                sector += request.length >> SECTOR_SHIFT
        self.requests.extend(requests)
        device.hold_back()
        for request in requests:
            try:
                device.start(request)
            except Errno as failure:
                request.finish(failure.code)
        device.let_go()

    def wait(self) -> None:
        """Sleep until everything that was begun is finished. Raises EIO, EROFS."""
        error = 0
        for request in self.requests:
            try:
                request.wait()
            except Errno as failure:
                error = failure.code
        if error != 0:
            raise Errno(error)


def places(store: BackingStore, offset: int, length: int) -> Runs:
    """Where the bytes lie, from `offset` on, in sectors; whole pages are asked for, and cut."""
    first = offset & ~PAGE_MASK
    end = (offset + length + PAGE_MASK) & ~PAGE_MASK
    whole = Runs()
    store.map(first, end - first, whole)
    found = Runs()
    skip = offset - first
    left = length
    for index in range(len(whole.sectors)):
        sector = whole.sectors[index]
        size = whole.lengths[index]
        cut = min(skip, size)
        skip -= cut
        part = min(size - cut, left)
        if part > 0:
            found.add(HOLE if sector == HOLE else sector + (cut >> SECTOR_SHIFT), part)
            left -= part
    return found


def read_direct(cache: FileCache, buffer: Buffer, offset: int) -> int:
    """Read from the device, `offset` being a multiple of its blocks; returns the count. Raises EIO, MemoryError if
    nothing could be read.
    """
    store = cache.store
    done = 0
    bounce = Bounce(cache, buffer.remaining)
    try:
        while buffer.remaining > 0 and not buffer.faulted:
            left = store.size_bytes() - offset
            if left <= 0:
                break
            length = min(buffer.remaining, left, bounce.limit)
            mask = store.device().logical_block_size - 1
            rounded = (length + mask) & ~mask
            bounce.require(rounded)
            cache.write_range(offset >> PAGE_SHIFT, (offset + length + PAGE_MASK) >> PAGE_SHIFT)
            bounce.start(cache, Operation.READ, places(store, offset, rounded), rounded)
            moved = bounce.put(buffer, length)
            done += moved
            offset += moved
            if moved < length:
                break
    except Errno:
        if done == 0:
            raise
    except MemoryError:
        if done == 0:
            raise
    finally:
        bounce.release()
    return done


def write_direct(cache: FileCache, buffer: Buffer, offset: int) -> int:
    """Write to the device, place and length being multiples of its blocks; a file grows. Returns the count. Raises
    ENOSPC, EIO, MemoryError if nothing could be written.
    """
    store = cache.store
    done = 0
    if offset > store.size_bytes():
        cache.zero_tail(store.size_bytes())
    bounce = Bounce(cache, buffer.remaining)
    try:
        while buffer.remaining > 0 and not buffer.faulted:
            moved = _write_part(cache, bounce, buffer, offset)
            if moved == 0:
                break
            done += moved
            offset += moved
    except Errno:
        if done == 0:
            raise
    except MemoryError:
        if done == 0:
            raise
    finally:
        bounce.release()
    return done


def _write_part(cache: FileCache, bounce: Bounce, buffer: Buffer, offset: int) -> int:
    store = cache.store
    length = min(buffer.remaining, bounce.limit)
    cache.write_range(offset >> PAGE_SHIFT, (offset + length + PAGE_MASK) >> PAGE_SHIFT)
    runs = places(store, offset, length)
    has_new_blocks = runs.sectors[0] == HOLE
    if has_new_blocks:
        fresh = _new_blocks(store, offset, length)
        if fresh == 0:
            return _write_through(cache, buffer, offset)
        try:
            store.allocate(offset, fresh)
        except Errno:
            store.give_back()
            return _write_through(cache, buffer, offset)  # as much as there is room for, or the error
        runs = places(store, offset, fresh)
    length = _placed(runs)
    finished = False
    try:
        bounce.require(length)
        length = bounce.take(buffer, length) & ~(store.device().logical_block_size - 1)
        if length > 0:
            bounce.start(cache, Operation.WRITE, runs, length)
            bounce.wait()
        finished = True
    finally:
        if has_new_blocks and not finished:
            store.give_back()
    if offset + length > store.size_bytes():
        store.grow(offset + length)
    if has_new_blocks and buffer.faulted:
        store.give_back()
    cache.renounce(offset >> PAGE_SHIFT, (offset + length + PAGE_MASK) >> PAGE_SHIFT)
    return length


def _placed(runs: Runs) -> int:
    """How many bytes lie on the device before the first hole."""
    length = 0
    for index in range(len(runs.sectors)):
        if runs.sectors[index] == HOLE:
            break
        length += runs.lengths[index]
    return length


def _new_blocks(store: BackingStore, offset: int, length: int) -> int:
    """How many bytes from `offset` on may get new blocks that are written wholly, and that nobody reads before: those
    behind the file's last block.
    """
    unit = store.allocation_unit()
    if unit == 0 or offset & (unit - 1) != 0 or offset < store.size_bytes():
        return 0
    return length & ~(unit - 1)


def _write_through(cache: FileCache, buffer: Buffer, offset: int) -> int:
    """Write within one page through the cache, and bring it to the device."""
    whole = buffer.remaining
    part = min(PAGE_SIZE - (offset & PAGE_MASK), whole)
    buffer.remaining = part
    try:
        moved = file_io.write_at(cache, buffer, offset)
    finally:
        buffer.remaining += whole - part
    cache.write_range(offset >> PAGE_SHIFT, (offset >> PAGE_SHIFT) + 1)
    cache.renounce(offset >> PAGE_SHIFT, (offset >> PAGE_SHIFT) + 1)
    return moved
