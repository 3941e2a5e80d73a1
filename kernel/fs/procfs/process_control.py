"""Files of /proc/PID that can be written: the name, the priority for being killed when memory runs out
(proc_pid_oom_score_adj(5)), and which allocation fails, for tests (`fail-nth`, as with Linux's fault injection).
"""

from typing import Final

from kernel.fs.procfs.process_status import check_timer_slack
from kernel.fs.procfs.subject import Subject, parse_decimal_64, parse_padded_32
from kernel.lang import EACCES, EINVAL, EPERM, Errno, final
from kernel.lib.capabilities import CAP_SYS_RESOURCE
from kernel.lib.pid import UNSET, Pid
from kernel.mm.allocation_failure import FAILURE
from kernel.mm.frames import total_frame_count
from kernel.mm.heap import fail_allocation
from kernel.sched.processor import RUNNING
from kernel.task.memory_shortage import badness, measure_files
from kernel.task.observer import TASKS
from kernel.task.task import current, current_or_none

_NAME_LIMIT: Final = 15
_MOST_ALLOCATIONS: Final = 1 << 30
_BUG: Final = b"trap "
_LOWEST: Final = -1000
_HIGHEST: Final = 1000
_OLD_DISABLE: Final = -17
_OLD_HIGHEST: Final = 15


def set_comm(subject: Subject, text: bytes) -> None:
    """Rename a thread. Only its own process may."""
    if current().process is not subject.process:
        raise Errno(EINVAL)
    task = subject.task()
    end = text.find(b"\0")
    task.name = text[: _NAME_LIMIT if end < 0 else min(end, _NAME_LIMIT)]
    if RUNNING.is_observed:
        TASKS.observer.renamed(task)


def set_timer_slack(subject: Subject, text: bytes) -> None:
    """As PR_SET_TIMERSLACK, for a process that the caller may control."""
    value = parse_decimal_64(text)
    check_timer_slack(subject)
    process = subject.process
    process.settings.timer_slack_ns = value if value > 0 else process.settings.default_slack_ns


@final
class FailingThread:
    """The thread whose allocation fails: one at a time."""

    def __init__(self) -> None:
        self.tid: Pid = UNSET


_failing: Final = FailingThread()


def _is_failing() -> bool:
    task = current_or_none()
    return task is not None and task.tid == _failing.tid


FAILURE.is_target = _is_failing


def fail_nth(subject: Subject) -> bytes:
    """How many allocations remain until the one that fails; 0 once it has failed, or if none will."""
    return f"{FAILURE.countdown if subject.task().tid == _failing.tid else 0}\n".encode()


def set_fail_nth(subject: Subject, text: bytes) -> None:
    """`N`: the thread's Nth allocation from now on finds no memory; 0: none does. `trap N`: it is a bug. For root."""
    is_bug = text.startswith(_BUG)
    value = parse_signed(text[len(_BUG) :] if is_bug else text)
    if value < 0 or value > _MOST_ALLOCATIONS:
        raise Errno(EINVAL)
    if not current().credentials.capable(CAP_SYS_RESOURCE):
        raise Errno(EPERM)
    tid = subject.task().tid
    if value == 0 and tid != _failing.tid:
        return
    _failing.tid = tid
    FAILURE.is_bug = is_bug
    fail_allocation(value)


def oom_score_adj(subject: Subject) -> bytes:
    """-1000 (never) … 1000."""
    subject.task()
    return f"{subject.process.shortage.adjustment}\n".encode()


def set_oom_score_adj(subject: Subject, text: bytes) -> None:
    """Going below root's setting requires root."""
    value = parse_padded_32(text)
    if value < _LOWEST or value > _HIGHEST:
        raise Errno(EINVAL)
    subject.task()
    process = subject.process
    if current().credentials.capable(CAP_SYS_RESOURCE):
        process.shortage.lowest_adjustment = value
    elif value < process.shortage.lowest_adjustment:
        raise Errno(EACCES)
    process.shortage.adjustment = value


def oom_adj(subject: Subject) -> bytes:
    """The old scale: -17 … 15."""
    subject.task()
    value = subject.process.shortage.adjustment
    if value == _HIGHEST:
        old = _OLD_HIGHEST
    elif value < 0:
        old = -(-value * -_OLD_DISABLE // _HIGHEST)
    else:
        old = value * -_OLD_DISABLE // _HIGHEST
    return f"{old}\n".encode()


def set_oom_adj(subject: Subject, text: bytes) -> None:
    """The old scale, written."""
    old = parse_padded_32(text)
    if old < _OLD_DISABLE or old > _OLD_HIGHEST:
        raise Errno(EINVAL)
    if old == _OLD_HIGHEST:
        value = _HIGHEST
    elif old < 0:
        value = -(-old * _HIGHEST // -_OLD_DISABLE)
    else:
        value = old * _HIGHEST // -_OLD_DISABLE
    set_oom_score_adj(subject, f"{value}".encode())


def oom_score(subject: Subject) -> bytes:
    """The share of memory that killing the process would free, in thousandths; with its adjustment."""
    subject.task()
    measure_files(subject.process)
    pages = badness(subject.process)
    score = 0 if pages < 0 else pages * 1000 // max(1, total_frame_count())
    return f"{min(score, 2 * _HIGHEST)}\n".encode()


def parse_signed(text: bytes) -> int:
    """A decimal number, perhaps surrounded by blanks. EINVAL otherwise."""
    word = text.strip(b" \t\n")
    negative = word.startswith(b"-")
    digits = word[1:] if negative else word
    if len(digits) == 0 or len(digits) > 9:
        raise Errno(EINVAL)
    value = 0
    for digit in digits:
        if not ord("0") <= digit <= ord("9"):
            raise Errno(EINVAL)
        value = value * 10 + digit - ord("0")
    return -value if negative else value
