"""Frames whose memory is broken (kernel/task/memory_failure.py): which they are, and what page tables have for them.

A broken frame is never given to anybody again: one reference to it is kept for good. The entries that mapped it name
`stand_in` instead, a frame that nobody reads, with STANDS_IN, and are neither PRESENT nor HIDDEN: fork, mremap and
munmap treat them as they treat any page, and a program that touches the page gets SIGBUS (AddressSpace.is_broken). A
memory object that has no disk keeps a broken frame as its page until that page is dropped, and answers EHWPOISON.

Context: any. Source: the page "hwpoison" of Linux's documentation, madvise(2).
"""

from typing import Final

from arch.programs import HIDDEN, POISONED, PRESENT, STANDS_IN
from kernel.lang import final
from kernel.mm.frames import NO_FRAME, Frame, allocate_zeroed_frame


@final
class BrokenFrames:
    """All that there are."""

    def __init__(self) -> None:
        self.count: int = 0
        self.frames: dict[int, bool] = {}
        self.stand_in: Frame = NO_FRAME  # allocated with the first, and kept

    def add(self, frame: Frame) -> None:
        """A frame is broken. Raises MemoryError, with nothing changed."""
        if self.stand_in == NO_FRAME:
            self.stand_in = allocate_zeroed_frame()
        self.frames[frame] = True
        self.count = len(self.frames)

    def withdraw(self, frame: Frame) -> None:
        """The frame stays in use after all. Raises nothing."""
        del self.frames[frame]
        self.count = len(self.frames)


BROKEN: Final = BrokenFrames()


def is_broken(frame: Frame) -> bool:
    """Whether a frame is broken."""
    return BROKEN.count != 0 and frame in BROKEN.frames


def names_broken(entry: int) -> bool:
    """Whether a page table's entry stands for a broken page, or one that is to look so (POISONED)."""
    return entry & (PRESENT | HIDDEN) == 0 and entry & (STANDS_IN | POISONED) != 0
