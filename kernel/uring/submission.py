"""Taking submissions from a ring: io_uring_enter(2).

A submission is copied before anything of it is judged, so the program may change it while the kernel looks. Chains
(IOSQE_IO_LINK) are put together first, and begin when their last request has been taken.

Context: sleeps, as what the requests do.
"""

from typing import Final, Literal

from kernel.lang import EACCES, EAGAIN, ECANCELED, EINVAL, ENOMEM, EOPNOTSUPP, Array, Errno, noinline, u8
from kernel.lib.pace import is_dying, pace
from kernel.task.task import Task
from kernel.uring import layout
from kernel.uring.operation import OPCODES, POLLED, operation_of
from kernel.uring.perform import start
from kernel.uring.request import Request
from kernel.uring.ring import Ring

_WORD: Final = 0xFFFF_FFFF
_COST: Final = 600  # instructions of one submission, for `pace`


def submit(ring: Ring, task: Task, wanted: int) -> int:
    """Take up to `wanted` submissions, and begin them; how many were taken. Raises EAGAIN if there was no memory for
    the first, EIO, ERESTARTSYS.
    """
    ring.lock()
    try:
        return _submit(ring, task, wanted)
    finally:
        ring.submitting.release()


def _submit(ring: Ring, task: Task, wanted: int) -> int:
    count = min(wanted, ring.offered(), ring.shape.entry_count)
    done = 0
    lacks_memory = False
    while done < count:
        at = _next(ring)
        if at < 0:
            break
        try:
            request = _read(ring, task, at)
        except MemoryError:
            ring.progress.head = (ring.progress.head - 1) & _WORD
            lacks_memory = True
            break
        done += 1
        ring.draining.begun += 1
        if not _take(ring, request) and ring.setup & layout.SETUP_SUBMIT_ALL == 0:
            break
        pace(_COST)
        if is_dying():
            break
    _close_chain(ring)
    ring.publish(layout.SQ_HEAD, ring.progress.head)
    if done == 0 and lacks_memory:
        raise Errno(EAGAIN)
    return done


def _next(ring: Ring) -> int:
    """Where the next submission lies in the ring's array of them; -1 if the program names one that is none."""
    slot = ring.progress.head & (ring.shape.entry_count - 1)
    ring.progress.head = (ring.progress.head + 1) & _WORD
    if not ring.has_array():
        return slot
    index = ring.observe(ring.shape.array_at + slot * 4)
    if index < ring.shape.entry_count:
        return index
    ring.progress.dropped = (ring.progress.dropped + 1) & _WORD
    ring.publish(layout.SQ_DROPPED, ring.progress.dropped)
    return -1


@noinline  # what begins goes deep: nothing of this should lie on the stack then
def _read(ring: Ring, task: Task, index: int) -> Request:
    storage: Array[u8, Literal[64]] = Array()
    entry = storage.span()
    ring.entries.read(index * ring.shape.entry_size, entry)
    return Request(ring, task, entry)


def _take(ring: Ring, request: Request) -> bool:
    """One submission: judge it, and begin it unless others of its chain follow. False if it was refused, so that the
    program should look before it goes on.
    """
    try:
        _judge(ring, request)
    except Errno as error:
        request.end.refusal = error.code
    except MemoryError:
        request.end.refusal = ENOMEM
    ring.held.kept_bytes += request.kept_bytes
    first = ring.chain.first
    is_refused = request.end.refusal != 0
    links = request.entry.flags & layout.LINKS != 0
    if first is None and not links:
        if is_refused:
            start(request)
        else:
            _begin_chain(ring, request)
        return not is_refused
    last = ring.chain.last
    if first is None or last is None:
        ring.chain.first = request
    else:
        last.linked = request
        first.chain_length += 1
        if is_refused and first.end.refusal == 0:
            first.end.refusal = ECANCELED
    ring.chain.last = request
    if links:
        return True
    _close_chain(ring)
    return not is_refused


def _close_chain(ring: Ring) -> None:
    """The chain is whole: it begins."""
    first = ring.chain.first
    ring.chain.first = None
    ring.chain.last = None
    if first is None:
        return
    if first.end.refusal != 0:
        first.entry.flags &= ~layout.IO_HARDLINK
        start(first)
    else:
        _begin_chain(ring, first)


def _begin_chain(ring: Ring, first: Request) -> None:
    """Begin a chain, now or when those before it are done (IOSQE_IO_DRAIN)."""
    drains = first.entry.flags & layout.IO_DRAIN != 0
    if not drains and ring.deferred.is_empty():
        start(first)
        return
    first.sequence = ring.draining.begun - first.chain_length
    if ring.deferred.is_empty() and ring.draining.ended >= first.sequence:
        start(first)
        return
    try:
        ring.defer(first)
    except MemoryError:
        first.end.refusal = ENOMEM
        start(first)


def _judge(ring: Ring, request: Request) -> None:
    """Raises what refuses a submission, in Linux's order."""
    operation = operation_of(request.entry.opcode)
    flags = request.entry.flags
    request.operation = operation
    if request.entry.opcode >= OPCODES or flags & ~layout.ENTRY_FLAGS != 0:
        raise Errno(EINVAL)
    is_unpolled = ring.setup & layout.SETUP_IOPOLL != 0 and POLLED >> request.entry.opcode & 1 == 0
    if operation is None:
        raise Errno(EINVAL if is_unpolled else EOPNOTSUPP)  # as Linux answers where the feature is left out
    if flags & layout.BUFFER_SELECT != 0 and not operation.takes_buffers:
        raise Errno(EOPNOTSUPP)
    if flags & layout.CQE_SKIP_SUCCESS != 0:
        ring.draining.is_off = True
    first = ring.chain.first
    if flags & layout.IO_DRAIN != 0:
        if ring.draining.is_off:
            raise Errno(EOPNOTSUPP)
        if first is not None:
            first.entry.flags |= layout.IO_DRAIN
            ring.draining.is_next = True
    if ring.restrictions is not None and not ring.restrictions.allow(request.entry.opcode, flags):
        raise Errno(EACCES)
    if ring.draining.is_next and first is None:
        ring.draining.is_next = False
        request.entry.flags |= layout.IO_DRAIN
    if is_unpolled or (request.entry.priority != 0 and not operation.takes_priority):
        raise Errno(EINVAL)
    if request.entry.personality != 0:
        request.more().personality = ring.registered.personalities.of(request.entry.personality)
    operation.prepare(request)
