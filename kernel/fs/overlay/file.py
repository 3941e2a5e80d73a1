"""Regular files of an overlay, and open descriptions of them.

A description wraps one of the layer's file, opened with the mounter's rights, and passes everything on to it. If the
file is copied up while it is open for reading, later reads see the copy; mappings keep showing the file that was
opened, as on Linux.

Context: sleeps.
"""

from typing import TYPE_CHECKING

from kernel.fs.constants import (
    O_ACCMODE,
    O_NOATIME,
    O_RDONLY,
)
from kernel.fs.file import AT_POSITION, File, InodeFile
from kernel.fs.inode import CachedPages
from kernel.fs.overlay.copy_up import copy_up
from kernel.fs.overlay.inode import OverlayInode
from kernel.fs.overlay.instance import OverlayNode
from kernel.fs.overlay.layers import open_in_layer
from kernel.fs.overlay.leaving import LEAVING, LeavingFile
from kernel.fs.path import Path
from kernel.lang import EINVAL, EROFS, Errno, final, noraise, with_room
from kernel.lib.user import Buffer
from kernel.sched.room import make_room

if TYPE_CHECKING:
    from kernel.mm.objects import MemoryObject


@final
class OverlayRegular(OverlayInode):
    """A regular file."""

    def open(self, path: Path, flags: int) -> File:
        make_room()
        return _open(self, path, flags)

    def truncate(self, size: int) -> None:
        make_room()
        _truncate(self, size)

    def extent_at(self, offset: int, length: int) -> tuple[int, int]:
        make_room()
        return _extent_at(self, offset, length)

    def cached_pages(self, first: int, end: int) -> CachedPages:
        make_room()
        return _cached_pages(self, first, end)


@with_room(24576)
def _open(node: OverlayNode, path: Path, flags: int) -> File:
    if flags & O_ACCMODE != O_RDONLY:
        copy_up(node)
    file = _open_real(node, flags)
    done = False
    try:
        made = OverlayFile(path, flags, node, file)
        done = True
        return made
    finally:
        if not done:
            file.release()


def _open_real(node: OverlayNode, flags: int) -> File:
    """The layer's file, as it is now."""
    return open_in_layer(node.overlay.context, node.real_path(), flags)


@with_room(24576)
def _truncate(node: OverlayNode, size: int) -> None:
    copy_up(node, size)
    path = node.upper
    if path is None:
        raise Errno(EROFS)
    path.mount.require_writable()
    path.inode().truncate(size)
    node.take_over()


@with_room(24576)
def _extent_at(node: OverlayNode, offset: int, length: int) -> tuple[int, int]:
    return node.real().extent_at(offset, length)


@with_room(24576)
def _cached_pages(node: OverlayNode, first: int, end: int) -> CachedPages:
    return node.real().cached_pages(first, end)


@final
class OverlayFile(LeavingFile):
    """An open description."""

    def __init__(self, path: Path, flags: int, node: OverlayNode, real: File) -> None:
        super().__init__(path, flags)
        self.node: OverlayNode = node
        self.real: File | None = real  # until it is closed
        self.newer: File | None = None  # of the copy, if it was copied up since

    # ---- Data -------------------------------------------------------------------------------------------------

    def read(self, buffer: Buffer) -> int:
        offset = self.position
        done = self.pread(buffer, offset)
        self.position = offset + done
        return done

    def pread(self, buffer: Buffer, offset: int) -> int:
        make_room()
        done = _pread(self, buffer, offset)
        self._was_read()
        return done

    def pread_direct(self, buffer: Buffer, offset: int) -> int:
        make_room()
        done = _pread_direct(self, buffer, offset)
        self._was_read()
        return done

    def _was_read(self) -> None:
        if self.flags & O_NOATIME == 0:
            self.path.mount.touch_accessed(self.inode)

    def pwrite_direct(self, buffer: Buffer, offset: int) -> int:
        make_room()
        return _pwrite_direct(self, buffer, offset)

    def write_by(self, buffer: Buffer, offset: int, *, appends: bool) -> int:
        make_room()
        return _write_by(self, buffer, offset, appends)

    def seek(self, offset: int, whence: int) -> int:
        make_room()
        return _seek(self, offset, whence)

    def truncate(self, size: int) -> None:
        self.inode.truncate(size)

    def allocate(self, mode: int, offset: int, length: int) -> None:
        make_room()
        _allocate(self, mode, offset, length)

    def fsync(self) -> None:
        make_room()
        _fsync(self)

    def fdatasync(self) -> None:
        make_room()
        _fdatasync(self)

    def sync_range(self, first_page: int, end_page: int, flags: int) -> None:
        make_room()
        _sync_range(self, first_page, end_page, flags)

    def advise(self, advice: int, offset: int, length: int) -> None:
        make_room()
        _advise(self, advice, offset, length)

    def memory_object(self) -> "MemoryObject":
        make_room()
        return _memory_object(self)

    def set_status_flags(self, flags: int) -> None:
        make_room()
        _set_status_flags(self, flags)

    # ---- End --------------------------------------------------------------------------------------------------

    @noraise
    def close(self) -> None:
        if not self.leave():
            LEAVING.add_file(self)

    @noraise
    def leave(self) -> bool:
        try:
            make_room()
        except MemoryError:
            return False
        _close(self)
        return True


