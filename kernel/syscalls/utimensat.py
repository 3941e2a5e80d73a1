"""Times of files: utime(2), utimensat(2)."""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.attributes import TimeChange, change_times, time_ns
from kernel.fs.constants import AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, UTIME_NOW, UTIME_OMIT
from kernel.fs.notification import IN_ACCESS, IN_ATTRIB, IN_MODIFY, tell_place
from kernel.fs.path import Path
from kernel.lang import EINVAL, Errno, UserAddr, i32
from kernel.lib import user
from kernel.syscalls.descriptor_arguments import file_at
from kernel.syscalls.path_arguments import place_at, place_or_descriptor
from kernel.task import current

_NS: Final = 1_000_000_000


def _read_timespecs(address: UserAddr) -> TimeChange:
    change = TimeChange()
    if address == 0:
        return change
    user.check(address, 32)
    change.accessed_special = user.read_i64(user.at(address, 8))
    change.modified_special = user.read_i64(user.at(address, 24))
    if 0 <= change.accessed_special < _NS:
        change.accessed_ns = time_ns(user.read_i64(address), change.accessed_special)
    if 0 <= change.modified_special < _NS:
        change.modified_ns = time_ns(user.read_i64(user.at(address, 16)), change.modified_special)
    return change


def _check_times(change: TimeChange) -> None:
    """Raise EINVAL for what is no number of nanoseconds: after errors of the path."""
    for nanoseconds in (change.accessed_special, change.modified_special):
        if nanoseconds != UTIME_NOW and nanoseconds != UTIME_OMIT and not 0 <= nanoseconds < _NS:
            raise Errno(EINVAL)


def _read_timevals(address: UserAddr) -> TimeChange:
    change = TimeChange()
    if address == 0:
        return change
    user.check(address, 32)
    accessed_us = user.read_i64(user.at(address, 8))
    modified_us = user.read_i64(user.at(address, 24))
    if not 0 <= accessed_us < 1_000_000 or not 0 <= modified_us < 1_000_000:
        raise Errno(EINVAL)
    change.accessed_ns = time_ns(user.read_i64(address), accessed_us * 1000)
    change.modified_ns = time_ns(user.read_i64(user.at(address, 16)), modified_us * 1000)
    change.accessed_special = 0
    change.modified_special = 0
    return change


def _change_times(path: Path, change: TimeChange) -> int:
    with path:
        _check_times(change)
        change_times(current().fs, path.mount, path.inode(), change)
        tell_place(path.dentry, _event_of(change))
    return 0


def _event_of(change: TimeChange) -> int:
    if change.accessed_special == UTIME_OMIT:
        return IN_MODIFY
    return IN_ACCESS if change.modified_special == UTIME_OMIT else IN_ATTRIB


@syscall("utimensat", status="Full", args="dir path <utimens? flags:at")
def utimensat(directory: i32, path: UserAddr, times: UserAddr, flags: i32) -> int:
    change = _read_timespecs(times)
    if change.accessed_special == UTIME_OMIT and change.modified_special == UTIME_OMIT:
        return 0
    if flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0:
        raise Errno(EINVAL)
    if path == 0 and directory != AT_FDCWD:
        # A null name means the descriptor itself: futimens(3).
        if flags != 0:
            raise Errno(EINVAL)
        return _change_times(file_at(directory).path, change)
    return _change_times(place_or_descriptor(directory, path, flags), change)


@syscall("futimesat", status="Full", args="dir path <timevals?")
def futimesat(directory: i32, path: UserAddr, times: UserAddr) -> int:
    change = _read_timevals(times)
    if path == 0 and directory != AT_FDCWD:
        return _change_times(file_at(directory).path, change)
    return _change_times(place_at(directory, path, 0), change)


@syscall("utimes", status="Full", args="path <timevals?")
def utimes(path: UserAddr, times: UserAddr) -> int:
    change = _read_timevals(times)
    return _change_times(place_at(AT_FDCWD, path, 0), change)


@syscall("utime", status="Full", args="path <utimbuf?")
def utime(path: UserAddr, times: UserAddr) -> int:
    change = TimeChange()
    if times != 0:
        change.accessed_ns = time_ns(user.read_i64(times), 0)
        change.modified_ns = time_ns(user.read_i64(user.at(times, 8)), 0)
        change.accessed_special = 0
        change.modified_special = 0
    return _change_times(place_at(AT_FDCWD, path, 0), change)
