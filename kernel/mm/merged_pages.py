"""Merged pages: frames that show equal pages of several programs, read-only, and the table that finds them by contents.

Which pages are merged, and when, says merging.py. A merged frame belongs to those who map it, and to nobody else: the
table has no reference, so the last one that goes frees the frame at once, and takes it out of the table. Nobody writes
to it, whoever has the last reference: a write gets a copy (fault.py). What depends on how often a frame is mapped, as
Pss does, needs no other rule than after a fork.

The table consists of the frames themselves: lists by checksum, linked in the frame table, so that to merge two pages
needs no memory. A tree, ordered by contents, would compare a whole page at each step down, and be turned at each
change; the checksum is there anyway, because it shows which pages change. There is a list of its own for the one
frame that shows pages of zeros while `use_zero_pages` is set, of which there may be any number.

Context: never sleeps, the figures excepted. Source: the page "Kernel Samepage Merging" of Linux's documentation.
"""

from typing import Final

from kernel.lang import final
from kernel.lib.pace import pace, pace_or_end, spend
from kernel.mm.frames import (
    MERGED_PAGES,
    NO_FRAME,
    PAGE_SIZE,
    Frame,
    MergedPageKeeper,
    enter_merged,
    frame_count,
    frame_span,
    get_frame,
    is_merged,
    leave_merged,
    next_in_chain,
    put_frame,
)

_LISTS: Final = 4096
_ZEROS: Final = _LISTS  # the number of the list of the frame for pages of zeros
_MOST_PASSED: Final = 4096  # frames of a list: enough for the equal pages of 4 GiB, with 256 pages a frame
_MOST_COMPARED: Final = 64  # of those, without finding an equal one
_WORD: Final = 8
_HALF: Final = 4
_SUM_BITS: Final = 0xFFFF_FFFF
_FACTOR: Final = 0x0100_0193  # the prime of the hash function FNV-1a of 32 bits
_START: Final = 0x811C_9DC5
# Instructions, for `pace`
_LIST_COST: Final = 20
_FRAME_COST: Final = 20
_EQUAL_COST: Final = 6000


def checksum(frame: Frame) -> int:
    """A number of 32 bits that follows from a frame's contents. Others may write to the frame meanwhile."""
    span = frame_span(frame)
    value = _START
    for offset in range(0, PAGE_SIZE, _HALF):
        value = ((value ^ span.load_u32(offset)) * _FACTOR) & _SUM_BITS
    return value


def _zero_checksum() -> int:
    value = _START
    for _ in range(0, PAGE_SIZE, _HALF):
        value = (value * _FACTOR) & _SUM_BITS
    return value


ZERO_CHECKSUM: Final = _zero_checksum()  # that of a page of zeros


def are_equal(frame: Frame, other: Frame) -> bool:
    """Whether two frames have the same contents."""
    span = frame_span(frame)
    beside = frame_span(other)
    for offset in range(0, PAGE_SIZE, _WORD):
        if span.load_u64(offset) != beside.load_u64(offset):
            return False
    return True


def is_blank(frame: Frame) -> bool:
    """Whether a frame holds zeros only."""
    span = frame_span(frame)
    for offset in range(0, PAGE_SIZE, _WORD):
        if span.load_u64(offset) != 0:
            return False
    return True


def _next_after_pause(frame: Frame, cost: int) -> Frame:
    """The frame after a merged one in its list, after a safe point; NO_FRAME if that one is no longer merged.
    Sleeps. Raises EINTR if the thread is being killed.
    """
    get_frame(frame)
    try:
        pace_or_end(cost)
        return next_in_chain(frame) if is_merged(frame) else NO_FRAME
    finally:
        put_frame(frame)


