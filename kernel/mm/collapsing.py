"""MADV_COLLAPSE: single pages of anonymous memory become a large one (large_pages.py), because the program asks for it.

The contents are copied. Nobody may write to the old pages meanwhile, which takes longer than a stretch: so the space is
held, its entries are made read-only, and whoever wants to write waits. What may be written to past the entries (a frame
that a device fills, or that another's copy holds) is left alone.

Context: sleeps.
Source: madvise(2).
"""

from typing import Final

from arch.programs import (
    DIRTY,
    PRESENT,
    PRIVATE,
    WRITABLE,
    WRITE_WATCHED,
    entry_frame,
    is_swapped,
    read_entry,
    write_entry,
)
from kernel.lang import EAGAIN, EINTR, EINVAL, EIO, ENOMEM, Errno
from kernel.lib.pace import is_dying, pace, pace_bytes, spend
from kernel.mm.area import PROT_WRITE, Area
from kernel.mm.fault import Access, FaultOutcome, entry_flags
from kernel.mm.frames import (
    HUGE_FRAMES,
    NO_FRAME,
    PAGE_SIZE,
    Frame,
    copy_frame,
    frame_count,
    is_pinned,
    put_frame,
    put_frame_row,
    zero_frame,
)
from kernel.mm.huge_pool import HUGE_MASK, HUGE_SHIFT, HUGE_SIZE
from kernel.mm.large_pages import LARGE_PAGES, holds_whole, may_be_large, take_row
from kernel.mm.space import AddressSpace

_BLOCK_COST: Final = 40_000
_LOOK_COST: Final = 40_000
_DONE: Final = 0
_NO_TABLE: Final = -1


def collapse(space: AddressSpace, start: int, end: int) -> None:
    """Let the whole blocks of 2 MiB in a range be large pages. Raises EINVAL (memory that cannot be, or nothing of a
    block is mapped), ENOMEM (no large page is free), EAGAIN (a page is in use otherwise), after all blocks of the area
    were tried.
    """
    while start < end:
        area = space.settled_area(start, end)
        if area is None:
            return
        stop = min(end, area.end)
        if not may_be_large(space, area) or not holds_whole(area) or not area.has_own_pages:
            raise Errno(EINVAL)
        first = (max(start, area.start) + HUGE_MASK) & ~HUGE_MASK
        end_block = stop & ~HUGE_MASK
        if first > end_block:
            raise Errno(EINVAL)
        done = 0
        last_error = EINVAL
        for block in range(first, end_block, HUGE_SIZE):
            error = _collapse_block(space, block)
            if error == _DONE:
                done += 1
            else:
                last_error = EINVAL if error == _NO_TABLE else error
            if error in (ENOMEM, _NO_TABLE):
                break
            if is_dying():
                raise Errno(EINTR)
        if done != (end_block - first) >> HUGE_SHIFT:
            raise Errno(last_error)
        start = stop


def _collapse_block(space: AddressSpace, block: int) -> int:
    """Returns an error, _DONE or _NO_TABLE."""
    if space.pages.find_large(block) != 0:
        return _DONE
    head = take_row(is_wanted=True)
    if head == NO_FRAME:
        LARGE_PAGES.not_collapsed += 1
        return ENOMEM
    is_used = False
    error = EAGAIN
    try:
        if space.pages.swapped > 0:
            _read_slots(space, block)
    except (Errno, MemoryError):
        put_frame_row(head)
        return EAGAIN
    space.settle()
    area = space.area_at(block)
    space.hold()
    try:
        if area is None or not may_be_large(space, area) or area.start > block or block + HUGE_SIZE > area.end:
            error = EINVAL
        elif space.pages.find_large(block) != 0:
            error = _DONE
        else:
            error = _forbid_writes(space, block)
            if error == _DONE:
                holders = _holders(space, block)
                _copy(space, block, head)
                # Whoever has come to hold a frame since then would not see what is written to the copy.
                error = _replace(space, area, block, head) if _holders(space, block) == holders else EAGAIN
                is_used = error == _DONE
    except MemoryError:
        error = ENOMEM
    finally:
        space.let_go()
        if not is_used:
            put_frame_row(head)
    pace(_BLOCK_COST)
    return error


