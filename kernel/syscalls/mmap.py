"""The areas of an address space: mmap(2), munmap(2), brk(2), mremap(2)."""

from typing import Final

from arch import USER_END
from kernel.doors.table import syscall
from kernel.fs.constants import F_SEAL_FUTURE_WRITE, F_SEAL_WRITE, FS_APPEND_FL, O_ACCMODE, O_RDONLY, O_RDWR, O_WRONLY
from kernel.fs.file import File
from kernel.lang import EACCES, EAGAIN, EINVAL, ENOMEM, EOPNOTSUPP, EPERM, ETXTBSY, Errno, i32
from kernel.lib.capabilities import CAP_IPC_LOCK
from kernel.mm import remap as remapping
from kernel.mm.area import (
    DROPPABLE,
    MAP_ANONYMOUS,
    MAP_DROPPABLE,
    MAP_FIXED,
    MAP_FIXED_NOREPLACE,
    MAP_GROWSDOWN,
    MAP_HUGETLB,
    MAP_LOCKED,
    MAP_NONBLOCK,
    MAP_NORESERVE,
    MAP_POPULATE,
    MAP_PRIVATE,
    MAP_SHARED,
    MAP_SHARED_VALIDATE,
    MAP_SYNC,
    MAP_TYPE,
    PROT_EXEC,
    PROT_READ,
    PROT_WRITE,
)
from kernel.mm.frames import PAGE_MASK, PAGE_SIZE
from kernel.mm.huge_object import HugeObject
from kernel.mm.huge_pool import GIGABYTE_SHIFT, SHIFT_FLAGS, SHIFTS, pool_of, shift_in
from kernel.mm.remap import locked_bytes
from kernel.mm.space import AddressSpace, page_up
from kernel.sched.processor import RUNNING
from kernel.syscalls.descriptor_arguments import file_at
from kernel.task import current
from kernel.task.limits import RLIMIT_MEMLOCK
from kernel.task.observer import TASKS
from kernel.task.personality import readable_as

_PROT_ALL: Final = PROT_READ | PROT_WRITE | PROT_EXEC
# what MAP_SHARED_VALIDATE accepts: every MAP_ bit of Linux 6.12 but MAP_SYNC, added below where it holds; those of
# MAP_UNINITIALIZED and of the sizes of huge pages included
_SHARED_FLAGS: Final = 0x7C1F_F9FF
_LARGEST_UNIT: Final = 1 << GIGABYTE_SHIFT  # of pages of a file


@syscall("mmap", status="Full", args="address size flags:prot flags:map fd offset -> address")
def mmap(address: int, length: int, prot: int, flags: int, fd: i32, offset: int) -> int:
    """mmap(2)."""
    if offset & PAGE_MASK != 0:
        raise Errno(EINVAL)
    if flags & MAP_ANONYMOUS != 0:
        return _map_anonymous(address, length, prot, flags)
    file = file_at(fd)
    return _map_file(file, address, length, prot, flags, offset)


def _map_anonymous(address: int, length: int, prot: int, flags: int) -> int:
    kind = flags & MAP_TYPE
    if length == 0:
        raise Errno(EINVAL)
    if flags & MAP_HUGETLB != 0:
        return _map_huge(address, length, prot, flags)
    if length < 0 or length > USER_END:
        raise Errno(ENOMEM)
    task = current()
    space = task.space
    prot = readable_as(task.process, prot)
    space.check_fixed(address, page_up(length), flags)
    check_lock_limit(space, length, flags)
    if kind not in (MAP_SHARED, MAP_PRIVATE, MAP_DROPPABLE):
        raise Errno(EINVAL)
    if kind != MAP_PRIVATE and flags & MAP_GROWSDOWN != 0:
        raise Errno(EINVAL)
    if kind == MAP_DROPPABLE:
        if flags & MAP_LOCKED != 0:
            raise Errno(EINVAL)
        flags = flags & ~MAP_TYPE | MAP_PRIVATE | MAP_NORESERVE | DROPPABLE
    start = space.map(address, length, prot, flags, None, 0)
    report_mapping(start, length)
    _populate(start, length, flags)
    return start


def _map_huge(address: int, length: int, prot: int, flags: int) -> int:
    """Huge pages without a file."""
    shift = shift_in(flags)
    if shift not in SHIFTS:
        raise Errno(EINVAL)
    if length < 0 or length > USER_END:
        raise Errno(ENOMEM)
    pool = pool_of(shift)
    length = remapping.huge_up(length, 1 << pool.shift)
    return _map_huge_object(HugeObject(length >> shift, pool), address, length, prot, flags)


def _map_huge_object(source: HugeObject, address: int, length: int, prot: int, flags: int) -> int:
    """Map whole huge pages of an object of their own."""
    kind = flags & MAP_TYPE
    task = current()
    space = task.space
    prot = readable_as(task.process, prot)
    space.check_fixed(address, length, flags)
    check_lock_limit(space, length, flags)
    if flags & (MAP_FIXED | MAP_FIXED_NOREPLACE) != 0 and address & (1 << source.shift) - 1 != 0:
        raise Errno(EINVAL)
    if kind == MAP_SHARED_VALIDATE and flags & ~(_SHARED_FLAGS | SHIFT_FLAGS) != 0:
        raise Errno(EOPNOTSUPP)
    if kind not in (MAP_SHARED, MAP_PRIVATE, MAP_SHARED_VALIDATE) or flags & MAP_GROWSDOWN != 0:
        raise Errno(EINVAL)
    start = remapping.place_huge(space, source, address, length, prot, flags, 0, _PROT_ALL)
    report_mapping(start, length)
    _populate(start, length, flags)
    return start


