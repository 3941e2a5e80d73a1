"""The memory of a ring: frames that the kernel and a program both read and write.

The program may write anything anywhere at any time. So the kernel keeps what it goes by (places, lengths, counts) for
itself; the only words that it reads back are those by which a slot or block changes hands, and in rings for sending
the lengths and offsets, each once, which are checked then. No byte of the ring can lead it out of the ring.

Context: system calls and `Tap.saw`; nothing sleeps.
"""

from typing import Final

from kernel.fs.file import File
from kernel.lang import EIO, Errno, Span, final, noraise, u8
from kernel.mm.frames import (
    NO_FRAME,
    PAGE_MASK,
    PAGE_SHIFT,
    PAGE_SIZE,
    Frame,
    allocate_user_frame,
    available_frame_count,
    frame_span,
    get_frame,
    put_frame,
    zero_frame,
)
from kernel.mm.objects import MemoryObject

_SOCKET_DEVICE: Final = 8  # sockfs, as in /proc/PID/maps


@final
class RingMemory:
    """Whole pages, addressed by the byte as if they lay behind one another."""

    def __init__(self, size_bytes: int) -> None:
        """Zeros. Raises MemoryError; there is no other bound, as on Linux."""
        self.frames: list[int] = []
        page_count = size_bytes >> PAGE_SHIFT
        if page_count > available_frame_count():
            raise MemoryError
        try:
            for _ in range(page_count):
                self._add_frame()
        except MemoryError:
            self.free()
            raise

    def _add_frame(self) -> None:
        frame = allocate_user_frame()
        zero_frame(frame)
        try:
            self.frames.append(frame)
        except MemoryError:
            put_frame(frame)
            raise

    @noraise
    def free(self) -> None:
        """The ring's own use of the frames ends."""
        for frame in self.frames:
            put_frame(Frame(frame))
        self.frames.clear()

    def load(self, at: int) -> int:
        """The 32-bit word at a place that is a multiple of 4."""
        return frame_span(Frame(self.frames[at >> PAGE_SHIFT])).load_u32(at & PAGE_MASK)

    def store(self, at: int, word: int) -> None:
        frame_span(Frame(self.frames[at >> PAGE_SHIFT])).store_u32(at & PAGE_MASK, word)

    def write(self, at: int, data: Span[u8]) -> None:
        """Copy bytes into the ring."""
        done = 0
        while done < len(data):
            place = at + done
            part = min(len(data) - done, PAGE_SIZE - (place & PAGE_MASK))
            page = frame_span(Frame(self.frames[place >> PAGE_SHIFT]))
            page[place & PAGE_MASK : (place & PAGE_MASK) + part].copy_from(data[done : done + part])
            done += part

    def read(self, at: int, data: Span[u8]) -> None:
        """Copy bytes out of the ring."""
        done = 0
        while done < len(data):
            place = at + done
            part = min(len(data) - done, PAGE_SIZE - (place & PAGE_MASK))
            page = frame_span(Frame(self.frames[place >> PAGE_SHIFT]))
            data[done : done + part].copy_from(page[place & PAGE_MASK : (place & PAGE_MASK) + part])
            done += part


@final
class MappedAreas:
    """How many areas map the rings of a socket: while there are any, rings neither come nor go."""

    def __init__(self) -> None:
        self.count: int = 0


@final
class RingMapping(MemoryObject):
    """What mmap(2) maps: the ring for receiving, and behind it the one for sending. While an area maps it, it keeps the
    socket open, and the socket keeps its rings.
    """

    def __init__(self, socket: File, areas: MappedAreas, first: RingMemory | None, second: RingMemory | None) -> None:
        self._socket: File = socket
        self._areas: MappedAreas = areas
        self._frames: list[int] = []
        if first is not None:
            self._frames.extend(first.frames)
        if second is not None:
            self._frames.extend(second.frames)

    def size_bytes(self) -> int:
        return len(self._frames) << PAGE_SHIFT

    def link_count(self) -> int:
        return 1

    def page(self, index: int, for_write: bool) -> Frame:
        if not 0 <= index < len(self._frames):
            raise Errno(EIO)
        frame = Frame(self._frames[index])
        get_frame(frame)
        return frame

    def resident(self, index: int) -> Frame:
        return Frame(self._frames[index]) if 0 <= index < len(self._frames) else NO_FRAME

    def acquire(self) -> None:
        self._socket.acquire()
        self._areas.count += 1

    def release(self) -> None:
        self._areas.count -= 1
        self._socket.release()

    def name(self) -> bytes:
        return b"socket:[" + f"{self._socket.inode.ino}".encode() + b"]"

    def inode_number(self) -> int:
        return self._socket.inode.ino

    def device_number(self) -> int:
        return _SOCKET_DEVICE
