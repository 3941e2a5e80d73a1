"""User and group ids, supplementary groups (credentials(7)).

Ids are unsigned 32-bit numbers; all ones means "leave as it is" where a call has several. Credentials are copied,
changed and installed.
"""

from typing import Final

from kernel.lang import EINVAL, EPERM, Errno, i32, u32
from kernel.lib import user
from kernel.lib.capabilities import CAP_SETGID, CAP_SETUID
from kernel.lib.credentials import Credentials
from kernel.syscalls.table import syscall
from kernel.task.pids import count_user, uncount_user
from kernel.task.task import Task, current

_UNCHANGED: Final = 0xFFFF_FFFF
_GROUP_LIMIT: Final = 65536


def _install(task: Task, fresh: Credentials) -> None:
    """Make changed credentials a task's own. Raises MemoryError."""
    old = task.credentials
    if fresh.uid != old.uid:
        count_user(fresh.uid)
        uncount_user(old.uid)
    if fresh.euid != old.euid or fresh.egid != old.egid or fresh.fsuid != old.fsuid or fresh.fsgid != old.fsgid:
        task.process.is_dumpable = False
        task.process.death_signal = 0
    task.credentials = fresh


# Reading --------------------------------------------------------------------------------------------------------------


@syscall(102, "getuid", status="Full", args="")
def getuid() -> int:
    """getuid(2)."""
    return current().credentials.uid


@syscall(104, "getgid", status="Full", args="")
def getgid() -> int:
    """getgid(2)."""
    return current().credentials.gid


@syscall(107, "geteuid", status="Full", args="")
def geteuid() -> int:
    """geteuid(2)."""
    return current().credentials.euid


@syscall(108, "getegid", status="Full", args="")
def getegid() -> int:
    """getegid(2)."""
    return current().credentials.egid


@syscall(118, "getresuid", status="Full", args="ppp")
def getresuid(real: int, effective: int, saved: int) -> int:
    """getresuid(2)."""
    credentials = current().credentials
    user.write_u32(real, credentials.uid)
    user.write_u32(effective, credentials.euid)
    user.write_u32(saved, credentials.suid)
    return 0


@syscall(120, "getresgid", status="Full", args="ppp")
def getresgid(real: int, effective: int, saved: int) -> int:
    """getresgid(2)."""
    credentials = current().credentials
    user.write_u32(real, credentials.gid)
    user.write_u32(effective, credentials.egid)
    user.write_u32(saved, credentials.sgid)
    return 0


# Users ----------------------------------------------------------------------------------------------------------------


@syscall(105, "setuid", status="Full", args="d")
def setuid(uid: u32) -> int:
    """setuid(2)."""
    if uid == _UNCHANGED:
        raise Errno(EINVAL)
    task = current()
    old = task.credentials
    fresh = old.copy()
    if old.capable(CAP_SETUID):
        fresh.uid = uid
        fresh.suid = uid
    elif uid != old.uid and uid != old.suid:
        raise Errno(EPERM)
    fresh.euid = uid
    fresh.fsuid = uid
    fresh.follow_user_change(old)
    _install(task, fresh)
    return 0


@syscall(113, "setreuid", status="Full", args="dd")
def setreuid(real: u32, effective: u32) -> int:
    """setreuid(2)."""
    task = current()
    old = task.credentials
    fresh = old.copy()
    if real != _UNCHANGED:
        if real != old.uid and real != old.euid and not old.capable(CAP_SETUID):
            raise Errno(EPERM)
        fresh.uid = real
    if effective != _UNCHANGED:
        if effective != old.uid and effective != old.euid and effective != old.suid and not old.capable(CAP_SETUID):
            raise Errno(EPERM)
        fresh.euid = effective
    if real != _UNCHANGED or (effective != _UNCHANGED and effective != old.uid):
        fresh.suid = fresh.euid
    fresh.fsuid = fresh.euid
    fresh.follow_user_change(old)
    _install(task, fresh)
    return 0


def _is_own_uid(credentials: Credentials, uid: int) -> bool:
    return uid == credentials.uid or uid == credentials.euid or uid == credentials.suid


@syscall(117, "setresuid", status="Full", args="ddd")
def setresuid(real: u32, effective: u32, saved: u32) -> int:
    """setresuid(2)."""
    task = current()
    old = task.credentials
    if not old.capable(CAP_SETUID):
        if (
            (real != _UNCHANGED and not _is_own_uid(old, real))
            or (effective != _UNCHANGED and not _is_own_uid(old, effective))
            or (saved != _UNCHANGED and not _is_own_uid(old, saved))
        ):
            raise Errno(EPERM)
    fresh = old.copy()
    if real != _UNCHANGED:
        fresh.uid = real
    if effective != _UNCHANGED:
        fresh.euid = effective
    if saved != _UNCHANGED:
        fresh.suid = saved
    fresh.fsuid = fresh.euid
    fresh.follow_user_change(old)
    _install(task, fresh)
    return 0


