"""Memory that devices access directly: frames that are held while a transfer is under way (O_DIRECT).

A frame on the list has one more reference, so whatever happens to the mapping that it was found in (munmap, the end of
the process, truncation of a mapped file, reclaim), it is not reused before `release`. If the device writes to memory,
the reference is a pin, and the frame stays with the mapping: fork copies it for the child, and no write fault copies it
because of the pin. When the device is done, a page of a shared mapping is reported to its source once more: it was
dirty when it was pinned, but may have been written back before the device wrote to it.

Context: `pin` may sleep, as a page fault may; `release` never does.
"""

from collections.abc import Callable
from typing import Final

from arch.programs import LEAF_TABLE_BYTES, PRESENT, WRITABLE, entry_frame, read_entry
from kernel.lang import final
from kernel.mm.fault import Access, FaultOutcome
from kernel.mm.frames import PAGE_MASK, PAGE_SIZE, Frame, get_frame, pin_frame, put_frame, unpin_frame
from kernel.mm.objects import MemoryObject
from kernel.mm.space import AddressSpace


class Caller:
    """Finds the address space of the running program; entered by the package of tasks."""

    def __init__(self) -> None:
        self.find: Callable[[], AddressSpace | None] | None = None


CALLER: Final = Caller()


@final
class SharedPages:
    """Pages of a memory object that are on the list: `count` frames from the one at `position` on are its pages from
    `index` on.
    """

    def __init__(self, source: MemoryObject, index: int, position: int, count: int) -> None:
        self.source: MemoryObject = source
        self.index: int = index
        self.position: int = position
        self.count: int = count


@final
class PinnedFrames:
    """Frames in the order in which their bytes were pinned."""

    def __init__(self, device_writes: bool) -> None:
        self.frames: list[int] = []
        self.device_writes: bool = device_writes
        self._shared: list[SharedPages] = []

    def hold(self, frame: Frame) -> None:
        """Put a frame at the end. Raises MemoryError."""
        self.frames.append(frame)
        try:
            if self.device_writes:
                pin_frame(frame)
            else:
                get_frame(frame)
        except MemoryError:
            self.frames.pop()
            raise

    def pin(self, address: int, length: int) -> int:
        """Append the frames behind a range of the running program's memory; returns how many bytes could be reached
        before an inaccessible page. Raises MemoryError.
        """
        find = CALLER.find
        space = find() if find is not None else None
        if space is None:
            return 0
        access = Access.WRITE if self.device_writes else Access.READ
        wanted = PRESENT | WRITABLE if self.device_writes else PRESENT
        end = address + length
        page = address & ~PAGE_MASK
        while page < end:
            if space.keys is not None and space.forbids(page, is_write=self.device_writes):
                break
            reached = self._pin_run(space, page, end, wanted)
            if reached == page and (self._is_secret(space, page) or space.touch(page, access) != FaultOutcome.DONE):
                break
            page = reached
        return max(0, min(page, end) - address)

    def _is_secret(self, space: AddressSpace, page: int) -> bool:
        area = space.area_at(page)
        return area is not None and area.source is not None and area.source.is_secret()

    def _pin_run(self, space: AddressSpace, start: int, end: int, wanted: int) -> int:
        """Pin consecutive pages within one area and one page table, up to one that is not accessible yet; returns its
        address. Never sleeps. Raises MemoryError.
        """
        is_huge = space.pages.find_large(start) != 0
        slot = 0 if is_huge else space.pages.find(start)
        area = space.area_at(start)
        is_huge = is_huge or (slot == 0 and space.pages.find_huge(start) != 0)
        if (slot == 0 and not is_huge) or area is None or (area.source is not None and area.source.is_secret()):
            return start
        end = min(end, area.end, (start & ~(LEAF_TABLE_BYTES - 1)) + LEAF_TABLE_BYTES)
        first = len(self.frames)
        page = start
        while page < end:
            entry = space.pages.entry_of(page) if is_huge else read_entry(slot)
            if entry & wanted != wanted:
                break
            self.hold(entry_frame(entry))
            page += PAGE_SIZE
            slot += 8
        source = area.source
        if self.device_writes and area.shared and source is not None and page > start:
            self._shared.append(SharedPages(source, area.index_of(start), first, len(self.frames) - first))
        return page

    def release(self) -> None:
        """The device is done with all of them."""
        for pages in self._shared:
            for i in range(pages.count):
                pages.source.device_wrote(pages.index + i, Frame(self.frames[pages.position + i]))
        self._shared.clear()
        if self.device_writes:
            for frame in self.frames:
                unpin_frame(Frame(frame))
        else:
            for frame in self.frames:
                put_frame(Frame(frame))
        self.frames.clear()
