"""Rings whose submissions a thread takes, as the calls set them up and wait for them: IORING_SETUP_SQPOLL, SQ_AFF,
ATTACH_WQ, IORING_ENTER_SQ_WAKEUP, SQ_WAIT.

The order of checks is Linux's.
"""

from typing import Final

from kernel.fs.file import File
from kernel.lang import EINVAL, ENXIO, EOWNERDEAD, Errno, Span, u8
from kernel.sched.processor import processor_mask
from kernel.syscalls.descriptor_arguments import file_at
from kernel.syscalls.uring_settings import allowed_processors, begin_workers
from kernel.task.fork import start_worker
from kernel.task.task import Task
from kernel.uring import layout
from kernel.uring.file import UringFile
from kernel.uring.perform import TaskWork
from kernel.uring.ring import Ring
from kernel.uring.serving import create_thread
from kernel.uring.taker import ServedRing, Taker

_THREAD_PROCESSOR: Final = 12  # in struct io_uring_params
_THREAD_IDLE: Final = 16
_OTHER: Final = 24
_NS_PER_MS: Final = 1_000_000
_DEFAULT_IDLE_MS: Final = 1000
_HIGHEST_PROCESSOR: Final = 62


def begin_taking(ring: Ring, file: File, task: Task, fields: Span[u8]) -> None:
    """What a new ring has to do with a thread that takes submissions; `fields` are the program's. Raises EINVAL, ENXIO,
    EAGAIN, ERESTARTNOINTR, MemoryError.
    """
    attaches = ring.setup & layout.SETUP_ATTACH_WQ != 0
    if ring.setup & layout.SETUP_SQPOLL == 0:
        if attaches:
            _ring_at(fields.load_u32(_OTHER))  # its workers would be shared if there were any
        if ring.setup & layout.SETUP_SQ_AFF != 0:
            raise Errno(EINVAL)
        return
    taker = _taker_at(fields.load_u32(_OTHER), task) if attaches else None
    idle_ms = fields.load_u32(_THREAD_IDLE)
    served = ServedRing(ring, file, task.credentials, (idle_ms if idle_ms != 0 else _DEFAULT_IDLE_MS) * _NS_PER_MS)
    if taker is not None:
        if taker.thread is None:
            raise Errno(ENXIO)
        ring.served = served
        taker.join(served)
        taker.call()
        return
    processors = -1
    if ring.setup & layout.SETUP_SQ_AFF != 0:
        processors = _only(fields.load_u32(_THREAD_PROCESSOR), task)
    taker = Taker(task.pid)
    work = TaskWork()
    thread = create_thread(task, taker, work, processors)
    begin_workers(ring, thread, work)
    ring.served = served
    taker.join(served)
    start_worker(task, thread)


def _ring_at(descriptor: int) -> Ring:
    """IORING_SETUP_ATTACH_WQ: another ring. Raises ENXIO, EINVAL."""
    try:
        other = file_at(descriptor)
    except Errno:
        raise Errno(ENXIO) from None
    if not isinstance(other, UringFile):
        raise Errno(EINVAL)
    return other.ring


def _taker_at(descriptor: int, task: Task) -> Taker | None:
    """That of another ring; None if it is another process's: then this one gets a thread of its own. Raises ENXIO,
    EINVAL.
    """
    served = _ring_at(descriptor).served
    taker = None if served is None else served.taker
    if taker is None:
        raise Errno(EINVAL)
    return taker if taker.process == task.pid else None


def _only(number: int, task: Task) -> int:
    """A mask of one processor; -1 if there is no other. Raises EINVAL if there is none of that number, or the caller's
    group does not have it.
    """
    if number > _HIGHEST_PROCESSOR or allowed_processors(task) >> number & 1 == 0:
        raise Errno(EINVAL)
    mask = 1 << number
    return -1 if mask == processor_mask() else mask


def call_taker(ring: Ring, flags: int) -> None:
    """io_uring_enter(2) with such a ring: wake the thread, and wait until it has taken a submission if there is no room
    for others. A signal ends the wait. Raises EOWNERDEAD if the thread has ended.
    """
    served = ring.served
    taker = None if served is None else served.taker
    if taker is None or taker.thread is None:
        raise Errno(EOWNERDEAD)
    if flags & layout.ENTER_SQ_WAKEUP != 0:
        taker.call()
    if flags & layout.ENTER_SQ_WAIT != 0:
        while taker.thread is not None and _has_no_room(ring):
            try:
                taker.room.sleep()
            except Errno:
                return


def _has_no_room(ring: Ring) -> bool:
    """By the words in the ring, as the program sees them: the thread publishes what it has taken when it is done."""
    return (ring.observe(layout.SQ_TAIL) - ring.observe(layout.SQ_HEAD)) & layout.WORD == ring.shape.entry_count
