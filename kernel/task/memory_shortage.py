"""Out of memory: the process that holds most of it is killed (proc(5), oom_score_adj).

The measure is what the end of the process frees: its pages and page tables, its threads' stacks, rings for samples
that it maps, and the kernel memory held for its descriptors: pipes, sockets with the contents of their queues, unnamed
files in memory. Linux counts only the first; there a program can have the kernel hold memory, and others are
killed for it.

A thread handles a shortage on its way to user mode, when an allocation failed or the heap has begun on the kernel's
reserve (`relieve`); a page fault that finds no memory does so at once. First everything reclaimable goes: caches,
dead objects, and what `RESCUERS` find. One process at a time is killed. If its memory does not come back within
`_PATIENCE_NS`, or was not enough, the next one is. The first process is never killed: it waits.

If no process holds much, many small ones hold the memory together: then the victim is the largest of the user whose
processes hold most, and not the largest of all, which may be another user's shell.

Context: thread context. Allocates nothing. Sleeps: what the rescuers find is closed, and looking at very many processes
or descriptors takes safe points. One thread looks at a time.
"""

from collections.abc import Callable
from typing import Final

from kernel.fs.descriptors import FileTable
from kernel.lang import Errno, final, noraise
from kernel.lib import log
from kernel.lib.pace import pace, spend
from kernel.lib.pid import FIRST
from kernel.mm.frames import (
    SHORTAGE,
    available_frame_count,
    free_frame_count,
    has_ordinary_run,
    make_room,
    missing_frame_count,
    total_frame_count,
)
from kernel.sched import sleep_until, yield_now
from kernel.sched.scheduler import request_reschedule
from kernel.sched.stacks import STACK_SIZE
from kernel.sched.strain import begin_to_lack_memory, end_lack_of_memory
from kernel.task.exit import end_process
from kernel.task.pid_namespace import FIRST_PID
from kernel.task.pids import next_process
from kernel.task.process import Process
from kernel.task.send import break_off_dump
from kernel.task.signals import SIGKILL
from kernel.task.task import Task
from kernel.time.clock import monotonic_ns

# Instructions, for `pace`
_LOOK_COST: Final = 100
_THREAD_COST: Final = 10
_NEVER: Final = -1000
_PATIENCE_NS: Final = 500_000_000  # how long a killed process may take to give its memory back
_WAIT_NS: Final = 10_000_000
_SWAP_WAITS: Final = 1000  # each ends with some progress, or after a while
_ROOM_COST: Final = 200_000  # instructions
_ROOM: Final = 64  # frames to free beyond what the reserve lacks
_PAGE_SHIFT: Final = 12
_THREAD_PAGES: Final = 5  # a kernel stack that has not grown, and a task with its registers
_AREA_BYTES: Final = 192
_INSTRUCTION_SHIFT: Final = 3
_MUCH_SHIFT: Final = 4  # a sixteenth of memory
_MOST_USERS: Final = 32
ANYBODY: Final = -1


class Rescuer:
    """Finds memory that is no longer reachable, if finding it may sleep. Base class."""

    @noraise
    def rescue(self) -> None:
        """Free what it finds."""


RESCUERS: Final[list[Rescuer]] = []


@final
class GroupRelief:
    """Handles a control group over its memory limit: group_shortage.py registers it."""

    def __init__(self) -> None:
        self.relieve: Callable[[Task], None] | None = None
        self.relieve_briefly: Callable[[Task], bool] | None = None


GROUP_RELIEF: Final = GroupRelief()


@final
class Counts:
    """Numbers the counts of memory: an object shared by several threads records the one in which it was met last."""

    def __init__(self) -> None:
        self.last: int = 0
        self.is_choosing: bool = False  # a thread is looking for the process that holds most, with safe points
        self.awaits_end: bool = False  # it has met one that is ending by itself


COUNTS: Final = Counts()


@noraise
def measure_files(process: Process) -> None:
    """Find out what the descriptors of a process hold, before its `badness` is asked for. Sleeps if there are many:
    the process may be gone afterwards. Of two threads that do this at a time, the later one looks again.
    """
    COUNTS.last += 1
    count = COUNTS.last
    files = _unmeasured_files(process, count)
    while files is not None:
        files.measure(count)
        files = _unmeasured_files(process, count)


def _unmeasured_files(process: Process, count: int) -> FileTable | None:
    """A table of a process that this count has not looked through: its threads may have more than one."""
    for task in process.threads.values():
        spend(_THREAD_COST)
        files = task.file_table
        if files is not None and files.measured < count:
            return files
    return None


