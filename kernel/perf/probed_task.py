"""What a thread has to do with probes: its step over a displaced instruction, and the functions that it is in whose
returns are watched.

Such a function has the first slot of the thread's page (probe_page.py) as its return address; the true ones are here,
the newest last. A jump out of functions, or a stack that is left, leaves entries behind: they lie below the stack
pointer, and go when the next one comes or returns.

Context: the task's own exception, or its way to user mode; nothing sleeps.
"""

from typing import Final

from arch import TrapFrame
from arch.programs import DisplacedStep
from kernel.lang import final, noraise
from kernel.perf.probe_page import ProbePage
from kernel.perf.probes import Probe
from kernel.task.belongings import ProbedState

MOST_RETURNS: Final = 64


@final
class WatchedReturn:
    """A function that has not returned."""

    def __init__(self, probe: Probe, function: int, place: int, address: int, is_chained: bool) -> None:
        self.probe: Probe = probe
        self.function: int = function
        self.place: int = place  # where its return address lay
        self.address: int = address  # that one; of no meaning if `is_chained`
        self.is_chained: bool = is_chained  # it returns where the one before it does, which called it by a jump


@final
class ProbedTask(ProbedState):
    """One thread's."""

    def __init__(self) -> None:
        self.step: DisplacedStep = DisplacedStep()
        self.page: ProbePage | None = None  # where the step is
        self.slot: int = 0
        self.undone_at: int = 0  # a step was undone whose probe has been reported
        self.undone_stack: int = 0
        self.returns: list[WatchedReturn] = []

    def copy(self) -> ProbedState:
        fresh = ProbedTask()
        for entry in self.returns:
            fresh.returns.append(entry)
        return fresh

    def leave_slot(self) -> None:
        """There is no step any more."""
        page = self.page
        self.page = None
        if page is not None:
            page.leave_slot(self.slot)

    @noraise
    def undo_step(self, frame: TrapFrame) -> None:
        if self.step.is_under_way():
            self.undone_at = self.step.address
            self.undone_stack = frame.stack_pointer
            self.step.undo(frame)
            self.leave_slot()

    def forget_dead(self, place: int, is_chained: bool) -> None:
        """A function begins whose return address lies at `place`: what is below has been left."""
        while len(self.returns) > 0:
            last = self.returns[len(self.returns) - 1].place
            if last > place or (last == place and is_chained):
                return
            self.returns.pop()
