"""Regular files of the host. Each open description has a fid of its own, opened at the host with the same rights; reads
and writes go to the host at once.

A file that was just created is open at the host already: its description takes over that fid, since the mode may forbid
opening it again.

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
from kernel.fs.file import File, InodeFile
from kernel.fs.mapped_place import place_of
from kernel.fs.path import Path
from kernel.fs.plan9.client import Attributes, Fid
from kernel.fs.plan9.handle import OpenFid
from kernel.fs.plan9.inode import SharedInode
from kernel.fs.plan9.instance import InUse, SharedInstance
from kernel.fs.remote_pages import RemotePages
from kernel.lang import EFBIG, EINVAL, Errno, final, noraise
from kernel.lib.pace import ends_at
from kernel.lib.user import Buffer
from kernel.mm.objects import MemoryObject


@final
class SharedFile(SharedInode):
    """A regular file."""

    def __init__(self, shared: SharedInstance, fid: Fid, attributes: Attributes) -> None:
        super().__init__(shared, fid, attributes)
        self.created: OpenFid | None = None  # open since its creation, until a description takes it
        self.opened: list[OpenFid] = []  # those of the descriptions
        self.pages: RemotePages | None = None

    def attribute_fid(self) -> Fid:
        return self.opened[0].fid if len(self.opened) > 0 else super().attribute_fid()

    def fetch_attributes(self) -> None:
        if self.nlink > 0:
            super().fetch_attributes()
        elif len(self.opened) > 0:
            self.size = self.client.attributes(self.opened[0].fid).size

    def open(self, path: Path, flags: int) -> File:
        handle = self.created
        if handle is not None:
            self.created = None
        else:
            with InUse(self):
                handle = self._open_handle(flags)
        done = False
        try:
            file = SharedOpenFile(path, flags, self, handle)
            self.opened.append(handle)
            done = True
            return file
        finally:
            if not done:
                handle.release()

    def keep_open(self, handle: OpenFid) -> None:
        """The file was created through a handle: the next description takes it over."""
        old = self.created
        self.created = handle
        if old is not None:
            old.release()

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

    @noraise
    def closed(self, handle: OpenFid) -> None:
        """A description was closed."""
        for i in range(len(self.opened)):
            if self.opened[i] is handle:
                self.opened[i] = self.opened[len(self.opened) - 1]
                self.opened.pop()
                break
        handle.release()

    # ---- Contents ---------------------------------------------------------------------------------------------

    def _any_handle(self, writes: bool) -> OpenFid:
        """Some description's fid, for requests on the inode itself. Raises EINVAL."""
        for handle in self.opened:
            if handle.may_write if writes else handle.may_read:
                return handle
        raise Errno(EINVAL)

    def read_at(self, buffer: Buffer, offset: int) -> int:
        return self.read_by(self._any_handle(writes=False), buffer, offset)

    def write_at(self, buffer: Buffer, offset: int) -> int:
        return self.write_by(self._any_handle(writes=True), buffer, offset)

    def read_by(self, handle: OpenFid, buffer: Buffer, offset: int) -> int:
        """Read from the host; what was written through a mapping is sent first."""
        pages = self.pages
        if pages is not None:
            pages.write_back()
        done = 0
        try:
            while buffer.remaining > 0 and not buffer.faulted:
                wanted = min(buffer.remaining, self.client.data_limit)
                moved = self.client.read(handle.fid, offset + done, buffer)
                done += moved
                if moved < wanted or ends_at(offset + done):
                    break
        except (Errno, MemoryError):
            if done == 0:
                raise
        return done

    def write_by(self, handle: OpenFid, buffer: Buffer, offset: int) -> int:
        done = 0
        pages = self.pages
        if pages is not None:
            pages.write_back()
        try:
            while buffer.remaining > 0 and not buffer.faulted:
                wanted = min(buffer.remaining, self.client.data_limit)
                moved = self.client.write(handle.fid, offset + done, buffer)
                done += moved
                if moved < wanted or ends_at(offset + done):
                    break
        except (Errno, MemoryError):
            if done == 0:
                raise
        if done > 0:
            self.size = max(self.size, offset + done)
            self.touch_modified()
            if pages is not None:
                pages.forget(offset, offset + done)
        return done

    def truncate(self, size: int) -> None:
        if size < 0:
            raise Errno(EINVAL)
        if size > MAX_FILE_SIZE:
            raise Errno(EFBIG)
        with InUse(self):
            self.client.set_size(self.attribute_fid(), size)
        self.size = size
        pages = self.pages
        if pages is not None:
            pages.forget(size, MAX_FILE_SIZE)

    def sync(self, scope: SyncScope) -> None:
        pages = self.pages
        if pages is not None:
            pages.write_back()
        if len(self.opened) > 0:
            self.client.sync(self.opened[0].fid, scope == SyncScope.DATA)

    def memory_object(self) -> MemoryObject:
        pages = self.pages
        if pages is None:
            pages = RemotePages(self)
            self.pages = pages
        return pages

    def mapped_through(self, path: Path) -> None:
        pages = self.pages
        if pages is not None:
            pages.place = place_of(pages.place, path)

    def evict(self) -> None:
        self._give_up()
        super().evict()

    def became_idle(self) -> None:
        self._give_up()
        super().became_idle()

    def _give_up(self) -> None:
        """Nobody uses the file: break the cycle between pages and inode, and close it on the host."""
        pages = self.pages
        if pages is not None:
            self.pages = None
            pages.part()
        created = self.created
        if created is not None:
            self.created = None
            created.release()


