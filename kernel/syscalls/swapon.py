"""Swapping: swapon(2), swapoff(2)."""

from typing import Final

from kernel.cache.swap_areas import next_number
from kernel.doors.table import syscall
from kernel.fs.constants import O_EXCL, O_LARGEFILE, O_RDWR
from kernel.fs.disks.swap_files import turn_off, turn_on
from kernel.fs.open import open_file
from kernel.lang import EINVAL, EPERM, Errno, UserAddr, u32
from kernel.lib.capabilities import CAP_SYS_ADMIN
from kernel.syscalls.path_arguments import path_at
from kernel.task.task import current

_FLAGS: Final = 0x7_FFFF  # SWAP_FLAG_…


@syscall(
    "swapon", status="Full", args="path flags:0x8000|0x10000|0x20000|0x40000|0x80000|1",
    notes="Of an area, 256 GiB at most are used",
)  # fmt: skip
def swapon(path: UserAddr, flags: u32) -> int:
    """swapon(2)."""
    if flags & ~_FLAGS != 0:
        raise Errno(EINVAL)
    task = current()
    if not task.credentials.capable(CAP_SYS_ADMIN):
        raise Errno(EPERM)
    next_number()  # before the file is looked at: EPERM if there are too many
    file = open_file(task.fs, None, path_at(path), O_RDWR | O_LARGEFILE | O_EXCL, 0)
    try:
        turn_on(file, flags)
    finally:
        file.release()
    return 0


@syscall("swapoff", status="Full", args="path")
def swapoff(path: UserAddr) -> int:
    """swapoff(2)."""
    task = current()
    if not task.credentials.capable(CAP_SYS_ADMIN):
        raise Errno(EPERM)
    file = open_file(task.fs, None, path_at(path), O_RDWR | O_LARGEFILE, 0)
    try:
        turn_off(file, task.space.mapped_bytes)
    finally:
        file.release()
    return 0
