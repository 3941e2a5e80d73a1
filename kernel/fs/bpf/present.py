"""Reading memory of programs where nothing may sleep: as far as it is there.

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
from kernel.task.task import Task, current_or_none

_NOT_THERE: Final = -1


def shown_memory(task: Task) -> AddressSpace | None:
    """The memory that a task's registers belong to. While it executes another program they are still the old one's, and
    would choose what is shown of the new one, into which one may not look perhaps.
    """
    memory = task.memory
    return None if memory is None or memory.is_being_entered else memory


def is_present(space: AddressSpace, address: int) -> bool:
    """Whether a page of a program is in memory."""
    return 0 <= address < USER_END and space.pages.entry_of(address) & PRESENT != 0


def present_part(space: AddressSpace, address: int, most: int) -> Span[u8]:
    """What is in memory at an address, up to the end of its page, which is there; `most` bytes at most."""
    start = address & PAGE_MASK
    page = frame_span(entry_frame(space.pages.entry_of(address)))
    return page[start : start + min(most, PAGE_SIZE - start)]


def copy_present(space: AddressSpace, address: int, target: Span[u8]) -> int:
    """Read bytes up to the first that is not there. Returns how many."""
    done = 0
    while done < len(target) and is_present(space, address + done):
        part = present_part(space, address + done, len(target) - done)
        target[done : done + len(part)].copy_from(part)
        done += len(part)
    return done


def _own_memory() -> AddressSpace | None:
    """The running program's."""
    task = current_or_none()
    return None if task is None else shown_memory(task)


def read_present(address: int, target: Span[u8]) -> bool:
    """Read bytes of the running program. False if they are not all there; some may have been read."""
    space = _own_memory()
    return space is not None and copy_present(space, address, target) == len(target)


def read_present_text(address: int, target: Span[u8]) -> int:
    """Read up to a zero byte, or as much as there is room for, then with a zero at the end. Returns how many bytes,
    with that one; -1 if they are not all there.
    """
    space = _own_memory()
    size = len(target)
    if space is None or size == 0:
        return _NOT_THERE
    done = 0
    while done < size:
        if not is_present(space, address + done):
            return _NOT_THERE
        part = present_part(space, address + done, size - done)
        for at in range(len(part)):
            byte = part[at]
            target.store_u8(done + at, byte)
            if byte == 0:
                return done + at + 1
        done += len(part)
    target.store_u8(size - 1, 0)
    return size
