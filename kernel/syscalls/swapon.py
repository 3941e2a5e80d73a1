"""Swapping: swapon(2), swapoff(2). Krait does not swap: requests that Linux refuses are refused in the same way, and
those that Linux would accept are ENOSYS.
"""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.constants import O_EXCL, O_LARGEFILE, O_RDWR, S_IFBLK, S_IFMT
from kernel.fs.file import File
from kernel.fs.open import open_file
from kernel.lang import EINVAL, ENOSYS, EPERM, Errno, UserAddr, span_of, u32
from kernel.lib.capabilities import CAP_SYS_ADMIN
from kernel.lib.user import KernelBuffer
from kernel.mm.frames import PAGE_SIZE
from kernel.syscalls.path_arguments import path_at
from kernel.task.task import current

_FLAGS: Final = 0x7_FFFF  # SWAP_FLAG_…
_SIGNATURE: Final = b"SWAPSPACE2"
_HEADER: Final = 1024  # where version, last page and number of bad pages stand
_VERSION: Final = 1
_MOST_BAD_PAGES: Final = 637


@syscall(
    "swapon", args="path flags:0x8000|0x10000|0x20000|0x40000|0x80000|1",
    notes="No swapping: an area that could be used is ENOSYS",
)  # fmt: skip
def swapon(path: UserAddr, flags: u32) -> int:
    """swapon(2)."""
    if flags & ~_FLAGS != 0:
        raise Errno(EINVAL)
    task = current()
    if not task.credentials.capable(CAP_SYS_ADMIN):
        raise Errno(EPERM)
    file = open_file(task.fs, None, path_at(path), O_RDWR | O_LARGEFILE | O_EXCL, 0)
    try:
        if not _is_area(file):
            raise Errno(EINVAL)
    finally:
        file.release()
    raise Errno(ENOSYS)


def _is_area(file: File) -> bool:
    """Whether Linux would accept a file: a block device, or a file on one, with a valid header."""
    inode = file.inode
    is_on_disk = inode.is_regular() and inode.file_system.block_device is not None
    if not is_on_disk and inode.mode & S_IFMT != S_IFBLK:
        return False
    page = bytearray(PAGE_SIZE)
    if file.pread(KernelBuffer(page), 0) < PAGE_SIZE or not bytes(page).endswith(_SIGNATURE):
        return False
    words = span_of(page)
    last = words.load_u32(_HEADER + 4)
    bad_pages = words.load_u32(_HEADER + 8)
    if words.load_u32(_HEADER) != _VERSION or last == 0 or (is_on_disk and last >= inode.size // PAGE_SIZE):
        return False
    return bad_pages == 0 or (not is_on_disk and bad_pages <= _MOST_BAD_PAGES)


@syscall("swapoff", status="Full", args="path")
def swapoff(path: UserAddr) -> int:
    """swapoff(2): no file is in use for swapping."""
    task = current()
    if not task.credentials.capable(CAP_SYS_ADMIN):
        raise Errno(EPERM)
    open_file(task.fs, None, path_at(path), O_RDWR | O_LARGEFILE, 0).release()
    raise Errno(EINVAL)
