"""add(a, b): a system call that adds two numbers, and knows what it cannot return."""

from typing import Final

from kernel.doors.table import syscall
from kernel.lang import EINVAL, ERANGE, Errno

_MOST: Final = (1 << 63) - 1


@syscall("add", number=504, status="Full", args="count count")
def add(a: int, b: int) -> int:
    """The sum. Raises EINVAL for negative numbers, because results below 0 are errors, and ERANGE for a sum that has no
    room in 63 bits.
    """
    if a < 0 or b < 0:
        raise Errno(EINVAL)
    if a > _MOST - b:  # before it is added: an overflow would be a bug
        raise Errno(ERANGE)
    return a + b
