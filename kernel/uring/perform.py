"""The life of a request: it begins, may wait, and ends; then the next of its chain begins.

All of this is the work of the request's task: in io_uring_enter(2), or on its way to user mode; or in its rounds, if
the task is a thread that takes submissions (serving.py). So there is no other thread whose rights, files and memory
would have to be borrowed, and none that could run after the task.

Context: sleeps, as what requests do.
"""

from typing import Final

from kernel.fs.constants import POLLERR, POLLHUP
from kernel.lang import (
    EAGAIN,
    EBADF,
    ECANCELED,
    EINTR,
    ENOMEM,
    ERESTART_RESTARTBLOCK,
    ERESTARTNOHAND,
    ERESTARTNOINTR,
    ERESTARTSYS,
    ETIME,
    Errno,
    final,
    noraise,
)
from kernel.lib.pace import is_dying, pace
from kernel.sched.later import start_thread
from kernel.task.acting import act_as, act_as_itself
from kernel.task.send import update_interrupted
from kernel.task.task import Task, current
from kernel.uring import layout
from kernel.uring.cancel import cancel_one, cancelling_of
from kernel.uring.file import UringFile
from kernel.uring.operation import CANCEL_IN_WORKER, Operation
from kernel.uring.request import GOES_ON, NO_OUTCOME, WAITS, Request, RequestWaiter
from kernel.uring.retirement import stop_using, use_resource
from kernel.uring.ring import Ring, TaskRequests

_MOST_TRIES: Final = 128  # of a request whose file claims to be ready, and then is not
_AGAIN: Final = -1
_COST: Final = 1500  # instructions of one request, for `pace`
_LOOK_COST: Final = 60


def as_result(code: int) -> int:
    """The errno of a request that ended: nothing restarts one that a signal interrupted."""
    if code == ERESTARTSYS or code == ERESTARTNOHAND or code == ERESTART_RESTARTBLOCK:
        return EINTR
    return ENOMEM if code == ERESTARTNOINTR else code


@noraise
def start(first: Request | None) -> None:
    """Begin a request, and what is linked to it as far as nothing waits."""
    request = first
    while request is not None:
        request.progress.is_new = False
        request = _begin(request)
        pace(_COST)


@noraise
def resume(request: Request) -> None:
    """It is due: something that it was waiting for has happened."""
    if request.progress.is_new:
        request.ring.leave_task(request)
        start(request)
        return
    if request.number == 0:
        return
    if request.is_settled():
        start(finish(request, request.end.outcome))
        return
    if request.timer is None and not _is_ready(request):
        return
    result = _attempt(request)
    if result != WAITS and request.number != 0:
        start(finish(request, result))


@noraise
def _is_ready(request: Request) -> bool:
    """Whether there may be what it waits for."""
    file = request.file
    extra = request.extra
    if file is None or (extra is not None and extra.source is not None):
        return True
    try:
        return file.poll(None) & (request.events | POLLERR | POLLHUP) != 0
    except (Errno, MemoryError):
        return True


@noraise
def _begin(request: Request) -> Request | None:
    """Begin one. Returns what begins next."""
    _take_limit(request)
    if request.end.refusal != 0:
        result = -request.end.refusal
    elif request.ring.is_ended or is_dying():
        result = -ECANCELED  # nothing waits in a ring that nobody has any more
    else:
        result = _attempt(request)
    if result == WAITS:
        _start_limit(request)
        return None
    return finish(request, result)


@noraise
def _attempt(request: Request) -> int:
    """Perform it, with the credentials that it names: its result, or WAITS."""
    extra = request.extra
    personality = None if extra is None else extra.personality
    if personality is None:
        return _perform(request)
    own = act_as(request.task, personality)
    try:
        return _perform(request)
    finally:
        act_as_itself(request.task, own)


@noraise
def _perform(request: Request) -> int:
    """Perform it: its result, or WAITS."""
    operation = _operation_of(request)
    if operation is None:
        return -EBADF
    code = 0
    task = request.task
    try:
        while True:
            try:
                if operation.needs_file and request.file is None:
                    _find_file(request)
                if not request.progress.has_begun:
                    request.events |= operation.events
                result = operation.perform(request)
                request.progress.has_begun = True
                if result != GOES_ON:
                    return result
                code = _wait(request)
                if code <= 0:  # it has done its share for now
                    request.progress.tries = 0
                    request.note_due()
                    return WAITS
                return -as_result(code)
            except Errno as error:
                code = error.code
            except MemoryError:
                code = ENOMEM
            request.progress.has_begun = True
            if code == EAGAIN and not request.never_waits:
                code = _wait(request)
            if code != _AGAIN:
                return WAITS if code == 0 else -as_result(code)
    finally:
        if task.calls.keeps_files:
            task.let_files_go()  # a call of its own would have ended


def _operation_of(request: Request) -> Operation | None:
    """What it is to do; None for an opcode that does not exist."""
    return request.operation


def _find_file(request: Request) -> None:
    """Raises EBADF, MemoryError."""
    if request.entry.flags & layout.FIXED_FILE != 0:
        file = request.ring.registered.files.file(request.entry.descriptor)
        use_resource(request)
    else:
        file = current().files.get(request.entry.descriptor)
    request.file = file.acquire()