def held_pages(process: Process) -> int:
    """About how many pages the end of the process frees. `measure_files` has found out what its descriptors hold."""
    task = process.any_thread()
    if task is None:
        return 0
    pages = len(process.threads) * _THREAD_PAGES
    memory = task.memory
    held_bytes = 0
    if memory is not None:
        pages += memory.resident + memory.pages.swapped + memory.pages.table_count + memory.ring_pages
        held_bytes += memory.areas.count * _AREA_BYTES
        contexts = memory.contexts
        if contexts is not None:
            held_bytes += contexts.held_bytes()
    COUNTS.last += 1
    for each in process.threads.values():
        held_bytes += _held_by_thread(each, COUNTS.last)
    return pages + (held_bytes >> _PAGE_SHIFT)


def _held_by_thread(task: Task, count: int) -> int:
    """Bytes that threads of one process may own or share, except those already met in this count. Other
    processes may share it, too.
    """
    stack = task.stack
    held_bytes = 0 if stack is None else max(0, stack.top - stack.base - STACK_SIZE)
    domain = task.credentials.domain
    while domain is not None and domain.counted != count:
        domain.counted = count
        held_bytes += domain.held_bytes
        domain = domain.outer
    filters = task.call_filter
    while filters is not None and filters.counted != count:
        filters.counted = count
        held_bytes += len(filters.program) << _INSTRUCTION_SHIFT
        filters = filters.previous
    observation = task.observation
    if observation is not None:
        held_bytes += observation.held_bytes()
    undos = task.semaphore_undos
    if undos is not None and undos.counted != count:
        undos.counted = count
        held_bytes += undos.held_bytes
    files = task.file_table
    if files is not None and files.counted != count:
        files.counted = count
        held_bytes += files.held_bytes
    work = task.async_work
    if work is not None:
        held_bytes += work.held_bytes(count)
    return held_bytes


