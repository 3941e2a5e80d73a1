"""What an opcode means: a row for each one, entered by the files in kernel/syscalls/uring_*.py when the
kernel is built.

`prepare` judges a submission before it begins, `perform` does it: it returns the result, raises an errno, or returns
WAITS. Where it raises EAGAIN and its file can be waited for, it is performed again when one of `events` is there.
"""

from collections.abc import Callable
from typing import Final

from kernel.lang import final
from kernel.uring.request import Request

OPCODES: Final = 58  # that Linux 6.12 knows
POLLED: Final = (
    1 << 0 | 1 << 1 | 1 << 2 | 1 << 4 | 1 << 5 | 1 << 20 | 1 << 22 | 1 << 23 | 1 << 31 | 1 << 32 | 1 << 40 | 1 << 46
)  # fmt: skip
"""Those that a ring with IORING_SETUP_IOPOLL takes, a bit for each."""

# What a program sees when a waiting request is cancelled
CANCEL_PLAIN: Final = 0  # the cancel's result is 0
CANCEL_FROM_LIST: Final = 1  # Linux keeps such requests on a list of their own: the cancel's result is their number
CANCEL_IN_WORKER: Final = 2  # a worker of Linux's performs them: the cancel says so, and a signal ends them


@final
class Operation:
    """One row."""

    def __init__(
        self,
        opcode: int,
        prepare: Callable[[Request], None],
        perform: Callable[[Request], int],
        needs_file: bool = False,
        takes_priority: bool = False,
        takes_buffers: bool = False,
        events: int = 0,
        cancelling: int = CANCEL_PLAIN,
    ) -> None:
        self.opcode: int = opcode
        self.prepare: Callable[[Request], None] = prepare
        self.perform: Callable[[Request], int] = perform
        self.needs_file: bool = needs_file
        self.takes_priority: bool = takes_priority  # `ioprio` says something
        self.takes_buffers: bool = takes_buffers  # IOSQE_BUFFER_SELECT
        self.events: int = events  # POLL* bits that it waits for
        self.cancelling: int = cancelling
        OPERATIONS[opcode] = self


OPERATIONS: Final[list[Operation | None]] = [None] * OPCODES


def operation_of(opcode: int) -> Operation | None:
    """The row of an opcode, any number from 0 to 255."""
    return OPERATIONS[opcode] if opcode < OPCODES else None
