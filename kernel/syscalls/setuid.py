"""User and group ids, supplementary groups (credentials(7)).

Ids are unsigned 32-bit numbers; all ones means "leave as it is" where a call has several. Credentials are copied,
changed and installed.
"""

from typing import Final

from kernel.doors.table import syscall
from kernel.lang import EINVAL, EPERM, Errno, UserAddr, final, i32, u32
from kernel.lib import user
from kernel.lib.capabilities import CAP_SETGID, CAP_SETUID
from kernel.lib.credentials import Credentials
from kernel.lib.pace import pace
from kernel.lib.sorting import sort_paced
from kernel.task.core_settings import SUID_DUMPABLE
from kernel.task.pids import count_user, uncount_user
from kernel.task.task import Task, current

_UNCHANGED: Final = 0xFFFF_FFFF
_GROUP_LIMIT: Final = 65536
_GROUP_COST: Final = 60  # instructions, for `pace`


def _install(task: Task, fresh: Credentials) -> None:
    """Make changed credentials a task's own. Raises MemoryError."""
    old = task.credentials
    if fresh.uid != old.uid:
        count_user(fresh.uid)
        uncount_user(old.uid)
    if fresh.is_dangerous_after(old):
        task.process.dumpable = SUID_DUMPABLE.value
        task.process.settings.death_signal = 0
    task.credentials = fresh
    chain = task.keys
    if chain is not None and (fresh.fsuid != old.fsuid or fresh.fsgid != old.fsgid):
        chain.follow_ids(fresh)


# Reading --------------------------------------------------------------------------------------------------------------


@syscall("getuid", status="Full", args="-> uid")
def getuid() -> int:
    """getuid(2)."""
    return current().credentials.uid


@syscall("getgid", status="Full", args="-> gid")
def getgid() -> int:
    """getgid(2)."""
    return current().credentials.gid


@syscall("geteuid", status="Full", args="-> uid")
def geteuid() -> int:
    """geteuid(2)."""
    return current().credentials.euid


@syscall("getegid", status="Full", args="-> gid")
def getegid() -> int:
    """getegid(2)."""
    return current().credentials.egid


@syscall("getresuid", status="Full", args=">uid >uid >uid")
def getresuid(real: UserAddr, effective: UserAddr, saved: UserAddr) -> int:
    """getresuid(2)."""
    credentials = current().credentials
    user.write_u32(real, credentials.uid)
    user.write_u32(effective, credentials.euid)
    user.write_u32(saved, credentials.suid)
    return 0


@syscall("getresgid", status="Full", args=">gid >gid >gid")
def getresgid(real: UserAddr, effective: UserAddr, saved: UserAddr) -> int:
    """getresgid(2)."""
    credentials = current().credentials
    user.write_u32(real, credentials.gid)
    user.write_u32(effective, credentials.egid)
    user.write_u32(saved, credentials.sgid)
    return 0


# Changing -------------------------------------------------------------------------------------------------------------


@final
class Ids:
    """The four ids of a task's user, or of its group, while a call changes them."""

    def __init__(self, real: int, effective: int, saved: int, file_system: int, is_free: bool) -> None:
        self.real: int = real
        self.effective: int = effective
        self.saved: int = saved
        self.file_system: int = file_system
        self.is_free: bool = is_free  # the task is capable of taking any

    def may_take(self, wanted: int) -> bool:
        """Whether it may become one of the first three: any, one of these, or as it is."""
        is_own = wanted == self.real or wanted == self.effective or wanted == self.saved
        return is_own or wanted == _UNCHANGED or self.is_free

    def set_one(self, wanted: int) -> None:
        """As setuid(2) and setgid(2). Raises EINVAL, EPERM."""
        if wanted == _UNCHANGED:
            raise Errno(EINVAL)
        if self.is_free:
            self.real = wanted
            self.saved = wanted
        elif wanted != self.real and wanted != self.saved:
            raise Errno(EPERM)
        self.effective = wanted
        self.file_system = wanted

    def set_pair(self, real: int, effective: int) -> None:
        """As setreuid(2) and setregid(2). Raises EPERM."""
        is_own = real == self.real or real == self.effective
        if not (is_own or real == _UNCHANGED or self.is_free) or not self.may_take(effective):
            raise Errno(EPERM)
        is_new = effective != _UNCHANGED and effective != self.real
        if real != _UNCHANGED:
            self.real = real
        if effective != _UNCHANGED:
            self.effective = effective
        if real != _UNCHANGED or is_new:
            self.saved = self.effective
        self.file_system = self.effective

    def set_three(self, real: int, effective: int, saved: int) -> None:
        """As setresuid(2) and setresgid(2). Raises EPERM."""
        if not self.may_take(real) or not self.may_take(effective) or not self.may_take(saved):
            raise Errno(EPERM)
        if real != _UNCHANGED:
            self.real = real
        if effective != _UNCHANGED:
            self.effective = effective
        if saved != _UNCHANGED:
            self.saved = saved
        self.file_system = self.effective

    def set_file_system(self, wanted: int) -> bool:
        """As setfsuid(2) and setfsgid(2), which report no error: whether it was taken."""
        if wanted == _UNCHANGED or not (wanted == self.file_system or self.may_take(wanted)):
            return False
        self.file_system = wanted
        return True


