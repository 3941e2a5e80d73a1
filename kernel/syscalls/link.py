"""Names of files: link(2), symlink(2)."""

from kernel.doors.table import syscall
from kernel.fs.constants import AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_FOLLOW, AT_SYMLINK_NOFOLLOW, PATH_MAX
from kernel.fs.names import make_link, make_symlink
from kernel.lang import EINVAL, ENOENT, Errno, UserAddr, i32
from kernel.lib import user
from kernel.lib.capabilities import CAP_DAC_READ_SEARCH
from kernel.syscalls.descriptor_arguments import any_file_at
from kernel.syscalls.path_arguments import base_for, path_at, place_or_descriptor
from kernel.task import current


@syscall("symlink", status="Full", args="path path")
def symlink(target: UserAddr, path: UserAddr) -> int:
    return symlinkat(target, AT_FDCWD, path)


@syscall("symlinkat", status="Full", args="path dir path")
def symlinkat(target: UserAddr, directory: i32, path: UserAddr) -> int:
    text = user.read_string(target, PATH_MAX)
    if len(text) == 0:
        raise Errno(ENOENT)  # before the path is read
    name = path_at(path)
    make_symlink(current().fs, base_for(directory, name), name, text)
    return 0


@syscall("link", status="Full", args="path path")
def link(old: UserAddr, new: UserAddr) -> int:
    return linkat(AT_FDCWD, old, AT_FDCWD, new, 0)


@syscall("linkat", status="Full", args="dir path dir path flags:at")
def linkat(old_directory: i32, old: UserAddr, new_directory: i32, new: UserAddr, flags: i32) -> int:
    if flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH) != 0:
        raise Errno(EINVAL)
    context = current().fs
    if flags & AT_EMPTY_PATH != 0 and old_directory != AT_FDCWD and (old == 0 or len(path_at(old)) == 0):
        any_file_at(old_directory)  # EBADF comes first
        if not context.credentials.capable(CAP_DAC_READ_SEARCH):
            raise Errno(ENOENT)
    how = flags & AT_EMPTY_PATH
    if flags & AT_SYMLINK_FOLLOW == 0:
        how |= AT_SYMLINK_NOFOLLOW
    source = place_or_descriptor(old_directory, old, how)
    with source:
        name = path_at(new)
        make_link(context, source, base_for(new_directory, name), name)
    return 0