def badness(process: Process, most: int = 1 << 51) -> int:
    """Pages that killing a process would free, moved by its adjustment: thousandths of memory, or of `most` pages that
    a control group may have. Negative: not to be killed.
    """
    if process.pid == FIRST or process.shortage.adjustment <= _NEVER or process.any_thread() is None:
        return -1
    return max(0, held_pages(process) + process.shortage.adjustment * min(total_frame_count(), most) // 1000)


def _is_ending(process: Process) -> bool:
    """Whether a process is ending by itself: not while it dumps core, which may take long."""
    dump = process.dump
    return process.ending.is_exiting and (dump is None or dump.is_broken_off)


def is_on_its_way(process: Process) -> bool:
    """Whether the memory of an ending process may still be expected. Until then no other is killed."""
    now_ns = monotonic_ns()
    if process.shortage.awaited_ns == 0:
        process.shortage.awaited_ns = now_ns
    return now_ns - process.shortage.awaited_ns < _PATIENCE_NS


@final
class Holders:
    """How many pages the processes of each user hold; of the first users met, if there are very many."""

    def __init__(self) -> None:
        self._uids: list[int] = [0] * _MOST_USERS
        self._pages: list[int] = [0] * _MOST_USERS
        self._count: int = 0

    def clear(self) -> None:
        """Start over."""
        self._count = 0

    def add(self, uid: int, pages: int) -> None:
        """A process of a user holds that many pages. Allocates nothing."""
        index = 0
        while index < self._count and self._uids[index] != uid:
            index += 1
        if index == _MOST_USERS:
            return
        if index == self._count:
            self._uids[index] = uid
            self._pages[index] = 0
            self._count += 1
        self._pages[index] += pages

    def greediest(self) -> int:
        """The user whose processes hold most; ANYBODY if there is none."""
        uid = ANYBODY
        most = -1
        for index in range(self._count):
            if self._pages[index] > most:
                most = self._pages[index]
                uid = self._uids[index]
        return uid


_HOLDERS: Final = Holders()


def _uid_of(process: Process) -> int:
    """The process's user."""
    task = process.any_thread()
    return ANYBODY if task is None else int(task.credentials.uid)


def _largest_of(uid: int) -> Process | None:
    """The process of a user, or of ANYBODY, that holds most, if one may be killed. Adds up what all users hold."""
    victim: Process | None = None
    worst = -1
    _HOLDERS.clear()
    number = 0
    while True:
        pace(_LOOK_COST)  # processes come and go here
        process = next_process(FIRST_PID, number)
        if process is None:
            break
        number = int(process.pid) + 1
        measure_files(process)
        if process.ending.is_zombie:
            continue
        if _is_ending(process):
            COUNTS.awaits_end = COUNTS.awaits_end or is_on_its_way(process)
            continue
        owner = _uid_of(process)
        if uid != ANYBODY and owner != uid:
            continue
        score = badness(process)
        if score >= 0:
            _HOLDERS.add(owner, score)
        if score > worst:
            worst = score
            victim = process
    return victim


@noraise
def kill_largest() -> bool:
    """Kill the process that holds most memory; False if there is none to kill. One that is already ending counts: its
    memory will come back. So does one that another thread is about to choose. May sleep.
    """
    if COUNTS.is_choosing:
        return True
    COUNTS.is_choosing = True
    try:
        return _kill_largest()
    finally:
        COUNTS.is_choosing = False


def _is_any_on_its_way() -> bool:
    """Whether memory of an ending process may still be expected."""
    process = next_process(FIRST_PID, 0)
    while process is not None:
        if _is_ending(process) and not process.ending.is_zombie and is_on_its_way(process):
            return True
        pace(_LOOK_COST)  # processes come and go here
        process = next_process(FIRST_PID, int(process.pid) + 1)
    return False


@noraise
def _kill_largest() -> bool:
    if _is_any_on_its_way():
        return True
    COUNTS.awaits_end = False
    victim = _largest_of(ANYBODY)
    if victim is not None and badness(victim) < total_frame_count() >> _MUCH_SHIFT:
        victim = _largest_of(_HOLDERS.greediest())
    if COUNTS.awaits_end or (victim is not None and victim.ending.is_exiting and victim.dump is None):
        return True  # a process has ended while others ran
    if victim is None:
        return available_frame_count() > 0  # those that could be killed have gone meanwhile
    victim.shortage.awaited_ns = monotonic_ns()
    _report(victim, badness(victim))
    if victim.dump is not None:
        break_off_dump(victim)
    else:
        end_process(victim, SIGKILL)
    return True


def _report(victim: Process, pages: int) -> None:
    try:
        log.error(f"Out of memory: killed process {int(victim.pid)}, which held {pages * 4} KiB")
    except MemoryError:
        return  # no room for the message


@noraise
def relieve(task: Task) -> None:
    """Handle a noticed shortage, on a task's way to user mode. May sleep."""
    lacks_run = SHORTAGE.lacks_run
    SHORTAGE.is_felt = False
    SHORTAGE.lacks_run = False
    if task.process.ending.is_exiting:
        return  # its own memory is freed next
    has_begun = begin_to_lack_memory()
    if not _is_relieved(lacks_run) and not _is_swapped_out(lacks_run) and kill_largest():
        request_reschedule()
    end_lack_of_memory(has_begun)


def _is_relieved(lacks_run: bool) -> bool:
    """Whether there is memory for user pages again, and if `lacks_run` some consecutive frames, after freeing what can
    be freed. May sleep.
    """
    if not lacks_run and available_frame_count() > 0:
        return True
    if _has_made_room(lacks_run):
        return True
    for rescuer in RESCUERS:
        rescuer.rescue()
    return _has_made_room(lacks_run)


def _has_made_room(lacks_run: bool) -> bool:
    """Whether there is enough after the caches have given what they have, in steps. May sleep."""
    while True:
        before = free_frame_count()
        make_room(missing_frame_count() + _ROOM)
        if _is_enough(lacks_run):
            return True
        is_at_end = free_frame_count() <= before and not SHORTAGE.helper.may_find_more()
        if is_at_end or available_frame_count() > 0:
            return False
        pace(_ROOM_COST)


def _is_swapped_out(lacks_run: bool) -> bool:
    """Whether there is memory after pages of programs were written to swap areas. Sleeps."""
    for _ in range(_SWAP_WAITS):
        try:
            if not SHORTAGE.swapper.wait() or available_frame_count() > 0:
                break
        except (Errno, MemoryError):
            break
    return _is_enough(lacks_run)


def _is_enough(lacks_run: bool) -> bool:
    return available_frame_count() > 0 and (not lacks_run or has_ordinary_run())


@noraise
def find_memory_within_call(task: Task) -> bool:
    """`find_memory` for a running thread that may hold what others wait for. False: the call has to fail. May sleep."""
    relieve_briefly = GROUP_RELIEF.relieve_briefly
    if task.charges.has_failed and relieve_briefly is not None:
        return relieve_briefly(task)
    find_memory(task)
    return not task.process.ending.is_exiting


@noraise
def find_memory(task: Task) -> None:
    """The task cannot go on without memory: afterwards it tries again. May sleep."""
    relief = GROUP_RELIEF.relieve
    if task.charges.has_failed and relief is not None:
        relief(task)
        return
    has_begun = begin_to_lack_memory()
    try:
        _find_memory(task)
    finally:
        end_lack_of_memory(has_begun)


@noraise
def _find_memory(task: Task) -> None:
    if _is_relieved(lacks_run=False) or _is_swapped_out(lacks_run=False):
        return
    is_hopeful = kill_largest()
    if not is_hopeful and task.pid != FIRST:
        end_process(task.process, SIGKILL)
        return
    try:
        sleep_until(monotonic_ns() + _WAIT_NS)  # a killed process ends in the meantime
    except Errno:
        return  # a signal ended the wait: it is handled first
    except MemoryError:
        yield_now()
