"""Protection keys: pkey_alloc(2), pkey_free(2). pkey_mprotect(2) is beside mprotect(2), in mmap.py."""

from typing import Final

from kernel.doors.table import syscall
from kernel.lang import EINVAL, Errno, i32
from kernel.mm.protection_keys import DISABLE_ACCESS, DISABLE_WRITE
from kernel.task import current

_RIGHTS: Final = DISABLE_ACCESS | DISABLE_WRITE


@syscall("pkey_alloc", status="Full", args="flags:0 flags:1|2 -> pkey")
def pkey_alloc(flags: int, forbidden: int) -> int:
    """pkey_alloc(2)."""
    if flags != 0 or forbidden & ~_RIGHTS != 0:
        raise Errno(EINVAL)
    return current().space.own_keys().take_for_program(forbidden)


@syscall("pkey_free", status="Full", args="pkey")
def pkey_free(key: i32) -> int:
    """pkey_free(2)."""
    current().space.own_keys().give_back(key)
    return 0
