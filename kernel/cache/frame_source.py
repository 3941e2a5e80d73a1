"""Frames for many pages at once: in runs where possible, so that a request has few segments.

Context: never sleeps.
"""

from typing import Final

from kernel.lang import final
from kernel.mm.frames import NO_FRAME, Frame, allocate_user_frame, put_frame, take_user_run

_ORDER: Final = 4
_RUN: Final = 1 << _ORDER


@final
class FrameSource:
    """Gives frames one by one; `close` it in the end."""

    def __init__(self, expected: int) -> None:
        self.expected: int = expected  # how many frames will be taken, at most
        self.next: int = 0
        self.left: int = 0  # in the run that `next` is in

    def take(self) -> Frame:
        """A frame with one reference, contents undefined. Raises MemoryError."""
        if self.left == 0 and self.expected >= _RUN:
            run = take_user_run(_ORDER)
            if run != NO_FRAME:
                self.next = run
                self.left = _RUN
        self.expected -= 1
        if self.left == 0:
            return allocate_user_frame()
        frame = self.next
        self.next += 1
        self.left -= 1
        return Frame(frame)

    def close(self) -> None:
        """Give back what nobody took."""
        while self.left > 0:
            put_frame(Frame(self.next))
            self.next += 1
            self.left -= 1
