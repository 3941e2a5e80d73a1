"""Memory that the kernel and a program both read and write while both run: rings of packets, of events, of requests.

The program may write anything anywhere at any time. So the owner of a ring keeps the state that it relies on (places,
lengths, counts) elsewhere; it reads a word of the ring once, and then checks it. No byte of the ring can lead it
outside the ring.

Context: any; only creating a ring sleeps.
"""

from typing import TYPE_CHECKING, Final

from kernel.lang import Span, final, noraise, u8
from kernel.lib.pace import pace
from kernel.mm.frames import (
    PAGE_MASK,
    PAGE_SHIFT,
    PAGE_SIZE,
    Frame,
    allocate_user_frame,
    available_frame_count,
    frame_span,
    put_frame,
    total_frame_count,
    zero_frame,
)

if TYPE_CHECKING:
    from kernel.mm.pinning import PinnedFrames

_LEFT_SHIFT: Final = 3
_PAGE_COST: Final = 800  # instructions


@final
class RingMemory:
    """Whole pages, addressed by the byte as if they lay one after the other."""

    def __init__(self, size_bytes: int) -> None:
        """Zeros. Raises MemoryError, also if less than an eighth of memory would remain. May sleep."""
        self.frames: list[int] = []
        self.pins: PinnedFrames | None = None  # of the program's own pages, which are these
        page_count = size_bytes >> PAGE_SHIFT
        if page_count > available_frame_count() - (total_frame_count() >> _LEFT_SHIFT):
            raise MemoryError
        try:
            for _ in range(page_count):
                self.add_page()
                pace(_PAGE_COST)
        except MemoryError:
            self.free()
            raise

    def add_page(self) -> None:
        """Make it a page longer. Raises MemoryError."""
        frame = allocate_user_frame()
        zero_frame(frame)
        try:
            self.frames.append(frame)
        except MemoryError:
            put_frame(frame)
            raise

    @noraise
    def free(self) -> None:
        """Drop the ring's own references to the frames."""
        pins = self.pins
        self.pins = None
        if pins is not None:
            pins.release()
            self.frames.clear()
            return
        for frame in self.frames:
            put_frame(Frame(frame))
        self.frames.clear()

    @noraise
    def drop_page(self) -> bool:
        """Drop the ring's own reference to its last page; False if there is none."""
        if len(self.frames) == 0:
            return False
        put_frame(Frame(self.frames.pop()))
        return True

    def size_bytes(self) -> int:
        """How long it is."""
        return len(self.frames) << PAGE_SHIFT

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