def _map_file(file: File, address: int, length: int, prot: int, flags: int, offset: int) -> int:
    kind = flags & MAP_TYPE
    unit = min(file.inode.mapping_unit(), _LARGEST_UNIT)
    if length == 0 or (flags & MAP_HUGETLB != 0 and unit == PAGE_SIZE):
        raise Errno(EINVAL)
    if length < 0 or length > USER_END:
        raise Errno(ENOMEM)
    length = (length + unit - 1) & -unit
    first_page = file.inode.first_mapped_page(offset, length)
    task = current()
    space = task.space
    if not file.on_noexec_mount():
        prot = readable_as(task.process, prot)
    space.check_fixed(address, length, flags)
    check_lock_limit(space, length, flags)
    if flags & (MAP_FIXED | MAP_FIXED_NOREPLACE) != 0 and address & unit - 1 != 0:
        raise Errno(EINVAL)
    if kind == MAP_SHARED_VALIDATE and flags & ~_SHARED_FLAGS != 0:
        raise Errno(EOPNOTSUPP)
    space.settle()  # nothing sleeps from here to the mapping, so that nobody seals the file
    mode = file.flags & O_ACCMODE
    readable = mode == O_RDONLY or mode == O_RDWR
    writable = mode == O_WRONLY or mode == O_RDWR
    maximum = _PROT_ALL
    if kind == MAP_SHARED or kind == MAP_SHARED_VALIDATE:
        if prot & PROT_WRITE != 0 and not writable:
            raise Errno(EACCES)
        if prot & PROT_WRITE != 0 and file.is_swap_area():
            raise Errno(ETXTBSY)
        if writable and file.inode.flags & FS_APPEND_FL != 0:
            raise Errno(EACCES)
        if not writable or _is_sealed(file):
            maximum &= ~PROT_WRITE
        if prot & ~maximum & PROT_WRITE != 0:
            raise Errno(EPERM)
    elif kind != MAP_PRIVATE:
        raise Errno(EINVAL)
    if not readable:
        raise Errno(EACCES)
    if file.on_noexec_mount():
        if prot & PROT_EXEC != 0:
            raise Errno(EPERM)
        maximum &= ~PROT_EXEC
    if kind == MAP_PRIVATE and file.must_be_shared():
        raise Errno(EINVAL)
    if offset & unit - 1 != 0:
        raise Errno(EINVAL)
    maximum = file.mapping_limit(offset, length, prot, maximum)
    source = file.mapped_part(offset, length)
    if flags & MAP_GROWSDOWN != 0:
        raise Errno(EINVAL)
    flags &= ~MAP_SYNC
    if isinstance(source, HugeObject):
        start = remapping.place_huge(space, source, address, length, prot, flags, offset, maximum)
    else:
        start = space.map(address, length, prot, flags, source, first_page, maximum)
    report_mapping(start, length)
    _populate(start, length, flags)
    return start


def report_mapping(start: int, length: int) -> None:
    """Report a new mapping, or a change of protection, to events (perf_event_open(2))."""
    if RUNNING.is_observed and length > 0:
        TASKS.observer.mapped(current(), start, start + page_up(length))  # fits: it has been mapped


def _is_sealed(file: File) -> bool:
    """Whether no new mapping may be writable (memfd_create(2))."""
    seals = file.inode.seals
    return seals >= 0 and seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE) != 0


def check_lock_limit(space: AddressSpace, length: int, flags: int) -> None:
    """Check whether `length` more bytes may be mapped, if they will be locked. Raises EPERM, EAGAIN."""
    if (flags | space.future_flags) & MAP_LOCKED == 0:
        return
    task = current()
    if task.credentials.capable(CAP_IPC_LOCK):
        return
    limit = task.process.limits.soft[RLIMIT_MEMLOCK]
    if limit == 0 and flags & MAP_LOCKED != 0:
        raise Errno(EPERM)
    if length < 0 or length > limit - min(limit, locked_bytes(space, 0, USER_END)):  # fits: 0 <= locked <= 2**47
        raise Errno(EAGAIN)


def _populate(start: int, length: int, flags: int) -> None:
    """MAP_POPULATE and MAP_LOCKED: fault in now; running out of memory is not reported, as on Linux."""
    space = current().space
    wanted = flags & MAP_LOCKED != 0 or (flags & MAP_POPULATE != 0 and flags & MAP_NONBLOCK == 0)
    if not wanted and not space.future_present:
        return
    try:
        space.populate(start, start + page_up(length))  # fits: it has been mapped
    except Errno:
        return


@syscall("munmap", status="Full", args="address size")
def munmap(address: int, length: int) -> int:
    """munmap(2)."""
    current().space.unmap_aloud(address, length)
    return 0


@syscall("brk", status="Full", args="address")
def brk(address: int) -> int:
    """brk(2): the raw call returns the end of the heap, moved or not."""
    task = current()
    before = task.space.layout.brk_end
    end = task.space.set_brk(address, readable_as(task.process, PROT_READ | PROT_WRITE))
    if RUNNING.is_observed and page_up(end) > page_up(before):
        TASKS.observer.mapped(task, page_up(before), page_up(end))
    return end


@syscall(
    "mremap", status="Full",
    args="address size size flags:MREMAP_MAYMOVE|MREMAP_FIXED|MREMAP_DONTUNMAP address -> address",
)  # fmt: skip
def mremap(old: int, old_length: int, new_length: int, flags: int, new: int) -> int:
    """mremap(2)."""
    return remapping.remap(current().space, old, old_length, new_length, flags, new)
