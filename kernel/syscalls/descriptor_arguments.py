"""Files that a program names by descriptor."""

from kernel.fs.file import File
from kernel.lang import EBADF, Errno, inline
from kernel.task import current


@inline
def readable_file(descriptor: int) -> File:
    file = current().files.get(descriptor)
    if not file.readable:
        raise Errno(EBADF)
    return file


@inline
def writable_file(descriptor: int) -> File:
    file = current().files.get(descriptor)
    if not file.writable:
        raise Errno(EBADF)
    return file
