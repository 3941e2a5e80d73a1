"""WAITID, the operation of io_uring that waits for a child.

A request that waits stands on the queue of its process where waits for children sleep, and looks anew at each wake.

The order of checks is Linux's. Source: io_uring_enter(2), waitid(2).
"""

from typing import Final

from kernel.lang import ECHILD, Errno, final, span_of
from kernel.syscalls.uring_arguments import refuse_if
from kernel.syscalls.wait import INFO_SIZE, WantedChild, wanted_child, write_wait_info
from kernel.task.children import BY_PID, WNOHANG, WaitResult, wait_for_child
from kernel.task.pids import find_process
from kernel.task.process import Process
from kernel.task.task import current
from kernel.task.words import signed_32
from kernel.uring.operation import CANCEL_FROM_LIST, Operation
from kernel.uring.request import OP_WAITID, WAITS, OtherWait, Request, RequestWaiter

_CHILD_BYTES: Final = 200


@final
class ChildWait(OtherWait):
    """Whom a request waits for. Its place on the queue is the request's `waiter`."""

    def __init__(self, wanted: WantedChild) -> None:
        self.wanted: WantedChild = wanted
        self.named: Process | None = find_process(wanted.number) if wanted.kind == BY_PID else None

    def leave(self) -> None:
        self.named = None


def _prepare(request: Request) -> None:
    refuse_if(request.entry.address != 0 or request.entry.buffer_index != 0)
    refuse_if(request.entry.address3 != 0 or request.entry.modifiers != 0)
    request.kept_bytes = _CHILD_BYTES


def _wait(request: Request) -> int:
    report = bytearray(INFO_SIZE)  # now: once the child is reaped, nothing may fail for want of memory
    wait = _wait_of(request)
    wanted = wait.wanted
    result = WaitResult()
    code = 0
    try:
        result = _look(wait)
    except Errno as error:
        code = error.code
    if code == 0 and result.pid == 0 and wanted.options & WNOHANG == 0:
        return _go_on_waiting(request)
    info = request.memory2()
    if info != 0:
        write_wait_info(info, result, span_of(report))
    if code != 0:
        raise Errno(code)
    return 0


def _wait_of(request: Request) -> ChildWait:
    """Whom it waits for; numbers are resolved once. Raises EINVAL, ECHILD, EBADF, MemoryError."""
    extra = request.more()
    wait = extra.wait
    if wait is None:
        wait = ChildWait(wanted_child(signed_32(request.entry.length), request.entry.descriptor, request.entry.other))
        extra.wait = wait
    assert isinstance(wait, ChildWait)
    return wait


def _look(wait: ChildWait) -> WaitResult:
    """What there is to report, if anything. Raises ECHILD, MemoryError."""
    wanted = wait.wanted
    named = wait.named
    if named is not None and named.ending.is_reaped:
        raise Errno(ECHILD)  # the next one may have its number
    return wait_for_child(current(), wanted.kind, wanted.number, wanted.options | WNOHANG)


def _go_on_waiting(request: Request) -> int:
    """Nothing has slept since the look. Raises MemoryError, ECANCELED."""
    if request.waiter is None:
        waiter = RequestWaiter(request)
        request.waiter = waiter
        waiter.wait_on(current().process.family.waiters)
    request.ring.keep(request)
    return WAITS


Operation(OP_WAITID, _prepare, _wait, cancelling=CANCEL_FROM_LIST)
