"""Regular files of FUSE.

Context: everything but closing sleeps.
"""

from typing import Final

from kernel.cache.store import SyncScope
from kernel.fs.constants import (
    F_RDLCK,
    F_UNLCK,
    F_WRLCK,
    LOCK_EX,
    LOCK_UN,
    MAX_FILE_SIZE,
    O_CREAT,
    O_EXCL,
    POLLERR,
    READABLE,
    SEEK_DATA,
    SEEK_END,
    SEEK_HOLE,
    WRITABLE,
)
from kernel.fs.file import File
from kernel.fs.fuse import protocol
from kernel.fs.fuse.client import Change
from kernel.fs.fuse.handle import ServedHandle, open_handle
from kernel.fs.fuse.inode import FuseInode
from kernel.fs.fuse.instance import FuseInstance
from kernel.fs.fuse.protocol import Entry, Opened, ServedLock
from kernel.fs.locks import OWNERS
from kernel.fs.path import Path
from kernel.fs.record_locks import RecordLock
from kernel.fs.remote_file import InUse, RemoteContents, RemoteOpenFile
from kernel.lang import EFBIG, EINVAL, EIO, ENOMEM, ENOSYS, ENOTTY, ENXIO, EOPNOTSUPP, Errno, UserAddr, final, noraise
from kernel.lib import user
from kernel.lib.credentials import caller_credentials, caller_process_id
from kernel.lib.pid import NOBODY, Pid
from kernel.lib.saturation import sum_of
from kernel.lib.user import Buffer
from kernel.mm.objects import MemoryObject
from kernel.sched import PollWaiter, WaitQueue

