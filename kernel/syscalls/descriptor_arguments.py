"""Files that a program names by descriptor. All raise EBADF if it is not open.

Another thread may close a descriptor while a call sleeps, even if only to read the program's memory from a
disk. So files found in a table that several share are held until the call ends (`Task.keep_file`); that may raise
MemoryError. In a table with one user, no one else closes descriptors.
"""

from kernel.fs.file import File
from kernel.lang import EBADF, Errno, inline, noinline
from kernel.task import current


@noinline
def file_at(descriptor: int) -> File:
    """A file that is open for more than its path."""
    task = current()
    files = task.files
    file = files.get(descriptor)
    if files.users > 1:
        task.keep_file(file)
    return file


@noinline
def any_file_at(descriptor: int) -> File:
    """Any file, including those opened with O_PATH."""
    task = current()
    files = task.files
    file = files.get_any(descriptor)
    if files.users > 1:
        task.keep_file(file)
    return file


def readable_file(descriptor: int) -> File:
    """A file that may be read. Raises EBADF for others too."""
    file = file_at(descriptor)
    if not file.readable:
        raise Errno(EBADF)
    return file


def writable_file(descriptor: int) -> File:
    """A file that may be written. Raises EBADF for others too."""
    file = file_at(descriptor)
    if not file.writable:
        raise Errno(EBADF)
    return file


@inline
def borrowed_file(descriptor: int) -> File:
    """`file_at` for the shortest calls: it is not held, so the caller must hold it before anything that may sleep,
    including access to the program's memory.
    """
    return current().files.get(descriptor)
