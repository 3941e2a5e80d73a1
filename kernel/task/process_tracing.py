"""A process's share in tracing (ptrace(2)): created with the first tracee that one of its threads is or has, or
when it names a tracer.

Guarded by the kernel lock: tracers and the ends of their tracees change it (tracee.py, exit.py).
"""

from typing import TYPE_CHECKING

from kernel.lang import final
from kernel.lib.linked import LinkedList
from kernel.lib.pid import UNSET, Pid

if TYPE_CHECKING:
    from kernel.task.tracee import Tracee


@final
class ProcessTracing:
    """The state, as described above."""

    def __init__(self) -> None:
        self.tracees: LinkedList[Tracee] = LinkedList()  # of its threads, the latest first
        self.unreaped: Tracee | None = None  # ended threads for which their tracers have not waited
        self.named_tracer: Pid = UNSET  # may trace it, whatever Yama says (yama.py)
        self.named_tracer_started_ns: int = 0
