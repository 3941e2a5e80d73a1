"""Memory that only the program itself can access: memfd_secret(2)."""

from kernel.doors.table import syscall
from kernel.fs.constants import O_CLOEXEC
from kernel.fs.secret_memory import SecretFile
from kernel.lang import EINVAL, Errno, u32
from kernel.task import current


@syscall("memfd_secret", status="Full", args="flags:O_CLOEXEC -> fd:file")
def memfd_secret(flags: u32) -> int:
    """memfd_secret(2)."""
    if flags & ~O_CLOEXEC != 0:
        raise Errno(EINVAL)
    task = current()
    return task.files.install(SecretFile(task.credentials), flags & O_CLOEXEC != 0)
