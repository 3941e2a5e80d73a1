"""memfd_create(2) with MFD_HUGETLB: files of huge pages without a name, on internal instances."""

from typing import Final

from kernel.fs.constants import O_LARGEFILE, O_RDWR, S_IFREG
from kernel.fs.dentry import Dentry
from kernel.fs.file import File
from kernel.fs.hugetlbfs.file import HugeOpenFile
from kernel.fs.hugetlbfs.filesystem import new_hugetlbfs
from kernel.fs.path import Mount, Path
from kernel.lang import ENODEV, Errno
from kernel.lib.credentials import Credentials, plain_actor
from kernel.mm.huge_pool import SHIFTS

_MOUNTS: Final[dict[int, Mount]] = {}  # by the logarithm of the size of a page, created at first use


def _mount_of(shift: int) -> Mount:
    """Raises ENODEV (no such pages), MemoryError."""
    if shift not in SHIFTS:
        raise Errno(ENODEV)
    mount = _MOUNTS.get(shift)
    if mount is None:
        instance = new_hugetlbfs(b"none", b"", None, shift)
        mount = Mount(instance, Dentry(None, b"/", instance.root()), 0)
        mount.is_internal = True
        _MOUNTS[shift] = mount
    return mount


def create_huge_memfd(name: bytes, shift: int, credentials: Credentials) -> File:
    """A new empty file, open for reading and writing; `shift` is the logarithm of the size of its pages. Raises ENODEV,
    MemoryError.
    """
    mount = _mount_of(shift)
    inode = mount.file_system.root().create_unnamed(S_IFREG | 0o777, plain_actor(credentials))
    inode.acquire()  # without a name or a user it would be lost if something fails
    try:
        dentry = Dentry(None, b"/memfd:" + name + b" (deleted)", inode)
        file = HugeOpenFile(Path(mount, dentry), O_RDWR | O_LARGEFILE)
        file.stop_counting_as_writer()
        return file
    finally:
        inode.release()
