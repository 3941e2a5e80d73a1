"""Files that a program names by descriptor. All raise EBADF where there is none.

Another thread may close a descriptor while a call sleeps, be it only because memory of the program has to come from a
disk. So what these find in a table that several share is held until the call ends (`Task.keep_file`); they raise
MemoryError for that. Nobody else closes descriptors of a table that has one user.
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
    """Any file, those that were opened with O_PATH too."""
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
    """`file_at` for the shortest calls: nobody holds it, so the caller does before anything that may sleep, memory of
    the program included.
    """
    return current().files.get(descriptor)
