"""/proc/PID/pagemap: a word for each page of a process's address space (proc_pid_pagemap(5)).

Bits: 63 the page is there, 62 it lies in a swap area, is broken (kernel/mm/broken.py) or a mark stands in its place,
61 it is one of a file or of shared memory, 56 nobody else maps it, 55 it may have been written to since somebody asked
(always, for nobody can ask); the lowest 55 the frame's number, or the swap area's with the page in it above, or what
Linux shows of a mark, for those who had CAP_SYS_ADMIN when they opened the file. A page that is not there has bit 55
alone, and none where nothing is mapped. The file's one command is PAGEMAP_SCAN (pagemap_scan.py).

Context: sleeps. The description refers to the memory that the process had when it was opened.
"""

from typing import Final

from arch import USER_END
from arch.programs import POISONED, PRIVATE, WRITE_WATCHED, entry_frame, entry_slot, is_swapped, names_frame
from kernel.fs.constants import SEEK_CUR, SEEK_SET
from kernel.fs.file import File
from kernel.fs.path import Path
from kernel.fs.procfs.entries import PositionedFile
from kernel.fs.procfs.pagemap_scan import SCAN, scan
from kernel.fs.procfs.process_memory import living_memory_of
from kernel.fs.procfs.subject import Subject
from kernel.lang import EINVAL, ENOTTY, Errno, UserAddr, final, span_of, u64
from kernel.lib.capabilities import CAP_SYS_ADMIN
from kernel.lib.credentials import caller_credentials
from kernel.lib.pace import is_dying, pace
from kernel.lib.saturation import wrapped_sum
from kernel.lib.user import Buffer
from kernel.mm.area import Area
from kernel.mm.broken import names_broken
from kernel.mm.frames import HUGE_FRAMES, PAGE_SHIFT, Frame, frame_count, huge_mappings
from kernel.mm.space import AddressSpace
from kernel.mm.swap_slots import area_of, page_of
from kernel.mm.userfault import WRITE_PROTECT

_WORD: Final = 8
_AT_ONCE: Final = 64  # words
_COST: Final = 6000  # instructions for that many, for `pace`
_PAGES: Final = USER_END >> PAGE_SHIFT

_OTHERS: Final = 1 << 55
_EXCLUSIVE: Final = 1 << 56
_PROTECTED: Final = 1 << 57  # writes are left to a userfaultfd
_OF_FILE: Final = 1 << 61
_SWAPPED: Final = 1 << 62
_BROKEN: Final = _SWAPPED  # among pages that have been swapped out
_AREA_BITS: Final = 5
_THERE: Final = -(1 << 63)
_WATCHING_MARK: Final = 31 | 1 << 5  # in place of a frame: Linux's number for marks, and the kind
_POISON_MARK: Final = 31 | 2 << 5


@final
class PagemapFile(PositionedFile):
    """An open pagemap. It does not keep the address space alive."""

    def __init__(self, path: Path, flags: int, space: AddressSpace, shows_frames: bool) -> None:
        super().__init__(path, flags)
        self.space: AddressSpace = space
        self.shows_frames: bool = shows_frames

    def takes_any_offset(self) -> bool:
        return True

    def ioctl(self, command: int, argument: int) -> int:
        if command != SCAN:
            raise Errno(ENOTTY)
        return scan(self.space, UserAddr(argument))

    def seek(self, offset: int, whence: int) -> int:
        if whence == SEEK_CUR:
            offset = wrapped_sum(self.position, offset)
        elif whence != SEEK_SET:
            raise Errno(EINVAL)
        self.position = offset
        return offset

    def pread(self, buffer: Buffer, offset: int) -> int:
        space = self.space
        if space.users == 0:
            return 0
        if offset % _WORD != 0 or buffer.remaining % _WORD != 0:
            raise Errno(EINVAL)
        page = offset // _WORD
        if page < 0:
            return 0
        words = bytearray(_AT_ONCE * _WORD)
        done = 0
        space.acquire()
        try:
            while buffer.remaining > 0 and not buffer.faulted and page < _PAGES and not is_dying():
                count = min(_AT_ONCE, buffer.remaining // _WORD, _PAGES - page)
                self._fill(words, page, count)
                done += buffer.put(span_of(words)[0 : count * _WORD])
                page += count
                pace(_COST)
        finally:
            space.release()
        return done

    def _fill(self, words: bytearray, page: int, count: int) -> None:
        """The words of `count` pages."""
        space = self.space
        span = span_of(words)
        area: Area | None = None
        for place in range(count):
            address = page + place << PAGE_SHIFT
            if area is None or address >= area.end:
                area = space.areas.first_above(address)
            value = 0 if area is None or address < area.start else self._word(area, address)
            span.store_u64(place * _WORD, u64(value))

    def _word(self, area: Area, address: int) -> int:
        entry = self.space.pages.entry_of(address)
        if not names_frame(entry):
            return self._mark_word(area, entry)
        if names_broken(entry):
            return _BROKEN | _OTHERS
        frame = entry_frame(entry)
        own = area.source is None or entry & PRIVATE != 0
        value = _THERE | _OTHERS
        if not own:
            value |= _OF_FILE
        if entry & WRITE_WATCHED != 0 and area.fault_modes & WRITE_PROTECT != 0:
            value |= _PROTECTED
        if area.is_huge:
            users = huge_mappings(Frame(frame & ~(HUGE_FRAMES - 1)))
        else:
            users = frame_count(frame) - (0 if own else 1)  # a memory object has its own reference
        if users <= 1:
            value |= _EXCLUSIVE
        return value | frame if self.shows_frames else value

    def _mark_word(self, area: Area, entry: int) -> int:
        """That of a page without a frame. As on Linux, less is shown of marks in place of huge pages."""
        is_watched = entry & WRITE_WATCHED != 0 and area.fault_modes & WRITE_PROTECT != 0
        value = _OTHERS | (_PROTECTED if is_watched else 0)
        if is_swapped(entry):
            slot = entry_slot(entry)
            place = area_of(slot) | page_of(slot) << _AREA_BITS
            return value | _SWAPPED | (place if self.shows_frames else 0)
        if area.is_huge or (entry & POISONED == 0 and not is_watched):
            return value
        mark = _WATCHING_MARK if is_watched else _POISON_MARK
        return value | _BROKEN | (mark if self.shows_frames else 0)


def open_pagemap(path: Path, flags: int, subject: Subject) -> File:
    """open(2) of a process's pagemap, for callers that may inspect it."""
    who = caller_credentials()
    return PagemapFile(path, flags, living_memory_of(subject), who is not None and who.capable(CAP_SYS_ADMIN))


