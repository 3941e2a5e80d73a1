"""Regular files of the host. Each open description has a fid of its own, opened at the host with the same rights.

Context: everything but closing sleeps.
"""


from kernel.cache.store import SyncScope
from kernel.fs.constants import (
    MAX_FILE_SIZE,
    O_ACCMODE,
    O_APPEND,
    SEEK_DATA,
    SEEK_END,
    SEEK_HOLE,
)
from kernel.fs.file import File
from kernel.fs.path import Path
from kernel.fs.plan9.client import Attributes, Fid
from kernel.fs.plan9.handle import OpenFid
from kernel.fs.plan9.inode import SharedInode
from kernel.fs.plan9.instance import SharedInstance
from kernel.fs.remote_file import InUse, RemoteContents, RemoteOpenFile
from kernel.lang import EFBIG, EINVAL, Errno, final
from kernel.lib.saturation import sum_of
from kernel.lib.user import Buffer
from kernel.mm.objects import MemoryObject


@final
class SharedFile(SharedInode):
    """A regular file."""

    def __init__(self, shared: SharedInstance, fid: Fid, attributes: Attributes) -> None:
        super().__init__(shared, fid, attributes)
        self.contents: RemoteContents[OpenFid] = RemoteContents()

    def attribute_fid(self) -> Fid:
        handles = self.contents.handles
        return handles[0].fid if len(handles) > 0 else super().attribute_fid()

    def fetch_attributes(self) -> None:
        handles = self.contents.handles
        if self.nlink > 0:
            super().fetch_attributes()
        elif len(handles) > 0:
            self.size = self.client.attributes(handles[0].fid).size

    def open(self, path: Path, flags: int) -> File:
        contents = self.contents
        handle = contents.take_created()
        if handle is None:
            with InUse(self):
                handle = self._open_handle(flags)
        done = False
        try:
            contents.add(handle)
            file = SharedOpenFile(path, flags, self, handle)
            done = True
            return file
        finally:
            if not done:
                contents.drop(handle)
                handle.release()

    def _open_handle(self, flags: int) -> OpenFid:
        path_fid = self.living_fid()
        fid = self.client.clone(path_fid)
        done = False
        try:
            self.client.open(fid, flags & (O_ACCMODE | O_APPEND))
            handle = OpenFid(self.client, fid, flags & O_ACCMODE)
            done = True
            return handle
        finally:
            if not done:
                self.client.retire(fid)

    # ---- Contents ---------------------------------------------------------------------------------------------

    def read_at(self, buffer: Buffer, offset: int) -> int:
        handle = self.contents.any_handle(writes=False)
        try:
            return self.contents.read(handle, 0, buffer, offset)
        finally:
            handle.release()

    def write_at(self, buffer: Buffer, offset: int) -> int:
        handle = self.contents.any_handle(writes=True)
        try:
            return self.write_by(handle, buffer, offset)
        finally:
            handle.release()

    def write_by(self, handle: OpenFid, buffer: Buffer, offset: int) -> int:
        done = self.contents.write(handle, 0, buffer, offset)
        if done > 0:
            self.size = max(self.size, sum_of(offset, done))
            self.touch_modified()
            self.contents.forget(offset, sum_of(offset, done))
        return done

    def truncate(self, size: int) -> None:
        if size < 0:
            raise Errno(EINVAL)
        if size > MAX_FILE_SIZE:
            raise Errno(EFBIG)
        with InUse(self):
            self.client.set_size(self.attribute_fid(), size)
        self.size = size
        self.contents.forget(size, MAX_FILE_SIZE)

    def sync(self, scope: SyncScope) -> None:
        handle = self.contents.first_handle()
        try:
            self.sync_by(handle, scope)
        finally:
            if handle is not None:
                handle.release()

    def sync_by(self, handle: OpenFid | None, scope: SyncScope) -> None:
        """Have the host keep the contents safe. Raises EIO once if some of them were lost here."""
        self.contents.write_back()
        if handle is not None:
            self.client.sync(handle.fid, scope == SyncScope.DATA)
        self.contents.tell_loss()

    def memory_object(self) -> MemoryObject:
        return self.contents.memory_object(self)

    def mapped_through(self, path: Path) -> None:
        self.contents.mapped_through(path)

    def evict(self) -> None:
        self.contents.give_up()
        super().evict()

    def became_idle(self) -> None:
        self.contents.give_up()
        super().became_idle()


@final
class SharedOpenFile(RemoteOpenFile):
    """An open description of a regular file."""

    def __init__(self, path: Path, flags: int, file: SharedFile, handle: OpenFid) -> None:
        super().__init__(path, flags)
        self.file: SharedFile = file
        self.handle: OpenFid = handle

    def read_here(self, buffer: Buffer, offset: int) -> int:
        return self.file.contents.read(self.handle, self.flags, buffer, offset)

    def write_here(self, buffer: Buffer, offset: int) -> int:
        return self.file.write_by(self.handle, buffer, offset)

    def size_now(self) -> int:
        self.file.refresh()
        return self.file.size

    def seek(self, offset: int, whence: int) -> int:
        if whence in (SEEK_END, SEEK_DATA, SEEK_HOLE):
            self.file.refresh()
        return super().seek(offset, whence)

    def fsync(self) -> None:
        self.file.sync_by(self.handle, SyncScope.ALL)

    def fdatasync(self) -> None:
        self.file.sync_by(self.handle, SyncScope.DATA)

    def memory_object(self) -> MemoryObject:
        result = super().memory_object()
        self.file.contents.use(self.handle)
        return result

    def close(self) -> None:
        self.file.contents.drop(self.handle)
        self.handle.release()
