"""What a process has to do with tracing (ptrace(2)): made with the first tracee that one of its threads is or has, or
when it names a tracer.

Guarded by the kernel lock: tracers and the ends of their tracees change it (tracee.py, exit.py).
"""

from typing import TYPE_CHECKING

from kernel.lang import final
from kernel.lib.pid import UNSET, Pid

if TYPE_CHECKING:
    from kernel.task.tracee import Tracee


@final
class ProcessTracing:
    """See above."""

    def __init__(self) -> None:
        self.first_tracee: Tracee | None = None  # of those whom a thread of this process traces
        self.unreaped: Tracee | None = None  # threads that have ended, for which their tracers have not waited
        self.named_tracer: Pid = UNSET  # who may trace it, whatever Yama says (yama.py)
        self.named_tracer_started_ns: int = 0
