"""Pinning maps, programs and links under names of the file system bpf, and getting them back (BPF_OBJ_PIN,
BPF_OBJ_GET).

Context: walks may sleep. Raises MemoryError. Source: bpf(2).
"""

from typing import Final

from kernel.fs.bpf.files import Pinnable
from kernel.fs.bpf.filesystem import BpfDirectory, PinnedFile
from kernel.fs.constants import MAY_READ, MAY_WRITE, O_RDONLY, O_WRONLY, S_IFREG
from kernel.fs.file import File
from kernel.fs.landlock import MAKE_REG
from kernel.fs.names import check_domain, check_free, name_created, walk_to_new
from kernel.fs.path import FsContext, Path
from kernel.fs.walk import FOLLOW, give_back, reserve, resolve
from kernel.lang import EACCES, EPERM, EROFS, Errno

_MODE: Final = 0o600  # without what the umask takes away


def pin(context: FsContext, base: Path | None, name: bytes, pinned: Pinnable) -> None:
    """Create a name for an object, which the caller keeps meanwhile. Raises EPERM where names cannot lead to objects,
    and whatever creating a file raises.
    """
    walk = walk_to_new(context, base, name)
    walk.hold_names()
    try:
        check_free(walk, for_directory=False)
        directory = walk.directory()
        if not isinstance(directory, BpfDirectory):
            raise Errno(EPERM)
        check_domain(walk, MAKE_REG)
        actor = walk.mount.actor(context.credentials)
        directory.check_creation(actor)
        place = reserve(walk.dentry, walk.last)
        try:
            name_created(directory, place, directory.pin(walk.last, S_IFREG | _MODE & ~context.umask, pinned, actor))
        finally:
            give_back(place)
    finally:
        walk.let_names_go()


def open_pinned(context: FsContext, base: Path | None, name: bytes, flags: int) -> File:
    """Open the object of a name with O_RDONLY, O_WRONLY or O_RDWR. Raises EACCES for files without one, ENFILE, and
    whatever looking up a name raises.
    """
    path = resolve(context, base, name, FOLLOW)
    with path:
        inode = path.inode()
        mask = MAY_READ if flags == O_RDONLY else MAY_WRITE if flags == O_WRONLY else MAY_READ | MAY_WRITE
        # The flags of the mount do not matter, those of the file system do, as on Linux.
        if mask & MAY_WRITE != 0 and path.mount.file_system.read_only and (inode.is_regular() or inode.is_directory()):
            raise Errno(EROFS)
        inode.check_permission(path.mount.actor(context.credentials), mask)
        pinned = inode.pinned if isinstance(inode, PinnedFile) else None
        if pinned is None:
            raise Errno(EACCES)
        path.mount.touch_accessed(inode)
        return pinned.open(flags)
