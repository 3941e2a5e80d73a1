"""The page of a program where displaced instructions run, "[uprobes]" in /proc/PID/maps, and functions return that are
watched.

Its first slot is a breakpoint: the return address of such functions. The others hold a probe's instruction each, from
the first time on that a thread meets the probe; when all are taken, those where no thread makes a step are used anew.
A forked child has the same page.

Context: the running task's exception. May sleep.
"""

from typing import Final

from arch import USER_END
from arch.programs import BREAKPOINT_CODE, SLOT_BYTES
from kernel.lang import EAGAIN, EINVAL, Errno, final, span_of
from kernel.mm.area import MAP_PRIVATE, PROT_EXEC, PROT_READ
from kernel.mm.frames import (
    NO_FRAME,
    PAGE_SIZE,
    Frame,
    allocate_user_frame,
    frame_span,
    get_frame,
    put_frame,
)
from kernel.mm.objects import MemoryObject
from kernel.mm.space import AddressSpace

_SLOTS: Final = PAGE_SIZE // SLOT_BYTES
_FREE: Final = 0


@final
class ProbePage(MemoryObject):
    """The page, as what areas show."""

    def __init__(self) -> None:
        """Raises MemoryError."""
        self.frame: Frame = NO_FRAME
        self.users: int = 0
        self.owners: list[int] = [_FREE] * _SLOTS  # the number of the probe in each slot
        self.steps: list[int] = [0] * _SLOTS  # how many threads make one there
        self.used: int = 1  # slots below this have been used
        self.frame = allocate_user_frame()
        frame_span(self.frame).fill(BREAKPOINT_CODE)

    def page(self, index: int, for_write: bool) -> Frame:
        if index != 0 or for_write:
            raise Errno(EINVAL)
        get_frame(self.frame)
        return self.frame

    def resident(self, index: int) -> Frame:
        return self.frame if index == 0 else NO_FRAME

    def acquire(self) -> None:
        self.users += 1

    def release(self) -> None:
        self.users -= 1
        if self.users == 0:
            frame = self.frame
            self.frame = NO_FRAME
            put_frame(frame)

    def name(self) -> bytes:
        return b"[uprobes]"

    def take_slot(self, number: int, code: bytes) -> int:
        """The slot of a probe, for a step. Raises EAGAIN while there is a step in all."""
        found = 0
        for index in range(1, self.used):
            if self.owners[index] == number:
                found = index
                break
        if found == 0 and self.used < _SLOTS:
            found = self.used
            self.used += 1
        index = 1
        while found == 0:
            if index == _SLOTS:
                raise Errno(EAGAIN)
            if self.steps[index] == 0:
                found = index
            index += 1
        if self.owners[found] != number:
            self.owners[found] = number
            frame_span(self.frame)[found * SLOT_BYTES : (found + 1) * SLOT_BYTES].copy_from(span_of(code))
        self.steps[found] += 1
        return found

    def leave_slot(self, index: int) -> None:
        """The step is done."""
        self.steps[index] -= 1


def probe_page(space: AddressSpace) -> ProbePage | None:
    """The page of a program, if it has one."""
    start = space.layout.probe_page
    area = space.area_at(start) if start != 0 else None
    source = None if area is None or area.start != start else area.source
    return source if isinstance(source, ProbePage) else None


def make_probe_page(space: AddressSpace) -> ProbePage:
    """The same, which is made if there is none. Sleeps. Raises ENOMEM, MemoryError."""
    page = probe_page(space)
    if page is not None:
        return page
    page = ProbePage()
    page.acquire()
    try:
        start = space.map(
            USER_END - PAGE_SIZE, PAGE_SIZE, PROT_READ | PROT_EXEC, MAP_PRIVATE, page, 0, PROT_READ | PROT_EXEC
        )
        found = probe_page(space)
        if found is not None:  # another thread was faster while this slept
            space.unmap(start, PAGE_SIZE)
            return found
        area = space.area_at(start)
        if area is not None and area.source is page:
            area.prot = PROT_EXEC
            area.maximum_prot = PROT_EXEC
            area.dont_dump = True
        space.layout.probe_page = start
        return page
    finally:
        page.release()
