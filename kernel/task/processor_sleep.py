"""Sleeping until a process or thread has used an amount of processor time (clock_nanosleep(2) on its clocks).

The tick that finds a process running checks its sleepers, so their resolution is the tick.

Context: `ticked` runs in interrupts.
"""

from kernel.lang import EINVAL, ERESTART_RESTARTBLOCK, ERESTARTNOHAND, Errno, UserAddr, final
from kernel.lib import user
from kernel.lib.saturation import sum_of
from kernel.sched import WaitQueue
from kernel.task.clocks import ProcessorClock, processor_clock
from kernel.task.process import Process
from kernel.task.process_timers import ProcessTimers
from kernel.task.task import RestartBlock, Task, current
from kernel.time.clock import NS_PER_SECOND


@final
class ProcessorSleeper:
    """A thread that sleeps until a clock shows `due_ns`."""

    def __init__(self, clock: ProcessorClock, due_ns: int) -> None:
        self.clock: ProcessorClock = clock
        self.due_ns: int = due_ns
        self.queue: WaitQueue = WaitQueue()


@final
class ProcessorSleepers(ProcessTimers):
    """All sleepers on the time of one process or its threads."""

    def __init__(self) -> None:
        self.sleepers: list[ProcessorSleeper] = []

    def ticked(self, process: Process) -> None:
        """The tick found one of the process's threads running."""
        for sleeper in self.sleepers:
            if sleeper.clock.sampled_ns() >= sleeper.due_ns:
                sleeper.queue.wake_all()


@final
class ProcessorSleepRestart(RestartBlock):
    """The rest of a relative sleep."""

    def __init__(self, clock: int, due_ns: int, remaining_address: UserAddr) -> None:
        self.clock: int = clock
        self.due_ns: int = due_ns
        self.remaining_address: UserAddr = remaining_address

    def resume(self) -> int:
        return _sleep_relative(self.clock, self.due_ns, self.remaining_address)


def sleep_on_processor_time(number: int, time_ns: int, is_absolute: bool, remaining_address: UserAddr) -> int:
    """clock_nanosleep(2) on a clock of processor time. Raises EINVAL, ERESTARTNOHAND and its kin, MemoryError."""
    task = current()
    clock = processor_clock(task, number)
    if clock.thread is task:
        raise Errno(EINVAL)  # it would never wake: it uses no time while it sleeps
    if time_ns == 0:
        return 0
    if not is_absolute:
        return _sleep_relative(number, sum_of(clock.now_ns(), time_ns), remaining_address)
    if _sleep(clock, time_ns):
        raise Errno(ERESTARTNOHAND)
    return 0


def _sleep_relative(number: int, due_ns: int, remaining_address: UserAddr) -> int:
    task: Task = current()
    clock = processor_clock(task, number)
    if not _sleep(clock, due_ns):
        return 0
    if remaining_address != 0:
        left_ns = max(0, sum_of(due_ns, -max(0, clock.now_ns())))
        user.check(remaining_address, 16)
        user.write_i64(remaining_address, left_ns // NS_PER_SECOND)
        user.write_i64(user.at(remaining_address, 8), left_ns % NS_PER_SECOND)
    task.restart = ProcessorSleepRestart(number, due_ns, remaining_address)
    raise Errno(ERESTART_RESTARTBLOCK)


def _sleep(clock: ProcessorClock, due_ns: int) -> bool:
    """Sleep; returns whether a signal ended it."""
    process = clock.process
    timers = process.own_timers()
    all_sleepers = timers.sleepers
    if not isinstance(all_sleepers, ProcessorSleepers):
        all_sleepers = ProcessorSleepers()
        timers.sleepers = all_sleepers
    sleeper = ProcessorSleeper(clock, due_ns)
    all_sleepers.sleepers.append(sleeper)
    try:
        while clock.now_ns() < due_ns:
            sleeper.queue.sleep()
    except Errno:
        return True
    finally:
        all_sleepers.sleepers.remove(sleeper)
    return False
