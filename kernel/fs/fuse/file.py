"""Regular files of FUSE. Each open description has a handle of its own at the server; reads and writes go to the server
at once.

Context: everything but closing sleeps.
"""

from typing import Final

from kernel.cache.store import SyncScope
from kernel.fs.constants import (
    MAX_FILE_SIZE,
    O_APPEND,
    O_CREAT,
    O_EXCL,
    SEEK_DATA,
    SEEK_END,
    SEEK_HOLE,
)
from kernel.fs.file import File, InodeFile
from kernel.fs.fuse import protocol
from kernel.fs.fuse.client import Change
from kernel.fs.fuse.handle import ServedHandle, open_handle
from kernel.fs.fuse.inode import FuseInode
from kernel.fs.fuse.instance import FuseInstance, InUse
from kernel.fs.fuse.protocol import Entry, Opened
from kernel.fs.mapped_place import place_of
from kernel.fs.path import Path
from kernel.fs.remote_pages import RemotePages
from kernel.lang import EFBIG, EINVAL, EIO, ENOMEM, ENOSYS, ENOTTY, ENXIO, EOPNOTSUPP, Errno, UserAddr, final, noraise
from kernel.lib import user
from kernel.lib.pace import ends_at
from kernel.lib.saturation import sum_of
from kernel.lib.user import Buffer
from kernel.mm.objects import MemoryObject

_OPENING_ONLY: Final = O_CREAT | O_EXCL
# The number of an ioctl encodes the direction and length of its data.
_COMMAND_WRITES: Final = 1 << 30
_COMMAND_READS: Final = 1 << 31
_COMMAND_SIZE_SHIFT: Final = 16
_COMMAND_SIZE_MASK: Final = 0x3FFF


@final
class FuseFile(FuseInode):
    """A regular file."""

    def __init__(self, instance: FuseInstance, entry: Entry) -> None:
        super().__init__(instance, entry)
        self.created: ServedHandle | None = None  # open since its creation, until a description takes it
        self.handles: list[ServedHandle] = []  # those of the descriptions
        self.pages: RemotePages | None = None

    def opened(self) -> Opened | None:
        return self.handles[0].opened if len(self.handles) > 0 else None

    def open(self, path: Path, flags: int) -> File:
        self.instance.require_permitted()
        self.require_known()
        with InUse(self):  # until the description has a reference of its own
            return self._open(path, flags)

    def _open(self, path: Path, flags: int) -> File:
        handle = self.created
        if handle is not None:
            self.created = None
        else:
            handle = open_handle(self.client, self.node, flags & ~_OPENING_ONLY, is_directory=False)
        done = False
        try:
            self.handles.append(handle)
            try:
                file = FuseOpenFile(path, flags, self, handle)
                done = True
                return file
            finally:
                if not done:
                    self._drop(handle)
        finally:
            if not done:
                handle.release()

    def keep_open(self, handle: ServedHandle) -> None:
        """The file was created through a handle: the next description takes it over."""
        old = self.created
        self.created = handle
        if old is not None:
            old.release()

    @noraise
    def closed(self, handle: ServedHandle) -> None:
        """A description was closed."""
        self._drop(handle)
        handle.release()

    @noraise
    def _drop(self, handle: ServedHandle) -> None:
        for i in range(len(self.handles)):
            if self.handles[i] is handle:
                self.handles[i] = self.handles[len(self.handles) - 1]
                self.handles.pop()
                return

    # ---- Contents ---------------------------------------------------------------------------------------------

    def _any_handle(self, *, writes: bool) -> ServedHandle:
        """Some description's handle, for requests on the inode itself. Raises EINVAL."""
        for handle in self.handles:
            if handle.may_write if writes else handle.may_read:
                return handle
        raise Errno(EINVAL)

    def read_at(self, buffer: Buffer, offset: int) -> int:
        return self.read_by(self._any_handle(writes=False), 0, buffer, offset)

    def write_at(self, buffer: Buffer, offset: int) -> int:
        return self.write_by(self._any_handle(writes=True), 0, buffer, offset)

    def read_by(self, handle: ServedHandle, flags: int, buffer: Buffer, offset: int) -> int:
        """Read from the server; what was written through a mapping is sent first."""
        pages = self.pages
        if pages is not None:
            pages.write_back()
        done = 0
        try:
            while buffer.remaining > 0 and not buffer.faulted:
                wanted = min(buffer.remaining, self.client.read_limit())
                moved = self.client.read(self.node, handle.opened, flags, sum_of(offset, done), buffer)
                done += moved
                if moved < wanted or ends_at(sum_of(offset, done)):
                    break
        except (Errno, MemoryError):
            if done == 0:
                raise
        return done

    def write_by(self, handle: ServedHandle, flags: int, buffer: Buffer, offset: int) -> int:
        done = 0
        pages = self.pages
        if pages is not None:
            pages.write_back()
        try:
            while buffer.remaining > 0 and not buffer.faulted:
                wanted = min(buffer.remaining, handle.data_limit())
                moved = self.client.write(self.node, handle.opened, flags, sum_of(offset, done), buffer)
                done += moved
                if moved < wanted or ends_at(sum_of(offset, done)):
                    break
        except (Errno, MemoryError):
            if done == 0:
                raise
        if done > 0:
            self.size = max(self.size, sum_of(offset, done))
            self.valid_until_ns = 0
            if pages is not None:
                pages.forget(offset, sum_of(offset, done))
        return done

    def truncate(self, size: int) -> None:
        if size < 0:
            raise Errno(EINVAL)
        if size > MAX_FILE_SIZE:
            raise Errno(EFBIG)
        change = Change(protocol.SET_SIZE)
        change.size = size
        self.change_attributes(change)
        pages = self.pages
        if pages is not None:
            pages.forget(size, MAX_FILE_SIZE)

    def allocate(self, mode: int, offset: int, length: int) -> None:
        try:
            self.client.allocate(self.node, self._any_handle(writes=True).opened, mode, offset, length)
        except Errno as error:
            raise Errno(EOPNOTSUPP if error.code == ENOSYS else error.code) from None
        self.valid_until_ns = 0
        pages = self.pages
        if pages is not None:
            pages.forget(offset, sum_of(offset, length))

    def sync(self, scope: SyncScope) -> None:
        if len(self.handles) > 0:
            self.sync_by(self.handles[0], scope)

    def sync_by(self, handle: ServedHandle, scope: SyncScope) -> None:
        """Have the server keep the contents safe; one that cannot has nothing to lose."""
        pages = self.pages
        if pages is not None:
            pages.write_back()
        try:
            self.client.sync(self.node, handle.opened, only_data=scope == SyncScope.DATA, is_directory=False)
        except Errno as error:
            if error.code != ENOSYS:
                raise

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
        """Nobody uses the file: break the cycle between pages and inode, and close it at the server."""
        pages = self.pages
        if pages is not None:
            self.pages = None
            pages.part()
        created = self.created
        if created is not None:
            self.created = None
            created.release()


