"""The clocks that programs name (clock_gettime(2)): the system's, and the processor time of processes and threads.

Those that count from boot are shifted in a time namespace. `read_clock` returns the time that a program sees, and
`kernel_ns` converts a program's time back.
"""

from typing import Final

from kernel.lang import EINVAL, EOPNOTSUPP, EPERM, ESRCH, Errno, final, unlocked
from kernel.lib.capabilities import CAP_WAKE_ALARM
from kernel.lib.saturation import sum_of
from kernel.sched.scheduler import charge_running
from kernel.task.accounting import process_time_ns, process_user_ns, settle_user_time, thread_user_ns
from kernel.task.pids import find_process, find_task
from kernel.task.process import Process
from kernel.task.task import Task
from kernel.time.base import UNKNOWN, quick_ns
from kernel.time.clock import COARSE_STEP_NS, boottime_ns, coarse_realtime_ns, monotonic_ns, realtime_ns

CLOCK_REALTIME: Final = 0
CLOCK_MONOTONIC: Final = 1
CLOCK_PROCESS_CPUTIME_ID: Final = 2
CLOCK_THREAD_CPUTIME_ID: Final = 3
CLOCK_MONOTONIC_RAW: Final = 4
CLOCK_REALTIME_COARSE: Final = 5
CLOCK_MONOTONIC_COARSE: Final = 6
CLOCK_BOOTTIME: Final = 7
CLOCK_REALTIME_ALARM: Final = 8
CLOCK_BOOTTIME_ALARM: Final = 9
_FREE_NUMBER: Final = 10
CLOCK_TAI: Final = 11

_PER_THREAD: Final = 4
_USER_TIME: Final = 1
_SCHEDULER_TIME: Final = 2
_KIND: Final = 3  # low bits of a dynamic clock: 0 profile, 1 user time, 2 scheduler time, 3 a file's


def read_clock(task: Task, clock: int) -> int:
    """The time on a clock, in nanoseconds. Raises EINVAL for clocks that do not exist."""
    if clock < 0:
        return _dynamic_clock(task, clock)
    if clock == CLOCK_REALTIME or clock == CLOCK_REALTIME_ALARM or clock == CLOCK_TAI:
        return realtime_ns()
    if clock == CLOCK_REALTIME_COARSE:
        return coarse_realtime_ns()
    if clock == CLOCK_MONOTONIC or clock == CLOCK_MONOTONIC_RAW or clock == CLOCK_MONOTONIC_COARSE:
        return monotonic_ns() + task.namespaces.time.monotonic_shift_ns
    if clock == CLOCK_BOOTTIME or clock == CLOCK_BOOTTIME_ALARM:
        return shown_boottime_ns(task)
    charge_running()
    if clock == CLOCK_PROCESS_CPUTIME_ID:
        return process_time_ns(task.process)
    if clock == CLOCK_THREAD_CPUTIME_ID:
        return task.accounts.runtime_ns
    raise Errno(EINVAL)


@unlocked
def quick_clock_ns(task: Task, clock: int) -> int:
    """The same of the running task, without the kernel lock: UNKNOWN if it can't be told."""
    if clock == CLOCK_REALTIME or clock == CLOCK_TAI:
        return quick_ns(of_wall_clock=True)
    if clock == CLOCK_REALTIME_COARSE:
        now = quick_ns(of_wall_clock=True)
        return UNKNOWN if now == UNKNOWN else now - now % COARSE_STEP_NS
    now = quick_ns(of_wall_clock=False)
    if now != UNKNOWN:
        time = task.namespaces.time
        if clock == CLOCK_MONOTONIC or clock == CLOCK_MONOTONIC_RAW or clock == CLOCK_MONOTONIC_COARSE:
            return now + time.monotonic_shift_ns
        if clock == CLOCK_BOOTTIME:
            return now + time.boottime_shift_ns
    return UNKNOWN


def shown_boottime_ns(task: Task) -> int:
    """How long the machine has run, as a task sees it."""
    return boottime_ns() + task.namespaces.time.boottime_shift_ns


def kernel_ns(task: Task, clock: int, time_ns: int) -> int:
    """When a clock that counts from boot shows a task that time: on the monotonic clock, 0 if it has passed."""
    time = task.namespaces.time
    shift_ns = time.monotonic_shift_ns if clock == CLOCK_MONOTONIC else time.boottime_shift_ns
    return max(0, sum_of(time_ns, -shift_ns))


def _dynamic_clock(task: Task, clock: int) -> int:
    """A negative clock is the processor time of process or thread ~(clock >> 3) (clock_getcpuclockid(3))."""
    number = ~(clock >> 3)
    if clock & _KIND == _KIND:
        raise Errno(EINVAL)
    charge_running()
    if clock & _PER_THREAD != 0:
        found = task if number == 0 else find_task(task.pids.resolve(number))
        if found is None or found.process is not task.process:
            raise Errno(EINVAL)
        return thread_user_ns(found) if counts_user_time(clock) else found.accounts.runtime_ns
    own = number == 0 or task.pids.resolve(number) == task.tid  # a thread may name itself for its process
    process = task.process if own else find_process(task.pids.resolve(number))
    if process is None:
        raise Errno(EINVAL)
    if counts_user_time(clock):
        settle_user_time(process)
        return process_user_ns(process)
    return process_time_ns(process)


