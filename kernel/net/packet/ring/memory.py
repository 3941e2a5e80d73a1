"""The memory of a packet socket's rings that a program maps.

The only words that the kernel reads back from it are those by which a slot or block changes hands, and in transmit
rings the lengths and offsets, each once, and then checked (kernel/mm/ring_memory.py).

Context: system calls and `Tap.saw`; only creating a ring sleeps.
"""

from typing import Final

from kernel.fs.file import File
from kernel.lang import EIO, Errno, final
from kernel.mm.frames import NO_FRAME, PAGE_SHIFT, Frame, get_frame
from kernel.mm.objects import MemoryObject
from kernel.mm.ring_memory import RingMemory

_SOCKET_DEVICE: Final = 8  # sockfs, as in /proc/PID/maps


@final
class MappedAreas:
    """The number of areas that map the rings of a socket: while there are any, rings are neither created nor freed."""

    def __init__(self) -> None:
        self.count: int = 0


@final
class RingMapping(MemoryObject):
    """The object that mmap(2) maps: the receive ring, then the transmit ring. While an area maps it, it keeps the
    socket open, and the socket keeps its rings. Before that they may end: then it has no pages.
    """

    def __init__(self, socket: File, areas: MappedAreas, first: RingMemory | None, second: RingMemory | None) -> None:
        self._socket: File = socket
        self._areas: MappedAreas = areas
        self._first: RingMemory | None = first
        self._second: RingMemory | None = second
        self._in_first: int = 0 if first is None else len(first.frames)  # pages
        self._page_count: int = self._in_first + (0 if second is None else len(second.frames))

    def size_bytes(self) -> int:
        return self._page_count << PAGE_SHIFT

    def link_count(self) -> int:
        return 1

    def page(self, index: int, for_write: bool) -> Frame:
        frame = self.resident(index)
        if frame == NO_FRAME:
            raise Errno(EIO)
        get_frame(frame)
        return frame

    def resident(self, index: int) -> Frame:
        memory = self._first if index < self._in_first else self._second
        at = index if index < self._in_first else index - self._in_first
        if memory is None or not 0 <= at < len(memory.frames):
            return NO_FRAME
        return Frame(memory.frames[at])

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
