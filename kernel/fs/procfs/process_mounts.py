"""/proc/PID/{mounts,mountinfo,mountstats}: the tree as the process sees it (proc_pid_mounts(5), …)."""

from kernel.fs.mount_text import mount_lines, mountinfo_lines, mountstats_lines
from kernel.fs.procfs.process_files import context_of
from kernel.fs.procfs.subject import Subject
from kernel.lang import EINVAL, Errno


def check_opening(subject: Subject, flags: int) -> None:
    """EINVAL for zombies."""
    if context_of(subject) is None:
        raise Errno(EINVAL)


def mounts(subject: Subject) -> bytes:
    """A line a mount, as in fstab(5). EINVAL for zombies."""
    context = context_of(subject)
    if context is None:
        raise Errno(EINVAL)
    return mount_lines(context)


def mountinfo(subject: Subject) -> bytes:
    """The same with more about each."""
    context = context_of(subject)
    if context is None:
        raise Errno(EINVAL)
    return mountinfo_lines(context)


def mountstats(subject: Subject) -> bytes:
    """The same in words; no file system has statistics to add."""
    context = context_of(subject)
    if context is None:
        raise Errno(EINVAL)
    return mountstats_lines(context)
