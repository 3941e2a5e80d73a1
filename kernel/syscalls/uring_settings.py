"""Settings of a ring, as io_uring_register(2) makes them: its eventfd, personalities, clock, and what Linux tells its
workers and network devices.

The order of checks is Linux's.
"""

from typing import Final, Literal

from kernel.ipc.eventfd import EventFile
from kernel.lang import EBUSY, EINVAL, ENXIO, Array, Errno, Span, UserAddr, u8
from kernel.lib import user
from kernel.sched.processor import processor_mask
from kernel.syscalls.descriptor_arguments import file_at
from kernel.syscalls.uring_arguments import refuse_if
from kernel.task.clocks import CLOCK_BOOTTIME, CLOCK_MONOTONIC
from kernel.task.limits import RLIMIT_NPROC, UNLIMITED
from kernel.task.task import Task
from kernel.uring import layout
from kernel.uring.perform import TaskWork
from kernel.uring.ring import Ring
from kernel.uring.taker import worker_of
from kernel.uring.worker_limits import CHANGES, MOST_POLLED_US

_MASK_BYTES: Final = 8
_MOST_WORKERS: Final = (1 << 31) - 1
_PER_PROCESSOR: Final = 4


# ---- The eventfd -----------------------------------------------------------------------------------------------------


def register_bell(ring: Ring, argument: UserAddr, count: int, *, is_for_late: bool) -> int:
    """IORING_REGISTER_EVENTFD. Raises EINVAL, EBUSY, EFAULT, EBADF."""
    if count != 1:
        raise Errno(EINVAL)
    if ring.listeners.bell is not None:
        raise Errno(EBUSY)
    file = file_at(user.read_i32(argument))
    if not isinstance(file, EventFile):
        raise Errno(EINVAL)
    file.acquire()
    ring.listeners.bell = file
    ring.listeners.bell_is_for_late = is_for_late
    return 0


def drop_bell(ring: Ring) -> int:
    """IORING_UNREGISTER_EVENTFD. Raises ENXIO."""
    bell = ring.listeners.bell
    if bell is None:
        raise Errno(ENXIO)
    ring.listeners.bell = None
    bell.release()
    return 0


# ---- Personalities ---------------------------------------------------------------------------------------------------


def register_personality(ring: Ring, task: Task, argument: UserAddr, count: int) -> int:
    """IORING_REGISTER_PERSONALITY: the number of the caller's credentials. Raises EINVAL, EBUSY, MemoryError."""
    refuse_if(argument != 0 or count != 0)
    return ring.registered.personalities.add(task.credentials)


def drop_personality(ring: Ring, argument: UserAddr, number: int) -> int:
    """IORING_UNREGISTER_PERSONALITY. Raises EINVAL."""
    refuse_if(argument != 0)
    ring.registered.personalities.drop(number)
    return 0


# ---- Clocks ----------------------------------------------------------------------------------------------------------


def set_clock(argument: UserAddr, count: int) -> int:
    """IORING_REGISTER_CLOCK: the clock by which io_uring_enter(2) waits. The two that are possible show the same, as
    this machine never sleeps. Raises EINVAL, EFAULT.
    """
    refuse_if(argument == 0 or count != 0)
    storage: Array[u8, Literal[16]] = Array()
    fields = storage.span()
    user.read_into(fields, argument)
    for offset in range(4, 16, 4):
        refuse_if(fields.load_u32(offset) != 0)
    clock = fields.load_u32(0)
    refuse_if(clock != CLOCK_MONOTONIC and clock != CLOCK_BOOTTIME)
    return 0


# ---- Workers ---------------------------------------------------------------------------------------------------------


def set_worker_processors(ring: Ring, task: Task, argument: UserAddr, size: int) -> int:
    """IORING_REGISTER_IOWQ_AFF: where workers may run; there are none. Raises EINVAL, EFAULT."""
    refuse_if(argument == 0 or size == 0)
    wanted = 0
    if size >= _MASK_BYTES:
        wanted = user.read_i64(argument)
    else:
        for index in range(size):
            wanted |= user.read_u8(user.at(argument, index)) << (8 * index)
    worker = _worker_with_work(ring, task)
    refuse_if(wanted & processor_mask() & ~allowed_processors(worker) != 0)
    return 0


def _worker_with_work(ring: Ring, task: Task) -> Task:
    """Whose workers are meant. Raises EINVAL if it can have none."""
    worker = worker_of(ring, task)
    if worker is None or not isinstance(worker.async_work, TaskWork):
        raise Errno(EINVAL)
    return worker


