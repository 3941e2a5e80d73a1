"""execve(2), execveat(2)."""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.constants import AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW
from kernel.fs.path import Path
from kernel.fs.walk import ENTER, FOLLOW, resolve
from kernel.lang import EACCES, EINVAL, ELOOP, ENOENT, Errno, UserAddr, i32
from kernel.lib import user
from kernel.syscalls.descriptor_arguments import any_file_at
from kernel.task import exec as execution
from kernel.task.arguments import StringBudget, read_strings
from kernel.task.task import Task, current

_PATH_MAX: Final = 4096


@syscall("execve", status="Full", args="path <strings? <strings?")
def execve(name: UserAddr, arguments: UserAddr, environment: UserAddr) -> int:
    """execve(2)."""
    task = current()
    path = user.read_string(name, _PATH_MAX)
    if len(path) == 0:
        raise Errno(ENOENT)
    return _execute(task, resolve(task.fs, None, path, FOLLOW | ENTER), path, arguments, environment)


@syscall("execveat", status="Full", args="dir path <strings? <strings? flags:at")
def execveat(directory: i32, name: UserAddr, arguments: UserAddr, environment: UserAddr, flags: i32) -> int:
    """execveat(2)."""
    task = current()
    path = user.read_string(name, _PATH_MAX)
    if len(path) == 0 and flags & AT_EMPTY_PATH == 0:
        raise Errno(ENOENT)
    if flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0:
        raise Errno(EINVAL)
    if len(path) == 0:
        if directory == AT_FDCWD:
            raise Errno(EACCES)  # it is a directory
        file = any_file_at(directory)
        closes = task.files.closes_on_exec(directory)
        shown = b"/dev/fd/" + _decimal(directory)
        return _execute(task, file.path, shown, arguments, environment, by_descriptor=True, is_unreachable=closes)
    base: Path | None = None
    closes = False
    if path[0] != ord("/") and directory != AT_FDCWD:
        base = any_file_at(directory).path
        closes = task.files.closes_on_exec(directory)
    found = resolve(task.fs, base, path, ENTER if flags & AT_SYMLINK_NOFOLLOW != 0 else FOLLOW | ENTER)
    if found.inode().is_symlink():
        raise Errno(ELOOP)
    shown = path if base is None else b"/dev/fd/" + _decimal(directory) + b"/" + path
    return _execute(task, found, shown, arguments, environment, by_descriptor=False, is_unreachable=closes)


def _decimal(number: int) -> bytes:
    return f"{number}".encode()


def _execute(
    task: Task,
    path: Path,
    name: bytes,
    arguments: UserAddr,
    environment: UserAddr,
    by_descriptor: bool = False,
    is_unreachable: bool = False,
) -> int:
    """The file is opened before the arguments are read, which may sleep."""
    program = execution.program_of(execution.open_executable(task.fs, path), name)
    try:
        if by_descriptor:
            program.title = None
        program.is_unreachable = is_unreachable
        budget = StringBudget(task, name)
        program.arguments = read_strings(arguments, budget)
        program.environment = read_strings(environment, budget)
        execution.run(task, program)
    finally:
        program.let_go()
    return 0
