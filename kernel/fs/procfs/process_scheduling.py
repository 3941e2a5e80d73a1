"""Files of /proc/PID about scheduling: sched, schedstat and autogroup (proc_pid_autogroup(5), sched(7)).

Sessions serve as Linux's autogroups, with numbers and nice values; threads compete as if there were none.
"""

from typing import Final

from kernel.fs.procfs.subject import Subject, parse_signed_32
from kernel.lang import EAGAIN, EINVAL, EPERM, Errno, final
from kernel.lib.capabilities import CAP_SYS_ADMIN, CAP_SYS_NICE
from kernel.lib.settings import SystemSetting
from kernel.sched.deadline import own_deadline_ns
from kernel.sched.scheduler import charge_running
from kernel.sched.thread import NICE_HIGHEST, NICE_LOWEST, SCHED_DEADLINE, SCHED_IDLE
from kernel.task.groups import AUTOGROUPS
from kernel.task.limits import RLIMIT_NICE
from kernel.task.task import Task, current
from kernel.time.clock import NS_PER_MS, monotonic_ns

_LABEL: Final = 45
_NUMBER: Final = 21
_MILLISECONDS: Final = 14
_WEIGHT_SHIFT: Final = 10  # weights are shown in parts of 1024
_WEIGHT_OF_IDLE: Final = 3  # with SCHED_IDLE
# The weights that Linux shows, from nice -20 on: with 1024 in the middle, each about 1.25 times the next one
_WEIGHTS: Final[list[int]] = [
    88761, 71755, 56483, 46273, 36291, 29154, 23254, 18705, 14949, 11916,
    9548, 7620, 6100, 4904, 3906, 3121, 2501, 1991, 1586, 1277,
    1024, 820, 655, 526, 423, 335, 272, 215, 172, 137,
    110, 87, 70, 56, 45, 36, 29, 23, 18, 15,
]  # fmt: skip
_FAIR_BASE: Final = 120  # the priority of nice 0
_REALTIME_BASE: Final = 99
_NICE_OF_LIMIT: Final = 20  # RLIMIT_NICE counts from here down
_LEAST_BETWEEN_NS: Final = 100 * NS_PER_MS  # between changes of autogroups, except by the administrator


@final
class LastChange:
    """The time of the last change of an autogroup."""

    def __init__(self) -> None:
        self.at_ns: int = 0


_LAST: Final = LastChange()
_ENABLED: Final = SystemSetting(b"kernel/sched_autogroup_enabled", AUTOGROUPS.enabled, 0, 1)


def _padded(text: str, width: int) -> str:
    while len(text) < width:
        text += " "
    return text


def _aligned(text: str, width: int) -> str:
    while len(text) < width:
        text = " " + text
    return text


def _number(label: str, value: int) -> str:
    return _padded(label, _LABEL) + ":" + _aligned(f"{value}", _NUMBER) + "\n"


def _time(label: str, ns: int) -> str:
    """Milliseconds, with six digits after the point."""
    return _padded(label, _LABEL) + ":" + _aligned(f"{ns // NS_PER_MS}", _MILLISECONDS) + f".{ns % NS_PER_MS:06d}\n"


def sched(subject: Subject) -> bytes:
    """What the scheduler knows about a thread, for people. The virtual time is its run time: no other is kept."""
    task = subject.task()
    charge_running()
    process = subject.process
    threads = process.thread_count()
    head = f" ({subject.number()}, #threads: {threads})\n"
    text = ""
    for _ in range(67):
        text += "-"
    text += "\n" + _time("se.exec_start", monotonic_ns()) + _time("se.vruntime", task.accounts.runtime_ns)
    text += _time("se.sum_exec_runtime", task.accounts.runtime_ns)
    text += _number("se.nr_migrations", task.accounts.migrations)
    text += _number("nr_switches", task.accounts.voluntary_switches + task.accounts.involuntary_switches)
    text += _number("nr_voluntary_switches", task.accounts.voluntary_switches)
    text += _number("nr_involuntary_switches", task.accounts.involuntary_switches)
    text += _number("se.load.weight", _weight(task) << _WEIGHT_SHIFT)
    text += _number("policy", task.wishes.policy) + _number("prio", _priority(task))
    if task.wishes.policy == SCHED_DEADLINE:
        text += _number("dl.runtime", task.turn.slice_ns) + _number("dl.deadline", own_deadline_ns(task))
    text += _number("clock-delta", 0)
    return task.name + (head + text).encode()


def _weight(task: Task) -> int:
    """What Linux weighs it by. The slices of Krait differ by about the same steps (runqueue.py)."""
    return _WEIGHT_OF_IDLE if task.wishes.policy == SCHED_IDLE else _WEIGHTS[task.wishes.nice - NICE_LOWEST]


def _priority(task: Task) -> int:
    return _REALTIME_BASE - task.urgency if task.is_realtime() else _FAIR_BASE + task.wishes.nice


def reset_sched(subject: Subject, text: bytes) -> None:
    """Any write resets the statistics, of which none are kept."""
    subject.task()


def schedstat(subject: Subject) -> bytes:
    """Time on the processor, time spent waiting for it (not counted: 0), and turns."""
    task = subject.task()
    charge_running()
    switches = task.accounts.voluntary_switches + task.accounts.involuntary_switches
    return f"{task.accounts.runtime_ns} 0 {switches}\n".encode()


def autogroup(subject: Subject) -> bytes:
    """The number of the session's autogroup, and its nice value. Empty for the session that the system began with."""
    subject.task()
    process = subject.process
    if process.job is None or process.session.autogroup == 0:
        return b""
    session = process.session
    return f"/autogroup-{session.autogroup} nice {session.autogroup_nice}\n".encode()


def set_autogroup(subject: Subject, text: bytes) -> None:
    """Set the nice value. Raises EINVAL, EPERM, EAGAIN (too often)."""
    value = parse_signed_32(text.strip(b" \t\n"))
    if not NICE_LOWEST <= value <= NICE_HIGHEST:
        raise Errno(EINVAL)
    subject.task()
    caller = current()
    least = _NICE_OF_LIMIT - caller.process.limits.soft[RLIMIT_NICE]
    if value < 0 and value < least and not caller.credentials.capable(CAP_SYS_NICE):
        raise Errno(EPERM)
    now_ns = monotonic_ns()
    if _LAST.at_ns + _LEAST_BETWEEN_NS > now_ns and not caller.credentials.capable(CAP_SYS_ADMIN):
        raise Errno(EAGAIN)
    _LAST.at_ns = now_ns
    process = subject.process
    if process.job is not None and process.session.autogroup != 0:
        process.session.autogroup_nice = value
