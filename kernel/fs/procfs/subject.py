"""What a file of /proc/PID describes: a process, or one of its threads; and who may see it.

A subject can end at any time between looking it up and reading. Then its files return ESRCH, or nothing where Linux
returns nothing.
"""

from typing import Final

from kernel.fs.constants import S_IFDIR
from kernel.fs.inode import Inode
from kernel.lang import EACCES, EINVAL, ERANGE, ESRCH, Errno, final
from kernel.lib.ids import NO_GROUP, NO_USER, ROOT_GROUP, ROOT_USER
from kernel.lib.numbers import LARGEST, parse_unsigned
from kernel.lib.pid import UNSET, Pid
from kernel.task.acting import real_credentials
from kernel.task.inspection import may_look_into, may_reach_into
from kernel.task.pid_namespace import PidNamespace
from kernel.task.process import Process
from kernel.task.task import Task, current

THREAD_INO: Final = 0x8000  # distinguishes the inodes of a thread


@final
class Subject:
    """A process (`tid` 0) or the thread `tid` of it, seen from a pid namespace: that of the mount."""

    def __init__(self, process: Process, tid: Pid, pids: PidNamespace) -> None:
        self.process: Process = process
        self.tid: Pid = tid
        self.pids: PidNamespace = pids

    def number(self) -> int:
        """The number in its directory's name."""
        return self.pids.shown(self.process.pid if self.tid == UNSET else self.tid)

    def first_ino(self) -> int:
        """The inode number of its directory; the next 32,767 numbers are also its own. A thread's differ
        from those of the process.
        """
        return self.number() << 16 | (0 if self.tid == UNSET else THREAD_INO)

    def task_or_none(self) -> Task | None:
        """The thread, or the process's leader, living or not; None once it was reaped."""
        process = self.process
        if self.tid != UNSET and self.tid in process.threads:
            return process.threads[self.tid]
        if self.tid == UNSET or self.tid == process.pid:
            return process.leader
        tracee = process.unreaped
        while tracee is not None:
            if tracee.task.tid == self.tid:
                return tracee.task
            tracee = tracee.next_unreaped
        return None

    def task(self) -> Task:
        """The same; ESRCH once it is gone."""
        task = self.task_or_none()
        if task is None:
            raise Errno(ESRCH)
        return task

    def living(self) -> Task:
        """A thread that has memory and files: the named one, or any of the process. ESRCH for zombies."""
        task = self.task_or_none()
        if task is not None and not task.is_exiting:
            return task
        if self.tid == UNSET:
            other = self.process.any_thread()
            if other is not None and not other.is_exiting:
                return other
        raise Errno(ESRCH)


def may_inspect(subject: Subject) -> bool:
    """Whether the running task may see the subject's memory and files (ptrace(2), "Ptrace access mode checking")."""
    return may_look_into(current(), subject.process, subject.task_or_none())


def require_inspection(subject: Subject) -> None:
    """EACCES unless the running task may see the subject's memory and files."""
    if not may_inspect(subject):
        raise Errno(EACCES)


def may_reach(subject: Subject) -> bool:
    """The same for what a debugger uses, which Yama may restrict."""
    return may_reach_into(current(), subject.process, subject.task_or_none())


PUBLIC_DIRECTORY: Final = S_IFDIR | 0o555


def give_owner(inode: Inode, subject: Subject) -> None:
    """Let the subject's effective user own one of its files. Root owns those of a process that may not be inspected or
    has no memory, except for directories that everybody may read: from these, programs learn the owner of a process.
    """
    task = subject.task_or_none()
    inode.uid = ROOT_USER
    inode.gid = ROOT_GROUP
    if task is None:
        return
    memory = task.memory
    if inode.mode == PUBLIC_DIRECTORY or (memory is not None and subject.process.is_dumpable):
        inode.uid = real_credentials(task).euid
        inode.gid = real_credentials(task).egid
    elif memory is not None and memory.user_namespace.level != 0:
        uid = memory.user_namespace.kernel_uid(0)
        gid = memory.user_namespace.kernel_gid(0)
        inode.uid = uid if uid != NO_USER else ROOT_USER
        inode.gid = gid if gid != NO_GROUP else ROOT_GROUP


_NUMBER_TEXT: Final = 34  # bytes of a text that are parsed: a sign, 32 binary digits, a newline
_LONG_NUMBER_TEXT: Final = 66
_PADDED_TEXT: Final = 12  # … with blanks around
_BLANKS: Final = b" \t\n\v\f\r"


def parse_unsigned_32(text: bytes) -> int:
    """A number as in C, octal after 0 and hexadecimal after 0x, perhaps with a final newline. Raises EINVAL,
    ERANGE.
    """
    return parse_unsigned(text[:_NUMBER_TEXT], 0, 1 << 32)


def parse_decimal_64(text: bytes) -> int:
    """A decimal number, perhaps with a final newline. Raises EINVAL, ERANGE (beyond 62 bits)."""
    return parse_unsigned(text[:_LONG_NUMBER_TEXT], 10, LARGEST + 1)


def parse_signed_32(text: bytes) -> int:
    """The same, perhaps negative. Raises EINVAL, ERANGE."""
    text = text[:_NUMBER_TEXT]
    negative = text.startswith(b"-")
    if text.startswith(b"-+"):
        raise Errno(EINVAL)
    value = parse_unsigned_32(text[1:] if negative else text)
    if value > (1 << 31) - (0 if negative else 1):
        raise Errno(ERANGE)
    return -value if negative else value


def parse_padded_32(text: bytes) -> int:
    """A number of `parse_signed_32` with blanks around. Raises EINVAL, ERANGE."""
    return parse_signed_32(text[:_PADDED_TEXT].strip(_BLANKS))


def parse_number(name: bytes) -> int:
    """A name that is a number without leading zeros, else -1."""
    if len(name) == 0 or len(name) > 9 or (len(name) > 1 and name[0] == ord("0")):
        return -1
    value = 0
    for digit in name:
        if not ord("0") <= digit <= ord("9"):
            return -1
        value = value * 10 + digit - ord("0")
    return value
