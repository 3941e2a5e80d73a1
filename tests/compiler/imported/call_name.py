"""The name of a system call that there is none of: the declaration is shown."""

from kernel.doors.table import syscall


@syscall("getpit")
def getpit() -> int:
    return 1