@syscall(122, "setfsuid", status="Full", args="d")
def setfsuid(uid: u32) -> int:
    """setfsuid(2): returns the old value whether it changed or not."""
    task = current()
    old = task.credentials
    if uid != _UNCHANGED and (_is_own_uid(old, uid) or uid == old.fsuid or old.capable(CAP_SETUID)):
        fresh = old.copy()
        fresh.fsuid = uid
        fresh.follow_file_user_change(old)
        _install(task, fresh)
    return old.fsuid


# Groups ---------------------------------------------------------------------------------------------------------------


@syscall(106, "setgid", status="Full", args="d")
def setgid(gid: u32) -> int:
    """setgid(2)."""
    if gid == _UNCHANGED:
        raise Errno(EINVAL)
    task = current()
    old = task.credentials
    fresh = old.copy()
    if old.capable(CAP_SETGID):
        fresh.gid = gid
        fresh.sgid = gid
    elif gid != old.gid and gid != old.sgid:
        raise Errno(EPERM)
    fresh.egid = gid
    fresh.fsgid = gid
    _install(task, fresh)
    return 0


@syscall(114, "setregid", status="Full", args="dd")
def setregid(real: u32, effective: u32) -> int:
    """setregid(2)."""
    task = current()
    old = task.credentials
    fresh = old.copy()
    if real != _UNCHANGED:
        if real != old.gid and real != old.egid and not old.capable(CAP_SETGID):
            raise Errno(EPERM)
        fresh.gid = real
    if effective != _UNCHANGED:
        if effective != old.gid and effective != old.egid and effective != old.sgid and not old.capable(CAP_SETGID):
            raise Errno(EPERM)
        fresh.egid = effective
    if real != _UNCHANGED or (effective != _UNCHANGED and effective != old.gid):
        fresh.sgid = fresh.egid
    fresh.fsgid = fresh.egid
    _install(task, fresh)
    return 0


def _is_own_gid(credentials: Credentials, gid: int) -> bool:
    return gid == credentials.gid or gid == credentials.egid or gid == credentials.sgid


@syscall(119, "setresgid", status="Full", args="ddd")
def setresgid(real: u32, effective: u32, saved: u32) -> int:
    """setresgid(2)."""
    task = current()
    old = task.credentials
    if not old.capable(CAP_SETGID):
        if (
            (real != _UNCHANGED and not _is_own_gid(old, real))
            or (effective != _UNCHANGED and not _is_own_gid(old, effective))
            or (saved != _UNCHANGED and not _is_own_gid(old, saved))
        ):
            raise Errno(EPERM)
    fresh = old.copy()
    if real != _UNCHANGED:
        fresh.gid = real
    if effective != _UNCHANGED:
        fresh.egid = effective
    if saved != _UNCHANGED:
        fresh.sgid = saved
    fresh.fsgid = fresh.egid
    _install(task, fresh)
    return 0


@syscall(123, "setfsgid", status="Full", args="d")
def setfsgid(gid: u32) -> int:
    """setfsgid(2)."""
    task = current()
    old = task.credentials
    if gid != _UNCHANGED and (_is_own_gid(old, gid) or gid == old.fsgid or old.capable(CAP_SETGID)):
        fresh = old.copy()
        fresh.fsgid = gid
        _install(task, fresh)
    return old.fsgid


@syscall(115, "getgroups", status="Full", args="dp")
def getgroups(size: i32, address: int) -> int:
    """getgroups(2)."""
    groups = current().credentials.groups
    if size < 0:
        raise Errno(EINVAL)
    if size == 0 or len(groups) == 0:
        return len(groups)
    if size < len(groups):
        raise Errno(EINVAL)
    user.check(address, 4 * len(groups))
    for i in range(len(groups)):
        user.write_u32(address + 4 * i, groups[i])
    return len(groups)


@syscall(116, "setgroups", status="Full", args="dp")
def setgroups(size: i32, address: int) -> int:
    """setgroups(2)."""
    task = current()
    if not task.credentials.capable(CAP_SETGID):
        raise Errno(EPERM)
    if size < 0 or size > _GROUP_LIMIT:
        raise Errno(EINVAL)
    user.check(address, 4 * size)
    groups: list[int] = []
    for i in range(size):
        groups.append(user.read_u32(address + 4 * i))
    groups.sort()
    fresh = task.credentials.copy()
    fresh.groups = groups
    task.credentials = fresh
    return 0
