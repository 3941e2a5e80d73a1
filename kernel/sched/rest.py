"""The scheduler's safe point, called where long loops ask for it (kernel/lib/pace.py)."""

from kernel.lang import final, sleeps
from kernel.lib.pace import PACE, Rest
from kernel.mm.reclaim import reclaim_if_due
from kernel.sched.scheduler import current_thread, safe_point
from kernel.sched.wait import WaitQueue


@final
class SafePoint(Rest):
    """Serves interrupts, and lets others run when it is their turn."""

    def __init__(self) -> None:
        self.queue: WaitQueue = WaitQueue()

    @sleeps
    def take(self) -> None:
        reclaim_if_due()  # a long call may leave as many dead objects as many short ones
        safe_point()

    @sleeps
    def wait_for_change(self) -> None:
        self.queue.wait()

    def report_change(self) -> None:
        self.queue.wake_all()

    def is_interrupted(self) -> bool:
        return current_thread().is_interrupted()

    def is_dying(self) -> bool:
        return current_thread().is_dying()


PACE.rest = SafePoint()
