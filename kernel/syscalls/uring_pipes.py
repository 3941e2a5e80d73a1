"""Operations of io_uring that copy through pipes: SPLICE, TEE.

Linux has a worker thread perform them, which waits for either file. Here a request that would have to waits on the
queues of both. What a program sees of the worker stays: a cancel only tells it to end, and nobody gets SIGPIPE.

Source: io_uring_enter(2), splice(2), tee(2).
"""

from typing import Final

from kernel.fs.constants import O_NONBLOCK, READABLE, WRITABLE
from kernel.fs.file import File
from kernel.ipc.pipe import PipeFile
from kernel.lang import EAGAIN, Errno
from kernel.sched.later import start_thread
from kernel.syscalls.descriptor_arguments import borrowed_file
from kernel.syscalls.sendfile import is_ready
from kernel.syscalls.splice import SPLICE_FLAGS, SPLICE_NONBLOCK, SpliceEnd, splice_files, tee_files
from kernel.syscalls.uring_arguments import refuse_if
from kernel.uring.operation import CANCEL_IN_WORKER, Operation
from kernel.uring.request import WAITS, Request, RequestWaiter
from kernel.uring.retirement import use_resource

_OP_TEE: Final = 33
_FIXED_SOURCE: Final = 1 << 31  # SPLICE_F_FD_IN_FIXED
_NO_OFFSET: Final = -1
_MOST_TRIES: Final = 128  # of a request whose files claim to be ready, and then are not


def _prepare(request: Request) -> None:
    refuse_if(request.entry.opcode == _OP_TEE and (request.entry.address != 0 or request.entry.offset != 0))
    refuse_if(request.entry.modifiers & ~(SPLICE_FLAGS | _FIXED_SOURCE) != 0)


def _move(request: Request) -> int:
    target = request.file
    assert target is not None
    source = _source_of(request)
    if request.waiter is None or _are_ready(source, target):
        try:
            done = _try(request, source, target)
            request.is_short = done != request.entry.length
            return done
        except Errno as error:
            if error.code != EAGAIN:
                raise
    if _may_not_wait(request, source, target):
        request.never_waits = True
        raise Errno(EAGAIN)
    return _wait_for_both(request, source, target)


def _source_of(request: Request) -> File:
    """The file that `splice_fd_in` names. Raises EBADF, MemoryError."""
    extra = request.more()
    source = extra.source
    if source is None:
        if request.entry.modifiers & _FIXED_SOURCE != 0:
            source = request.ring.registered.files.file(request.entry.other)
            use_resource(request)
        else:
            source = borrowed_file(request.entry.other)
        extra.source = source.acquire()
    return source


def _try(request: Request, source: File, target: File) -> int:
    """Move what can be moved now. Raises EAGAIN, and what the calls of the same names raise."""
    flags = request.entry.modifiers & SPLICE_FLAGS
    if request.entry.length == 0:
        return 0
    if request.entry.opcode == _OP_TEE:
        return tee_files(source, target, request.entry.length, flags, waits=False)
    reading = SpliceEnd(source, request.entry.address, has_offset=request.entry.address != _NO_OFFSET)
    writing = SpliceEnd(target, request.entry.offset, has_offset=request.entry.offset != _NO_OFFSET)
    return splice_files(reading, writing, request.entry.length, flags, waits=False)


def _are_ready(source: File, target: File) -> bool:
    """Whether both may be. A pipe has room for less than poll(2) asks for."""
    if isinstance(source, PipeFile):
        if source.pipe.count == 0 and source.pipe.writers > 0:
            return False
    elif not is_ready(source, READABLE):
        return False
    if isinstance(target, PipeFile):
        return target.pipe.free() > 0 or target.pipe.readers == 0
    return is_ready(target, WRITABLE)


def _may_not_wait(request: Request, source: File, target: File) -> bool:
    """Whether EAGAIN is the answer: the flag is about pipes; else the file that is not ready decides, or both of two
    pipes.
    """
    from_pipe = isinstance(source, PipeFile)
    to_pipe = isinstance(target, PipeFile)
    if request.entry.modifiers & SPLICE_NONBLOCK != 0 and from_pipe and to_pipe:
        return True
    if from_pipe and to_pipe:
        return (source.flags | target.flags) & O_NONBLOCK != 0
    lacks_source = not is_ready(source, READABLE)
    decides = source if lacks_source else target
    if decides.flags & O_NONBLOCK != 0:
        return True
    return request.entry.modifiers & SPLICE_NONBLOCK != 0 and isinstance(decides, PipeFile)


def _wait_for_both(request: Request, source: File, target: File) -> int:
    """Raises EAGAIN for files that only claim to be ready; MemoryError, ECANCELED."""
    if request.waiter is None:
        start_thread()
        waiter = RequestWaiter(request)
        request.waiter = waiter
        source.poll(waiter)
        target.poll(waiter)
        request.ring.keep(request)
    if not _are_ready(source, target):
        request.progress.tries = 0
        return WAITS
    request.progress.tries += 1
    if request.progress.tries > _MOST_TRIES:
        request.never_waits = True
        raise Errno(EAGAIN)
    request.note_due()  # others come first
    return WAITS


Operation(30, _prepare, _move, needs_file=True, cancelling=CANCEL_IN_WORKER)
Operation(_OP_TEE, _prepare, _move, needs_file=True, cancelling=CANCEL_IN_WORKER)
