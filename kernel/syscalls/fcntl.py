"""fcntl(2), without its locks, which are in fcntl_locking.py."""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.constants import (
    F_ADD_SEALS,
    F_CREATED_QUERY,
    F_DUPFD,
    F_DUPFD_CLOEXEC,
    F_DUPFD_QUERY,
    F_GET_RW_HINT,
    F_GET_SEALS,
    F_GETFD,
    F_GETFL,
    F_GETLEASE,
    F_GETLK,
    F_GETOWN,
    F_GETOWN_EX,
    F_GETOWNER_UIDS,
    F_GETPIPE_SZ,
    F_GETSIG,
    F_NOTIFY,
    F_OFD_GETLK,
    F_OFD_SETLK,
    F_OFD_SETLKW,
    F_SEAL_EXEC,
    F_SEAL_FUTURE_WRITE,
    F_SEAL_GROW,
    F_SEAL_SEAL,
    F_SEAL_SHRINK,
    F_SEAL_WRITE,
    F_SET_RW_HINT,
    F_SETFD,
    F_SETFL,
    F_SETLEASE,
    F_SETLK,
    F_SETLKW,
    F_SETOWN,
    F_SETOWN_EX,
    F_SETPIPE_SZ,
    F_SETSIG,
    FD_CLOEXEC,
    FS_APPEND_FL,
    O_APPEND,
    O_ASYNC,
    O_DIRECT,
    O_NOATIME,
    S_IFBLK,
    S_IFMT,
    SETTABLE_FLAGS,
)
from kernel.fs.file import OWNER_GROUP, OWNER_PROCESS, OWNER_THREAD, File
from kernel.fs.inode import Inode
from kernel.fs.leases import lease_kind
from kernel.fs.tmpfs.base import SealableInode
from kernel.ipc.pipe import PipeFile
from kernel.lang import EBADF, EINVAL, EPERM, ESRCH, Errno, UserAddr, i32
from kernel.lib import user
from kernel.lib.credentials import caller_namespace
from kernel.lib.pid import UNSET
from kernel.syscalls.descriptor_arguments import any_file_at
from kernel.syscalls.fcntl_locking import record_lock
from kernel.task import current, find_process, find_task
from kernel.task.async_io import choose_owner, give_owner, living_owner, unwatch, watch
from kernel.task.file_events import choose_lease, watch_directory
from kernel.task.groups import find_group
from kernel.task.signals import SIGNAL_COUNT

_ALL_SEALS: Final = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE | F_SEAL_EXEC
_OF_PATHS: Final = (F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_DUPFD_QUERY, F_CREATED_QUERY)
_RWH_WRITE_LIFE_EXTREME: Final = 5
_INT_MASK: Final = 0xFFFF_FFFF


@syscall("fcntl", status="Full", args="fd one:fcntl any")
def fcntl(descriptor: i32, command: i32, argument: int) -> int:
    files = current().files
    file = any_file_at(descriptor)
    if file.is_path_only() and command not in _OF_PATHS:
        raise Errno(EBADF)
    if command == F_DUPFD or command == F_DUPFD_CLOEXEC:
        return files.duplicate(descriptor, argument & _INT_MASK, command == F_DUPFD_CLOEXEC)
    if command == F_GETFD:
        return FD_CLOEXEC if files.closes_on_exec(descriptor) else 0
    if command == F_SETFD:
        files.set_close_on_exec(descriptor, argument & FD_CLOEXEC != 0)
        return 0
    if command == F_GETFL:
        return file.flags
    if command == F_SETFL:
        return _set_flags(file, descriptor, argument)
    if command in (F_GETLK, F_SETLK, F_SETLKW, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW):
        return record_lock(file, descriptor, command, UserAddr(argument))
    if command in (F_SETOWN, F_GETOWN, F_SETSIG, F_GETSIG, F_SETOWN_EX, F_GETOWN_EX, F_GETOWNER_UIDS):
        return _owner(file, command, argument)
    if command == F_SETPIPE_SZ or command == F_GETPIPE_SZ:
        if not isinstance(file, PipeFile):
            raise Errno(EBADF)
        if command == F_GETPIPE_SZ:
            return file.pipe.capacity
        return file.pipe.set_capacity(argument & 0xFFFFFFFF, current().credentials)
    if command == F_ADD_SEALS or command == F_GET_SEALS:
        return _seals(file, command, argument)
    return _events_and_hints(file, descriptor, command, argument)


