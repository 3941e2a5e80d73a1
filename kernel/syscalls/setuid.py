"""Changing user and group ids (credentials(7)): setuid(2) and its kin.

Ids are unsigned 32-bit numbers of the caller's user namespace; all ones means "leave as it is" where a call has
several. A program's number is converted to the kernel's at once: EINVAL if it has none. Credentials
are copied, changed and installed.
"""

from typing import Generic, TypeVar

from kernel.doors.table import syscall
from kernel.lang import EINVAL, EPERM, Errno, final, u32
from kernel.lib.capabilities import CAP_SETGID, CAP_SETUID
from kernel.lib.credentials import (
    Credentials,
    gid_for_caller,
    gid_from_caller,
    uid_for_caller,
    uid_from_caller,
)
from kernel.lib.ids import NO_GROUP, NO_ID, NO_USER, KernelGid, KernelUid
from kernel.task.core_settings import SUID_DUMPABLE
from kernel.task.pids import count_user, uncount_user
from kernel.task.task import Task, current


def _install(task: Task, fresh: Credentials) -> None:
    """Make changed credentials a task's own. Raises MemoryError."""
    old = task.credentials
    if fresh.uid != old.uid:
        count_user(fresh.uid)
        uncount_user(old.uid)
    if fresh.is_dangerous_after(old):
        task.process.program.dumpable = SUID_DUMPABLE.value
        task.process.settings.death_signal = 0
    task.credentials = fresh
    chain = task.keys
    if chain is not None and (fresh.fsuid != old.fsuid or fresh.fsgid != old.fsgid):
        chain.follow_ids(fresh)


# Changing -------------------------------------------------------------------------------------------------------------


Id = TypeVar("Id")  # KernelUid or KernelGid


@final
class Ids(Generic[Id]):
    """The four ids of a task's user, or of its group, while a call changes them. `none` is "as it is"."""

    def __init__(self, real: Id, effective: Id, saved: Id, file_system: Id, none: Id, is_free: bool) -> None:
        self.real: Id = real
        self.effective: Id = effective
        self.saved: Id = saved
        self.file_system: Id = file_system
        self.none: Id = none
        self.is_free: bool = is_free  # the task is capable of taking any

    def may_take(self, wanted: Id) -> bool:
        """Whether it may become one of the first three: any, one of these, or unchanged."""
        is_own = wanted == self.real or wanted == self.effective or wanted == self.saved
        return is_own or wanted == self.none or self.is_free

    def set_one(self, wanted: Id) -> None:
        """As setuid(2) and setgid(2). Raises EINVAL, EPERM."""
        if wanted == self.none:
            raise Errno(EINVAL)
        if self.is_free:
            self.real = wanted
            self.saved = wanted
        elif wanted != self.real and wanted != self.saved:
            raise Errno(EPERM)
        self.effective = wanted
        self.file_system = wanted

    def set_pair(self, real: Id, effective: Id) -> None:
        """As setreuid(2) and setregid(2). Raises EPERM."""
        is_own = real == self.real or real == self.effective
        if not (is_own or real == self.none or self.is_free) or not self.may_take(effective):
            raise Errno(EPERM)
        is_new = effective != self.none and effective != self.real
        if real != self.none:
            self.real = real
        if effective != self.none:
            self.effective = effective
        if real != self.none or is_new:
            self.saved = self.effective
        self.file_system = self.effective

    def set_three(self, real: Id, effective: Id, saved: Id) -> None:
        """As setresuid(2) and setresgid(2). Raises EPERM."""
        if not self.may_take(real) or not self.may_take(effective) or not self.may_take(saved):
            raise Errno(EPERM)
        if real != self.none:
            self.real = real
        if effective != self.none:
            self.effective = effective
        if saved != self.none:
            self.saved = saved
        self.file_system = self.effective

    def set_file_system(self, wanted: Id) -> bool:
        """As setfsuid(2) and setfsgid(2), which report no error: whether it was taken."""
        if wanted == self.none or not (wanted == self.file_system or self.may_take(wanted)):
            return False
        self.file_system = wanted
        return True


