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
        eligible = False
        for pid in process.children.keys():
            child = process.children[pid]
            if not _is_eligible(child, kind, number, options):
                continue
            eligible = True
            result = _look_at(child, options)
            if result is not None:
                return result
        if not eligible:
            raise Errno(ECHILD)
        if options & WNOHANG != 0:
            return WaitResult()
        process.child_waiters.sleep()


def _is_eligible(child: Process, kind: int, number: int, options: int) -> bool:
    if kind == BY_PID and child.pid != number:
        return False
    if kind == BY_GROUP and child.group != number:
        return False
    if options & WALL != 0:
        return True
    # "Clone children" are those that do not end with SIGCHLD.
    return (child.exit_signal != SIGCHLD) == (options & WCLONE != 0)


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