def _user_of(credentials: Credentials) -> Ids:
    c = credentials
    return Ids(c.uid, c.euid, c.suid, c.fsuid, c.capable(CAP_SETUID))


def _group_of(credentials: Credentials) -> Ids:
    c = credentials
    return Ids(c.gid, c.egid, c.sgid, c.fsgid, c.capable(CAP_SETGID))


def _become_user(task: Task, ids: Ids) -> int:
    fresh = task.credentials.copy()
    fresh.uid = ids.real
    fresh.euid = ids.effective
    fresh.suid = ids.saved
    fresh.fsuid = ids.file_system
    fresh.follow_user_change(task.credentials)
    _install(task, fresh)
    return 0


def _become_group(task: Task, ids: Ids) -> int:
    fresh = task.credentials.copy()
    fresh.gid = ids.real
    fresh.egid = ids.effective
    fresh.sgid = ids.saved
    fresh.fsgid = ids.file_system
    _install(task, fresh)
    return 0


@syscall("setuid", status="Full", args="uid")
def setuid(uid: u32) -> int:
    """setuid(2)."""
    task = current()
    ids = _user_of(task.credentials)
    ids.set_one(uid)
    return _become_user(task, ids)


@syscall("setgid", status="Full", args="gid")
def setgid(gid: u32) -> int:
    """setgid(2)."""
    task = current()
    ids = _group_of(task.credentials)
    ids.set_one(gid)
    return _become_group(task, ids)


@syscall("setreuid", status="Full", args="uid uid")
def setreuid(real: u32, effective: u32) -> int:
    """setreuid(2)."""
    task = current()
    ids = _user_of(task.credentials)
    ids.set_pair(real, effective)
    return _become_user(task, ids)


@syscall("setregid", status="Full", args="gid gid")
def setregid(real: u32, effective: u32) -> int:
    """setregid(2)."""
    task = current()
    ids = _group_of(task.credentials)
    ids.set_pair(real, effective)
    return _become_group(task, ids)


@syscall("setresuid", status="Full", args="uid uid uid")
def setresuid(real: u32, effective: u32, saved: u32) -> int:
    """setresuid(2)."""
    task = current()
    ids = _user_of(task.credentials)
    ids.set_three(real, effective, saved)
    return _become_user(task, ids)


@syscall("setresgid", status="Full", args="gid gid gid")
def setresgid(real: u32, effective: u32, saved: u32) -> int:
    """setresgid(2)."""
    task = current()
    ids = _group_of(task.credentials)
    ids.set_three(real, effective, saved)
    return _become_group(task, ids)


@syscall("setfsuid", status="Full", args="uid")
def setfsuid(uid: u32) -> int:
    """setfsuid(2): returns the old value whether it changed or not."""
    task = current()
    old = task.credentials
    if _user_of(old).set_file_system(uid):
        fresh = old.copy()
        fresh.fsuid = uid
        fresh.follow_file_user_change(old)
        _install(task, fresh)
    return old.fsuid


@syscall("setfsgid", status="Full", args="gid")
def setfsgid(gid: u32) -> int:
    """setfsgid(2): as setfsuid(2)."""
    task = current()
    old = task.credentials
    if _group_of(old).set_file_system(gid):
        fresh = old.copy()
        fresh.fsgid = gid
        _install(task, fresh)
    return old.fsgid


# Supplementary groups -------------------------------------------------------------------------------------------------


@syscall("getgroups", status="Full", args="count >gid[size]")
def getgroups(size: i32, address: UserAddr) -> int:
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
        user.write_u32(user.at(address, 4 * i), groups[i])
        pace(_GROUP_COST)
    return len(groups)


@syscall("setgroups", status="Full", args="count <gid[size]")
def setgroups(size: i32, address: UserAddr) -> int:
    """setgroups(2)."""
    task = current()
    if not task.credentials.capable(CAP_SETGID):
        raise Errno(EPERM)
    if size < 0 or size > _GROUP_LIMIT:
        raise Errno(EINVAL)
    user.check(address, 4 * size)
    groups: list[int] = []
    for i in range(size):
        groups.append(user.read_u32(user.at(address, 4 * i)))
        pace(_GROUP_COST)
    sort_paced(groups)
    fresh = task.credentials.copy()
    fresh.groups = groups
    task.credentials = fresh
    return 0