def _events_and_hints(file: File, descriptor: int, command: int, argument: int) -> int:
    """Commands of Linux's own."""
    if command == F_SETLEASE:
        choose_lease(file, descriptor, argument & _INT_MASK)
        return 0
    if command == F_GETLEASE:
        return lease_kind(file)
    if command == F_NOTIFY:
        watch_directory(file, descriptor, argument & _INT_MASK)
        return 0
    if command == F_DUPFD_QUERY:
        return 1 if any_file_at(argument & _INT_MASK) is file else 0
    if command == F_CREATED_QUERY:
        return 1 if file.is_new else 0
    if command == F_GET_RW_HINT:
        user.write_u64(UserAddr(argument), file.inode.write_hint)
        return 0
    if command == F_SET_RW_HINT:
        _set_write_hint(file, user.read_u64(UserAddr(argument)))
        return 0
    raise Errno(EINVAL)


def _set_write_hint(file: File, hint: int) -> None:
    """How long written data will live, in the writer's opinion; no device here uses it."""
    if not 0 <= hint <= _RWH_WRITE_LIFE_EXTREME:
        raise Errno(EINVAL)
    file.inode.write_hint = hint


def _set_flags(file: File, descriptor: int, argument: int) -> int:
    inode = file.inode
    if inode.flags & FS_APPEND_FL != 0 and (argument ^ file.flags) & O_APPEND != 0:
        raise Errno(EPERM)
    if argument & O_NOATIME & ~file.flags != 0 and not inode.owned_by(file.path.mount.actor(current().credentials)):
        raise Errno(EPERM)
    if argument & O_DIRECT != 0 and not _takes_direct(inode):
        raise Errno(EINVAL)
    if (argument ^ file.flags) & O_ASYNC != 0 and sends_signals(file):
        set_async(file, descriptor, argument & O_ASYNC != 0)
    settable = SETTABLE_FLAGS & ~O_ASYNC
    file.set_status_flags((file.flags & ~settable) | (argument & settable))
    return 0


def _takes_direct(inode: Inode) -> bool:
    """Whether O_DIRECT may be set: for pipes it means packets."""
    if inode.is_regular():
        return inode.file_system.allows_direct()
    return inode.is_fifo() or inode.mode & S_IFMT == S_IFBLK


def sends_signals(file: File) -> bool:
    return file.input_queue() is not None or file.output_queue() is not None


def set_async(file: File, descriptor: int, on: bool) -> None:
    """Only files that send SIGIO have the flag."""
    if on:
        watch(file, descriptor)
    else:
        unwatch(file)
    file.set_status_flags(file.flags | O_ASYNC if on else file.flags & ~O_ASYNC)


def _owner(file: File, command: int, argument: int) -> int:
    """The recipient of SIGIO and SIGURG, and the signal that replaces SIGIO."""
    if command == F_GETOWN:
        return living_owner(file)
    if command == F_SETOWN:
        who = argument & 0xFFFFFFFF
        if who >= 1 << 31:
            who -= 1 << 32
        choose_owner(file, who)
        return 0
    if command == F_GETSIG:
        return file.owner_signal
    if command == F_SETSIG:
        signo = argument & _INT_MASK
        if signo > SIGNAL_COUNT:
            raise Errno(EINVAL)
        before = file.owner_signal
        file.owner_signal = signo
        signals = file.signals
        if signals is not None:
            try:
                signals.signal_changed()
            except MemoryError:
                file.owner_signal = before
                raise
        return 0
    if command == F_GETOWN_EX:
        user.write_i32(UserAddr(argument), file.owner_kind)
        user.write_i32(user.at(UserAddr(argument), 4), abs(living_owner(file)))
        return 0
    if command == F_GETOWNER_UIDS:
        user.write_u32(UserAddr(argument), caller_namespace().uid_or_none(file.owner_uid))
        user.write_u32(user.at(UserAddr(argument), 4), caller_namespace().uid_or_none(file.owner_euid))
        return 0
    kind = user.read_i32(UserAddr(argument))
    who = user.read_i32(user.at(UserAddr(argument), 4))
    task = current()
    chosen = UNSET if who == 0 else task.pids.resolve(who)
    if kind == OWNER_THREAD:
        known = find_task(chosen) is not None
    elif kind == OWNER_PROCESS:
        known = find_process(chosen) is not None
    elif kind == OWNER_GROUP:
        known = find_group(chosen) is not None
    else:
        raise Errno(EINVAL)
    if who != 0 and not known:
        raise Errno(ESRCH)
    give_owner(file, chosen, kind)
    return 0


def _seals(file: File, command: int, argument: int) -> int:
    inode = file.inode
    if command == F_ADD_SEALS:
        if not file.writable:
            raise Errno(EPERM)
        if argument & _INT_MASK & ~_ALL_SEALS != 0:
            raise Errno(EINVAL)
    if not isinstance(inode, SealableInode):
        raise Errno(EINVAL)
    if command == F_GET_SEALS:
        return inode.seals
    inode.add_seals(argument & _INT_MASK)
    return 0
