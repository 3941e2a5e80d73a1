"""The memory side of a direct transfer: the frames that a device reaches, and the requests that move them.

A program's memory is transferred from and to the program's own pages, which are pinned meanwhile. Memory of
the kernel, and pieces that are no multiples of the device's blocks, are copied through frames of their own instead.

    memory.gather(buffer, length); memory.transfer(runs, length); memory.deliver(buffer, length); memory.release()

A transfer moves ranges of bytes, each of which begins somewhere in a frame and goes on through the frames that follow
it on the list. One request takes as many of them as the device can move at once: a range may follow another in it
where the page ends with the one and begins with the other.

Context: sleeps. Before `release` has waited for the device, no frame is given back.
"""

from typing import Final

from kernel.block.device import SECTOR_SHIFT, BlockDevice, BlockRequest, Operation
from kernel.block.frames_buffer import FramesBuffer
from kernel.cache.frame_source import FrameSource
from kernel.cache.store import HOLE, Runs
from kernel.lang import Errno, final
from kernel.lib.user import Buffer
from kernel.mm.frames import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, Frame, frame_span, put_frame
from kernel.mm.pinning import PinnedFrames

LARGEST: Final = 256 << PAGE_SHIFT  # bytes that are gathered at a time


@final
class DirectMemory:
    """The memory of one call."""

    def __init__(self, device: BlockDevice, operation: Operation, buffer: Buffer) -> None:
        self.device: BlockDevice = device
        self.operation: Operation = operation
        self.has_ended: bool = False  # memory to be gathered turned out to be inaccessible
        self._block_mask: int = device.logical_block_size - 1
        self._copies: bool = buffer.user_piece()[1] == 0 or buffer.alignment() & self._block_mask != 0
        self._pinned: PinnedFrames = PinnedFrames(operation == Operation.READ)
        # The ranges: where their frames begin on the list, where they begin in the first one, and their bytes.
        self._firsts: list[int] = []
        self._offsets: list[int] = []
        self._lengths: list[int] = []
        self._range: int = 0  # the requests made so far end in this range,
        self._within: int = 0  # that many bytes from its start
        self._requests: list[BlockRequest] = []  # under way or finished

    # ---- Frames -----------------------------------------------------------------------------------------------

    def gather(self, buffer: Buffer, length: int) -> int:
        """Gather frames for the next `length` bytes of the buffer; for a write, with the bytes. Returns how many it
        gathered, a multiple of the device's blocks: fewer, with `faulted` set, where the program's memory ends. Raises
        MemoryError.
        """
        if isinstance(buffer, FramesBuffer):
            return self._lend(buffer, length)
        if self._copies:
            return self._copy(buffer, length)
        done = 0
        while done < length:
            address, there = buffer.user_piece()
            part = min(there, length - done)
            first = len(self._pinned.frames)
            reached = self._pinned.pin(address, part) & ~self._block_mask
            if reached > 0:
                self._add_range(first, address & PAGE_MASK, reached)
            buffer.skip(reached)
            done += reached
            if reached < part:
                buffer.faulted = True
                self.has_ended = True
                break
        return done

    def _add_range(self, first: int, offset: int, length: int) -> None:
        self._firsts.append(first)
        self._offsets.append(offset)
        self._lengths.append(length)

    def _lend(self, buffer: FramesBuffer, length: int) -> int:
        """Lend the frames of another request."""
        offset = buffer.position & PAGE_MASK
        first = buffer.position >> PAGE_SHIFT
        for index in range(first, (buffer.position + length + PAGE_MASK) >> PAGE_SHIFT):
            self._pinned.hold(Frame(buffer.request.frames[index]))
        self._add_range(0, offset, length)
        buffer.skip(length)
        return length

    def _copy(self, buffer: Buffer, length: int) -> int:
        """Copy through frames of the call's own."""
        count = (length + PAGE_MASK) >> PAGE_SHIFT
        source = FrameSource(count)
        try:
            for _ in range(count):
                frame = source.take()
                try:
                    self._pinned.hold(frame)
                finally:
                    put_frame(frame)
        finally:
            source.close()
        if self.operation == Operation.WRITE:
            done = 0
            while done < length and not buffer.faulted:
                part = min(PAGE_SIZE, length - done)
                done += buffer.take(frame_span(Frame(self._pinned.frames[done >> PAGE_SHIFT]))[0:part])
            length = done & ~self._block_mask
        if length > 0:
            self._add_range(0, 0, length)
        return length

    def clear_end(self, count: int) -> None:
        """Zero the last bytes that were gathered, fewer than a block, after the transfer: the file has no such bytes,
        whatever lies on the disk.
        """
        if count > 0:
            end = self._offsets[-1] + self._lengths[-1]
            frame = self._pinned.frames[self._firsts[-1] + ((end - 1) >> PAGE_SHIFT)]
            within = (end - 1 & PAGE_MASK) + 1
            frame_span(Frame(frame))[within - count : within].fill(0)

    def deliver(self, buffer: Buffer, length: int) -> int:
        """The first `length` bytes have been read: hand them to the reader, which has them already if the frames are
        its own memory. Returns how many it took.
        """
        if not self._copies or isinstance(buffer, FramesBuffer):
            return length
        done = 0
        while done < length:
            part = min(PAGE_SIZE, length - done)
            moved = buffer.put(frame_span(Frame(self._pinned.frames[done >> PAGE_SHIFT]))[0:part])
            done += moved
            if moved < part:
                break
        return done

    def wait(self) -> None:
        """Sleep until the device is done with everything, well or not."""
        for request in self._requests:
            while not request.is_finished():
                request.waiters.wait_for_disk()

    def release(self) -> None:
        """Give everything back, once the device is done with it."""
        self.wait()
        self._requests.clear()
        self._pinned.release()
        self._firsts.clear()
        self._offsets.clear()
        self._lengths.clear()
        self._range = 0
        self._within = 0

    # ---- Requests ---------------------------------------------------------------------------------------------

    def transfer(self, runs: Runs, length: int) -> None:
        """Move the first `length` bytes of the runs, at most what was gathered; holes read as zeros. Returns when the
        device is done. Raises EIO, EROFS, MemoryError.
        """
        requests: list[BlockRequest] = []
        for index in range(len(runs.sectors)):
            sector = runs.sectors[index]
            left = min(runs.lengths[index], length)
            length -= left
            if sector == HOLE:
                self._clear(left)
                continue
            while left > 0:
                request = self._next_request(sector, left)
                requests.append(request)
                sector += request.length >> SECTOR_SHIFT
                left -= request.length
        self._requests = requests
        self.device.hold_back()
        try:
            for request in requests:
                try:
                    self.device.start(request)
                except Errno as failure:
                    request.finish(failure.code)
        finally:
            self.device.let_go()
        for request in requests:
            request.wait()

    def _next_request(self, sector: int, length: int) -> BlockRequest:
        """A transfer of the next `length` bytes, or as many of them as fit into one request. Raises MemoryError."""
        request = BlockRequest(self.operation, sector)
        request.offset = self._offsets[self._range] + self._within & PAGE_MASK
        segments = 0
        before = -1
        while True:
            start = self._offsets[self._range] + self._within
            part = min(self._lengths[self._range] - self._within, length - request.length)
            first = self._firsts[self._range]
            index = first + (start >> PAGE_SHIFT)
            end = first + ((start + part + PAGE_MASK) >> PAGE_SHIFT)
            room = min(end - index, self.device.largest_joined_transfer - len(request.frames))
            for frame in self._pinned.frames[index : index + room]:
                if frame != before + 1:
                    if segments == self.device.largest_transfer:
                        break
                    segments += 1
                before = frame
                request.frames.append(frame)
                index += 1
            moved = min(part, max(0, (index - first << PAGE_SHIFT) - start))
            self._advance(moved)
            request.length += moved
            is_full = moved < part or request.length == length
            if is_full or start + part & PAGE_MASK != 0 or self._offsets[self._range] != 0:
                return request

    def _advance(self, count: int) -> None:
        """The next `count` bytes of the present range are done."""
        self._within += count
        if self._within == self._lengths[self._range]:
            self._range += 1
            self._within = 0

    def _clear(self, length: int) -> None:
        """Zero the next `length` bytes."""
        while length > 0:
            start = self._offsets[self._range] + self._within
            within = start & PAGE_MASK
            part = min(PAGE_SIZE - within, self._lengths[self._range] - self._within, length)
            frame = self._pinned.frames[self._firsts[self._range] + (start >> PAGE_SHIFT)]
            frame_span(Frame(frame))[within : within + part].fill(0)
            self._advance(part)
            length -= part