def allowed_processors(task: Task) -> int:
    """A bit for each processor that a task's group has."""
    present = processor_mask()
    group = task.cgroup.nearest_processors()
    return present if group is None else group.effective(present)


def drop_worker_processors(ring: Ring, task: Task, argument: UserAddr, size: int) -> int:
    """IORING_UNREGISTER_IOWQ_AFF. Raises EINVAL."""
    refuse_if(argument != 0 or size != 0)
    _worker_with_work(ring, task)
    return 0


def limit_workers(ring: Ring, task: Task, argument: UserAddr, count: int) -> int:
    """IORING_REGISTER_IOWQ_MAX_WORKERS: two numbers, which the former ones replace; 0 changes nothing. A task that
    has not used io_uring has none. Raises EINVAL, EFAULT.
    """
    refuse_if(argument == 0 or count != 2)
    storage: Array[u8, Literal[8]] = Array()
    fields = storage.span()
    user.read_into(fields, argument)
    bounded = fields.load_u32(0)
    unbounded = fields.load_u32(4)
    refuse_if(bounded > _MOST_WORKERS or unbounded > _MOST_WORKERS)
    worker = worker_of(ring, task)
    work = None if worker is None else worker.async_work
    if isinstance(work, TaskWork) and worker is not None:
        begin_workers(ring, worker, work)
        if ring.settings.workers.change > work.workers.change:
            _follow(ring, worker, work)  # another task has set them
        fields.store_u32(0, work.workers.bounded)
        fields.store_u32(4, work.workers.unbounded)
    else:
        fields.fill(0)
    ring.settings.workers.set(bounded, unbounded)
    ring.settings.workers.change = CHANGES.next()
    if isinstance(work, TaskWork) and worker is not None:
        _follow(ring, worker, work)
    user.write_from(argument, fields)
    return 0


def begin_workers(ring: Ring, task: Task, work: TaskWork) -> None:
    """What a task may have once it uses its first ring, as long as nobody limits it."""
    if work.workers.bounded == 0:
        work.workers.set(min(ring.shape.entry_count, _PER_PROCESSOR * _processor_count()), _most_of(task))


def _follow(ring: Ring, task: Task, work: TaskWork) -> None:
    """A ring's limits become those of a task."""
    limits = ring.settings.workers
    most = _most_of(task)
    work.workers.set(min(limits.bounded, most), min(limits.unbounded, most))
    work.workers.change = limits.change


def _most_of(task: Task) -> int:
    limit = task.process.limits.soft[RLIMIT_NPROC]
    return _MOST_WORKERS if limit == UNLIMITED else min(limit, _MOST_WORKERS)


def _processor_count() -> int:
    left = processor_mask()
    count = 0
    while left != 0:
        left &= left - 1
        count += 1
    return count


# ---- Network devices -------------------------------------------------------------------------------------------------


def set_polling(ring: Ring, argument: UserAddr, count: int) -> int:
    """IORING_REGISTER_NAPI: how long devices are polled before a wait sleeps; the former settings replace the new.
    Raises EINVAL, EFAULT.
    """
    refuse_if(argument == 0 or count != 1 or ring.setup & layout.SETUP_IOPOLL != 0)
    storage: Array[u8, Literal[16]] = Array()
    fields = storage.span()
    user.read_into(fields, argument)
    polled_us = fields.load_u32(0)
    prefers = fields.load_u32(4)
    refuse_if(prefers >> 8 != 0 or fields.load_u32(8) != 0 or fields.load_u32(12) != 0)
    _tell_polling(ring, fields)
    user.write_from(argument, fields)
    ring.settings.polled_us = min(polled_us, MOST_POLLED_US)
    ring.settings.prefers_polling = prefers != 0
    ring.settings.polls = True
    return 0


def drop_polling(ring: Ring, argument: UserAddr, count: int) -> int:
    """IORING_UNREGISTER_NAPI: reports the settings, and ends them. Raises EINVAL, EFAULT."""
    refuse_if(count != 1)
    if argument != 0:
        storage: Array[u8, Literal[16]] = Array()
        fields = storage.span()
        _tell_polling(ring, fields)
        user.write_from(argument, fields)
    ring.settings.polled_us = 0
    ring.settings.prefers_polling = False
    ring.settings.polls = False
    return 0


def _tell_polling(ring: Ring, fields: Span[u8]) -> None:
    fields.fill(0)
    fields.store_u32(0, ring.settings.polled_us)
    fields.store_u32(4, 1 if ring.settings.prefers_polling else 0)
