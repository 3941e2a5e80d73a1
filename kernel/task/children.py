"""Waiting for children: wait4 and waitid (wait(2)).

Of very many children, a search takes safe points: others end, come and are waited for meanwhile. So a thread does not
sleep if there was news of its family since its search began (`Family.news`).

Context: sleeps.
"""

from typing import Final

from kernel.lang import ECHILD, EINVAL, Errno, final
from kernel.lib.credentials import uid_for_caller
from kernel.lib.pace import pace
from kernel.lib.pid import Pid
from kernel.sched import ThreadState
from kernel.task.accounting import usage_by_and_by
from kernel.task.acting import real_credentials
from kernel.task.child_information import exit_code, exit_value
from kernel.task.exit import bury_tracee, final_status, reap
from kernel.task.family import child_after
from kernel.task.pids import find_process
from kernel.task.process import Process
from kernel.task.signals import CLD_CONTINUED, CLD_STOPPED, CLD_TRAPPED, SIGCHLD, SIGCONT
from kernel.task.task import Task, current
from kernel.task.tracee import Tracee, cut, process_is_traced_by
from kernel.task.usage import Usage

WNOHANG: Final = 1
WUNTRACED: Final = 2  # also WSTOPPED
WEXITED: Final = 4
WCONTINUED: Final = 8
WNOWAIT: Final = 0x0100_0000
WNOTHREAD: Final = 0x2000_0000
WALL: Final = 0x4000_0000
WCLONE: Final = -0x8000_0000  # the sign bit of an int

ANY: Final = 0
BY_PID: Final = 1
BY_GROUP: Final = 2

_LOOK_COST: Final = 60  # instructions for a child or tracee, for `pace`


@final
class WaitResult:
    """The result of a wait, with the number that the waiting task knows; 0 for nothing (WNOHANG)."""

    def __init__(self) -> None:
        self.pid: int = 0
        self.uid: int = 0
        self.status: int = 0  # as wait4 reports it
        self.code: int = 0  # CLD_*
        self.value: int = 0  # exit code or signal
        self.usage: Usage = Usage()


def wait_for_child(task: Task, kind: int, number: Pid, options: int) -> WaitResult:
    """Wait until a child that `kind` and `number` name has changed state in a way that `options` ask for. Raises
    ECHILD, ERESTARTSYS.
    """
    process = task.process
    while True:
        news = process.family.news
        if process.first_tracee is not None or options & WNOTHREAD != 0:
            result = _look_at_all(task, kind, number, options)
        else:
            child = _find_child(process, kind, number, options)
            if child is None:
                raise Errno(ECHILD)
            result = _look_at(child, options)
        if result is not None:
            return result
        if options & WNOHANG != 0 and process.family.news == news:
            return WaitResult()
        _sleep(process, kind, number, news)


def _sleep(process: Process, kind: int, number: Pid, news: int) -> None:
    """Sleep until some child may have changed since that many news. Raises ECHILD if the one that the number names is
    gone by then: the next one may have its number.
    """
    if process.family.news != news:
        return
    named = find_process(number) if kind == BY_PID else None
    process.family.waiters.sleep()
    if named is not None and named.ending.is_reaped:
        raise Errno(ECHILD)


def _find_child(process: Process, kind: int, number: Pid, options: int) -> Process | None:
    """The oldest child with something to report, or else any that is waited for. Only where children stop
    or groups are waited for are all of them examined, with safe points.
    """
    if kind == BY_PID:
        named = find_process(number)
        is_child = named is not None and named.parent is process and _is_eligible(named, kind, number, options)
        return named if is_child else None
    zombie = process.family.oldest_zombie
    asks_for_news = process.stop.has_news and options & (WUNTRACED | WCONTINUED) != 0
    if kind == ANY and not asks_for_news:
        if zombie is not None and options & WEXITED != 0 and _is_eligible(zombie, kind, number, options):
            return zombie
        if zombie is None or options & WEXITED == 0:
            return _any_eligible(process, kind, number, options)
    return _search_children(process, kind, number, options)


def _search_children(process: Process, kind: int, number: Pid, options: int) -> Process | None:
    """The same by examining every child."""
    found: Process | None = None
    has_news = False
    news = process.family.news
    child = process.family.first_child
    while child is not None:
        has_news = has_news or (child.stop.is_complete and not child.stop.is_reported) or child.stop.continue_unreported
        if _is_eligible(child, kind, number, options):
            if _has_changed(child, options):
                return child
            found = child
        order = child.origin.order
        pace(_LOOK_COST)
        child = child_after(process, child, order)
    if process.family.news == news:
        process.stop.has_news = has_news
    return found


def _any_eligible(process: Process, kind: int, number: Pid, options: int) -> Process | None:
    """The oldest child that is waited for."""
    child = process.family.first_child
    while child is not None and not _is_eligible(child, kind, number, options):
        order = child.origin.order
        pace(_LOOK_COST)
        child = child_after(process, child, order)
    return child


