"""New directories and nodes: mkdir(2), mknod(2)."""

from kernel.doors.table import syscall
from kernel.fs.constants import AT_FDCWD
from kernel.fs.names import kind_to_make, make_directory, make_node
from kernel.lang import UserAddr, i32, u32
from kernel.syscalls.path_arguments import base_for, path_at
from kernel.task import current


@syscall("mkdir", status="Full", args="path mode")
def mkdir(path: UserAddr, mode: i32) -> int:
    return mkdirat(AT_FDCWD, path, mode)


@syscall("mkdirat", status="Full", args="dir path mode")
def mkdirat(directory: i32, path: UserAddr, mode: i32) -> int:
    name = path_at(path)
    make_directory(current().fs, base_for(directory, name), name, mode)
    return 0


@syscall("mknod", status="Full", args="path flags:node device")
def mknod(path: UserAddr, mode: i32, device: u32) -> int:
    return mknodat(AT_FDCWD, path, mode, device)


@syscall("mknodat", status="Full", args="dir path flags:node device")
def mknodat(directory: i32, path: UserAddr, mode: i32, device: u32) -> int:
    kind_to_make(mode)  # kinds that cannot be created are refused before the path is looked at
    name = path_at(path)
    make_node(current().fs, base_for(directory, name), name, mode & 0o177777, device)
    return 0
