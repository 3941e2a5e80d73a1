"""Kernel modules: init_module(2), finit_module(2), delete_module(2).

Krait has none and loads none: anything offered is an invalid module, and no module of any name is loaded.
"""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.file import File
from kernel.lang import (
    EBADF,
    EFBIG,
    EINVAL,
    ENOENT,
    ENOEXEC,
    ENOMEM,
    EPERM,
    ETXTBSY,
    Errno,
    UserAddr,
    i32,
    span_of,
    u32,
)
from kernel.lib import user
from kernel.lib.capabilities import CAP_SYS_MODULE
from kernel.lib.pace import pace_bytes
from kernel.lib.settings import SystemSetting
from kernel.mm.frames import PAGE_SIZE, total_frame_count
from kernel.syscalls.descriptor_arguments import file_at
from kernel.task.task import current

_DISABLED: Final = SystemSetting(b"kernel/modules_disabled", [0], 1, 1)  # once it is 1, it stays so

_NAME_LIMIT: Final = 55  # bytes of a name that are read
_HEADER_SIZE: Final = 64  # of an ELF file
_IGNORE_VERSIONS: Final = 1  # MODULE_INIT_IGNORE_…
_IGNORE_MAGIC: Final = 2
_COMPRESSED: Final = 4  # MODULE_INIT_COMPRESSED_FILE
_LARGEST_FILE: Final = (1 << 31) - 1


def _check_caller() -> None:
    """Raise EPERM unless the caller might load modules."""
    if not current().credentials.capable(CAP_SYS_MODULE) or _DISABLED.value != 0:
        raise Errno(EPERM)


def _check_memory(address: UserAddr, size: int) -> None:
    """Raise EFAULT unless all of a range can be read. `size` is at most that of memory."""
    user.check(address, size)
    part = bytearray(PAGE_SIZE)
    done = 0
    while done < size:
        count = min(PAGE_SIZE, size - done)
        user.read_into(span_of(part)[0:count], user.within(address, done))
        done += count
        pace_bytes(count)


@syscall("init_module", status="Full", args="<bytes[size] size name:text", notes="There are no modules")
def init_module(image: UserAddr, size: int, parameters: UserAddr) -> int:
    """init_module(2)."""
    _check_caller()
    if 0 <= size < _HEADER_SIZE:
        raise Errno(ENOEXEC)
    if size < 0 or size > total_frame_count() * PAGE_SIZE:
        raise Errno(ENOMEM)
    _check_memory(image, size)
    raise Errno(ENOEXEC)


@syscall("finit_module", status="Full", args="fd name:text flags:1|2|4", notes="There are no modules")
def finit_module(descriptor: i32, parameters: UserAddr, flags: u32) -> int:
    """finit_module(2)."""
    _check_caller()
    if flags & ~(_IGNORE_VERSIONS | _IGNORE_MAGIC | _COMPRESSED) != 0:
        raise Errno(EINVAL)
    file = file_at(descriptor)
    if not file.readable:
        raise Errno(EBADF)
    _check_file(file)
    raise Errno(EINVAL if flags & _COMPRESSED != 0 else ENOEXEC)


def _check_file(file: File) -> None:
    """Check what would keep a file from being read whole. Raises EINVAL, ETXTBSY, EFBIG."""
    inode = file.inode
    if not inode.is_regular():
        raise Errno(EINVAL)
    if inode.writers > 0:
        raise Errno(ETXTBSY)
    if inode.size <= 0:
        raise Errno(EINVAL)
    if inode.size > _LARGEST_FILE:
        raise Errno(EFBIG)


@syscall("delete_module", status="Full", args="name:text flags:O_NONBLOCK|O_TRUNC", notes="There are no modules")
def delete_module(name: UserAddr, flags: u32) -> int:
    """delete_module(2)."""
    _check_caller()
    user.read_string_start(name, _NAME_LIMIT)
    raise Errno(ENOENT)
