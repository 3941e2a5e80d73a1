"""The network thread "knet": takes packets from drivers, and runs the protocols' timers.

An interrupt handler calls `schedule_work`; the thread then calls the work's `run`. Work with more to do than its share
schedules itself again, so that others get their turn.

Context: interrupts may call `schedule_work` and use `Work`; `run` is called in the thread; it may take safe points.
"""

from typing import Final

from kernel.lang import Errno, final, inline
from kernel.lib import log
from kernel.lib.linked import Queue, Queued
from kernel.lib.pace import pace
from kernel.net.link import ethernet
from kernel.net.link.loopback import BACKLOG
from kernel.net.link.timers import NEVER_NS, TIMERS, TimerHook
from kernel.sched import WaitQueue, safe_point, spawn_kernel_thread, yield_now
from kernel.time import Timer, monotonic_ns

_WORK_COST: Final = 20_000  # instructions of a turn, besides what it reports to have spent


class Work(Queued["Work"]):
    """Something for the network thread to do. Base class."""

    def __init__(self) -> None:
        super().__init__()
        self.is_scheduled: bool = False

    @inline
    def this(self) -> "Work":
        return self

    def run(self, now_ns: int) -> None:
        """Do a bounded share of the work. After MemoryError, which must leave it consistent, it is called again."""


@final
class WakeTimer(Timer):
    """Wakes the thread for the earliest of the protocols' timers."""

    def expire(self, now_ns: int) -> int:
        _knet.timers_due = True
        _knet.queue.wake_all()
        return 0


@final
class KernelTimerHook(TimerHook):
    """Sets `WakeTimer`."""

    def wake_at(self, deadline_ns: int) -> None:
        try:
            _knet.timer.start(deadline_ns)
        except MemoryError:
            # No room in the kernel's queue: the thread checks the timers itself, at once and until there is room.
            _knet.timers_due = True
            _knet.queue.wake_all()


@final
class NetworkThread:
    """The queued work, and where the thread sleeps."""

    def __init__(self) -> None:
        self.works: Queue[Work] = Queue()
        self.queue: WaitQueue = WaitQueue()
        self.timer: WakeTimer = WakeTimer()
        self.timers_due: bool = False
        self.lacked_memory: bool = False  # in the last round: others must run, and free some

    def has_news(self) -> bool:
        """Whether something is scheduled, or timers are due."""
        return not self.works.is_empty() or self.timers_due


_knet: Final = NetworkThread()


def schedule_work(work: Work) -> None:
    """Have the network thread run `work` soon; calls before it does so count once."""
    if not work.is_scheduled:
        work.is_scheduled = True
        _knet.works.append(work)
        _knet.queue.wake_all()


def run_pending(now_ns: int) -> bool:
    """Run what is scheduled now, and due timers, with safe points between. False if there was nothing to do, and there
    is nothing now: the caller may sleep, if it takes no safe point first. Work that finds no memory gets another turn,
    after all other work: the thread, which serves the whole network, goes on.
    """
    work = _knet.works.take_all()
    busy = work is not None or _knet.timers_due
    while work is not None:
        following = work.after()
        work.next = None
        work.is_scheduled = False
        try:
            work.run(now_ns)
        except MemoryError:
            schedule_work(work)
            _knet.lacked_memory = True
        except Errno as error:  # whatever it is, the others' work goes on
            log.error(f"knet: work ended with error {error.code}")
        work = following
        pace(_WORK_COST)
    if _knet.timers_due or TIMERS.announced_ns <= now_ns:
        _knet.timers_due = False
        pace(0)  # the others' leftover time is too little for senders
        deadline_ns = TIMERS.run_due(now_ns)
        hook = TIMERS.hook
        if deadline_ns <= now_ns:
            _knet.timers_due = True  # the others follow
            busy = True
        elif deadline_ns != NEVER_NS and hook is not None:
            hook.wake_at(deadline_ns)
        pace(0)
    ethernet.drain()
    # Timers, packets, and interrupts at a safe point may have brought news. Nobody was asleep to be woken by it.
    return busy or _knet.has_news()


@final
class LeftOver(Work):
    """Delivers packets that were too many to deliver at once, through `run_pending`."""

    def run(self, now_ns: int) -> None:
        BACKLOG.is_left_over = False


_LEFT_OVER: Final = LeftOver()


@final
class _Hook(ethernet.LinkHook):
    def left_over(self) -> None:
        schedule_work(_LEFT_OVER)


ethernet.LINK.hook = _Hook()


def _main(_argument: int) -> None:
    while True:
        if run_pending(monotonic_ns()):
            safe_point()
            if _knet.lacked_memory:
                _knet.lacked_memory = False
                yield_now()
        else:
            _knet.queue.sleep(interruptible=False)


def start() -> None:
    """Start the thread. Raises MemoryError."""
    TIMERS.hook = KernelTimerHook()
    spawn_kernel_thread(b"knet", _main, 0)
