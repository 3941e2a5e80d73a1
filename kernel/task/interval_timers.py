"""alarm and setitimer: one timer for each of three clocks in a process (getitimer(2), alarm(2)).

ITIMER_REAL runs on the timer queue. ITIMER_VIRTUAL and ITIMER_PROF count processor time: they are checked when a tick
finds one of the process's threads, so their resolution is the tick. So are RLIMIT_CPU and RLIMIT_RTTIME
(getrlimit(2)).

Context: expiry is in interrupt context.
"""

from typing import Final

from kernel.lang import final
from kernel.sched.balance import TICK_NS
from kernel.sched.scheduler import charge_running
from kernel.task.accounting import process_time_ns, process_user_ns
from kernel.task.limits import RLIMIT_CPU, RLIMIT_RTTIME, UNLIMITED
from kernel.task.process import Process
from kernel.task.process_timers import ProcessTimers
from kernel.task.send import signal_process
from kernel.task.signals import SIGALRM, SIGKILL, SIGPROF, SIGVTALRM, SIGXCPU
from kernel.task.task import REALTIME_WATCH
from kernel.time.clock import NS_PER_SECOND, monotonic_ns
from kernel.time.timers import Timer

ITIMER_REAL: Final = 0
ITIMER_VIRTUAL: Final = 1
ITIMER_PROF: Final = 2
_SECOND_US: Final = 1_000_000


@final
class RealTimer(Timer):
    """ITIMER_REAL."""

    def __init__(self) -> None:
        super().__init__()
        self.process: Process | None = None  # from the first arming until `cancel_all`: it refers back to this
        self.interval_ns: int = 0

    def expire(self, now_ns: int) -> int:
        process = self.process
        if process is not None:
            signal_process(process, SIGALRM)
        if self.interval_ns == 0:
            return 0
        # Missed periods are not made up for.
        periods = (now_ns - self.deadline_ns) // self.interval_ns + 1
        return self.deadline_ns + periods * self.interval_ns


@final
class ProcessorTimer:
    """ITIMER_VIRTUAL or ITIMER_PROF: expires when the process has used `due_ns` of processor time; 0: not armed."""

    def __init__(self) -> None:
        self.due_ns: int = 0
        self.interval_ns: int = 0

    def check(self, process: Process, used_ns: int, signo: int) -> None:
        """Send the signal if that time has been used."""
        if self.due_ns == 0 or used_ns < self.due_ns:
            return
        self.due_ns = used_ns + self.interval_ns if self.interval_ns != 0 else 0
        signal_process(process, signo)


def check_processor_limit(process: Process) -> None:
    """RLIMIT_CPU: SIGXCPU at the soft limit, and each second from then on; SIGKILL at the hard one."""
    limits = process.limits
    used_s = process_time_ns(process) // NS_PER_SECOND
    if used_s >= limits.hard[RLIMIT_CPU]:
        signal_process(process, SIGKILL)
    elif used_s >= limits.soft[RLIMIT_CPU]:
        limits.soft[RLIMIT_CPU] += 1
        signal_process(process, SIGXCPU)


def check_realtime_limit(process: Process, used_us: int) -> None:
    """RLIMIT_RTTIME: a real-time thread has run for that long. SIGXCPU at the soft limit, and each second from then on;
    SIGKILL at the hard one.
    """
    limits = process.limits
    if used_us >= limits.hard[RLIMIT_RTTIME]:
        signal_process(process, SIGKILL)
    elif used_us >= limits.soft[RLIMIT_RTTIME]:
        limits.soft[RLIMIT_RTTIME] = min(limits.soft[RLIMIT_RTTIME], UNLIMITED - _SECOND_US) + _SECOND_US
        signal_process(process, SIGXCPU)


def tell_overrun(process: Process) -> None:
    """SCHED_FLAG_DL_OVERRUN: a thread with deadlines has used more than its budget."""
    signal_process(process, SIGXCPU)