_ALL_EVENTS: Final = 0xFFFF
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
        self.contents: RemoteContents[ServedHandle] = RemoteContents()

    def opened(self) -> Opened | None:
        handles = self.contents.handles
        return handles[0].opened if len(handles) > 0 else None

    def open(self, path: Path, flags: int) -> File:
        self.instance.require_permitted()
        self.require_known()
        with InUse(self):  # until the description has a reference of its own
            return self._open(path, flags)

    def _open(self, path: Path, flags: int) -> File:
        contents = self.contents
        handle = contents.take_created()
        if handle is None:
            handle = open_handle(self.client, self.node, flags & ~_OPENING_ONLY, is_directory=False)
        done = False
        try:
            contents.add(handle)
            file = FuseOpenFile(path, flags, self, handle)
            done = True
            return file
        finally:
            if not done:
                contents.drop(handle)
                handle.release()

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
            return self.write_by(handle, 0, buffer, offset)
        finally:
            handle.release()

    def write_by(self, handle: ServedHandle, flags: int, buffer: Buffer, offset: int) -> int:
        done = self.contents.write(handle, flags, buffer, offset)
        self.written(offset, done)
        return done

    def written(self, offset: int, count: int) -> None:
        """The server has other contents there now."""
        if count > 0:
            self.size = max(self.size, sum_of(offset, count))
            self.valid_until_ns = 0
            self.note_change()
            self.contents.forget(offset, sum_of(offset, count))

    def truncate(self, size: int) -> None:
        if size < 0:
            raise Errno(EINVAL)
        if size > MAX_FILE_SIZE:
            raise Errno(EFBIG)
        change = Change(protocol.SET_SIZE)
        change.size = size
        self.change_attributes(change)
        self.contents.forget(size, MAX_FILE_SIZE)

    def allocate(self, mode: int, offset: int, length: int) -> None:
        handle = self.contents.any_handle(writes=True)
        try:
            self.client.allocate(self.node, handle.opened, mode, offset, length)
        except Errno as error:
            raise Errno(EOPNOTSUPP if error.code == ENOSYS else error.code) from None
        finally:
            handle.release()
        self.valid_until_ns = 0
        self.contents.forget(offset, sum_of(offset, length))

    def sync(self, scope: SyncScope) -> None:
        handle = self.contents.first_handle()
        if handle is not None:
            try:
                self.sync_by(handle, scope)
            finally:
                handle.release()

    def sync_by(self, handle: ServedHandle, scope: SyncScope) -> None:
        """Have the server keep the contents safe; one that does not know how has nothing to lose."""
        self.contents.write_back()
        try:
            self.client.sync(self.node, handle.opened, only_data=scope == SyncScope.DATA, is_directory=False)
        except Errno as error:
            if error.code != ENOSYS:
                raise
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
class FuseOpenFile(RemoteOpenFile):
    """An open description of a regular file."""

    def __init__(self, path: Path, flags: int, served: FuseFile, handle: ServedHandle) -> None:
        super().__init__(path, flags)
        self.served: FuseFile = served
        self.handle: ServedHandle = handle
        self._owner: int = 0  # of locks, once it has asked for one
        self._poll_number: int = 0  # once it was polled
        self._poll_queue: WaitQueue | None = None

    def read_here(self, buffer: Buffer, offset: int) -> int:
        return self.served.contents.read(self.handle, self.flags, buffer, offset)

    def write_here(self, buffer: Buffer, offset: int) -> int:
        return self.served.write_by(self.handle, self.flags, buffer, offset)

    def size_now(self) -> int:
        self.served.fetch_attributes()
        return self.served.size

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

    def can_copy_from(self, source: File) -> bool:
        if not isinstance(source, FuseOpenFile) or source.served.instance is not self.served.instance:
            return False
        return not self.served.client.connection.lacks(protocol.COPY_FILE_RANGE)

    def copy_from(self, source: File, source_offset: int, offset: int, count: int) -> int:
        served = self.served
        if not isinstance(source, FuseOpenFile):
            raise Errno(EOPNOTSUPP)
        source.served.contents.write_back()
        served.contents.write_back()
        try:
            done = served.client.copy(
                source.served.node, source.handle.opened, source_offset,
                served.node, self.handle.opened, offset, count,
            )  # fmt: skip
        except Errno as error:
            raise Errno(EOPNOTSUPP if error.code == ENOSYS else error.code) from None
        served.written(offset, done)
        return done

    @noraise
    def flush(self, owner: int) -> None:
        served = self.served
        self.flush_error = 0  # what an earlier one found was reported, or nobody asked
        try:
            served.contents.write_back()
            served.client.flush(served.node, self.handle.opened, owner)
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
            answer = served.client.command(served.node, self.handle.opened, 0, command, argument, given, out_size)
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

    # ---- Polling ----------------------------------------------------------------------------------------------

    def can_be_watched(self) -> bool:
        return True

    def poll(self, waiter: PollWaiter | None) -> int:
        """Ask the server, which may take its time. A kernel thread that was woken does not: it takes the notice itself
        for an event, and the program finds out.
        """
        connection = self.served.client.connection
        if connection.lacks(protocol.POLL):
            return READABLE | WRITABLE
        queue = self._poll_queue
        if queue is None:
            queue = WaitQueue()
            self._poll_number = connection.polled_number()
            self._poll_queue = queue
        wanted = _ALL_EVENTS
        if waiter is not None:
            waiter.wait_on(queue)
            wanted = waiter.wanted
        if caller_credentials() is None:
            return READABLE | WRITABLE
        notifies = not queue.is_empty()
        if notifies:
            connection.watch(self._poll_number, queue)
        try:
            return self.served.client.poll(
                self.served.node, self.handle.opened, self._poll_number, wanted, notifies=notifies
            )
        except Errno as error:
            return READABLE | WRITABLE if error.code == ENOSYS else POLLERR

    # ---- Locks ------------------------------------------------------------------------------------------------

    def find_conflict(self, request: RecordLock) -> RecordLock | None:
        client = self.served.client
        if not client.keeps_record_locks():
            return super().find_conflict(request)
        wanted = ServedLock(request.start, request.end, request.kind, 0)
        found = client.find_lock(self.served.node, self.handle.opened, self._owner_of(request), wanted)
        if found.kind == F_UNLCK:
            return None
        holder = NOBODY if request.table is None else Pid(found.process)
        return RecordLock(None, None, holder, found.kind, found.start, found.end)

    def set_record_lock(self, request: RecordLock, *, waits: bool) -> None:
        if not self.served.client.keeps_record_locks():
            super().set_record_lock(request, waits=waits)
            return
        self._set_lock(self._owner_of(request), request.kind, request.start, request.end, waits=waits, is_whole=False)

    def set_whole_lock(self, kind: int, *, waits: bool) -> None:
        if not self.served.client.keeps_whole_locks():
            super().set_whole_lock(kind, waits=waits)
            return
        lock_kind = F_UNLCK if kind == LOCK_UN else F_WRLCK if kind == LOCK_EX else F_RDLCK
        self.handle.releases_flock(self.owner_number())
        self._set_lock(self.owner_number(), lock_kind, 0, MAX_FILE_SIZE, waits=waits, is_whole=True)

    def _set_lock(self, owner: int, kind: int, start: int, end: int, *, waits: bool, is_whole: bool) -> None:
        process = 0 if kind == F_UNLCK else int(caller_process_id())
        wanted = ServedLock(start, end, kind, process)
        self.served.client.set_lock(self.served.node, self.handle.opened, owner, wanted, waits=waits, is_whole=is_whole)

    def _owner_of(self, request: RecordLock) -> int:
        table = request.table
        return table.owner if table is not None else self.owner_number()

    def owner_number(self) -> int:
        """The number of the description as an owner of locks."""
        if self._owner == 0:
            self._owner = OWNERS.next()
        return self._owner

    def memory_object(self) -> MemoryObject:
        result = super().memory_object()
        self.served.contents.use(self.handle)
        return result

    @noraise
    def close(self) -> None:
        if self._poll_queue is not None:
            self.served.client.connection.unwatch(self._poll_number)
        self.served.contents.drop(self.handle)
        self.handle.release()
