"""The system call table: the only source for dispatch, the compatibility page, tracing and fuzzing.

A handler is declared where it is written:

    @syscall("getpid", args="")
    def getpid() -> int: ...

The decorator runs at build time and enters the function here; the compiler freezes `SYSCALLS` into the image, with a
thunk for each handler that decodes the six registers by its annotations and turns an `Errno` into a negative result.
Its number is the architecture's. Where Linux answers ENOSYS, too, the status says so, and one handler serves
all such calls, with a declaration for each. `args` describes the arguments in words; arguments.py has the notation.
"""

from collections.abc import Callable
from typing import Final, TypeVar

from arch import CALL_LIMIT, name_own_call, number_of_call
from kernel.doors.arguments import letters

# Six registers in, a value or a negative errno out. The compiler creates the thunk where a handler of another shape is
# stored here.
SyscallHandler = Callable[[int, int, int, int, int, int], int]

# The status of a call that Linux itself does not implement.
AS_LINUX: Final = "As Linux (ENOSYS)"

_F = TypeVar("_F", bound=Callable[..., int])


class Syscall:
    """One row of the table."""

    def __init__(
        self, number: int, name: str, status: str, notes: str, letters: str, handler: SyscallHandler
    ) -> None:
        self.number: int = number
        self.name: str = name
        self.status: str = status  # "Full", "Partial" or AS_LINUX: what the compatibility page shows
        self.notes: str = notes
        self.letters: str = letters  # how trace= prints the arguments: one letter each, see trace.py
        self.handler: SyscallHandler = handler
        self.quick: SyscallHandler | None = None  # a form without the kernel lock (quick.py)


SYSCALLS: list[Syscall | None] = [None] * CALL_LIMIT

# The arguments in words, by number. Separate from the rows, because the kernel at run time needs only their letters.
DESCRIPTIONS: dict[int, str] = {}


def syscall(
    name: str, *, status: str = "Partial", notes: str = "", args: str = "", number: int | None = None
) -> Callable[[_F], _F]:
    """Declare the decorated function as the handler of a system call; `args` is in the notation of arguments.py. A call
    that Linux does not have brings a `number`, 500 to 511.

    Runs only at build time. Raises ValueError for a name for which the architecture has no number, and for a call that
    is declared twice.
    """
    if number is None:
        number = number_of_call(name)
    else:
        name_own_call(name, number)

    def enter(function: _F) -> _F:
        if SYSCALLS[number] is not None:
            raise ValueError(f"system call {name} is declared twice")
        DESCRIPTIONS[number] = args
        SYSCALLS[number] = Syscall(number, name, status, notes, letters(args), function)
        return function

    return enter