REALTIME_WATCH.exceeds = check_realtime_limit
REALTIME_WATCH.overran = tell_overrun


def follow_processor_limit(process: Process) -> None:
    """The process's RLIMIT_CPU was set, or inherited. Raises MemoryError."""
    limits = process.limits
    if limits.soft[RLIMIT_CPU] != UNLIMITED or limits.hard[RLIMIT_CPU] != UNLIMITED:
        timers_of(process).limited = True


@final
class IntervalTimers(ProcessTimers):
    """A process's three timers."""

    def __init__(self) -> None:
        self.real: RealTimer = RealTimer()
        self.virtual: ProcessorTimer = ProcessorTimer()
        self.profile: ProcessorTimer = ProcessorTimer()
        self.limited: bool = False  # RLIMIT_CPU is set

    def ticked(self, process: Process) -> None:
        """The tick found one of the process's threads running."""
        if self.limited:
            check_processor_limit(process)
        if self.virtual.due_ns == 0 and self.profile.due_ns == 0:
            return
        self.virtual.check(process, _used_ns(process, ITIMER_VIRTUAL), SIGVTALRM)
        self.profile.check(process, _used_ns(process, ITIMER_PROF), SIGPROF)

    def cancel_all(self) -> None:
        """The process ends."""
        self.real.cancel()
        self.real.process = None
        self.virtual.due_ns = 0
        self.profile.due_ns = 0


def timers_of(process: Process) -> IntervalTimers:
    """The process's timers, created at the first use. Raises MemoryError."""
    kinds = process.own_timers()
    timers = kinds.interval
    if not isinstance(timers, IntervalTimers):
        timers = IntervalTimers()
        kinds.interval = timers
    return timers


_SHOWN_NS: Final = 1000  # the least that getitimer(2) can report


@final
class TimerValue:
    """struct itimerval in nanoseconds."""

    def __init__(self, interval_ns: int, value_ns: int) -> None:
        self.interval_ns: int = interval_ns
        self.value_ns: int = value_ns


def _used_ns(process: Process, which: int) -> int:
    """The time on a processor timer's clock, when the threads were last charged."""
    return process_user_ns(process) if which == ITIMER_VIRTUAL else process_time_ns(process)


def get_timer(process: Process, which: int) -> TimerValue:
    """How long until a timer expires."""
    kinds = process.timers
    timers = None if kinds is None else kinds.interval
    if not isinstance(timers, IntervalTimers):
        return TimerValue(0, 0)
    if which == ITIMER_REAL:
        remaining_ns = timers.real.remaining_ns(monotonic_ns())
        return TimerValue(timers.real.interval_ns, 0 if remaining_ns == 0 else max(_SHOWN_NS, remaining_ns))
    charge_running()
    timer = timers.virtual if which == ITIMER_VIRTUAL else timers.profile
    if timer.due_ns == 0:
        return TimerValue(timer.interval_ns, 0)
    left_ns = timer.due_ns - _used_ns(process, which)
    return TimerValue(timer.interval_ns, left_ns if left_ns > 0 else TICK_NS)  # the next tick sees that it is due


def set_timer(process: Process, which: int, value: TimerValue) -> None:
    """Arm or (value 0) disarm a timer. Raises MemoryError; then it is as it was."""
    timers = timers_of(process)
    if which == ITIMER_REAL:
        _set_real(timers.real, process, value)
        return
    charge_running()
    timer = timers.virtual if which == ITIMER_VIRTUAL else timers.profile
    timer.interval_ns = value.interval_ns
    timer.due_ns = 0 if value.value_ns == 0 else _used_ns(process, which) + value.value_ns


def _set_real(timer: RealTimer, process: Process, value: TimerValue) -> None:
    if value.value_ns == 0:
        timer.cancel()
        timer.interval_ns = 0
        return
    timer.suspend()
    timer.process = process
    timer.interval_ns = value.interval_ns
    timer.move(monotonic_ns() + value.value_ns)
