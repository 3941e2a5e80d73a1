"""POSIX timers (timer_create(2)): timers of a process that signal it or one of its threads.

Timers run on the monotonic and wall clocks, or on the processor time of any process, whose ticks check them. While a
timer's signal is pending, further expirations only count as overruns.

Context: expiry is in interrupt context.
"""

from typing import Final

from kernel.lang import EAGAIN, EINVAL, Errno, final
from kernel.lib.ids import KernelUid
from kernel.lib.pace import pace
from kernel.lib.pid import UNSET, Pid
from kernel.lib.saturation import sum_of
from kernel.task.clocks import ProcessorClock, can_sleep_on, is_wall_clock
from kernel.task.limits import RLIMIT_SIGPENDING
from kernel.task.pending import quota_of
from kernel.task.pids import find_task
from kernel.task.process import Process
from kernel.task.process_timers import ProcessTimers
from kernel.task.send import send_to_process, send_to_task
from kernel.task.siginfo import SignalInfo, SignalQuota, from_timer
from kernel.time.clock import monotonic_ns, realtime_offset_ns
from kernel.time.wall_timers import WallTimer

SIGEV_SIGNAL: Final = 0
SIGEV_NONE: Final = 1
SIGEV_THREAD_ID: Final = 4
_OVERRUN_LIMIT: Final = (1 << 31) - 1
# Instructions for a timer, for `pace`
_END_COST: Final = 500
_CHECKED_AT_ONCE: Final = 256  # in a tick


@final
class PosixTimer(WallTimer):
    """A timer."""

    def __init__(self, process: Process, number: int, clock: int) -> None:
        super().__init__()
        self.process: Process | None = process
        self.number: int = number
        self.clock: int = clock
        self.measured: ProcessorClock | None = None  # on processor time: whose
        self.notify: int = SIGEV_SIGNAL
        self.signo: int = 0
        self.value: int = 0
        self.thread: Pid = UNSET  # SIGEV_THREAD_ID
        self.interval_ns: int = 0
        self.wall_offset_ns: int = 0  # from the monotonic to the wall clock, when it was armed by the latter
        self.goes_by_wall_clock: bool = False
        self.overrun: int = 0  # of the last signal taken before `sent`
        self.sent: SignalInfo | None = None  # the pending signal, or the last one taken
        self.missed: int = 0  # expirations that no signal has reported yet
        # Timers on processor time: the clock's value at which they expire, 0 if not armed.
        self.due_ns: int = 0
        self.is_watched: bool = False  # the ticks of the measured process check it
        self.place: int = 0  # among those that they check
        self.quota: SignalQuota | None = None  # pays for its signal, from its creation on

    def expire(self, now_ns: int) -> int:
        following_ns = 0
        skipped = 0
        if self.interval_ns > 0:
            periods = (now_ns - self.deadline_ns) // self.interval_ns + 1
            following_ns = self.deadline_ns + periods * self.interval_ns
            skipped = periods - 1
        process = self.process
        if process is not None and self.notify != SIGEV_NONE:
            self._signal(process, skipped)
        return following_ns

    def _signal(self, process: Process, skipped: int) -> None:
        """While the signal is pending it counts the expirations since. What cannot be sent, the next signal counts."""
        sent = self.sent
        if sent is not None and sent.is_queued:
            sent.second = min(_OVERRUN_LIMIT, sent.second + 1 + skipped)
            return
        self.overrun = self.last_overrun()
        self.sent = self._send(process, min(_OVERRUN_LIMIT, self.missed + skipped))
        self.missed = 0 if self.sent is not None else min(_OVERRUN_LIMIT, self.missed + 1 + skipped)

    def _send(self, process: Process, overrun: int) -> SignalInfo | None:
        """The pending signal; None if it is ignored, its thread is gone or there is no memory."""
        try:
            info = from_timer(self.signo, self.number, overrun, self.value)
            info.is_paid = True
            if self.notify != SIGEV_THREAD_ID:
                send_to_process(process, info)
            else:
                target = find_task(self.thread)
                if target is not None:
                    send_to_task(target, info)
        except (Errno, MemoryError):
            return None
        return info if info.is_queued else None

    def last_overrun(self) -> int:
        """How many expirations the last signal that was taken stood for, besides its own."""
        sent = self.sent
        return self.overrun if sent is None or sent.is_queued else sent.second

    # Processor time ----------------------------------------------------------------------------------------------

    def counts_processor_time(self) -> bool:
        return not can_sleep_on(self.clock)

    def used_ns(self) -> int:
        """The time on the timer's clock; 0 when its process or thread is gone."""
        clock = self.measured
        return 0 if clock is None or clock.is_gone() else clock.sampled_ns()

    def is_over(self) -> bool:
        """Whether the process or thread that it measures is gone."""
        clock = self.measured
        return clock is not None and clock.is_gone()

    def shown_interval_ns(self) -> int:
        """Its interval; 0 for one on processor time that is not armed."""
        return 0 if self.measured is not None and (self.due_ns == 0 or self.is_over()) else self.interval_ns

    def watch(self, clock: ProcessorClock) -> None:
        """Let the ticks of the process that it measures check it, armed or not. Raises MemoryError; then it is as it
        was.
        """
        if self.is_watched:
            return
        kinds = clock.process.own_timers()
        watched = kinds.measuring
        if not isinstance(watched, MeasuringTimers):
            watched = MeasuringTimers()
            kinds.measuring = watched
        self.place = len(watched.timers)
        watched.timers.append(self)
        self.is_watched = True

    def start_measuring(self, due_ns: int) -> None:
        """Arm it, which is watched, for a value of the clock that it measures, which was charged just now. If the clock
        shows that already it expires at once: whoever it measures may never run again.
        """
        self.due_ns = due_ns
        self.check()

    def stop_measuring(self) -> None:
        """Disarm it, and have it checked no more."""
        clock = self.measured
        timers = None if clock is None else clock.process.timers
        watched = None if timers is None else timers.measuring
        if self.is_watched and isinstance(watched, MeasuringTimers):
            watched.leave(self)
        self.is_watched = False
        self.due_ns = 0

    def check(self) -> None:
        """Expire if it is due."""
        if self.due_ns == 0 or self.used_ns() < self.due_ns:
            return
        self.queued_ns = self.due_ns  # from here `expire` counts
        self.due_ns = self.expire(self.used_ns())

    def left_ns(self) -> int:
        """Time until it expires, 0 if it is not armed."""
        if not self.counts_processor_time():
            return self.remaining_ns(monotonic_ns())
        return 0 if self.due_ns == 0 or self.is_over() else max(1, self.due_ns - self.used_ns())

    def move_by_wall_clock(self, wall_ns: int) -> None:
        """Let it, which is suspended, expire at a time of the wall clock."""
        self.goes_by_wall_clock = True
        self.wall_offset_ns = realtime_offset_ns()
        self.move(max(1, wall_ns - self.wall_offset_ns))

    def wall_clock_was_set(self) -> None:
        moved_ns = realtime_offset_ns() - self.wall_offset_ns
        if self.goes_by_wall_clock and self.is_armed() and moved_ns != 0:
            self.wall_offset_ns += moved_ns
            self.move(max(1, sum_of(self.deadline_ns, -moved_ns)))

    def forget(self) -> None:
        """It is set anew, or ends: what it has done so far no longer counts."""
        self.goes_by_wall_clock = False
        self.due_ns = 0
        self.overrun = 0
        self.missed = 0
        sent = self.sent
        if sent is None or not sent.is_queued:
            self.sent = None
        elif self.interval_ns > 0:
            sent.second = 0  # what expired since is not counted when the signal is taken

    def end(self) -> None:
        """The timer was deleted."""
        self.cancel()
        self.stop_following()
        self.stop_measuring()
        self.forget()
        self.process = None
        self.measured = None
        quota = self.quota
        if quota is not None:
            quota.count -= 1
            self.quota = None


