"""Quick forms of system calls: they run without the kernel lock if there are several processors.

A handler that the compiler proves to need no lock runs without it, and nothing is declared. One that needs it
in rare cases may have a quick form beside it:

    @quick("getuid")
    @unlocked
    def _quick_getuid() -> int: ...

Such a form may store words of the running thread's own, in the end. If it then finds that others must hear of that, or
that signals are due, it returns FINISH (rt_sigprocmask is an example).

The compiler proves that this form needs no lock (compiler/lower/unlocked.py). With one processor it is never called.
"""

from collections.abc import Callable
from typing import Final, TypeVar

from arch import number_of_call
from kernel.doors.table import SYSCALLS

TAKE_LOCK: Final = -4096
"""The result of a quick form that cannot do the call: not a valid result, and not an errno. Then the handler is called,
with the lock; so a quick form changes nothing.
"""

FINISH: Final = -4097
"""The result of a quick form that has done the call, and found that something follows which needs the lock: then
`krait_finish_call` (dispatch.py) does that. The result of the call is 0.
"""

_F = TypeVar("_F", bound=Callable[..., int])


def quick(name: str) -> Callable[[_F], _F]:
    """Declare the decorated function as the quick form of a call that is declared above.

    Runs only at build time. Raises ValueError for a call that is not declared, or already has one.
    """
    row = SYSCALLS[number_of_call(name)]
    if row is None or row.quick is not None:
        raise ValueError(f"system call {name} is not declared yet, or has a quick form")

    def enter(function: _F) -> _F:
        row.quick = function
        return function

    return enter
