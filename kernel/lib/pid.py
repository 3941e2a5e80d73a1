"""Numbers of processes, threads, groups and sessions, as the kernel knows them (pid_namespaces(7)).

A `Pid` is a number in the first pid namespace, where everybody has one. Programs may live in another, where the same
process has another number: what programs pass and see is a plain int, and `kernel/task/pid_namespace.py` is the border
between the two. For mypy a `Pid` is not an int, so they cannot be confused; compiled, it is one. Only formatting
accepts anything: `tests/unit/task/test_pid_border.py` finds a `Pid` in a text.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NewType

from kernel.lang import final
from kernel.lang.opaque import OpaqueInt

if TYPE_CHECKING:

    class Pid(OpaqueInt):
        """A number in the first namespace."""

else:
    Pid = NewType("Pid", int)

NOBODY: Final = Pid(-1)
"""What nobody bears. Not 0: the group and the session of the first process are called so."""
UNSET: Final = Pid(0)
"""No process, no thread."""
FIRST: Final = Pid(1)
"""The first process of all."""


class Bearer:
    """What remains known of a process after it has gone, such as the sender of a message. For a process born in a
    namespace below the first, it is a `Numbers` (kernel/task/pid_namespace.py).
    """

    def __init__(self, pid: Pid) -> None:
        self.pid: Pid = pid


@final
class PidBorder:
    """How packages below that of tasks show a number to the running thread; entered by the package of tasks."""

    def __init__(self) -> None:
        self.show: Callable[[Pid], int] | None = None
        self.show_bearer: Callable[[Bearer], int] | None = None


PID_BORDER: Final = PidBorder()


def shown_to_caller(pid: Pid) -> int:
    """A process's number in the running thread's namespace; 0 if it is not visible there."""
    show = PID_BORDER.show
    return int(pid) if show is None else show(pid)


def bearer_shown_to_caller(bearer: Bearer | None) -> int:
    """The same for a process that may have gone; 0 for none."""
    if bearer is None:
        return 0
    show = PID_BORDER.show_bearer
    return int(bearer.pid) if show is None else show(bearer)
