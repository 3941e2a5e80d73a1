"""mlock(2), munlock(2), mlockall(2)."""

from typing import Final

from arch import USER_END
from kernel.doors.table import syscall
from kernel.lang import EINVAL, ENOMEM, EPERM, Errno, i32
from kernel.lib.capabilities import CAP_IPC_LOCK
from kernel.lib.pace import is_dying
from kernel.mm import remap as remapping
from kernel.mm.area import DROPPABLE, MAP_LOCKED
from kernel.mm.frames import PAGE_SHIFT
from kernel.mm.ranges import USER_PAGES, pages_between, pages_of, whole_pages
from kernel.mm.remap import locked_bytes
from kernel.mm.space import AddressSpace, each_area
from kernel.task import current
from kernel.task.limits import RLIMIT_MEMLOCK, UNLIMITED

_MCL_CURRENT: Final = 1
_MCL_FUTURE: Final = 2
_MCL_ONFAULT: Final = 4
_MLOCK_ONFAULT: Final = 1


@syscall("mlock", status="Full", args="address size")
def mlock(address: int, length: int) -> int:
    """mlock(2)."""
    _lock(address, length, now=True)
    return 0


@syscall("mlock2", status="Full", args="address size flags:MLOCK_ONFAULT")
def mlock2(address: int, length: int, flags: i32) -> int:
    """mlock2(2)."""
    if flags & ~_MLOCK_ONFAULT != 0:
        raise Errno(EINVAL)
    _lock(address, length, flags & _MLOCK_ONFAULT == 0)
    return 0


def _lock(address: int, length: int, now: bool) -> None:
    _check_may_lock()
    first, end_page = pages_of(address, length)
    task = current()
    space = task.space
    if not task.credentials.capable(CAP_IPC_LOCK):
        locked = locked_bytes(space, 0, USER_END)
        if first < end_page:
            locked -= locked_bytes(space, min(first, USER_PAGES) << PAGE_SHIFT, min(end_page, USER_PAGES) << PAGE_SHIFT)
        limit = task.process.limits.soft[RLIMIT_MEMLOCK]
        if limit != UNLIMITED and pages_between(first, end_page) + (locked >> PAGE_SHIFT) > limit >> PAGE_SHIFT:
            raise Errno(ENOMEM)
    start, end = whole_pages(address, length)
    if start < end:
        remapping.lock(space, start, end, now)


def _check_may_lock() -> None:
    task = current()
    if not task.credentials.capable(CAP_IPC_LOCK) and task.process.limits.soft[RLIMIT_MEMLOCK] == 0:
        raise Errno(EPERM)


@syscall("munlock", status="Full", args="address size")
def munlock(address: int, length: int) -> int:
    """munlock(2)."""
    start, end = whole_pages(address, length)
    if start < end:
        remapping.unlock(current().space, start, end)
    return 0


@syscall("mlockall", status="Full", args="flags:MCL_CURRENT|MCL_FUTURE|MCL_ONFAULT")
def mlockall(flags: i32) -> int:
    """mlockall(2)."""
    if flags == 0 or flags & ~(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) != 0 or flags == _MCL_ONFAULT:
        raise Errno(EINVAL)
    _check_may_lock()
    task = current()
    space = task.space
    if flags & _MCL_CURRENT != 0 and not task.credentials.capable(CAP_IPC_LOCK):
        if space.mapped_bytes > task.process.limits.soft[RLIMIT_MEMLOCK]:
            raise Errno(ENOMEM)
    space.future_flags = MAP_LOCKED if flags & _MCL_FUTURE != 0 else 0
    space.future_present = flags & (_MCL_FUTURE | _MCL_ONFAULT) == _MCL_FUTURE
    if flags & _MCL_CURRENT != 0:
        for area in each_area(space):
            if not area.is_huge and area.flags & DROPPABLE == 0:
                area.flags |= MAP_LOCKED
        if flags & _MCL_ONFAULT == 0:
            _populate_all(space)
    return 0


def _populate_all(space: AddressSpace) -> None:
    """As far as possible: failures are not reported. The areas may change while this sleeps."""
    for area in each_area(space):
        try:
            space.populate(area.start, area.end)
        except Errno:
            if is_dying():
                return


@syscall("munlockall", status="Full", args="")
def munlockall() -> int:
    """munlockall(2)."""
    space = current().space
    space.future_flags = 0
    space.future_present = False
    for area in each_area(space):
        area.flags &= ~MAP_LOCKED
    return 0
