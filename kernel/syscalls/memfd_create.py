"""memfd_create(2), and vm.memfd_noexec, which each pid namespace has: whether files may be executed by default, or at
all. It cannot be set lower than above.
"""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.constants import F_SEAL_EXEC, F_SEAL_SEAL
from kernel.fs.file import File
from kernel.fs.hugetlbfs.memfd import create_huge_memfd
from kernel.fs.tmpfs.memfd import create_memfd
from kernel.lang import EACCES, EINVAL, ENAMETOOLONG, EPERM, Errno, UserAddr, final, u32
from kernel.lib import user
from kernel.lib.capabilities import CAP_SYS_ADMIN
from kernel.lib.settings import Setting
from kernel.mm.huge_pool import SHIFT_FLAGS, shift_in
from kernel.task import current
from kernel.task.task import Task

_MFD_CLOEXEC: Final = 1
_MFD_ALLOW_SEALING: Final = 2
_MFD_HUGETLB: Final = 4
_MFD_NOEXEC_SEAL: Final = 8
_MFD_EXEC: Final = 16
_MEMFD_NAME_LIMIT: Final = 250  # with the NUL

_NOEXEC_BY_DEFAULT: Final = 1  # of vm.memfd_noexec
_NOEXEC_ALWAYS: Final = 2


@final
class _NoexecSetting(Setting):
    """/proc/sys/vm/memfd_noexec: that of the running thread's pid namespace."""

    def __init__(self) -> None:
        super().__init__(b"vm/memfd_noexec", 0, _NOEXEC_ALWAYS)

    def numbers(self) -> list[int]:
        return [current().pids.strictest_memfd_scope()]

    def store(self, numbers: list[int]) -> None:
        space = current().pids
        parent = space.parent
        if parent is not None and numbers[0] < parent.strictest_memfd_scope():
            raise Errno(EINVAL)
        space.memfd_scope = numbers[0]

    def check_writer(self) -> None:
        task = current()
        if not task.credentials.capable_in(task.pids.owner, CAP_SYS_ADMIN):
            raise Errno(EPERM)


_NOEXEC: Final = _NoexecSetting()


@syscall(
    "memfd_create",
    status="Full",
    args="name:text flags:MFD_CLOEXEC|MFD_ALLOW_SEALING|MFD_HUGETLB|MFD_NOEXEC_SEAL|MFD_EXEC -> fd:file",
)  # fmt: skip
def memfd_create(address: UserAddr, flags: u32) -> int:
    known = _MFD_CLOEXEC | _MFD_ALLOW_SEALING | _MFD_NOEXEC_SEAL | _MFD_EXEC
    if flags & _MFD_HUGETLB != 0:
        known |= _MFD_HUGETLB | SHIFT_FLAGS
    if flags & ~known != 0:
        raise Errno(EINVAL)
    if flags & _MFD_EXEC != 0 and flags & _MFD_NOEXEC_SEAL != 0:
        raise Errno(EINVAL)
    task = current()
    is_noexec = flags & _MFD_NOEXEC_SEAL != 0
    scope = task.pids.strictest_memfd_scope()
    if scope >= _NOEXEC_BY_DEFAULT and flags & _MFD_EXEC == 0:
        is_noexec = True
    if scope >= _NOEXEC_ALWAYS and not is_noexec:
        raise Errno(EACCES)
    name = _name_at(address)
    number = task.files.reserve()
    try:
        file = _create(task, name, flags)
    except (Errno, MemoryError):
        task.files.give_back(number)
        raise
    if is_noexec:
        file.inode.mode &= ~0o111
        file.inode.seals = F_SEAL_EXEC
    elif flags & _MFD_ALLOW_SEALING != 0:
        file.inode.seals = 0
    else:
        file.inode.seals = F_SEAL_SEAL
    return task.files.fill(number, file, flags & _MFD_CLOEXEC != 0)


def _name_at(address: UserAddr) -> bytes:
    """Raises EFAULT, EINVAL for one that is too long."""
    try:
        return user.read_string(address, _MEMFD_NAME_LIMIT)
    except Errno as error:
        raise Errno(EINVAL if error.code == ENAMETOOLONG else error.code) from None


def _create(task: Task, name: bytes, flags: int) -> File:
    """Raises ENODEV for huge pages of no known size, MemoryError."""
    if flags & _MFD_HUGETLB != 0:
        return create_huge_memfd(name, shift_in(flags), task.credentials)
    return create_memfd(name, task.credentials)
