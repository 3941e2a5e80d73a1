"""Broken memory: a frame that must no longer be used leaves page tables, the page cache and the allocator for good.

Nothing here hears of broken memory from the machine; an administrator says it of a page (madvise(2), MADV_HWPOISON), or
asks for its contents to lie elsewhere before it breaks (MADV_SOFT_OFFLINE).

What breaks is unmapped everywhere. What nobody can have back is lost: memory of programs, files in memory, what was
written to a file and is not on its disk yet. Whoever touches it gets SIGBUS with BUS_MCEERR_AR; the file's read(2) and
write(2) answer EIO where it keeps the broken page, and its next fsync(2) where it does not. A clean page of a file on a
disk is dropped, and read again; a file in memory and shared memory keep the broken page. Whoever breaks a page of its
own that is lost gets the signal at once; others that have it get BUS_MCEERR_AO if they asked for that (prctl(2),
PR_MCE_KILL), or vm.memory_failure_early_kill says so for those who did not.

Deviations: whether a page of a file in memory was ever written to is not known, so a page of zeros is taken for one
that was not: it is as lost, but no signal comes before it is touched. VmRSS and statm count a broken page until it is
unmapped; smaps does not. Of a file of 9P or FUSE, the first fsync(2) or msync(2) alone reports the loss.

Context: sleeps. Source: madvise(2), prctl(2), sigaction(2), proc_sys_vm(5).
"""

from typing import Final

from arch.programs import PRIVATE, read_entry
from kernel.lang import EBUSY, EINTR, EOPNOTSUPP, EPERM, Errno, panic
from kernel.lib import log
from kernel.lib.capabilities import CAP_SYS_ADMIN
from kernel.lib.pace import is_dying, pace
from kernel.lib.settings import SystemSetting
from kernel.mm.broken import BROKEN
from kernel.mm.exchange import (
    Places,
    allow_writes_at,
    exchange_at,
    exchange_in_areas,
    exchange_in_space,
    forbid_writes_at,
    is_used,
    note_areas,
    shows,
)
from kernel.mm.fault import Access
from kernel.mm.foreign import frame_behind
from kernel.mm.frames import (
    PAGE_MASK,
    PAGE_SIZE,
    Frame,
    allocate_user_frame,
    condemn_frame,
    copy_frame,
    frame_count,
    frame_span,
    is_pinned,
    put_frame,
)
from kernel.mm.objects import Loss, TrackedObject
from kernel.mm.reverse_map import protect_pages, unmap_frame
from kernel.mm.space import SPACES, AddressSpace
from kernel.mm.swap_slots import SWAP
from kernel.task.parts import PR_MCE_KILL_DEFAULT, PR_MCE_KILL_EARLY
from kernel.task.pid_namespace import FIRST_PID
from kernel.task.pids import find_process
from kernel.task.process import Process
from kernel.task.send import force, send_to_task
from kernel.task.siginfo import from_broken_memory
from kernel.task.signals import BUS_MCEERR_AO, BUS_MCEERR_AR
from kernel.task.task import Task

_EARLY_KILL: Final = SystemSetting(b"vm/memory_failure_early_kill", [0], 0, 1)
_RECOVERY: Final = SystemSetting(b"vm/memory_failure_recovery", [1], 0, 1)
_SOFT_OFFLINE: Final = SystemSetting(b"vm/enable_soft_offline", [1], 0, 1)

_PAGE_COST: Final = 12_000  # instructions for a page, for `pace`
_PROCESS_COST: Final = 400
_SPACE_COST: Final = 100
_WORD: Final = 8
_NO_WARNING: Final = "memory failure: no memory to warn a process, which finds out when it touches the page"


