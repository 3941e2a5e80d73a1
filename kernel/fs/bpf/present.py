"""Reading memory of the running program where nothing may sleep: as far as it is there.

A page that was never touched, or that was written to a swap area, cannot be read; nor can any of the kernel's.

Context: any; nothing sleeps or allocates.
Source: bpf-helpers(7) (bpf_probe_read_user).
"""

from typing import Final

from arch import USER_END
from arch.programs import PRESENT, entry_frame
from kernel.lang import Span, u8
from kernel.mm.frames import PAGE_MASK, PAGE_SIZE, frame_span
from kernel.mm.space import AddressSpace
from kernel.task.task import current_or_none

_NOT_THERE: Final = -1
_NO_PAGE: Final = -1


def _memory() -> AddressSpace | None:
    """The running program's. One that is just being entered shows nothing of itself yet."""
    task = current_or_none()
    memory = None if task is None else task.memory
    return None if memory is None or memory.is_being_entered else memory


def _is_there(space: AddressSpace, address: int) -> bool:
    return 0 <= address < USER_END and space.pages.entry_of(address) & PRESENT != 0


def read_present(address: int, target: Span[u8]) -> bool:
    """Read bytes. False if they are not all there; some may have been read."""
    space = _memory()
    size = len(target)
    if space is None or not 0 <= address <= USER_END - size:
        return False
    done = 0
    while done < size:
        place = address + done
        if not _is_there(space, place):
            return False
        part = min(size - done, PAGE_SIZE - (place & PAGE_MASK))
        page = frame_span(entry_frame(space.pages.entry_of(place)))
        target[done : done + part].copy_from(page[place & PAGE_MASK : (place & PAGE_MASK) + part])
        done += part
    return True


def read_present_text(address: int, target: Span[u8]) -> int:
    """Read up to a zero byte, or as much as there is room for, then with a zero at the end. Returns how many bytes,
    with that one; -1 if they are not all there.
    """
    space = _memory()
    if space is None or len(target) == 0:
        return _NOT_THERE
    page = _NO_PAGE
    for count in range(len(target)):
        place = address + count
        if page != place & ~PAGE_MASK:
            if not _is_there(space, place):
                return _NOT_THERE
            page = place & ~PAGE_MASK
        byte = frame_span(entry_frame(space.pages.entry_of(page)))[place & PAGE_MASK]
        target.store_u8(count, byte)
        if byte == 0:
            return count + 1
    target.store_u8(len(target) - 1, 0)
    return len(target)
