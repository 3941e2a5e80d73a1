"""Files that a program names by descriptor. All raise EBADF where there is none."""

from kernel.fs.file import File
from kernel.lang import EBADF, Errno, inline
from kernel.task import current


@inline
def file_at(descriptor: int) -> File:
    """A file that is open for more than its path."""
    return current().files.get(descriptor)


@inline
def any_file_at(descriptor: int) -> File:
    """Any file, those that were opened with O_PATH too."""
    return current().files.get_any(descriptor)


@inline
def readable_file(descriptor: int) -> File:
    """A file that may be read. Raises EBADF for others too."""
    file = file_at(descriptor)
    if not file.readable:
        raise Errno(EBADF)
    return file


@inline
def writable_file(descriptor: int) -> File:
    """A file that may be written. Raises EBADF for others too."""
    file = file_at(descriptor)
    if not file.writable:
        raise Errno(EBADF)
    return file
