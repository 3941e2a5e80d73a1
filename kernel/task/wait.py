"""Waiting for children: wait4 and waitid (wait(2)).

Context: sleeps.
"""

from typing import Final

from kernel.lang import ECHILD, EINVAL, Errno, final
from kernel.task.accounting import process_usage
from kernel.task.child_information import exit_code, exit_value
from kernel.task.exit import reap
from kernel.task.process import Process, Usage
from kernel.task.signals import CLD_CONTINUED, CLD_STOPPED, SIGCHLD, SIGCONT
from kernel.task.task import Task

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


@final
class WaitResult:
    """What a wait found; pid 0 if nothing (WNOHANG)."""

    def __init__(self) -> None:
        self.pid: int = 0
        self.uid: int = 0
        self.status: int = 0  # as wait4 reports it
        self.code: int = 0  # CLD_*
        self.value: int = 0  # exit code or signal
        self.usage: Usage = Usage()


def wait_for_child(task: Task, kind: int, number: int, options: int) -> WaitResult:
    """Wait until a child that `kind` and `number` name has changed state in a way that `options` ask for. Raises
    ECHILD, ERESTARTSYS.
    """
    process = task.process
    while True:
        child = _find_child(process, kind, number, options)
        if child is None:
            raise Errno(ECHILD)
        result = _look_at(child, options)
        if result is not None:
            return result
        if options & WNOHANG != 0:
            return WaitResult()
        process.child_waiters.sleep()


def _find_child(process: Process, kind: int, number: int, options: int) -> Process | None:
    """The oldest child that there is something to report of, or else any that is waited for. Only where children stop
    or groups are waited for are all of them looked at.
    """
    if kind == BY_PID:
        child = process.children.get(number)
        return child if child is not None and _is_eligible(child, kind, number, options) else None
    zombie = process.oldest_zombie
    asks_for_news = process.has_job_news and options & (WUNTRACED | WCONTINUED) != 0
    if kind == ANY and not asks_for_news:
        if zombie is not None and options & WEXITED != 0 and _is_eligible(zombie, kind, number, options):
            return zombie
        if zombie is None or options & WEXITED == 0:
            for child in process.children.values():
                if _is_eligible(child, kind, number, options):
                    return child
            return None
    return _search_children(process, kind, number, options)


def _search_children(process: Process, kind: int, number: int, options: int) -> Process | None:
    """The same by looking at every child."""
    found: Process | None = None
    has_news = False
    for child in process.children.values():
        has_news = has_news or (child.is_stopped and not child.stop_reported) or child.continue_unreported
        if _is_eligible(child, kind, number, options):
            if _has_changed(child, options):
                return child
            found = child
    process.has_job_news = has_news
    return found


def _is_eligible(child: Process, kind: int, number: int, options: int) -> bool:
    if kind == BY_PID and child.pid != number:
        return False
    if kind == BY_GROUP and child.group != number:
        return False
    if options & WALL != 0:
        return True
    # "Clone children" are those that do not end with SIGCHLD.
    return (child.exit_signal != SIGCHLD) == (options & WCLONE != 0)


def _has_changed(child: Process, options: int) -> bool:
    """Whether `_look_at` finds something."""
    if child.is_zombie:
        return options & WEXITED != 0
    if child.is_stopped and not child.stop_reported and options & WUNTRACED != 0:
        return True
    return child.continue_unreported and options & WCONTINUED != 0


def _look_at(child: Process, options: int) -> WaitResult | None:
    """What there is to report of a child, marked as reported unless WNOWAIT."""
    keep = options & WNOWAIT != 0
    if child.is_zombie:
        if options & WEXITED == 0:
            return None
        result = _result(child, child.exit_status, exit_code(child), exit_value(child))
        if not keep:
            reap(child)
        return result
    if child.is_stopped and not child.stop_reported and options & WUNTRACED != 0:
        if not keep:
            child.stop_reported = True
        signo = child.last_stop_signal
        return _result(child, signo << 8 | 0x7F, CLD_STOPPED, signo)
    if child.continue_unreported and options & WCONTINUED != 0:
        if not keep:
            child.continue_unreported = False
        return _result(child, 0xFFFF, CLD_CONTINUED, SIGCONT)
    return None


def _result(child: Process, status: int, code: int, value: int) -> WaitResult:
    result = WaitResult()
    result.pid = child.pid
    leader = child.leader
    if leader is not None:
        result.uid = leader.credentials.uid
    result.status = status
    result.code = code
    result.value = value
    result.usage.add(process_usage(child))
    result.usage.add(child.waited)
    return result


def check_wait_options(options: int, known: int) -> None:
    """Raise EINVAL for options that a call does not know."""
    if options & ~(known | WNOTHREAD | WALL | WCLONE) != 0:
        raise Errno(EINVAL)