@noraise
@with_room(24576)
def _close(file: OverlayFile) -> None:
    real = file.real
    newer = file.newer
    file.real = None
    file.newer = None
    if newer is not None:
        newer.release()
    if real is not None:
        real.release()


def _opened(file: OverlayFile) -> File:
    """The open file of the layer. Raises EROFS after the end."""
    real = file.real
    if real is None:
        raise Errno(EROFS)
    return real


def _current(file: OverlayFile) -> File:
    """The file to read from: the copy, if it was copied up since it was opened."""
    newer = file.newer
    if newer is not None:
        return newer
    real = _opened(file)
    upper = file.node.upper
    if upper is None or upper.inode() is real.inode:
        return real
    opened = _open_real(file.node, file.flags)
    newer = file.newer
    if newer is not None:
        opened.release()  # another thread was quicker
        return newer
    file.newer = opened
    return opened


def _take_sizes(file: OverlayFile) -> None:
    """Contents have changed."""
    node = file.node
    real = node.real()
    node.size = real.size
    node.blocks = real.blocks
    node.mtime_ns = real.mtime_ns
    node.ctime_ns = real.ctime_ns


@with_room(24576)
def _pread(file: OverlayFile, buffer: Buffer, offset: int) -> int:
    return _current(file).pread(buffer, offset)


@with_room(24576)
def _pread_direct(file: OverlayFile, buffer: Buffer, offset: int) -> int:
    return _current(file).pread_direct(buffer, offset)


@with_room(24576)
def _pwrite_direct(file: OverlayFile, buffer: Buffer, offset: int) -> int:
    try:
        return _opened(file).pwrite_direct(buffer, offset)
    finally:
        _take_sizes(file)


@with_room(24576)
def _write_by(file: OverlayFile, buffer: Buffer, offset: int, appends: bool) -> int:
    real = _opened(file)
    if not isinstance(real, InodeFile):
        raise Errno(EINVAL)
    if offset == AT_POSITION:
        real.position = file.position
    try:
        done = real.write_by(buffer, offset, appends=appends)
    finally:
        _take_sizes(file)
    if offset == AT_POSITION:
        file.position = real.position
    return done


@with_room(24576)
def _seek(file: OverlayFile, offset: int, whence: int) -> int:
    real = _current(file)
    real.position = file.position
    file.position = real.seek(offset, whence)
    return file.position


@with_room(24576)
def _allocate(file: OverlayFile, mode: int, offset: int, length: int) -> None:
    try:
        _opened(file).allocate(mode, offset, length)
    finally:
        _take_sizes(file)


def _is_synced(file: OverlayFile) -> bool:
    """Whether it lies in the upper layer, and the overlay is not volatile."""
    upper = file.node.upper
    real = file.real
    return upper is not None and real is not None and upper.inode() is real.inode and not (
        file.node.overlay.shown.is_volatile
    )


@with_room(24576)
def _fsync(file: OverlayFile) -> None:
    if _is_synced(file):
        _opened(file).fsync()


@with_room(24576)
def _fdatasync(file: OverlayFile) -> None:
    if _is_synced(file):
        _opened(file).fdatasync()


@with_room(24576)
def _sync_range(file: OverlayFile, first_page: int, end_page: int, flags: int) -> None:
    _opened(file).sync_range(first_page, end_page, flags)


@with_room(24576)
def _advise(file: OverlayFile, advice: int, offset: int, length: int) -> None:
    _current(file).advise(advice, offset, length)


@with_room(24576)
def _memory_object(file: OverlayFile) -> "MemoryObject":
    real = _opened(file)
    found = real.memory_object()
    real.inode.mapped_through(file.path)
    return found


@with_room(24576)
def _set_status_flags(file: OverlayFile, flags: int) -> None:
    _opened(file).set_status_flags(flags)
    newer = file.newer
    if newer is not None:
        newer.set_status_flags(flags)
    file.flags = flags
