"""A thread's own user and group ids (credentials(7)): getuid(2), getgid(2), getresuid(2).

As long as there is only one user namespace, users have the kernel's numbers, and the quick forms return them.
"""

from kernel.doors.quick import TAKE_LOCK, quick
from kernel.doors.table import syscall
from kernel.lang import UserAddr, unlocked
from kernel.lib import user
from kernel.lib.credentials import gid_for_caller, uid_for_caller
from kernel.lib.namespace import USER_NAMESPACES
from kernel.task.task import current


@syscall("getuid", status="Full", args="-> uid")
def getuid() -> int:
    """getuid(2)."""
    return uid_for_caller(current().credentials.uid)


@syscall("getgid", status="Full", args="-> gid")
def getgid() -> int:
    """getgid(2)."""
    return gid_for_caller(current().credentials.gid)


@syscall("geteuid", status="Full", args="-> uid")
def geteuid() -> int:
    """geteuid(2)."""
    return uid_for_caller(current().credentials.euid)


@syscall("getegid", status="Full", args="-> gid")
def getegid() -> int:
    """getegid(2)."""
    return gid_for_caller(current().credentials.egid)


@syscall("getresuid", status="Full", args=">uid >uid >uid")
def getresuid(real: UserAddr, effective: UserAddr, saved: UserAddr) -> int:
    """getresuid(2)."""
    credentials = current().credentials
    user.write_u32(real, uid_for_caller(credentials.uid))
    user.write_u32(effective, uid_for_caller(credentials.euid))
    user.write_u32(saved, uid_for_caller(credentials.suid))
    return 0


@syscall("getresgid", status="Full", args=">gid >gid >gid")
def getresgid(real: UserAddr, effective: UserAddr, saved: UserAddr) -> int:
    """getresgid(2)."""
    credentials = current().credentials
    user.write_u32(real, gid_for_caller(credentials.gid))
    user.write_u32(effective, gid_for_caller(credentials.egid))
    user.write_u32(saved, gid_for_caller(credentials.sgid))
    return 0


# Quick forms ----------------------------------------------------------------------------------------------------------


@quick("getuid")
@unlocked
def _quick_getuid() -> int:
    return TAKE_LOCK if USER_NAMESPACES.exist else int(current().credentials.uid)


@quick("getgid")
@unlocked
def _quick_getgid() -> int:
    return TAKE_LOCK if USER_NAMESPACES.exist else int(current().credentials.gid)


@quick("geteuid")
@unlocked
def _quick_geteuid() -> int:
    return TAKE_LOCK if USER_NAMESPACES.exist else int(current().credentials.euid)


@quick("getegid")
@unlocked
def _quick_getegid() -> int:
    return TAKE_LOCK if USER_NAMESPACES.exist else int(current().credentials.egid)


@quick("getresuid")
@unlocked
def _quick_getresuid(real: UserAddr, effective: UserAddr, saved: UserAddr) -> int:
    if USER_NAMESPACES.exist:
        return TAKE_LOCK
    credentials = current().credentials
    user.write_u32(real, int(credentials.uid))
    user.write_u32(effective, int(credentials.euid))
    user.write_u32(saved, int(credentials.suid))
    return 0


@quick("getresgid")
@unlocked
def _quick_getresgid(real: UserAddr, effective: UserAddr, saved: UserAddr) -> int:
    if USER_NAMESPACES.exist:
        return TAKE_LOCK
    credentials = current().credentials
    user.write_u32(real, int(credentials.gid))
    user.write_u32(effective, int(credentials.egid))
    user.write_u32(saved, int(credentials.sgid))
    return 0
