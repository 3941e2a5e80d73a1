"""rename(2), renameat(2), renameat2(2)."""

from kernel.doors.table import syscall
from kernel.fs.constants import AT_FDCWD
from kernel.fs.names import check_rename_flags, rename
from kernel.fs.walk import resolve_parent
from kernel.lang import Errno, UserAddr, i32, u32
from kernel.syscalls.path_arguments import base_for, path_at
from kernel.task import current


@syscall("rename", status="Full", args="path path")
def rename_(old: UserAddr, new: UserAddr) -> int:
    return renameat2(AT_FDCWD, old, AT_FDCWD, new, 0)


@syscall("renameat", status="Full", args="dir path dir path")
def renameat(old_directory: i32, old: UserAddr, new_directory: i32, new: UserAddr) -> int:
    return renameat2(old_directory, old, new_directory, new, 0)


@syscall(
    "renameat2", status="Full", args="dir path dir path flags:RENAME_NOREPLACE|RENAME_EXCHANGE|RENAME_WHITEOUT",
)  # fmt: skip
def renameat2(old_directory: i32, old: UserAddr, new_directory: i32, new: UserAddr, flags: u32) -> int:
    check_rename_flags(flags)
    context = current().fs
    old_name = path_at(old)
    old_base = base_for(old_directory, old_name)
    try:
        new_name = path_at(new)
        new_base = base_for(new_directory, new_name)
    except (Errno, MemoryError):
        resolve_parent(context, old_base, old_name)  # what is wrong with the old name comes first
        raise
    rename(context, old_base, old_name, new_base, new_name, flags)
    return 0
