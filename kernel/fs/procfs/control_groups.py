"""/proc/PID/cgroup, /proc/cgroups (cgroups(7), "/proc files")."""

from kernel.cgroup.group import CONTROLLER_NAMES, TOP
from kernel.fs.procfs.subject import Subject
from kernel.lib.proc_files import proc_file
from kernel.task.task import current


def group_of(subject: Subject) -> bytes:
    """The group of a process, as the reader sees it."""
    task = subject.task()
    group = task.cgroup
    gone = b" (deleted)" if group.is_removed else b""
    return b"0::" + group.path_from(current().namespaces.groups.root) + gone + b"\n"


@proc_file("cgroups")
def controllers() -> bytes:
    """The controllers of control groups: hierarchy, number of groups, whether enabled."""
    text = b"#subsys_name\thierarchy\tnum_cgroups\tenabled\n"
    for name in CONTROLLER_NAMES:
        text += name + f"\t0\t{TOP.descendants + 1}\t1\n".encode()
    return text