@final
class MergedTable(MergedPageKeeper):
    """All merged frames."""

    def __init__(self) -> None:
        self.count: int = 0
        self.copies: int = 0  # since the machine came up, because merged pages were written to or separated
        self.gave_up: bool = False  # the last search ended before the end of its list
        self._firsts: list[int] = []  # of the lists; empty until a page may be merged

    def prepare(self) -> None:
        """Before the first frame is entered. Raises MemoryError."""
        if len(self._firsts) == 0:
            self._firsts = [NO_FRAME] * (_LISTS + 1)

    def _first(self, number: int) -> Frame:
        return Frame(self._firsts[number]) if len(self._firsts) > 0 else NO_FRAME

    def zeros(self) -> Frame:
        """The frame that shows pages of zeros, or NO_FRAME."""
        return self._first(_ZEROS)

    def _enter(self, frame: Frame, number: int) -> None:
        enter_merged(frame, self._first(number), number)
        self._firsts[number] = frame
        self.count += 1

    def enter(self, frame: Frame, its_checksum: int) -> None:
        """Let a program's frame be merged from now on. All entries that map it are read-only."""
        self._enter(frame, its_checksum % _LISTS)

    def enter_zeros(self, frame: Frame) -> None:
        """Let it be the frame that shows pages of zeros; there is none."""
        self._enter(frame, _ZEROS)

    def came_free(self, frame: Frame) -> None:
        following = next_in_chain(frame)
        number = leave_merged(frame)
        if number >= 0:
            self._firsts[number] = following
        self.count -= 1

    def find(self, frame: Frame, its_checksum: int, most: int) -> Frame:
        """A merged frame that equals another frame, and has fewer references than `most`; NO_FRAME if there is none.
        A program can give any number of pages one checksum: `gave_up` then says that the list is too long to go on.
        """
        self.gave_up = False
        left = _MOST_PASSED
        compared = 0
        other = self._first(its_checksum % _LISTS)
        while other != NO_FRAME:
            if left == 0 or compared == _MOST_COMPARED:
                self.gave_up = True
                break
            left -= 1
            if frame_count(other) < most:
                if are_equal(frame, other):
                    break
                compared += 1
            other = next_in_chain(other)
        spend((_MOST_PASSED - left) * _FRAME_COST + compared * _EQUAL_COST)
        return NO_FRAME if self.gave_up else other

    def dissolve(self) -> None:
        """Let all frames be ordinary ones, which their programs share as after a fork. Sleeps: the caller ensures that
        nothing is merged meanwhile.
        """
        for number in range(len(self._firsts)):
            while self._first(number) != NO_FRAME:
                self.came_free(self._first(number))
                pace(_FRAME_COST)
            pace(_LIST_COST)

    def shared(self) -> int:
        """How many frames there are, without that of zeros."""
        return self.count if self.zeros() == NO_FRAME else self.count - 1

    def sharing(self) -> int:
        """How many more pages they show than one each. Sleeps."""
        total = 0
        for number in range(len(self._firsts) - 1):
            frame = self._first(number)
            cost = _LIST_COST
            while frame != NO_FRAME:
                total += frame_count(frame) - 1
                frame = next_in_chain(frame)
                cost += _FRAME_COST
            pace(cost)
        return total

    def zero_pages(self) -> int:
        """How many pages are shown by the frame of zeros."""
        zeros = self.zeros()
        return 0 if zeros == NO_FRAME else frame_count(zeros)

    def doubled(self, is_of_frames: bool) -> int:
        """How many contents have several frames, because a frame may show a limited number of pages; or how many
        frames these are. Sleeps. Raises EINTR if the thread is being killed.
        """
        contents = 0
        frames = 0
        for number in range(len(self._firsts) - 1):
            frame = self._first(number)
            while frame != NO_FRAME:
                get_frame(frame)  # it stays where it is, while others run
                try:
                    before = self._equals(self._first(number), frame)
                    following = _next_after_pause(frame, _FRAME_COST)
                finally:
                    put_frame(frame)
                if before > 0:
                    frames += 1
                if before == 1:  # the second one
                    contents += 1
                    frames += 1
                frame = following
            pace(_LIST_COST)
        return frames if is_of_frames else contents

    def _equals(self, frame: Frame, end: Frame) -> int:
        """How many frames of a list, from one on up to another, equal that one. Sleeps. Raises EINTR."""
        found = 0
        while frame != end and frame != NO_FRAME:
            if are_equal(frame, end):
                found += 1
            frame = _next_after_pause(frame, _EQUAL_COST)
        return found


MERGED: Final = MergedTable()
MERGED_PAGES.keeper = MERGED
