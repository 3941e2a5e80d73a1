"""PROCMAP_QUERY: what /proc/PID/maps shows of one area, by address and in binary (the ioctl of an open maps).

Context: sleeps (user memory, and the first page of a mapped program).
Source: Linux's uapi header linux/fs.h, struct procmap_query.
"""

from typing import Final

from kernel.fs.constants import PATH_MAX
from kernel.fs.procfs.build_id import build_id_of
from kernel.lang import (
    E2BIG,
    EINVAL,
    ENAMETOOLONG,
    ENOENT,
    ESRCH,
    Errno,
    UserAddr,
    bytes_of,
    struct,
    u32,
)
from kernel.lib import user
from kernel.lib.pace import pace
from kernel.mm.area import PROT_EXEC, PROT_READ, PROT_WRITE, Area
from kernel.mm.frames import PAGE_SIZE
from kernel.mm.objects import FixedPages
from kernel.mm.space import AddressSpace

PROCMAP_QUERY: Final = 0xC068_6611

_READABLE: Final = 1
_WRITABLE: Final = 2
_EXECUTABLE: Final = 4
_SHARED: Final = 8
_COVERING_OR_NEXT: Final = 0x10
_FILE_BACKED: Final = 0x20
_RIGHTS: Final = _READABLE | _WRITABLE | _EXECUTABLE | _SHARED
_KNOWN: Final = _RIGHTS | _COVERING_OR_NEXT | _FILE_BACKED
_LEAST_SIZE: Final = 24
_AREA_COST: Final = 300  # instructions, for `pace`


@struct
class _Query:
    """struct procmap_query."""

    size: int
    flags: int
    address: int
    start: int
    end: int
    rights: int
    page_size: int
    offset: int
    inode: int
    device_major: u32
    device_minor: u32
    name_size: u32
    build_id_size: u32
    name: int
    build_id: int


def query_area(space: AddressSpace | None, argument: UserAddr) -> None:
    """Answer a query. Raises EFAULT, E2BIG, EINVAL, ESRCH (the memory has gone), ENOENT, ENAMETOOLONG, MemoryError."""
    query = _Query()
    known = len(bytes_of(query))
    size = user.read_i64(argument)
    if size < 0 or size > PAGE_SIZE:
        raise Errno(E2BIG)
    if size < _LEAST_SIZE:
        raise Errno(EINVAL)
    user.read_into(bytes_of(query)[0 : min(size, known)], argument)
    user.require_zeros(argument, known, size)
    if query.flags & ~_KNOWN != 0:
        raise Errno(EINVAL)
    if (query.name_size == 0) != (query.name == 0) or (query.build_id_size == 0) != (query.build_id == 0):
        raise Errno(EINVAL)
    if space is None or space.users == 0:
        raise Errno(ESRCH)
    space.acquire()
    try:
        area = _matching_area(space, query.address, query.flags)
        name, build_id = _describe(query, area)
    finally:
        space.release()
    if len(name) > 0:
        user.write_bytes(UserAddr(query.name), name)
    if len(build_id) > 0:
        user.write_bytes(UserAddr(query.build_id), build_id)
    user.write_from(argument, bytes_of(query)[0 : min(size, known)])


def _matching_area(space: AddressSpace, address: int, flags: int) -> Area:
    """The area at an address, or the next one if permitted, that has the requested properties. Raises ENOENT."""
    while address >= 0:
        area = space.areas.first_above(address)
        if area is None:
            break
        is_near = flags & _COVERING_OR_NEXT != 0 or area.start <= address
        if is_near and flags & _RIGHTS & ~_rights(area) == 0 and (flags & _FILE_BACKED == 0 or _has_file(area)):
            return area
        if flags & _COVERING_OR_NEXT == 0:
            break
        address = area.end
        pace(_AREA_COST)
    raise Errno(ENOENT)


def _has_file(area: Area) -> bool:
    """Whether the area maps a file; shared anonymous memory counts as one, too."""
    return area.source is not None and not isinstance(area.source, FixedPages)


def _rights(area: Area) -> int:
    rights = _SHARED if area.shared else 0
    rights |= _READABLE if area.prot & PROT_READ != 0 else 0
    rights |= _WRITABLE if area.prot & PROT_WRITE != 0 else 0
    return rights | (_EXECUTABLE if area.prot & PROT_EXEC != 0 else 0)


def _describe(query: _Query, area: Area) -> tuple[bytes, bytes]:
    """Describe an area; returns its name with a NUL and its build id, each empty if not requested or missing. Raises
    ENAMETOOLONG, MemoryError.
    """
    query.start = area.start
    query.end = area.end
    query.rights = _rights(area)
    query.page_size = PAGE_SIZE
    query.offset = 0
    query.inode = 0
    query.device_major = 0
    query.device_minor = 0
    name = area.label
    build_id = b""
    source = area.source
    if source is not None:
        device = source.device_number()
        query.device_major = device >> 8 & 0xFFF
        query.device_minor = device & 0xFF
        query.inode = source.inode_number()
        query.offset = area.offset_of(area.start) if _has_file(area) else 0
        if len(name) == 0:
            name = area.source_name()
        if query.build_id_size > 0 and _has_file(area):
            build_id = build_id_of(source)
    if query.build_id_size > 0:
        if query.build_id_size < len(build_id):
            raise Errno(ENAMETOOLONG)
        query.build_id_size = len(build_id)
    if query.name_size == 0:
        return b"", build_id
    if len(name) > 0:
        name += b"\0"
        if len(name) > min(query.name_size, PATH_MAX):
            raise Errno(ENAMETOOLONG)
    query.name_size = len(name)
    return name, build_id