def counts_user_time(clock: int) -> bool:
    """Whether a dynamic clock shows the time in user mode alone."""
    return clock < 0 and clock & _KIND == _USER_TIME


@final
class ProcessorClock:
    """The processor time of a process, or of one of its threads."""

    def __init__(self, process: Process, thread: Task | None, of_user: bool) -> None:
        self.process: Process = process
        self.thread: Task | None = thread
        self.of_user: bool = of_user  # in user mode alone

    def sampled_ns(self) -> int:
        """The time on it when the running thread was last charged."""
        thread = self.thread
        if self.of_user:
            return process_user_ns(self.process) if thread is None else thread_user_ns(thread)
        return process_time_ns(self.process) if thread is None else thread.accounts.runtime_ns

    def now_ns(self) -> int:
        charge_running()
        return self.sampled_ns()

    def is_gone(self) -> bool:
        """Whether its process was reaped, or its thread has ended."""
        thread = self.thread
        return self.process.job is None or (thread is not None and self.process.threads.get(thread.tid) is not thread)

    def check(self) -> None:
        """Raise ESRCH if it is gone."""
        if self.is_gone():
            raise Errno(ESRCH)


def processor_clock(task: Task, clock: int) -> ProcessorClock:
    """The clock of processor time with a number, of whichever process. Raises EINVAL."""
    if clock == CLOCK_PROCESS_CPUTIME_ID:
        return ProcessorClock(task.process, None, of_user=False)
    if clock == CLOCK_THREAD_CPUTIME_ID:
        return ProcessorClock(task.process, task, of_user=False)
    number = ~(clock >> 3)
    if clock & _KIND == _KIND:
        raise Errno(EINVAL)
    if clock & _PER_THREAD != 0:
        found = task if number == 0 else find_task(task.pids.resolve(number))
        if found is None or found.process is not task.process:
            raise Errno(EINVAL)
        return ProcessorClock(task.process, found, counts_user_time(clock))
    process = task.process if number == 0 else find_process(task.pids.resolve(number))
    if process is None:
        raise Errno(EINVAL)
    return ProcessorClock(process, None, counts_user_time(clock))


def is_processor_clock(clock: int) -> bool:
    """Whether one can sleep on processor time here. A thread's own clock by its constant does not count."""
    return clock == CLOCK_PROCESS_CPUTIME_ID or (clock < 0 and not is_file_clock(clock))


def is_file_clock(clock: int) -> bool:
    """Whether the number means a clock that is an open file, as those of network cards are. There are none here."""
    return clock < 0 and clock & (_KIND | _PER_THREAD) == _KIND


def check_known(clock: int) -> None:
    """Raise EINVAL for a number that means no kind of clock."""
    if clock >= 0 and (clock > CLOCK_TAI or clock == _FREE_NUMBER):
        raise Errno(EINVAL)


def check_timed(clock: int) -> None:
    """Check whether timers run on a kind of clock. Raises EINVAL for a number that means none, EOPNOTSUPP."""
    check_known(clock)
    if clock in (CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE) or is_file_clock(clock):
        raise Errno(EOPNOTSUPP)


def resolution_ns(task: Task, clock: int) -> int:
    """clock_getres. Raises EINVAL."""
    read_clock(task, clock)
    if clock < 0 and clock & _KIND != _SCHEDULER_TIME:
        return COARSE_STEP_NS  # what counts ticks on Linux
    return known_resolution_ns(clock)


def known_resolution_ns(clock: int) -> int:
    """The same of a clock that has a number of its own."""
    return COARSE_STEP_NS if clock == CLOCK_REALTIME_COARSE or clock == CLOCK_MONOTONIC_COARSE else 1


def is_wall_clock(clock: int) -> bool:
    """Whether times on this clock move when the clock is set."""
    return clock == CLOCK_REALTIME or clock == CLOCK_TAI or clock == CLOCK_REALTIME_ALARM


def is_alarm(clock: int) -> bool:
    """Whether a timer on this clock would wake a suspended machine."""
    return clock == CLOCK_REALTIME_ALARM or clock == CLOCK_BOOTTIME_ALARM


def check_alarm(task: Task, clock: int) -> None:
    """Timers and sleeps on an alarm clock wake a suspended machine; this one never is suspended. Raises EPERM without
    CAP_WAKE_ALARM.
    """
    if is_alarm(clock) and not task.credentials.capable(CAP_WAKE_ALARM):
        raise Errno(EPERM)


def can_sleep_on(clock: int) -> bool:
    """Whether timers and sleeps run on this clock: the monotonic and wall clocks."""
    return is_wall_clock(clock) or clock == CLOCK_MONOTONIC or clock == CLOCK_BOOTTIME or clock == CLOCK_BOOTTIME_ALARM