@final
class FuseOpenFile(InodeFile):
    """An open description of a regular file."""

    def __init__(self, path: Path, flags: int, served: FuseFile, handle: ServedHandle) -> None:
        super().__init__(path, flags)
        self.served: FuseFile = served
        self.handle: ServedHandle = handle

    def read(self, buffer: Buffer) -> int:
        done = self.pread(buffer, self.position)
        self.position = sum_of(self.position, done)
        return done

    def pread(self, buffer: Buffer, offset: int) -> int:
        return self.served.read_by(self.handle, self.flags, buffer, offset)

    def write(self, buffer: Buffer) -> int:
        offset = self._place_to_write(self.position)
        done = self.write_at(buffer, offset)
        self.position = sum_of(offset, done)
        return done

    def pwrite(self, buffer: Buffer, offset: int) -> int:
        return self.write_at(buffer, self._place_to_write(offset))

    def _place_to_write(self, offset: int) -> int:
        """Where the next write goes: with O_APPEND, at the end of the file as the server has it."""
        if self.flags & O_APPEND == 0:
            return offset
        self.served.fetch_attributes()
        return self.served.size

    def write_at(self, buffer: Buffer, offset: int) -> int:
        if buffer.remaining == 0:
            return 0
        if offset < 0 or offset >= MAX_FILE_SIZE:
            raise Errno(EFBIG)
        buffer.remaining = min(buffer.remaining, MAX_FILE_SIZE - offset)
        return self.served.write_by(self.handle, self.flags, buffer, offset)

    def seek(self, offset: int, whence: int) -> int:
        served = self.served
        if whence not in (SEEK_END, SEEK_DATA, SEEK_HOLE):
            return super().seek(offset, whence)
        served.fetch_attributes()
        if whence == SEEK_END or served.client.connection.lacks(protocol.LSEEK):
            return super().seek(offset, whence)
        if offset < 0:
            raise Errno(ENXIO)
        try:
            place = served.client.seek(served.node, self.handle.opened, offset, whence)
        except Errno as error:
            if error.code != ENOSYS:
                raise
            return super().seek(offset, whence)
        self.position = place
        return place

    @noraise
    def flush(self) -> None:
        served = self.served
        pages = served.pages
        self.flush_error = 0  # the error of an earlier one was reported, or nobody asked
        try:
            if pages is not None:
                pages.write_back()
            served.client.flush(served.node, self.handle.opened)
        except Errno as error:
            if error.code != ENOSYS:
                self.flush_error = error.code
        except MemoryError:
            self.flush_error = ENOMEM

    def fsync(self) -> None:
        self.served.sync_by(self.handle, SyncScope.ALL)

    def fdatasync(self) -> None:
        self.served.sync_by(self.handle, SyncScope.DATA)

    def ioctl(self, command: int, argument: int) -> int:
        """A command whose number describes its data. Raises ENOTTY."""
        size = command >> _COMMAND_SIZE_SHIFT & _COMMAND_SIZE_MASK
        given = b""
        if command & _COMMAND_WRITES != 0 and size > 0:
            given = user.read_bytes(UserAddr(argument), size)
        served = self.served
        out_size = size if command & _COMMAND_READS != 0 else 0
        try:
            answer = served.client.command(
                served.node, self.handle.opened, 0, command, argument, given, out_size
            )
        except Errno as error:
            raise Errno(ENOTTY if error.code == ENOSYS else error.code) from None
        result = answer.u32()
        flags = answer.u32()
        answer.u64()
        if flags != 0:
            raise Errno(EIO)
        if answer.left() > 0:
            user.write_bytes(UserAddr(argument), answer.take(answer.left()).to_bytes())
        return result - (1 << 32) if result >= 1 << 31 else result

    def memory_object(self) -> MemoryObject:
        result = super().memory_object()
        pages = self.served.pages
        if pages is not None:
            pages.use(self.handle)
        return result

    @noraise
    def close(self) -> None:
        self.served.closed(self.handle)
