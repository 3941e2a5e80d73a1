"""Sleeping until a process or thread has used an amount of processor time (clock_nanosleep(2) on its clocks).

The tick that finds a process running checks its sleepers, so their resolution is the tick.

Context: `ticked` runs in interrupts.
"""

from typing import Final

from kernel.lang import EINVAL, ERESTART_RESTARTBLOCK, ERESTARTNOHAND, Errno, UserAddr, final
from kernel.lib import user
from kernel.lib.saturation import sum_of
from kernel.sched import WaitQueue
from kernel.task.clocks import ProcessorClock, processor_clock
from kernel.task.process import Process
from kernel.task.process_timers import ProcessTimers
from kernel.task.task import RestartBlock, Task, current
from kernel.time.clock import NS_PER_SECOND

_CHECKED_AT_ONCE: Final = 256  # in a tick


@final
class ProcessorSleeper:
    """A thread that sleeps until a clock shows `due_ns`."""

    def __init__(self, clock: ProcessorClock, due_ns: int) -> None:
        self.clock: ProcessorClock = clock
        self.due_ns: int = due_ns
        self.queue: WaitQueue = WaitQueue()
        self.place: int = 0  # among those that ticks check


@final
class ProcessorSleepers(ProcessTimers):
    """All sleepers on the time of one process or its threads."""

    def __init__(self) -> None:
        self.sleepers: list[ProcessorSleeper] = []
        self.next: int = 0  # the place of the one that is checked next

    def enter(self, sleeper: ProcessorSleeper) -> None:
        """One is checked from now on. Raises MemoryError."""
        sleeper.place = len(self.sleepers)
        self.sleepers.append(sleeper)

    def leave(self, sleeper: ProcessorSleeper) -> None:
        """One is checked no more; the last takes its place."""
        last = self.sleepers.pop()
        if last is not sleeper:
            last.place = sleeper.place
            self.sleepers[last.place] = last

    def ticked(self, process: Process) -> None:
        """The tick found one of the process's threads running. Of very many sleepers it checks some, so that one may be
        late by a few ticks.
        """
        for _ in range(min(len(self.sleepers), _CHECKED_AT_ONCE)):
            if self.next >= len(self.sleepers):
                self.next = 0
            sleeper = self.sleepers[self.next]
            if sleeper.clock.sampled_ns() >= sleeper.due_ns:
                sleeper.queue.wake_all()
            self.next += 1


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
    all_sleepers.enter(sleeper)
    try:
        while clock.now_ns() < due_ns:
            sleeper.queue.sleep()
    except Errno:
        return True
    finally:
        all_sleepers.leave(sleeper)
    return False
