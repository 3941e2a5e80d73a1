"""Supplementary groups: getgroups(2), setgroups(2)."""

from typing import Final

from kernel.doors.table import syscall
from kernel.lang import EINVAL, EPERM, Errno, UserAddr, i32
from kernel.lib import user
from kernel.lib.capabilities import CAP_SETGID
from kernel.lib.credentials import gid_for_caller, gid_from_caller
from kernel.lib.ids import NO_GROUP, KernelGid
from kernel.lib.pace import pace
from kernel.lib.sorting import sort_paced
from kernel.task.task import current

_GROUP_LIMIT: Final = 65536
_GROUP_COST: Final = 60  # instructions, for `pace`


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
        user.write_u32(user.at(address, 4 * i), gid_for_caller(groups[i]))
        pace(_GROUP_COST)
    return len(groups)


@syscall("setgroups", status="Full", args="count <gid[size]")
def setgroups(size: i32, address: UserAddr) -> int:
    """setgroups(2)."""
    task = current()
    if not task.credentials.capable_here(CAP_SETGID) or not task.credentials.user_namespace.may_set_groups():
        raise Errno(EPERM)
    if size < 0 or size > _GROUP_LIMIT:
        raise Errno(EINVAL)
    if size > 0:
        user.check(address, 4 * size)
    groups: list[int] = []
    for i in range(size):
        gid = gid_from_caller(user.read_u32(user.at(address, 4 * i)))
        if gid == NO_GROUP:
            raise Errno(EINVAL)
        groups.append(int(gid))
        pace(_GROUP_COST)
    sort_paced(groups)
    kept: list[KernelGid] = []
    for group in groups:
        kept.append(KernelGid(group))
        pace(_GROUP_COST)
    fresh = task.credentials.copy()
    fresh.groups = kept
    task.credentials = fresh
    return 0
