"""A block request's frames as the other side of a read or a write: for devices whose bytes lie in a file.

Context: sleeps, because a request may be long.
"""

from typing import Final

from kernel.block.device import BlockRequest
from kernel.lang import Span, final, u8
from kernel.lib.pace import pace
from kernel.lib.user import Buffer
from kernel.mm.frames import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, Frame, frame_span

_PART_COST: Final = 2500  # instructions for a page, with what the file does for it


@final
class FramesBuffer(Buffer):
    """Filled and emptied from the start of the request's bytes."""

    def __init__(self, request: BlockRequest) -> None:
        super().__init__(request.length)
        self.request: BlockRequest = request
        self.position: int = request.offset  # from the start of the first frame

    def _part(self, limit: int) -> Span[u8]:
        within = self.position & PAGE_MASK
        count = min(limit, self.remaining, PAGE_SIZE - within)
        frame = Frame(self.request.frames[self.position >> PAGE_SHIFT])
        self.skip(count)
        return frame_span(frame)[within : within + count]

    def put(self, source: Span[u8]) -> int:
        done = 0
        while done < len(source) and self.remaining > 0:
            part = self._part(len(source) - done)
            part.copy_from(source[done : done + len(part)])
            done += len(part)
            pace(_PART_COST)
        return done

    def take(self, destination: Span[u8]) -> int:
        done = 0
        while done < len(destination) and self.remaining > 0:
            part = self._part(len(destination) - done)
            destination[done : done + len(part)].copy_from(part)
            done += len(part)
            pace(_PART_COST)
        return done

    def skip(self, count: int) -> None:
        self.position += count  # fits: count <= remaining
        self.remaining -= count  # fits: count <= remaining

    def alignment(self) -> int:
        return 0
