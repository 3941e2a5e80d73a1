"""Mounting an autofs: mount -t autofs -o fd=N,pgrp=N,minproto=5,maxproto=5,direct NAME DIRECTORY, where `fd` is the end
of a pipe for writing, and `pgrp` the group of the automounter's processes, which is the caller's unless it is given.

Context: never sleeps. Source: Linux's Documentation/filesystems/autofs.rst.
"""

from typing import Final

from kernel.fs.autofs.device import open_autofs
from kernel.fs.autofs.instance import AutofsInstance
from kernel.fs.autofs.packets import DIRECT, HIGHEST_VERSION, INDIRECT, LOWEST_VERSION, OFFSET
from kernel.fs.autofs.root import AutofsRoot
from kernel.fs.descriptors import CALLER_FILES
from kernel.fs.devices.filesystem import register_char_device
from kernel.fs.file import File
from kernel.fs.filesystem import FileSystem, register_in_place, split_option
from kernel.fs.path import FsContext
from kernel.lang import EINVAL, ERANGE, Errno, final
from kernel.lib.credentials import gid_from_caller, uid_from_caller
from kernel.lib.ids import NO_GROUP, NO_USER, ROOT_GROUP, ROOT_USER, KernelGid, KernelUid
from kernel.lib.numbers import parse_unsigned
from kernel.lib.pid import NOBODY, UNSET, Pid
from kernel.task import current, find_group, find_process, find_task

_MISC_MAJOR: Final = 10
_MINOR: Final = 235  # of /dev/autofs
_NUMBER_LIMIT: Final = 1 << 32
_LARGEST_PID: Final = (1 << 31) - 1


@final
class AutofsFileSystem(AutofsInstance):
    """The rest of an instance, which only mount(2) needs."""

    def reconfigure(self, options: bytes) -> None:
        """A remount only checks them."""
        _Options(options)

    def shut_down(self) -> None:
        self.fall_silent()
        top = self.top
        self.top = None
        if isinstance(top, AutofsRoot):
            top.empty_out()


@final
class _Options:
    """The options of mount(2). Raises EINVAL, EBADF (`fd`)."""

    def __init__(self, text: bytes) -> None:
        self.pipe: File | None = None
        self.pipe_number: int = -1
        self.user: KernelUid = ROOT_USER
        self.owner_group: KernelGid = ROOT_GROUP
        self.group: Pid = UNSET
        self.lowest: int = LOWEST_VERSION
        self.highest: int = HIGHEST_VERSION
        self.kind: int = INDIRECT
        self.expires_strictly: bool = False
        self.is_ignored: bool = False
        for option in text.split(b","):
            if len(option) > 0:
                self._take(option)

    def _take(self, option: bytes) -> None:
        key, value = split_option(option)
        if option == b"direct":
            self.kind = DIRECT
        elif option == b"offset":
            self.kind = OFFSET
        elif option == b"indirect":
            self.kind = INDIRECT
        elif option == b"strictexpire":
            self.expires_strictly = True
        elif option == b"ignore":
            self.is_ignored = True
        elif key == b"fd":
            self.pipe_number = _number(value)
            self.pipe = CALLER_FILES.get(self.pipe_number)
        elif key == b"pgrp":
            self.group = _group(_number(value))
        elif key == b"uid":
            self.user = uid_from_caller(_number(value))
            if self.user == NO_USER:
                raise Errno(EINVAL)
        elif key == b"gid":
            self.owner_group = gid_from_caller(_number(value))
            if self.owner_group == NO_GROUP:
                raise Errno(EINVAL)
        elif key == b"minproto":
            self.lowest = _number(value)
        elif key == b"maxproto":
            self.highest = _number(value)
        else:
            raise Errno(EINVAL)


def _number(text: bytes) -> int:
    """A number of 32 bits, in C's notation. Raises EINVAL."""
    try:
        return parse_unsigned(text, 0, _NUMBER_LIMIT)
    except Errno as error:
        raise Errno(EINVAL if error.code == ERANGE else error.code) from None


def _group(number: int) -> Pid:
    """The group with a number, or the one that a process or a thread with it could lead. Raises EINVAL."""
    if not 0 < number <= _LARGEST_PID:
        raise Errno(EINVAL)
    chosen = current().pids.resolve(number)
    is_known = find_group(chosen) is not None or find_process(chosen) is not None or find_task(chosen) is not None
    if chosen == NOBODY or not is_known:
        raise Errno(EINVAL)
    return chosen


def make_autofs(context: FsContext, source: bytes, text: bytes) -> FileSystem:
    """For mount(2). Raises EINVAL, EBADF (`fd` is no pipe, or cannot be written to), MemoryError."""
    options = _Options(text)
    pipe = options.pipe
    if pipe is None or options.highest < LOWEST_VERSION or options.lowest > HIGHEST_VERSION:
        raise Errno(EINVAL)
    task = current()
    made = AutofsFileSystem(source)
    made.kind = options.kind
    made.version = min(options.highest, HIGHEST_VERSION)
    made.lowest = options.lowest
    made.highest = options.highest
    made.expires_strictly = options.expires_strictly
    made.is_ignored = options.is_ignored
    made.group = task.process.group if options.group == UNSET else options.group
    made.pids = task.pids
    made.users = context.credentials.user_namespace
    top = AutofsRoot(made)
    top.uid = options.user
    top.gid = options.owner_group
    made.top = top
    made.connect(pipe, options.pipe_number)
    return made


register_in_place(b"autofs", make_autofs).is_for_all = False
register_char_device(_MISC_MAJOR, _MINOR, b"autofs", open_autofs)