def break_pages(task: Task, start: int, end: int, is_soft: bool) -> None:
    """MADV_HWPOISON, or with `is_soft` MADV_SOFT_OFFLINE, of the pages of a range, one after the other. Raises EPERM,
    EFAULT (nothing is there, or what is broken already), EBUSY (a page of the kernel's, a huge one, or one of a file
    that a device or the kernel works on), EOPNOTSUPP (vm.enable_soft_offline is off), EINTR, ENOMEM, MemoryError: what
    lies below the place that is in the way has been done.
    """
    if not task.credentials.capable(CAP_SYS_ADMIN):
        raise Errno(EPERM)
    page = start
    while page < end:
        done = False
        while not done:
            frame = frame_behind(task.space, page, Access.READ, by_force=False)
            try:
                _check_is_small(task.space, page)
                done = _move(task.space, page, frame) if is_soft else _fail(task, page, frame)
            finally:
                put_frame(frame)
            pace(_PAGE_COST)
            if is_dying():
                raise Errno(EINTR)
        page += PAGE_SIZE


def _check_is_small(space: AddressSpace, page: int) -> None:
    """Raise EBUSY for a part of a huge page, which is never divided."""
    area = space.area_at(page)
    if area is not None and area.is_huge:
        raise Errno(EBUSY)


def _object_of(space: AddressSpace, page: int) -> TrackedObject | None:
    """Whose page a mapped one is; None for the program's own. Raises EBUSY for what nobody can be without."""
    area = space.area_at(page)
    if area is None:
        raise Errno(EBUSY)
    source = area.source
    if source is None or read_entry(space.pages.find(page)) & PRIVATE != 0:
        return None
    if not isinstance(source, TrackedObject):
        raise Errno(EBUSY)
    return source


def _index_of(space: AddressSpace, page: int) -> int:
    area = space.area_at(page)
    assert area is not None, "the page is mapped"
    return area.index_of(page)


# ---- Broken ---------------------------------------------------------------------------------------------------------


def _fail(task: Task, page: int, frame: Frame) -> bool:
    """A mapped page, to whose frame the caller holds a reference, is broken. False: look at it again."""
    space = task.space
    source = _object_of(space, page)
    if _RECOVERY.value == 0:
        panic(f"memory failure at frame {frame}")
    info = from_broken_memory(BUS_MCEERR_AR, page & ~PAGE_MASK)
    others = Places()
    if source is None:
        BROKEN.add(frame)
        condemn_frame(frame)
        cached = SWAP.find_frame(frame)
        if cached is not None and not cached.is_busy() and not cached.is_dirty:
            SWAP.leave(cached)  # who uses the slot reads it again
        exchange_at(space, page, frame, BROKEN.stand_in)
        force(task, info)
        _exchange_everywhere(frame, BROKEN.stand_in, others)
        _warn_others(others, space)
        return True
    index = _index_of(space, page)
    if source.settle_page(index):
        return False
    _check_few_map(source)
    note_areas(source, index, others)
    BROKEN.add(frame)
    loss = source.lose_page(index, frame)
    if loss == Loss.REFUSED:
        BROKEN.withdraw(frame)
        raise Errno(EBUSY)
    condemn_frame(frame)
    if loss == Loss.CLEAN:
        unmap_frame(source, index, frame)
    else:
        exchange_in_areas(source, index, frame, BROKEN.stand_in)
    if loss == Loss.DIRTY or (loss == Loss.KEPT and not _is_blank(frame)):
        force(task, info)
        _warn_others(others, space)
    return True


def _check_few_map(source: TrackedObject) -> None:
    """Raise EBUSY for a page of an object that very many areas map: it cannot be taken from all of them at once."""
    if source.is_crowded():
        raise Errno(EBUSY)


def _is_blank(frame: Frame) -> bool:
    """Whether a frame holds zeros only."""
    span = frame_span(frame)
    for offset in range(0, PAGE_SIZE, _WORD):
        if span.load_u64(offset) != 0:
            return False
    return True


