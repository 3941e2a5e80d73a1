"""memfd_create(2)."""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.constants import F_SEAL_EXEC, F_SEAL_SEAL, PATH_MAX
from kernel.fs.hugetlbfs.memfd import create_huge_memfd
from kernel.fs.tmpfs.memfd import create_memfd
from kernel.lang import EINVAL, Errno, UserAddr, u32
from kernel.lib import user
from kernel.mm.huge_pool import SHIFT_FLAGS, shift_in
from kernel.task import current

_MFD_CLOEXEC: Final = 1
_MFD_ALLOW_SEALING: Final = 2
_MFD_HUGETLB: Final = 4
_MFD_NOEXEC_SEAL: Final = 8
_MFD_EXEC: Final = 16
_MEMFD_NAME_LIMIT: Final = 250


@syscall(
    "memfd_create",
    args="name:text flags:MFD_CLOEXEC|MFD_ALLOW_SEALING|MFD_HUGETLB|MFD_NOEXEC_SEAL|MFD_EXEC -> fd:file",
    notes="Files of pages of 1 GiB have not been compared with Linux yet",
)  # fmt: skip
def memfd_create(address: UserAddr, flags: u32) -> int:
    known = _MFD_CLOEXEC | _MFD_ALLOW_SEALING | _MFD_NOEXEC_SEAL | _MFD_EXEC
    is_huge = flags & _MFD_HUGETLB != 0
    if is_huge:
        known |= _MFD_HUGETLB | SHIFT_FLAGS
    if flags & ~known != 0:
        raise Errno(EINVAL)
    if flags & _MFD_EXEC != 0 and flags & _MFD_NOEXEC_SEAL != 0:
        raise Errno(EINVAL)
    name = user.read_string(address, PATH_MAX)
    if len(name) >= _MEMFD_NAME_LIMIT:
        raise Errno(EINVAL)
    task = current()
    if is_huge:
        file = create_huge_memfd(name, shift_in(flags), task.credentials)
    else:
        file = create_memfd(name, task.credentials)
    if flags & _MFD_NOEXEC_SEAL != 0:
        file.inode.mode &= ~0o111
        file.inode.seals = F_SEAL_EXEC
    elif flags & _MFD_ALLOW_SEALING != 0:
        file.inode.seals = 0
    else:
        file.inode.seals = F_SEAL_SEAL
    return task.files.install(file, flags & _MFD_CLOEXEC != 0)