def _is_eligible(child: Process, kind: int, number: Pid, options: int) -> bool:
    if kind == BY_PID and child.pid != number:
        return False
    if kind == BY_GROUP and child.group != number:
        return False
    if child.family.is_in_heap and options & WEXITED == 0:
        return False  # it will neither stop nor go on
    if options & WALL != 0:
        return True
    # "Clone children" are those that do not end with SIGCHLD.
    return (child.origin.exit_signal != SIGCHLD) == (options & WCLONE != 0)


def _has_changed(child: Process, options: int) -> bool:
    """Whether `_look_at` would find something."""
    if child.family.is_in_heap:
        return options & WEXITED != 0
    if child.stop.is_complete and not child.stop.is_reported and options & WUNTRACED != 0:
        return True
    return child.stop.continue_unreported and options & WCONTINUED != 0


def _look_at(child: Process, options: int) -> WaitResult | None:
    """The report about a child, which is marked as reported unless WNOWAIT."""
    keep = options & WNOWAIT != 0
    if child.family.is_in_heap:
        if options & WEXITED == 0:
            return None
        status = child.ending.status
        result = _result(child, status, exit_code(status), exit_value(status))
        if not keep:
            reap(child)
        return result
    if child.stop.is_complete and not child.stop.is_reported and options & WUNTRACED != 0:
        if not keep:
            child.stop.is_reported = True
        signo = child.stop.last_signal
        return _result(child, signo << 8 | 0x7F, CLD_STOPPED, signo)
    if child.stop.continue_unreported and options & WCONTINUED != 0:
        if not keep:
            child.stop.continue_unreported = False
        return _result(child, 0xFFFF, CLD_CONTINUED, SIGCONT)
    return None


def _result(child: Process, status: int, code: int, value: int) -> WaitResult:
    result = WaitResult()
    result.pid = current().pids.shown(child.pid)  # now: once it is reaped, it has no number
    leader = child.leader
    if leader is not None:
        result.uid = uid_for_caller(real_credentials(leader).uid)
    result.status = status
    result.code = code
    result.value = value
    result.usage.add(usage_by_and_by(child))
    result.usage.add(child.family.waited)
    return result


# Tracers --------------------------------------------------------------------------------------------------------------


def _look_at_all(task: Task, kind: int, number: Pid, options: int) -> WaitResult | None:
    """The report to a process that traces others, or to a thread that waits for its own: about children
    first, then about tracees, the latest first. Takes safe points. Raises ECHILD.
    """
    process = task.process
    own = options & WNOTHREAD != 0
    waits = False
    child = process.family.first_child
    while child is not None:
        order = child.origin.order
        if not (own and child.parent_thread() is not task) and _is_eligible(child, kind, number, options):
            waits = True
            tracee = process_is_traced_by(child, process)
            result = _look_at(child, options) if tracee is None else _look_at_tracee(tracee, options)
            if result is not None:
                return result
        pace(_LOOK_COST)
        child = child_after(process, child, order)
    tracee = process.first_tracee
    while tracee is not None:
        if (not own or tracee.tracer is task) and _is_named(tracee.task, kind, number):
            waits = waits or not tracee.is_dead or options & (WEXITED | WCONTINUED) != 0
            result = _look_at_tracee(tracee, options)
            if result is not None:
                return result
        pace(_LOOK_COST)
        is_here = tracee.task.tracee is tracee and tracee.tracer.process is process
        tracee = tracee.after() if is_here else process.first_tracee
    if not waits:
        raise Errno(ECHILD)
    return None


def _is_named(task: Task, kind: int, number: Pid) -> bool:
    """Whether a wait is for a tracee: a thread is named by its own number."""
    if kind == BY_PID:
        return task.tid == number
    return kind == ANY or task.process.group == number


def _look_at_tracee(tracee: Tracee, options: int) -> WaitResult | None:
    """The report about a tracee to its tracer's process; it is marked as reported unless WNOWAIT."""
    task = tracee.task
    process = task.process
    keep = options & WNOWAIT != 0
    if tracee.is_dead:
        is_leader = process.leader is task
        if options & WEXITED == 0 or (is_leader and (not process.ending.is_zombie or process.unreaped is not None)):
            return None
        if is_leader and tracee.is_of_parent():
            return _look_at(process, options)
        status = final_status(tracee)
        result = _result_of(task, status, exit_code(status), exit_value(status))
        if not keep:
            cut(tracee)
            bury_tracee(tracee)
        return result
    code = tracee.stop_code
    if task.state == ThreadState.TRACED and code != 0 and not tracee.is_listening:
        if not keep:
            tracee.stop_code = 0
        return _result_of(task, code << 8 | 0x7F, CLD_TRAPPED, code)
    if process.stop.continue_unreported and options & WCONTINUED != 0:
        if not keep:
            process.stop.continue_unreported = False
        return _result_of(task, 0xFFFF, CLD_CONTINUED, SIGCONT)
    return None


def _result_of(task: Task, status: int, code: int, value: int) -> WaitResult:
    """The same as `_result`, about one thread."""
    result = _result(task.process, status, code, value)
    result.pid = current().pids.shown(task.tid)
    result.uid = uid_for_caller(task.credentials.uid)
    return result


def check_wait_options(options: int, known: int) -> None:
    """Raise EINVAL for options that a call does not know."""
    if options & ~(known | WNOTHREAD | WALL | WCLONE) != 0:
        raise Errno(EINVAL)
