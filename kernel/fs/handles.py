"""File handles (open_by_handle_at(2)): bytes that name an inode of a file system, whatever it is called, also after a
reboot.

A directory's place in the tree is found by climbing to the root. On a disk, no other file leads back to its names: it
is opened as a place of its own.

Context: sleeps on file systems that do.
"""

from typing import Final

from kernel.fs.dentry import Dentry
from kernel.fs.filesystem import FileSystem
from kernel.fs.inode import Inode
from kernel.fs.path import Mount, Path
from kernel.fs.walk import look_up_held
from kernel.lang import ESTALE, Errno

_DEPTH_LIMIT: Final = 4096


def path_of_handle(mount: Mount, kind: int, handle: bytes) -> Path:
    """Where the file of a handle is, seen through a mount of its file system. Raises ESTALE."""
    file_system = mount.file_system
    mount.acquire()
    try:
        file_system.names.acquire()
        try:
            inode = file_system.find_by_handle(kind, handle)
            return Path(mount, _place_of(mount, file_system, inode))
        finally:
            file_system.names.release()
    finally:
        mount.release()


def _place_of(mount: Mount, file_system: FileSystem, inode: Inode) -> Dentry:
    names = file_system.names_to(inode)
    if names is None:
        return Dentry(None, b"/", inode)
    if len(names) > _DEPTH_LIMIT:
        raise Errno(ESTALE)
    place = mount.root
    while place.parent is not None and place.parent is not place:
        place = place.parent
    for name in names:
        child = look_up_held(place, name)
        if child is None:
            raise Errno(ESTALE)
        place = child
    return place
