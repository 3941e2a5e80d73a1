"""mprotect(2), pkey_mprotect(2)."""

from typing import Final

from kernel.doors.table import syscall
from kernel.lang import EINVAL, ENOMEM, Errno, i32
from kernel.mm.area import MAP_GROWSDOWN, PROT_EXEC, PROT_GROWSDOWN, PROT_GROWSUP, PROT_READ, PROT_WRITE, Area
from kernel.mm.frames import PAGE_MASK, PAGE_SHIFT
from kernel.mm.protection_keys import NO_KEY
from kernel.mm.ranges import USER_PAGES, pages_of
from kernel.mm.space import AddressSpace
from kernel.syscalls.mmap import report_mapping
from kernel.task import current
from kernel.task.personality import readable_as

_PROT_ALL: Final = PROT_READ | PROT_WRITE | PROT_EXEC
_PROT_SEM: Final = 8


@syscall("mprotect", status="Full", args="address size flags:prot")
def mprotect(address: int, length: int, prot: int) -> int:
    """mprotect(2)."""
    return _protect(address, length, prot, NO_KEY)


@syscall("pkey_mprotect", status="Full", args="address size flags:prot pkey")
def pkey_mprotect(address: int, length: int, prot: int, key: i32) -> int:
    """pkey_mprotect(2)."""
    return _protect(address, length, prot, key)


def _protect(address: int, length: int, prot: int, key: int) -> int:
    grows = prot & (PROT_GROWSDOWN | PROT_GROWSUP)
    if grows == PROT_GROWSDOWN | PROT_GROWSUP or address & PAGE_MASK != 0:
        raise Errno(EINVAL)
    if length == 0:
        return 0
    first, end_page = pages_of(address, length)
    if end_page <= first:
        raise Errno(ENOMEM)
    if prot & ~(_PROT_ALL | _PROT_SEM | PROT_GROWSDOWN | PROT_GROWSUP) != 0:
        raise Errno(EINVAL)
    task = current()
    space = task.space
    if key != NO_KEY and not space.own_keys().has(key):
        raise Errno(EINVAL)
    area = None if grows == 0 else _area_that_grows(space, grows, first, end_page)
    if end_page > USER_PAGES:
        raise Errno(ENOMEM)
    if area is not None:
        length += address - area.start  # fits: both are of user memory
        address = area.start
    space.protect(address, length, prot & _PROT_ALL, key, run_what_is_read=readable_as(task.process, prot) != prot)
    report_mapping(address, length)
    return 0


def _area_that_grows(space: AddressSpace, grows: int, first: int, end_page: int) -> Area:
    """That of PROT_GROWSDOWN or PROT_GROWSUP: the first in a range of pages, for the latter at its start. Raises ENOMEM
    if there is none, EINVAL if it does not grow; upwards, none does.
    """
    area: Area | None = None
    if first < USER_PAGES:
        start = first << PAGE_SHIFT
        area = space.areas.first_above(start) if grows == PROT_GROWSDOWN else space.area_at(start)
    if area is None or area.start >> PAGE_SHIFT >= end_page:
        raise Errno(ENOMEM)
    if grows == PROT_GROWSUP or area.flags & MAP_GROWSDOWN == 0:
        raise Errno(EINVAL)
    return area
