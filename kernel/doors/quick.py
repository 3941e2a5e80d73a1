"""Quick forms of system calls: they run without the kernel lock where there are several processors.

A handler of which the compiler proves that it needs no lock runs without it, and nothing is declared. One that needs it
in rare cases may have a quick form beside it:

    @quick("getuid")
    @unlocked
    def _quick_getuid() -> int: ...

The compiler proves that this form needs no lock (compiler/lower/unlocked.py). With one processor it is never called.
"""

from collections.abc import Callable
from typing import Final, TypeVar

from arch import number_of_call
from kernel.doors.table import SYSCALLS

TAKE_LOCK: Final = -4096
"""What a quick form returns that cannot do the call: no result, and no errno. Then the handler is called, with the
lock; so a quick form changes nothing.
"""

_F = TypeVar("_F", bound=Callable[..., int])


def quick(name: str) -> Callable[[_F], _F]:
    """Declare the decorated function as the quick form of a call that is declared above.

    Runs at build time only. Raises ValueError for a call that is not declared, or has one.
    """
    row = SYSCALLS[number_of_call(name)]
    if row is None or row.quick is not None:
        raise ValueError(f"system call {name} is not declared yet, or has a quick form")

    def enter(function: _F) -> _F:
        row.quick = function
        return function

    return enter