@final
class SharedOpenFile(InodeFile):
    """An open description of a regular file."""

    def __init__(self, path: Path, flags: int, file: SharedFile, handle: OpenFid) -> None:
        super().__init__(path, flags)
        self.file: SharedFile = file
        self.handle: OpenFid = handle

    def read(self, buffer: Buffer) -> int:
        done = self.file.read_by(self.handle, buffer, self.position)
        self.position += done
        return done

    def pread(self, buffer: Buffer, offset: int) -> int:
        return self.file.read_by(self.handle, buffer, offset)

    def write(self, buffer: Buffer) -> int:
        offset = self._place_to_write(self.position)
        done = self.write_at(buffer, offset)
        self.position = offset + done
        return done

    def pwrite(self, buffer: Buffer, offset: int) -> int:
        return self.write_at(buffer, self._place_to_write(offset))

    def _place_to_write(self, offset: int) -> int:
        """Where the next write goes: with O_APPEND, at the end of the file as the host has it."""
        if self.flags & O_APPEND == 0:
            return offset
        self.file.refresh()
        return self.file.size

    def write_at(self, buffer: Buffer, offset: int) -> int:
        if buffer.remaining == 0:
            return 0
        if offset >= MAX_FILE_SIZE:
            raise Errno(EFBIG)
        buffer.remaining = min(buffer.remaining, MAX_FILE_SIZE - offset)
        return self.file.write_by(self.handle, buffer, offset)

    def seek(self, offset: int, whence: int) -> int:
        if whence in (SEEK_END, SEEK_DATA, SEEK_HOLE):
            self.file.refresh()
        return super().seek(offset, whence)

    def fsync(self) -> None:
        self._sync(SyncScope.ALL)

    def fdatasync(self) -> None:
        self._sync(SyncScope.DATA)

    def _sync(self, scope: SyncScope) -> None:
        pages = self.file.pages
        if pages is not None:
            pages.write_back()
        self.file.client.sync(self.handle.fid, scope == SyncScope.DATA)

    def memory_object(self) -> MemoryObject:
        result = super().memory_object()
        pages = self.file.pages
        if pages is not None:
            pages.use(self.handle)
        return result

    def close(self) -> None:
        self.file.closed(self.handle)