@final
class MeasuringTimers(ProcessTimers):
    """Armed timers, of whichever processes, that measure the processor time of one process or its threads."""

    def __init__(self) -> None:
        self.timers: list[PosixTimer] = []
        self.next: int = 0  # the place of the one that is checked next

    def leave(self, timer: PosixTimer) -> None:
        """One is checked no more; the last takes its place."""
        last = self.timers.pop()
        if last is not timer:
            last.place = timer.place
            self.timers[last.place] = last

    def ticked(self, process: Process) -> None:
        """The tick found one of the process's threads running. Of very many timers it checks some, so that one may be
        late by a few ticks.
        """
        for _ in range(min(len(self.timers), _CHECKED_AT_ONCE)):
            if self.next >= len(self.timers):
                self.next = 0
            self.timers[self.next].check()
            self.next += 1

    def cancel_all(self) -> None:
        """The process ends: they stay as they are."""
        for timer in self.timers:
            timer.is_watched = False
        self.timers.clear()


@final
class PosixTimers(ProcessTimers):
    """A process's timers, by number."""

    def __init__(self) -> None:
        self.table: dict[int, PosixTimer] = {}
        self.next_number: int = 0

    def _first(self) -> PosixTimer | None:
        for timer in self.table.values():
            return timer
        return None

    def create(self, process: Process, clock: int, uid: KernelUid) -> PosixTimer:
        """Create a timer, not armed, which nobody finds before it is entered. It counts as a signal of the user `uid`.
        Raises EAGAIN (RLIMIT_SIGPENDING), MemoryError.
        """
        quota = quota_of(uid)
        if quota.count >= process.limits.soft[RLIMIT_SIGPENDING]:
            raise Errno(EAGAIN)
        timer = PosixTimer(process, self.next_number, clock)
        timer.value = self.next_number
        timer.quota = quota
        quota.count += 1
        self.next_number += 1
        return timer

    def enter(self, timer: PosixTimer) -> None:
        """The timer can be found. Raises MemoryError."""
        self.table[timer.number] = timer
        if is_wall_clock(timer.clock):
            try:
                timer.follow()
            except MemoryError:
                self.table.pop(timer.number)
                raise

    def get(self, number: int) -> PosixTimer:
        """The timer with a number. Raises EINVAL."""
        timer = self.table.get(number)
        if timer is None:
            raise Errno(EINVAL)
        return timer

    def delete(self, number: int) -> None:
        """Delete a timer. Raises EINVAL."""
        self.get(number).end()
        self.table.pop(number)

    def delete_all(self) -> None:
        """The process ends or executes another program, and nobody else uses them. Sleeps if there are many."""
        timer = self._first()
        while timer is not None:
            self.table.pop(timer.number).end()
            pace(_END_COST)
            timer = self._first()

    def cancel_all(self) -> None:
        """The same for those that are left."""
        for timer in self.table.values():
            timer.end()
        self.table.clear()


def posix_timers_of(process: Process) -> PosixTimers:
    """The process's timers, created at the first use. Raises MemoryError."""
    kinds = process.own_timers()
    timers = kinds.posix
    if not isinstance(timers, PosixTimers):
        timers = PosixTimers()
        kinds.posix = timers
    return timers