@noraise
def _wait(request: Request) -> int:
    """Let it wait for its file: 0; _AGAIN if that is ready by now; or the error with which it ends, as it cannot."""
    file = request.file
    if file is None:
        return EAGAIN
    wanted = request.events | POLLERR | POLLHUP
    waiter = request.waiter
    try:
        if waiter is None:
            start_thread()
            waiter = RequestWaiter(request)
            request.waiter = waiter
            ready = file.poll(waiter) & wanted
            if waiter.entry_count == 0:
                _leave_queues(request)
                return EAGAIN
            request.ring.keep(request)
        else:
            ready = 0 if request.hears_wakes_only else file.poll(None) & wanted
    except Errno as error:
        return error.code
    except MemoryError:
        _leave_queues(request)
        return ENOMEM
    if ready == 0:
        request.progress.tries = 0
        return 0
    request.progress.tries += 1
    return EAGAIN if request.progress.tries > _MOST_TRIES else _AGAIN


@noraise
def _leave_queues(request: Request) -> None:
    waiter = request.waiter
    request.waiter = None
    if waiter is not None:
        waiter.close()
        waiter.request = None


# ---- The end ---------------------------------------------------------------------------------------------------------


@noraise
def finish(request: Request, result: int) -> Request | None:
    """It is done: enter its completion. Returns what begins next in its chain."""
    if result < 0 and request.progress.moved > 0:
        result = request.progress.moved  # what was moved is not lost, whatever happened after it
        request.is_short = True
    failed = (result < 0 and not request.keeps_chain) or request.is_short
    is_silent = request.entry.flags & layout.CQE_SKIP_SUCCESS != 0
    if request.end.notice != NO_OUTCOME:
        request.end.flags |= layout.CQE_MORE
    _complete(request, result, shows=failed or not is_silent)
    limit = request.limit
    request.limit = None
    if limit is not None:
        limit.limited = None
        _complete(limit, -ECANCELED, shows=limit.entry.flags & layout.CQE_SKIP_SUCCESS == 0)
    following = request.linked
    request.linked = None
    if failed and following is not None and request.entry.flags & layout.IO_HARDLINK == 0:
        _cancel_chain(following, shows=not is_silent)
        following = None
    while request.ring.end_counted():
        pace(_COST)
    begin_deferred(request.ring)
    return following


@noraise
def _complete(request: Request, result: int, *, shows: bool) -> None:
    """Enter its completion, and give back what it holds."""
    ring = request.ring
    ring.drop(request)
    request.progress.is_new = False
    _leave_queues(request)
    timer = request.timer
    request.timer = None
    if timer is not None:
        timer.cancel()
        timer.request = None
    if request.end.outcome == NO_OUTCOME:
        request.end.outcome = result
    ring.held.kept_bytes -= request.kept_bytes
    request.kept_bytes = 0
    file = request.file
    request.file = None
    request.leave_other_place()
    extra = request.extra
    request.extra = None
    generation = None if extra is None else extra.generation
    counted = None if extra is None else extra.counted
    source = None if extra is None else extra.source
    if counted is not None and counted.request is not None:
        counted.request = None
        ring.counted.take_out(counted)
    limited = request.limited
    request.limited = None
    if limited is not None:
        limited.limit = None
    if shows:
        ring.post(request.entry.user_data, result, request.end.flags)
    if request.end.notice != NO_OUTCOME:
        # Also if it never began, as on Linux
        ring.post(request.entry.user_data, request.end.notice, layout.CQE_NOTIFICATION)
    ring.draining.ended += 1
    if file is not None:
        file.release()
    if source is not None:
        source.release()
    if generation is not None:
        stop_using(ring, generation)


@noraise
def _cancel_chain(first: Request, *, shows: bool) -> None:
    """The requests that would have begun after one that failed."""
    request: Request | None = first
    while request is not None:
        following = request.linked
        request.linked = None
        _complete(request, -request.end.refusal if request.end.refusal != 0 else -ECANCELED, shows=shows)
        request = following
        pace(_COST)


@noraise
def begin_deferred(ring: Ring) -> None:
    """Begin what waits for others to end, if those are done."""
    while True:
        request = ring.deferred.first()
        if request is None or (request.entry.flags & layout.IO_DRAIN != 0 and ring.draining.ended < request.sequence):
            return
        ring.undefer(request)
        request.note_due()
        pace(_LOOK_COST)


# ---- Limits of time --------------------------------------------------------------------------------------------------


@noraise
def _take_limit(request: Request) -> None:
    """A LINK_TIMEOUT after it is no part of the chain: it limits the request."""
    following = request.linked
    if following is not None and following.is_limit() and following.end.refusal == 0:
        request.limit = following
        request.linked = following.linked
        following.linked = None
        following.progress.is_new = False


