"""Holds back requests and writers of control groups that have used up their share of a disk (io.max;
kernel/cgroup/disks.py).

The group of the thread that begins a request pays for it, and the request waits until it is due. Pages that are written
back are counted for the group that their memory is charged to, and never wait: others may need them. Instead whoever
writes to files pays for the bytes and waits (`slow_down`), so that dirty pages do not pile up.

Context: `hold_back` never sleeps; `slow_down` does.
"""

from typing import TYPE_CHECKING, Final

from kernel.cgroup.disks import DISCARDING, DISK_CONTROLS, READING, WRITING, DiskControl, HeldRequests, Waiting
from kernel.cgroup.group import ControlGroup
from kernel.cgroup.memory import MEMORY_CONTROLS
from kernel.lang import final, noinline, sleeps
from kernel.lib.pace import is_dying, spend
from kernel.mm.frames import Frame, charged_for
from kernel.sched.kthread import KernelThread
from kernel.sched.processor import RUNNING
from kernel.sched.thread import Thread
from kernel.sched.wait import WaitQueue
from kernel.time.clock import NS_PER_MS, monotonic_ns
from kernel.time.timers import Timer

if TYPE_CHECKING:
    from kernel.block.device import BlockDevice, BlockRequest

_KINDS: Final[list[int]] = [READING, WRITING, -1, DISCARDING, WRITING]  # what each `Operation` counts as; -1: nothing
_CREDIT_NS: Final = 10 * NS_PER_MS  # how far a writer may be ahead, so that it does not sleep for each page
_STEP_NS: Final = 100 * NS_PER_MS  # of a sleep: it ends when the limits change, or when the thread is killed
_LOOK_COST: Final = 10  # instructions for each entry of the list


@final
class WaitingRequest(Waiting):
    """A request that waits until it is due."""

    def __init__(self, held: HeldRequests, device: "BlockDevice", request: "BlockRequest") -> None:
        super().__init__()
        self.held: HeldRequests = held  # of its group
        self.device: BlockDevice = device
        self.request: BlockRequest = request
        self.thread: Thread = RUNNING.current  # that began it
        self.timer: StartTimer = StartTimer(self)

    def go(self) -> None:
        self.timer.cancel()
        self.timer.waiting = None
        self.device.submit(self.request)


@final
class StartTimer(Timer):
    """Begins a request when it is due."""

    def __init__(self, waiting: WaitingRequest) -> None:
        super().__init__()
        self.waiting: WaitingRequest | None = waiting

    def expire(self, now_ns: int) -> int:
        waiting = self.waiting
        if waiting is not None:
            self.waiting = None
            waiting.held.remove(waiting)
            waiting.device.submit(waiting.request)
        return 0


def disk_number(device: "BlockDevice") -> int:
    """The number of the whole disk that a device is, or lies on."""
    whole = device.whole
    return device.number if whole is None else whole.number


@noinline
def hold_back(device: "BlockDevice", request: "BlockRequest") -> bool:
    """Count a request of the running thread, and let it wait if it comes too early. Returns whether it waits."""
    kind = _KINDS[request.operation]
    control = _owner(request) if request.is_paid else RUNNING.current.disks
    if not isinstance(control, DiskControl) or kind < 0:
        return False
    number = disk_number(device)
    now_ns = monotonic_ns()
    try:
        control.count(number, kind, request.length)
        if not DISK_CONTROLS.are_limited or kind == DISCARDING:
            return False
        if request.is_paid:
            control.pay(number, kind, 0, 1, now_ns)  # its writer will wait
            return False
        begin_ns = control.pay(number, kind, request.length, 1, now_ns)
        if begin_ns <= now_ns or _must_end(RUNNING.current):
            return False
        return _wait(WaitingRequest(control.held, device, request), begin_ns)
    except MemoryError:
        return False


def _wait(waiting: WaitingRequest, begin_ns: int) -> bool:
    """Let a request begin at a given time. Raises MemoryError."""
    try:
        waiting.timer.start(begin_ns)
    except MemoryError:
        waiting.timer.waiting = None  # the two refer to each other
        raise
    waiting.held.add(waiting)
    return True


def _owner(request: "BlockRequest") -> DiskControl | None:
    """The group that owns the pages being written back: that of the first page stands for all."""
    if len(request.frames) == 0:
        return None
    control = MEMORY_CONTROLS.living(charged_for(Frame(request.frames[0])))
    holder = None if control is None else control.holder
    return holder.nearest_disks() if isinstance(holder, ControlGroup) else None


def _must_end(thread: Thread) -> bool:
    """Whether it is killed or ends: somebody waits for that, so it waits no more for its share."""
    return is_dying() or thread.is_parting()


@sleeps
def wait_for_transfer(waiters: WaitQueue) -> None:
    """Sleep until a transfer wakes those who wait, or for a moment. If the running thread is killed meanwhile, what it
    has begun is not held back any longer.
    """
    if DISK_CONTROLS.are_limited:
        _wait_with_limits(waiters)
    else:
        waiters.wait_for_disk()


@noinline
@sleeps
def _wait_with_limits(waiters: WaitQueue) -> None:
    if not DISK_CONTROLS.holding.is_empty():
        thread = RUNNING.current
        if not _must_end(thread):
            try:
                waiters.wait_for_disk_until(monotonic_ns() + _STEP_NS)
                return
            except MemoryError:
                pass  # without a time limit
        elif _begin_those_of(thread):
            return  # which may have finished at once
    waiters.wait_for_disk()


def _begin_those_of(thread: Thread) -> bool:
    """Begin the requests of a thread that are held back; whether there were any. They wait for the groups in which the
    thread was when it created them.
    """
    found = False
    held = DISK_CONTROLS.holding.first()
    while held is not None:
        next_held = held.after()
        waiting = held.requests.first()
        while waiting is not None:
            following = waiting.after()
            if isinstance(waiting, WaitingRequest) and waiting.thread is thread:
                held.remove(waiting)
                waiting.go()
                found = True
            spend(_LOOK_COST)
            waiting = following
        held = next_held
    return found


_TIME: Final = WaitQueue()  # nobody wakes those who wait here; only time does


@noinline
@sleeps
def slow_down(device: "BlockDevice", size_bytes: int) -> None:
    """The running thread has written to a file: charge its group, and sleep while the thread is ahead of its share.
    One that ends does not sleep: signals no longer reach it, and what it writes then (acct(2)) is for others.
    """
    thread = RUNNING.current
    control = thread.disks
    if not isinstance(control, DiskControl) or isinstance(thread, KernelThread):
        return
    number = disk_number(device)
    control.pay(number, WRITING, size_bytes, 0, monotonic_ns())
    while not _must_end(thread):
        now_ns = monotonic_ns()
        left_ns = control.free_ns(number, WRITING) - now_ns
        if left_ns <= _CREDIT_NS:
            return
        try:
            _TIME.wait_for_disk_until(now_ns + min(left_ns, _STEP_NS))
        except MemoryError:
            return