def _read_slots(space: AddressSpace, block: int) -> None:
    """Bring the pages of a block back that lie in swap areas, as far as there are any. Raises EIO, MemoryError."""
    address = block
    while address < block + HUGE_SIZE and not is_dying():
        area = space.area_at(address)
        if area is None or not is_swapped(space.pages.entry_of(address)):
            address += PAGE_SIZE
            continue
        outcome = space.touch(address, Access.READ)
        if outcome == FaultOutcome.NO_MEMORY:
            raise MemoryError
        if outcome != FaultOutcome.DONE:
            raise Errno(EIO)
        pace(_LOOK_COST)


def _forbid_writes(space: AddressSpace, block: int) -> int:
    """See whether the pages of a block may be replaced, and let nobody write to them. Returns an error, or _DONE; or
    _NO_TABLE where nothing was mapped, but something was nearby: as on Linux, the rest of the range is then left alone.
    """
    if not space.pages.has_table(block):
        return _NO_TABLE if space.pages.has_upper_tables(block) else EINVAL
    slot = space.pages.find(block)
    is_written = False
    for i in range(HUGE_FRAMES):
        entry = read_entry(slot + 8 * i)
        if entry == 0:
            continue
        if entry & (PRESENT | PRIVATE | WRITE_WATCHED) != PRESENT | PRIVATE:
            return EINVAL
        frame = entry_frame(entry)
        if is_pinned(frame) or (entry & WRITABLE != 0 and frame_count(frame) != 1):
            return EAGAIN
        if entry & WRITABLE != 0:
            is_written = True
    if not is_written:
        return EINVAL
    for i in range(HUGE_FRAMES):
        entry = read_entry(slot + 8 * i)
        if entry & WRITABLE != 0:
            write_entry(slot + 8 * i, entry & ~WRITABLE)
    space.pages.flush_range(block, block + HUGE_SIZE)
    return _DONE


def _holders(space: AddressSpace, block: int) -> int:
    """How many references the frames of a block have, all together. Never sleeps."""
    count = 0
    for address in range(block, block + HUGE_SIZE, PAGE_SIZE):
        entry = space.pages.entry_of(address)
        if entry & PRESENT != 0:
            count += frame_count(entry_frame(entry))
    spend(_LOOK_COST)
    return count


def _copy(space: AddressSpace, block: int, head: Frame) -> None:
    for i in range(HUGE_FRAMES):
        entry = space.pages.entry_of(block + i * PAGE_SIZE)
        if entry & PRESENT != 0:
            copy_frame(Frame(head + i), entry_frame(entry))
        else:
            zero_frame(Frame(head + i))
        pace_bytes(2 * PAGE_SIZE)


def _replace(space: AddressSpace, area: Area, block: int, head: Frame) -> int:
    """Map the copy instead of the pages. Returns an error, or _DONE. Raises MemoryError, with nothing changed."""
    slot = space.pages.find(block)
    old: list[int] = []
    for i in range(HUGE_FRAMES):
        entry = read_entry(slot + 8 * i)
        is_kept = entry & (PRESENT | PRIVATE | WRITABLE) == PRESENT | PRIVATE and not is_pinned(entry_frame(entry))
        if entry != 0 and not is_kept:
            return EAGAIN  # it broke, or is watched, since it was copied
        old.append(entry)
    for i in range(HUGE_FRAMES):
        write_entry(slot + 8 * i, 0)
    space.pages.flush_range(block, block + HUGE_SIZE)  # no processor may know the pages by both sizes
    is_done = False
    try:
        flags = WRITABLE | DIRTY if area.prot & PROT_WRITE != 0 else 0
        space.pages.enter_large(block, head, entry_flags(area) | PRIVATE | flags)
        is_done = True
    finally:
        if not is_done:
            for i in range(HUGE_FRAMES):
                write_entry(slot + 8 * i, old[i])
    for entry in old:
        if entry != 0:
            put_frame(entry_frame(entry))
            space.resident -= 1
    space.resident += HUGE_FRAMES
    space.peak_resident = max(space.peak_resident, space.resident)
    LARGE_PAGES.collapsed += 1
    return _DONE