@noraise
def _start_limit(request: Request) -> None:
    limit = request.limit
    if limit is None or cancelling_of(request) == CANCEL_IN_WORKER:
        return  # Linux starts no timer for what a worker performs from the beginning
    limit.limited = request
    operation = _operation_of(limit)
    if operation is None:
        return
    limit.progress.has_begun = True
    try:
        operation.perform(limit)
    except (Errno, MemoryError):
        limit.limited = None  # the request waits without a limit of time


def limit_is_up(limit: Request) -> int:
    """The time of a LINK_TIMEOUT is up: end what it limits. Its own result."""
    request = limit.limited
    limit.limited = None
    if request is None:
        return -ECANCELED
    request.limit = None
    if not request.is_settled():
        cancel_one(request)
    return -ETIME


# ---- What a task has to do -------------------------------------------------------------------------------------------


@final
class TaskWork(TaskRequests):
    """Of one task."""

    def held_bytes(self, count: int) -> int:
        held_bytes = 0
        for ring in self.rings.keys():
            held_bytes += ring.uncounted_bytes(count)
        for held in self.registered:
            if isinstance(held, UringFile):
                held_bytes += held.ring.uncounted_bytes(count)
        return held_bytes

    @noraise
    def run(self) -> None:
        self.is_at_work = True
        if self.due.first is not None:
            update_interrupted(current())  # by signals alone
        last = self.due.last  # what comes due meanwhile waits for the next round, so that this one has an end
        while True:
            request = self.due.take()
            if request is None:
                break
            resume(request)
            pace(_COST)
            if request is last or is_dying():
                break
        self.is_at_work = False
        update_interrupted(current())

    @noraise
    def end(self) -> None:
        self.is_at_work = True
        update_interrupted(current())  # by signals alone
        while True:
            self._end_due()
            ring: Ring | None = None
            for some in self.rings.keys():
                ring = some
                break
            if ring is None:
                break
            cancel_of_task(ring, self)
        self._end_due()
        while len(self.registered) > 0:
            held = self.registered.pop()
            if held is not None:
                held.release()
        self._end_due()  # what those rings had
        update_interrupted(current())
        taker = self.taker
        self.taker = None
        if taker is not None:
            taker.end()

    @noraise
    def _end_due(self) -> None:
        """End what is due: performing it might wait, and nothing would interrupt that any more."""
        while True:
            request = self.due.take()
            if request is None:
                return
            _end(request)
            pace(_LOOK_COST)

    @noraise
    def end_for_program(self) -> None:
        self.end()
        self.is_at_work = False


def work_of(task: Task) -> TaskWork:
    """What the task has to do, nothing at first. Raises MemoryError."""
    work = task.async_work
    if isinstance(work, TaskWork):
        return work
    fresh = TaskWork()
    task.own().async_work = fresh
    return fresh


@noraise
def run_deferred(ring: Ring) -> None:
    """What a ring with DEFER_TASKRUN has left to its task."""
    if ring.due.first is None:
        return
    if ring.setup & layout.SETUP_TASKRUN_FLAG != 0:
        ring.clear_flag(layout.SQ_TASKRUN)
    last = ring.due.last  # what comes due meanwhile waits for the next round, so that this one has an end
    while True:
        request = ring.due.take()
        if request is None:
            return
        resume(request)
        pace(_COST)
        if request is last or is_dying():
            return


@noraise
def _end(request: Request) -> None:
    """Its task ends, or its program does. No operation is reached from here: the way to it is deep already."""
    if request.progress.is_new:
        request.ring.leave_task(request)
        _end_chain(request)
    elif request.number != 0:
        _end_chain(finish(request, request.end.outcome if request.is_settled() else -ECANCELED))


@noraise
def _end_chain(first: Request | None) -> None:
    """What would begin now ends instead, and what is linked to it."""
    request = first
    while request is not None:
        request.progress.is_new = False
        _take_limit(request)
        request = finish(request, -request.end.refusal if request.end.refusal != 0 else -ECANCELED)
        pace(_LOOK_COST)


@noraise
def cancel_of_task(ring: Ring, work: TaskRequests) -> None:
    """The task of some of the ring's requests ends, or its program does."""
    run_deferred_of(ring, work)
    last = ring.numbered
    request = ring.requests.first()
    while request is not None and request.number <= last:
        place = request.place()
        if request.task.async_work is work:  # it may have been settled since the look at what is due
            _end_chain(finish(request, request.end.outcome if request.is_settled() else -ECANCELED))
        pace(_LOOK_COST)
        request = ring.requests.first_after(place)
    request = ring.deferred.first()
    while request is not None and request.number <= last:
        place = request.place()
        if request.task.async_work is work:
            ring.undefer(request)
            ring.leave_task(request)
            _end_chain(request)
        pace(_LOOK_COST)
        request = ring.deferred.first_after(place)


@noraise
def run_deferred_of(ring: Ring, work: TaskRequests) -> None:
    """Give what is due in the ring to the tasks that it belongs to."""
    if not ring.defers:
        return
    while True:
        request = ring.due.take()
        if request is None:
            return
        if request.task.async_work is work:
            _end(request)
        else:
            request.is_due = True
            other = request.task.async_work
            if isinstance(other, TaskRequests):
                other.add(request)
