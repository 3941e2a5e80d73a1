"""Readable timers: timerfd_create(2).

All run on the monotonic clock. An absolute time of the wall clock is converted when it is set, and again when the wall
clock is set (kernel/time/wall_timers.py); with `cancels` that ends the timer instead, and the next read reports it.

Context: reads sleep. `expire` runs in interrupt context and only counts and wakes.
"""

from typing import Final, Literal

from kernel.fs.anonymous import DescriptorFile, anonymous_path
from kernel.fs.constants import O_NONBLOCK, O_RDWR, READABLE
from kernel.lang import EAGAIN, ECANCELED, EINVAL, Array, Errno, UserAddr, final, u8
from kernel.lib import user
from kernel.lib.saturation import difference_of, sum_of
from kernel.lib.user import Buffer
from kernel.sched import PollWaiter, WaitQueue
from kernel.time import monotonic_ns, realtime_ns
from kernel.time.clock import realtime_offset_ns
from kernel.time.wall_timers import WallTimer

_TFD_IOC_SET_TICKS: Final = 0x4008_5400
_LOW_HALF: Final = 0xFFFF_FFFF


@final
class DescriptorTimer(WallTimer):
    """The timer behind a descriptor."""

    def __init__(self) -> None:
        super().__init__()
        self.interval_ns: int = 0
        self.expirations: int = 0
        self.queue: WaitQueue = WaitQueue()
        self.wall_offset_ns: int = 0  # from the monotonic to the wall clock, when it was armed
        self.cancels: bool = False  # TFD_TIMER_CANCEL_ON_SET
        self.is_cancelled: bool = False  # since the last report; it matters while `cancels` is set

    def expire(self, now_ns: int) -> int:
        following = 0
        missed = 1
        if self.interval_ns > 0:
            late_ns = max(0, now_ns - max(0, self.deadline_ns))
            missed += late_ns // self.interval_ns
            following = sum_of(sum_of(self.deadline_ns, late_ns - late_ns % self.interval_ns), self.interval_ns)
        self.expirations = sum_of(self.expirations, missed)
        self.queue.wake_all()
        return following

    def wall_clock_was_set(self) -> None:
        offset_ns = realtime_offset_ns()
        moved_ns = difference_of(offset_ns, self.wall_offset_ns)
        self.wall_offset_ns = offset_ns
        if moved_ns == 0:
            return
        if self.cancels:
            self.is_cancelled = True
            self.expirations = sum_of(self.expirations, 1)
            self.queue.wake_all()
        elif self.is_armed():
            self.move(max(1, difference_of(self.deadline_ns, moved_ns)))


class TimerFile(DescriptorFile):
    """A timer descriptor."""

    def __init__(self, clock: int, is_wall_clock: bool, flags: int) -> None:
        self.timer: DescriptorTimer = DescriptorTimer()
        super().__init__(anonymous_path(b"[timerfd]"), O_RDWR | flags)
        self.clock: int = clock
        self.is_wall_clock: bool = is_wall_clock

    def can_write(self) -> bool:
        return False

    def close(self) -> None:
        self.timer.cancel()
        self.timer.stop_following()

    def _prepare(self, arms: bool, follows: bool) -> None:
        """Do what needs memory before the timer is set: it then waits for ever, if it is to be armed, and is among
        those that follow the wall clock, or not. Raises MemoryError; then it is as it was.
        """
        timer = self.timer
        followed = timer.follows_wall_clock()
        if follows:
            timer.follow()
        try:
            if arms:
                timer.suspend()
        except MemoryError:
            if not followed:
                timer.stop_following()
            raise
        if not arms:
            timer.cancel()
        if not follows:
            timer.stop_following()

    def set(self, value_ns: int, interval_ns: int, is_absolute: bool, cancels: bool) -> None:
        """Arm (value 0: disarm). Raises ECANCELED, armed nevertheless, if the clock was set and that was not reported;
        MemoryError, and then it is as it was.
        """
        timer = self.timer
        follows = is_absolute and self.is_wall_clock
        self._prepare(arms=value_ns != 0, follows=follows)
        timer.cancels = cancels and follows
        if follows:
            timer.wall_offset_ns = realtime_offset_ns()
        timer.expirations = 0
        timer.interval_ns = interval_ns
        if value_ns == 0:
            return
        now = monotonic_ns()
        if not is_absolute:
            deadline = sum_of(now, value_ns)
        elif follows:
            deadline = sum_of(now, difference_of(value_ns, realtime_ns()))
        else:
            deadline = value_ns
        timer.move(max(deadline, 1))
        self._tell_cancellation()

    def _tell_cancellation(self) -> None:
        """Raise ECANCELED, once, if the wall clock was set."""
        timer = self.timer
        if timer.cancels and timer.is_cancelled:
            timer.is_cancelled = False
            raise Errno(ECANCELED)

    def remaining_ns(self) -> int:
        if not self.timer.is_armed():
            return 0
        return max(1, difference_of(self.timer.deadline_ns, monotonic_ns()))

    def read(self, buffer: Buffer) -> int:
        if buffer.remaining < 8:
            raise Errno(EINVAL)
        timer = self.timer
        while timer.expirations == 0:
            if self.flags & O_NONBLOCK != 0:
                raise Errno(EAGAIN)
            timer.queue.sleep(interruptible=True)
        count = timer.expirations
        timer.expirations = 0
        self._tell_cancellation()
        storage: Array[u8, Literal[8]] = Array()  # on the stack: nothing is lost for lack of memory
        number = storage.span()
        number.store_u32(0, count & _LOW_HALF)
        number.store_u32(4, count >> 32 & _LOW_HALF)
        return buffer.put(number)

    def poll(self, waiter: PollWaiter | None) -> int:
        if waiter is not None:
            waiter.wait_on(self.timer.queue)
        return READABLE if self.timer.expirations != 0 else 0

    def ioctl(self, command: int, argument: int) -> int:
        if command == _TFD_IOC_SET_TICKS:
            self._restore(user.read_u64(UserAddr(argument)))
            return 0
        return super().ioctl(command, argument)

    def _restore(self, expirations: int) -> None:
        """A checkpoint remembers how many expirations nobody had read yet. Raises ECANCELED, EINVAL."""
        if expirations == 0:
            raise Errno(EINVAL)
        self._tell_cancellation()
        self.timer.expirations = expirations
        self.timer.queue.wake_all()