def _user_of(credentials: Credentials) -> Ids[KernelUid]:
    c = credentials
    return Ids(c.uid, c.euid, c.suid, c.fsuid, NO_USER, c.capable_here(CAP_SETUID))


def _group_of(credentials: Credentials) -> Ids[KernelGid]:
    c = credentials
    return Ids(c.gid, c.egid, c.sgid, c.fsgid, NO_GROUP, c.capable_here(CAP_SETGID))


def _chosen_uid(number: int) -> KernelUid:
    """A user chosen by the caller; NO_USER for "as it is". Raises EINVAL for an unmapped number."""
    uid = uid_from_caller(number)
    if uid == NO_USER and number != NO_ID:
        raise Errno(EINVAL)
    return uid


def _chosen_gid(number: int) -> KernelGid:
    """The same for a group."""
    gid = gid_from_caller(number)
    if gid == NO_GROUP and number != NO_ID:
        raise Errno(EINVAL)
    return gid


def _become_user(task: Task, ids: Ids[KernelUid]) -> int:
    fresh = task.credentials.copy()
    fresh.uid = ids.real
    fresh.euid = ids.effective
    fresh.suid = ids.saved
    fresh.fsuid = ids.file_system
    fresh.follow_user_change(task.credentials)
    _install(task, fresh)
    return 0


def _become_group(task: Task, ids: Ids[KernelGid]) -> int:
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
    ids.set_one(_chosen_uid(uid))
    return _become_user(task, ids)


@syscall("setgid", status="Full", args="gid")
def setgid(gid: u32) -> int:
    """setgid(2)."""
    task = current()
    ids = _group_of(task.credentials)
    ids.set_one(_chosen_gid(gid))
    return _become_group(task, ids)


@syscall("setreuid", status="Full", args="uid uid")
def setreuid(real: u32, effective: u32) -> int:
    """setreuid(2)."""
    task = current()
    ids = _user_of(task.credentials)
    ids.set_pair(_chosen_uid(real), _chosen_uid(effective))
    return _become_user(task, ids)


@syscall("setregid", status="Full", args="gid gid")
def setregid(real: u32, effective: u32) -> int:
    """setregid(2)."""
    task = current()
    ids = _group_of(task.credentials)
    ids.set_pair(_chosen_gid(real), _chosen_gid(effective))
    return _become_group(task, ids)


@syscall("setresuid", status="Full", args="uid uid uid")
def setresuid(real: u32, effective: u32, saved: u32) -> int:
    """setresuid(2)."""
    task = current()
    ids = _user_of(task.credentials)
    ids.set_three(_chosen_uid(real), _chosen_uid(effective), _chosen_uid(saved))
    return _become_user(task, ids)


@syscall("setresgid", status="Full", args="gid gid gid")
def setresgid(real: u32, effective: u32, saved: u32) -> int:
    """setresgid(2)."""
    task = current()
    ids = _group_of(task.credentials)
    ids.set_three(_chosen_gid(real), _chosen_gid(effective), _chosen_gid(saved))
    return _become_group(task, ids)


@syscall("setfsuid", status="Full", args="uid")
def setfsuid(number: u32) -> int:
    """setfsuid(2): returns the old value whether it changed or not."""
    task = current()
    old = task.credentials
    uid = uid_from_caller(number)
    if _user_of(old).set_file_system(uid):
        fresh = old.copy()
        fresh.fsuid = uid
        fresh.follow_file_user_change(old)
        _install(task, fresh)
    return uid_for_caller(old.fsuid)


@syscall("setfsgid", status="Full", args="gid")
def setfsgid(number: u32) -> int:
    """setfsgid(2): as setfsuid(2)."""
    task = current()
    old = task.credentials
    gid = gid_from_caller(number)
    if _group_of(old).set_file_system(gid):
        fresh = old.copy()
        fresh.fsgid = gid
        _install(task, fresh)
    return gid_for_caller(old.fsgid)