def _exchange_everywhere(frame: Frame, other: Frame, found: Places | None) -> None:
    """Take a frame that belongs to programs alone from all of them. The caller holds a reference, and another one is
    kept for good; further ones are of devices, and do not matter. Allocates nothing but for `found`. Sleeps. A thread
    that is being killed gives up: nobody gets the frame anew, but those who have it keep it.
    """
    is_complete = False
    while frame_count(frame) > 2 and not is_complete:
        is_complete = True
        space = SPACES.first()
        if space is not None:
            space.acquire()
        while space is not None:
            wanted = frame_count(frame) > 2 and not is_dying()
            address = exchange_in_space(space, frame, other) if wanted else -1
            if address >= 0:
                if found is not None:
                    _note(found, space, address)
                is_complete = False  # it may have been forked meanwhile: look once more
            following = space.after()
            if following is not None:
                following.acquire()
            space.release()
            space = following
            pace(_SPACE_COST)


def _note(found: Places, space: AddressSpace, address: int) -> None:
    try:
        found.add(space, address)
    except MemoryError:
        log.warn(_NO_WARNING)


# ---- Who hears of it ------------------------------------------------------------------------------------------------


def _warn_others(places: Places, own: AddressSpace) -> None:
    """Send BUS_MCEERR_AO to the processes that asked for early warning. The caller was signalled already."""
    if len(places.spaces) == 0:
        return
    number = FIRST_PID.processes.following(0)
    while number >= 0:
        process = find_process(FIRST_PID.resolve(number))
        if process is not None:
            _warn(process, places, own)
        pace(_PROCESS_COST)
        number = FIRST_PID.processes.following(number + 1)


def _warn(process: Process, places: Places, own: AddressSpace) -> None:
    task = _thread_to_warn(process)
    space = None if task is None else task.memory
    if task is None or space is None or space is own:
        return
    address = places.address_in(space)
    if address < 0 or task.memory is not space:
        return  # it may have gone on to another program meanwhile
    try:
        send_to_task(task, from_broken_memory(BUS_MCEERR_AO, address))
    except (Errno, MemoryError):
        log.warn(_NO_WARNING)


def _thread_to_warn(process: Process) -> Task | None:
    """The first of a process's threads that asked for early warning."""
    for task in process.threads.values():
        policy = task.settings.memory_failure_policy
        if policy == PR_MCE_KILL_EARLY or (policy == PR_MCE_KILL_DEFAULT and _EARLY_KILL.value != 0):
            return task
    return None


# ---- To be used no more ---------------------------------------------------------------------------------------------


def _move(space: AddressSpace, page: int, frame: Frame) -> bool:
    """Let a mapped page, to whose frame the caller holds a reference, lie in another frame. False: look at it again."""
    if _SOFT_OFFLINE.value == 0:
        raise Errno(EOPNOTSUPP)
    other = allocate_user_frame()  # first of all: this may sleep
    try:
        if not shows(space, page, frame):
            return False
        source = _object_of(space, page)
        if is_pinned(frame):
            raise Errno(EBUSY)
        if source is None:
            _move_own(space, page, frame, other)
            return True
        index = _index_of(space, page)
        if source.settle_page(index):
            return False
        _check_few_map(source)
        _move_of_object(source, index, frame, other)
        return True
    finally:
        put_frame(other)


def _move_own(space: AddressSpace, page: int, frame: Frame, other: Frame) -> None:
    """A program's own page. Where forks share it nobody may write to it, so its contents stay as they are while others
    run. Raises EBUSY where the swap cache has it, for those who use its slot.
    """
    if SWAP.find_frame(frame) is not None:
        raise Errno(EBUSY)
    BROKEN.add(frame)
    condemn_frame(frame)
    was_writable = forbid_writes_at(space, page, frame)
    copy_frame(other, frame)
    exchange_at(space, page, frame, other)
    if was_writable:
        allow_writes_at(space, page, other)
    _exchange_everywhere(frame, other, None)


def _move_of_object(source: TrackedObject, index: int, frame: Frame, other: Frame) -> None:
    """A page of a memory object. Raises EBUSY where somebody uses it now, beside those who map it."""
    if is_used(source, index, frame):
        raise Errno(EBUSY)
    BROKEN.add(frame)
    protect_pages(source, index, index + 1)
    copy_frame(other, frame)
    if not source.move_page(index, frame, other):
        BROKEN.withdraw(frame)
        raise Errno(EBUSY)
    condemn_frame(frame)
    exchange_in_areas(source, index, frame, other)
